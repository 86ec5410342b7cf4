//! Limits of time, memory and connections for each client and for all clients together.

use std::time::Duration;

use stellar_k8s::webhook::limits::Limits;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::client::post;
use crate::server::Server;

const SHORT: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_body_times_out() {
    let server = Server::start(Limits {
        body_time: SHORT,
        ..Limits::default()
    });
    let mut client = server.connect().await;
    let whole = post("/mutate", &[b' '; 90]);
    client.send(&whole[..whole.len() - 1]).await.unwrap();
    let response = client.response().await.unwrap();
    assert_eq!(response.status, 408, "{response:?}");
    assert!(response.body.contains("0.2 s"), "{response:?}");
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_headers_time_out() {
    let server = Server::start(Limits {
        first_request: SHORT,
        ..Limits::default()
    });
    let mut client = server.connect().await;
    client.send(b"POST /mutate HTTP/1.1\r\nHost:").await.unwrap();
    client.closed().await;
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_a_handshake_is_closed() {
    let server = Server::start(Limits {
        handshake: SHORT,
        ..Limits::default()
    });
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let end = timeout(Duration::from_secs(20), stream.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok(), "still open");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_idle_connections_are_closed() {
    let server = Server::start(Limits {
        first_request: SHORT,
        idle: Duration::from_secs(1),
        ..Limits::default()
    });
    let mut used = server.connect().await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1500) {
        assert_eq!(used.post("/mutate", b"{}").await.unwrap().status, 200);
    }
    used.closed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections_of_one_client_do_not_block_others() {
    let server = Server::start(Limits {
        connections: 20,
        per_client: 20,
        ..Limits::default()
    });
    let mut crowd = Vec::new();
    for _ in 0..60 {
        let mut idle = server.connect().await;
        assert_eq!(idle.post("/mutate", b"{}").await.unwrap().status, 200);
        crowd.push(idle);
        server.assert_serves().await;
    }
    for idle in &mut crowd[..40] {
        idle.closed().await;
    }
}

/// Incomplete bodies fill the memory; the server still answers reviews of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_bodies_do_not_block_other_reviews() {
    let server = Server::start(Limits {
        small: 1000,
        small_budget: 10_000,
        large_budget: 100_000,
        body_time: Duration::from_secs(60),
        ..Limits::default()
    });
    let mut held = Vec::new();
    for (count, bytes) in [(20, 50_000), (40, 900)] {
        let whole = post("/mutate", &vec![b' '; bytes]);
        for _ in 0..count {
            let mut client = server.connect().await;
            client.send(&whole[..whole.len() - 1]).await.unwrap();
            held.push(client);
            for size in [2, 900, 30_000] {
                let answer = server.connect().await.post("/mutate", &vec![b' '; size]).await;
                assert_eq!(
                    answer.unwrap().status,
                    200,
                    "{size} bytes while {count} bodies of {bytes} are held"
                );
            }
        }
    }
}

/// Large reviews queue one after the other; small ones do not wait for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_reviews_do_not_wait_for_large_ones() {
    let server = Server::start(Limits {
        small: 10,
        large_reviews: 1,
        queue: Duration::from_secs(60),
        ..Limits::default()
    });
    let large = [b"wait".to_vec(), vec![b' '; 100]].concat();
    let mut held = Vec::new();
    for _ in 0..5 {
        let mut client = server.connect().await;
        client.send(&post("/mutate", &large)).await.unwrap();
        held.push(client);
    }
    server.gate.holds(1).await;
    server.assert_serves().await;
    server.gate.open();
    for mut client in held {
        assert_eq!(client.response().await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_reviews_at_once_are_refused_quickly() {
    let server = Server::start(Limits {
        small_reviews: 2,
        queue: SHORT,
        ..Limits::default()
    });
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut client = server.connect().await;
        client.send(&post("/mutate", b"wait")).await.unwrap();
        held.push(client);
    }
    server.gate.holds(2).await;
    let begin = Instant::now();
    let third = server.connect().await.post("/mutate", b"{}").await.unwrap();
    assert_eq!(third.status, 503, "{third:?}");
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    server.gate.open();
    for mut client in held {
        assert_eq!(client.response().await.unwrap().status, 200);
    }
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn total_memory_of_all_bodies_is_limited() {
    let server = Server::start(Limits {
        small_budget: 1000,
        body_time: Duration::from_secs(60),
        ..Limits::default()
    });
    let mut holder = server.connect().await;
    holder.send(&post("/mutate", b"wait")).await.unwrap();
    server.gate.holds(1).await;
    let large = [b' '; 998];
    let second = server.connect().await.post("/mutate", &large).await.unwrap();
    assert_eq!(second.status, 503, "{second:?}");
    server.gate.open();
    assert_eq!(holder.response().await.unwrap().status, 200);
    assert_eq!(
        server.connect().await.post("/mutate", &large).await.unwrap().status,
        200
    );
}
