//! HTTP servers with limits on connections, on idle clients and on slow clients.
//!
//! The webhook has further limits: [`webhook::limits`](crate::webhook::limits).

mod connection_limit;
mod timeouts;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum_server::Handle;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use hyper_util::rt::TokioTimer;
use tokio::net::{TcpSocket, TcpStream};
use tower_service::Service;

pub use connection_limit::Permit;
pub use timeouts::{TimeoutStream, Timeouts};

pub(crate) use connection_limit::ConnectionLimit;

/// Time from the connection to the end of the first request's headers.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

/// Connections that the kernel queues before they are accepted. A full queue delays a client by a second, until its
/// next SYN. The kernel has an upper bound of its own.
const BACKLOG: u32 = 4096;

/// Opens a non-blocking listener. It must be called inside a Tokio runtime.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// Limits of a server without TLS.
#[derive(Clone, Copy, Debug)]
pub struct PlainLimits {
    /// Open connections. One more closes a connection of the client that has most.
    pub connections: usize,
    /// Open connections of one client. One more closes another connection of that client.
    pub per_client: usize,
    /// Time from one request to the end of the next request's headers.
    pub idle: Duration,
    /// Buffer of each connection in bytes, once for requests and once for answers.
    pub buffer: usize,
    /// Time in which a client must read part of a pending answer.
    pub write_timeout: Duration,
    /// Lifetime of a connection; `None` sets no limit.
    pub lifetime: Option<Duration>,
}

impl Default for PlainLimits {
    /// Defaults for a few small routes.
    fn default() -> Self {
        Self {
            // A kubelet and a Prometheus or two need a few. This many silent connections cost some MiB.
            connections: 256,
            per_client: 64,
            // Longer than the scrape interval of Prometheus.
            idle: Duration::from_secs(150),
            // hyper's default.
            buffer: 408 * 1024,
            write_timeout: Duration::from_secs(30),
            lifetime: None,
        }
    }
}

/// Serves `routes` without TLS until `handle` shuts it down.
pub async fn serve_plain(listener: TcpListener, routes: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
    serve_within(listener, routes, handle, PlainLimits::default()).await
}

/// Like [`serve_plain`], with the given limits.
pub async fn serve_within(
    listener: TcpListener,
    routes: Router,
    handle: Handle<SocketAddr>,
    limits: PlainLimits,
) -> io::Result<()> {
    let timeouts = Timeouts {
        write: limits.write_timeout,
        whole_write: false,
        lifetime: limits.lifetime,
    };
    let acceptor = Acceptor::new(limits.connections, limits.per_client, timeouts);
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(acceptor)
        .handle(handle)
        .first_request_timeout(FIRST_REQUEST)
        .http1_only();
    let http = server.http_builder();
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.idle)
        .max_buf_size(limits.buffer);
    server.serve(routes.into_make_service()).await
}

/// Takes a [`Permit`] for each connection, applies the [`Timeouts`], and sets TCP_NODELAY. An answer goes out in
/// several writes; without TCP_NODELAY the last one would wait for the client's delayed acknowledgement.
#[derive(Clone, Debug)]
pub struct Acceptor {
    limit: ConnectionLimit,
    timeouts: Timeouts,
}

impl Acceptor {
    /// Limits the open connections in total and of each client.
    pub fn new(connections: usize, per_client: usize, timeouts: Timeouts) -> Self {
        Self {
            limit: ConnectionLimit::new(connections, per_client),
            timeouts,
        }
    }

    fn admit<S>(&self, stream: TcpStream, inner: S) -> io::Result<(TimeoutStream<TcpStream>, WithPermit<S>)> {
        stream.set_nodelay(true)?;
        let (permit, closed) = self.limit.take(stream.peer_addr()?.ip());
        let stream = TimeoutStream::new(stream, self.timeouts, closed);
        Ok((stream, WithPermit { inner, permit }))
    }
}

impl<S> Accept<TcpStream, S> for Acceptor {
    type Stream = TimeoutStream<TcpStream>;
    type Service = WithPermit<S>;
    type Future = std::future::Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        std::future::ready(self.admit(stream, inner))
    }
}

/// The service of one connection. It holds the connection's [`Permit`] and adds it to each request as an extension.
#[derive(Clone, Debug)]
pub struct WithPermit<S> {
    inner: S,
    permit: Permit,
}

impl<S, B> Service<Request<B>> for WithPermit<S>
where
    S: Service<Request<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let permit = self.permit.clone();
        permit.mark_busy();
        request.extensions_mut().insert(permit.clone());
        let answered = self.inner.call(request);
        Box::pin(async move {
            let answer = answered.await;
            permit.mark_idle();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SOME: usize = 20;

    async fn serving() -> SocketAddr {
        let listener = listen(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "here" }));
        let limits = PlainLimits {
            connections: SOME,
            per_client: SOME,
            ..PlainLimits::default()
        };
        tokio::spawn(serve_within(listener, routes, Handle::new(), limits));
        address
    }

    async fn answer(stream: &mut TcpStream) -> String {
        let mut text = String::new();
        let reading = stream.read_to_string(&mut text);
        tokio::time::timeout(FIRST_REQUEST * 6, reading)
            .await
            .expect("an end")
            .unwrap();
        text
    }

    #[tokio::test]
    async fn who_says_nothing_is_not_listened_to_for_ever() {
        let address = serving().await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(b"GET / HT").await.unwrap();
        assert_eq!(answer(&mut silent).await, "");
        assert!(!answer(&mut slow).await.contains("200 OK"));
    }

    async fn ask(address: SocketAddr) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        answer(&mut stream).await
    }

    /// A kubelet sends requests while another client holds as many connections as possible.
    #[tokio::test]
    async fn whoever_asks_is_answered_beside_a_crowd_that_says_nothing() {
        let address = serving().await;
        let mut held = Vec::new();
        for _ in 0..3 * SOME {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        for _ in 0..3 {
            assert!(ask(address).await.ends_with("here"));
        }
        assert_eq!(answer(&mut held[0]).await, "", "the first of them had to go");
    }

    /// The crowd has another address: all of 127.0.0.0/8 is this machine.
    async fn connect_as(client: [u8; 4], address: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        socket.connect(address).await.unwrap()
    }

    #[tokio::test]
    async fn an_idle_connection_stays_beside_the_crowd_of_another_client() {
        let address = serving().await;
        let mut own = TcpStream::connect(address).await.unwrap();
        let request = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n";
        let mut asked = async || {
            own.write_all(request).await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"here") {
                assert_ne!(own.read_buf(&mut text).await.unwrap(), 0, "it was closed");
            }
        };
        asked().await;
        let mut held = Vec::new();
        for _ in 0..3 * SOME {
            held.push(connect_as([127, 0, 0, 2], address).await);
        }
        asked().await;
    }
}
