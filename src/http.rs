//! What the clients of our HTTP servers may cost: connections and the time in which they say nothing.
//!
//! The webhook has more limits, in [`admission::limits`](crate::admission::limits).

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum_server::Handle;
use axum_server::accept::Accept;
use hyper_util::rt::TokioTimer;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower_service::Service;

/// Connections at once to a [plain server](serve_plain). A kubelet and a Prometheus or two need a few; with so many, silent ones cost
/// some MiB, and shutting the kubelet out, which would take the pod for dead, takes as many all the time.
const CONNECTIONS: usize = 1024;
/// Time from a connection to the end of its first request's headers.
const FIRST_REQUEST: Duration = Duration::from_secs(5);
/// Time from one request to the end of the next one's headers; longer than a Prometheus pauses.
const IDLE: Duration = Duration::from_secs(150);

/// Serves a few small routes without TLS, until `handle` says to end.
///
/// # Errors
/// When the listener, which must not block, fails for good.
pub async fn serve_plain(
    listener: TcpListener,
    routes: Router,
    handle: Handle<std::net::SocketAddr>,
) -> io::Result<()> {
    serve_some(listener, routes, handle, CONNECTIONS).await
}

async fn serve_some(
    listener: TcpListener,
    routes: Router,
    handle: Handle<std::net::SocketAddr>,
    connections: usize,
) -> io::Result<()> {
    let mut server = axum_server::from_tcp(listener)?
        .acceptor(BoundedAcceptor::new(connections))
        .handle(handle)
        .first_request_timeout(FIRST_REQUEST)
        .http1_only();
    let http = server.http_builder();
    http.http1().timer(TokioTimer::new()).header_read_timeout(IDLE);
    server.serve(routes.into_make_service()).await
}

/// Takes a connection only while there are fewer than the limit, and sets TCP_NODELAY: an answer goes out in several
/// writes, and without it the last one waits for the client's delayed acknowledgement.
#[derive(Clone, Debug)]
pub struct BoundedAcceptor {
    places: Arc<Semaphore>,
}

impl BoundedAcceptor {
    /// An acceptor for so many connections at once.
    pub fn new(connections: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(connections)),
        }
    }
}

impl<S> Accept<TcpStream, S> for BoundedAcceptor {
    type Stream = TcpStream;
    type Service = Placed<S>;
    type Future = std::future::Ready<io::Result<(TcpStream, Placed<S>)>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        let place = Arc::clone(&self.places).try_acquire_owned();
        let place = place.map_err(|_| io::Error::other("too many connections"));
        let accepted = place.and_then(|place| {
            stream.set_nodelay(true)?;
            Ok((
                stream,
                Placed {
                    inner,
                    _place: Arc::new(place),
                },
            ))
        });
        std::future::ready(accepted)
    }
}

/// The service of one connection; holds its place until the connection ends.
#[derive(Clone, Debug)]
pub struct Placed<S> {
    inner: S,
    _place: Arc<OwnedSemaphorePermit>,
}

impl<S: Service<R>, R> Service<R> for Placed<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.inner.call(request)
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    const SOME: usize = 20;

    async fn serving() -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new().route("/", get(|| async { "here" }));
        tokio::spawn(serve_some(listener.into_std().unwrap(), routes, Handle::new(), SOME));
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

    #[tokio::test]
    async fn connections_are_counted_and_come_back() {
        let address = serving().await;
        let mut held = Vec::new();
        for _ in 0..SOME {
            held.push(TcpStream::connect(address).await.unwrap());
        }
        let request = b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        let ask = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // It may be closed before anything is sent.
            let _ = stream.write_all(request).await;
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text).await;
            text
        };
        assert_eq!(ask().await, "", "there is no place");
        held.clear();
        let served = async {
            while !ask().await.ends_with("here") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), served).await.unwrap();
    }
}
