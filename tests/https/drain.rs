//! After a stop signal, the server keeps serving for the drain time, then closes its connections, and loses no request.

use std::time::Duration;

use stellar_k8s::webhook::limits::Limits;
use tokio::time::{Instant, timeout};

use crate::client::{Client, post};
use crate::server::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_draining_server_serves_and_closes_connections() {
    let mut server = Server::start(Limits::default());
    let (mut used, mut held) = (server.connect().await, server.connect().await);
    assert!(!used.post("/mutate", b"{}").await.unwrap().asks_to_close());
    held.send(&post("/mutate", b"wait")).await.unwrap();
    server.gate.holds(1).await;
    assert!(server.readiness.is_ready());

    let begin = Instant::now();
    server.shut_down();
    let unready = async {
        while server.readiness.is_ready() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), unready).await.expect("still ready");

    // The server asks clients with open connections to reconnect, and serves new connections.
    let goodbye = timeout(Duration::from_secs(1), async {
        loop {
            let response = used.post("/mutate", b"{}").await.unwrap();
            if response.asks_to_close() {
                return response;
            }
        }
    });
    assert_eq!(goodbye.await.expect("not asked to close").status, 200);
    used.closed().await;
    let late = server.connect().await.post("/mutate", b"{}").await.unwrap();
    assert!(late.status == 200 && late.asks_to_close(), "{late:?}");

    // After the drain the server accepts no connection and answers the requests in progress.
    let refused = async {
        while Client::connect(server.address, &server.trust()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), refused)
        .await
        .expect("still takes connections");
    assert!(
        begin.elapsed() >= Duration::from_millis(1900),
        "the drain was cut short: {:?}",
        begin.elapsed()
    );
    server.gate.open();
    assert_eq!(held.response().await.unwrap().status, 200);
    server.ended().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hanging_client_does_not_delay_shutdown() {
    let mut server = Server::start_without_certificate(Limits::default(), Duration::ZERO);
    server.serve_new_leaf();
    let mut idle = server.connect().await;
    let mut slow = server.connect().await;
    let whole = post("/mutate", &[b' '; 90]);
    slow.send(&whole[..whole.len() - 1]).await.unwrap();
    assert_eq!(idle.post("/mutate", b"{}").await.unwrap().status, 200);
    let begin = Instant::now();
    server.shut_down();
    server.ended().await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}
