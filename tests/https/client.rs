//! A client that sends the given bytes unchanged and reads one HTTP/1.1 answer at a time.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Time limit of an answer; a test that reaches it has found a hang.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Response {
    pub(crate) fn asks_to_close(&self) -> bool {
        self.head.to_ascii_lowercase().contains("\r\nconnection: close")
    }
}

pub(crate) struct Client {
    pub(crate) stream: TlsStream<TcpStream>,
}

/// The CAs and protocol versions of a client.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    pub(crate) fn new(bundle: &str) -> Self {
        Self::with_versions(bundle, rustls::ALL_VERSIONS)
    }

    pub(crate) fn with_versions(bundle: &str, versions: &[&'static SupportedProtocolVersion]) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap();
        let mut config = config.with_root_certificates(roots).with_no_client_auth();
        // Offer HTTP/2 first, as Go does.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self(Arc::new(config))
    }
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr, trust: &Trust) -> io::Result<Self> {
        Self::over(TcpStream::connect(address).await?, trust).await
    }

    /// Makes the handshake on an open connection.
    pub(crate) async fn over(tcp: TcpStream, trust: &Trust) -> io::Result<Self> {
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("webhook.ns.svc").unwrap();
        let connecting = TlsConnector::from(Arc::clone(&trust.0)).connect(name, tcp);
        let stream = tokio::time::timeout(PATIENCE, connecting).await??;
        Ok(Self { stream })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    pub(crate) async fn post(&mut self, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(&post(path, body)).await?;
        self.response().await
    }

    pub(crate) async fn response(&mut self) -> io::Result<Response> {
        tokio::time::timeout(PATIENCE, self.read_response()).await?
    }

    /// Waits until the server closes the connection.
    pub(crate) async fn closed(&mut self) {
        let mut rest = Vec::new();
        let end = tokio::time::timeout(PATIENCE, self.stream.read_to_end(&mut rest)).await;
        assert!(end.is_ok(), "the server keeps the connection open");
    }

    async fn read_response(&mut self) -> io::Result<Response> {
        let mut bytes = Vec::new();
        loop {
            let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = head_end {
                let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.parse::<usize>().unwrap())
                });
                let length = length.unwrap_or(0);
                if bytes.len() >= end + 4 + length {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    let body = String::from_utf8_lossy(&bytes[end + 4..]).into_owned();
                    return Ok(Response { status, head, body });
                }
            }
            if self.stream.read_buf(&mut bytes).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// A well-formed request.
pub(crate) fn post(path: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: webhook\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
