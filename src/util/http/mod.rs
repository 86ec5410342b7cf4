//! What the clients of our HTTP servers may cost: connections, and the time in which they say or read nothing.
//!
//! The webhook has more limits, in [`admission::limits`](crate::webhook::limits).

mod patient;
mod places;

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

pub use patient::{Patience, PatientStream};
pub use places::Guest;

pub(crate) use places::Places;

/// Time from a connection to the end of its first request's headers.
const FIRST_REQUEST: Duration = Duration::from_secs(5);

/// Connections that the system may hold until they are accepted; more than a crowd has, or those of others would wait a
/// second for their next try. The system has a bound of its own.
const BACKLOG: u32 = 4096;

/// Listens on an address, without blocking. It wants a runtime around it.
///
/// # Errors
/// When the address is taken, or is none of this machine.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// What the clients of a server without TLS may cost.
#[derive(Clone, Copy, Debug)]
pub struct PlainLimits {
    /// Connections at once; a further one takes the place of one of the client that has most.
    pub connections: usize,
    /// Connections of one client; a further one takes the place of one of its own.
    pub each: usize,
    /// Time from one request to the end of the next one's headers.
    pub idle: Duration,
    /// Bytes of requests and of answers, each, that a connection buffers.
    pub buffer: usize,
    /// How long a client may read nothing of what is there for it.
    pub stall: Duration,
    /// How long a connection may last; without one: for ever.
    pub life: Option<Duration>,
}

impl Default for PlainLimits {
    /// For a few small routes.
    fn default() -> Self {
        Self {
            // A kubelet and a Prometheus or two need a few; so many silent ones cost some MiB.
            connections: 256,
            each: 64,
            // Longer than a Prometheus pauses.
            idle: Duration::from_secs(150),
            // hyper's own.
            buffer: 408 * 1024,
            stall: Duration::from_secs(30),
            life: None,
        }
    }
}

/// Serves a few small routes without TLS, until `handle` says to end.
///
/// # Errors
/// When the listener, which must not block, fails for good.
pub async fn serve_plain(listener: TcpListener, routes: Router, handle: Handle<SocketAddr>) -> io::Result<()> {
    serve_within(listener, routes, handle, PlainLimits::default()).await
}

/// As [`serve_plain`], within these limits.
///
/// # Errors
/// When the listener, which must not block, fails for good.
pub async fn serve_within(
    listener: TcpListener,
    routes: Router,
    handle: Handle<SocketAddr>,
    limits: PlainLimits,
) -> io::Result<()> {
    let patience = Patience {
        stall: limits.stall,
        whole: false,
        life: limits.life,
    };
    let acceptor = Acceptor::new(limits.connections, limits.each, patience);
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

/// Gives each connection a place (`places`), ends it with the [patience](Patience) for it, and sets TCP_NODELAY: an
/// answer goes out in several writes, and without it the last one waits for the client's delayed acknowledgement.
#[derive(Clone, Debug)]
pub struct Acceptor {
    places: Places,
    patience: Patience,
}

impl Acceptor {
    /// An acceptor for so many connections at once, and so many of one client.
    pub fn new(connections: usize, each: usize, patience: Patience) -> Self {
        Self {
            places: Places::new(connections, each),
            patience,
        }
    }

    fn seat<S>(&self, stream: TcpStream, inner: S) -> io::Result<(PatientStream<TcpStream>, Placed<S>)> {
        stream.set_nodelay(true)?;
        let (guest, closed) = self.places.take(stream.peer_addr()?.ip());
        let stream = PatientStream::new(stream, self.patience, closed);
        Ok((stream, Placed { inner, guest }))
    }
}

impl<S> Accept<TcpStream, S> for Acceptor {
    type Stream = PatientStream<TcpStream>;
    type Service = Placed<S>;
    type Future = std::future::Ready<io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, inner: S) -> Self::Future {
        std::future::ready(self.seat(stream, inner))
    }
}

/// The service of one connection, which has its place until that ends. Each request says by an extension whose it is.
#[derive(Clone, Debug)]
pub struct Placed<S> {
    inner: S,
    guest: Guest,
}

impl<S, B> Service<Request<B>> for Placed<S>
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
        let guest = self.guest.clone();
        guest.asks();
        request.extensions_mut().insert(guest.clone());
        let answered = self.inner.call(request);
        Box::pin(async move {
            let answer = answered.await;
            guest.is_answered();
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
            each: SOME,
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

    /// As the kubelet asks while somebody holds as many connections as he can.
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

    /// An address of its own for the crowd: the whole of 127.0.0.0/8 is this machine.
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
