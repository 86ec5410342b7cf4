//! The cost of a client that does not read.

use std::net::SocketAddr;
use std::time::Duration;

use axum_server::Handle;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::commands::history::*;

const SOON: Duration = Duration::from_secs(30);
/// More than the buffers of a connection hold, including those of the kernel.
const LARGE: u64 = 64 << 20;

async fn serving(limits: PlainLimits) -> (SocketAddr, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::File::create(dir.path().join("large"))
        .unwrap()
        .set_len(LARGE)
        .unwrap();
    std::fs::write(dir.path().join("small"), "small").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve_within(
        listener,
        router(dir.path().to_owned()),
        Handle::new(),
        limits,
    ));
    (address, dir)
}

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    // The connection limit may close it before anything is sent.
    let _ = stream.write_all(request.as_bytes()).await;
    stream
}

async fn is_served(address: SocketAddr) {
    let served = async {
        loop {
            let mut text = String::new();
            let _ = ask(address, "small").await.read_to_string(&mut text).await;
            if text.ends_with("small") {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, served).await.expect("a place");
}

/// Bytes of the large file that arrive before the connection ends.
async fn rest(mut stream: TcpStream) -> u64 {
    let read = async {
        let (mut all, mut some) = (0, vec![0; 1 << 16]);
        loop {
            match stream.read(&mut some).await {
                Ok(0) | Err(_) => return all,
                Ok(length) => all += length as u64,
            }
        }
    };
    timeout(SOON, read).await.unwrap()
}

#[tokio::test]
async fn who_reads_nothing_loses_its_place() {
    let (address, _dir) = serving(PlainLimits {
        connections: 1,
        write_timeout: Duration::from_millis(300),
        ..LIMITS
    })
    .await;
    let silent = ask(address, "large").await;
    silent.readable().await.unwrap();
    is_served(address).await;
    assert!(rest(silent).await < LARGE, "it was not cut off");
}

#[tokio::test]
async fn a_download_ends_in_the_end() {
    let (address, _dir) = serving(PlainLimits {
        connections: 1,
        lifetime: Some(Duration::from_secs(1)),
        ..LIMITS
    })
    .await;
    let mut slow = ask(address, "large").await;
    let reading = tokio::spawn(async move {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        let mut some = [0; 1024];
        while let Ok(1..) = slow.read(&mut some).await {
            pause.tick().await;
        }
    });
    is_served(address).await;
    reading.abort();
}

#[tokio::test]
async fn who_reads_gets_all() {
    let (address, _dir) = serving(LIMITS).await;
    assert!(rest(ask(address, "large").await).await > LARGE);
}
