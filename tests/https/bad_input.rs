//! Bad input gets a status and a message, and the server keeps serving other clients.

use stellar_k8s::webhook::limits::Limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::post;
use crate::server::Server;

fn request(line: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    [
        format!("{line} HTTP/1.1\r\nHost: webhook\r\n{headers}\r\n").as_bytes(),
        body,
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_bad_request_gets_its_status_and_a_message() {
    let server = Server::start(Limits::default());
    let json = "Content-Type: application/json\r\n";
    let cases = [
        ("good", post("/mutate", b"{}"), 200, "mutate 2"),
        (
            "charset",
            request(
                "POST /mutate",
                "content-type: Application/JSON; charset=utf-8\r\nContent-Length: 2\r\n",
                b"{}",
            ),
            200,
            "mutate 2",
        ),
        ("empty body", post("/validate", b""), 200, "validate 0"),
        (
            "refused by the reviewer",
            post("/mutate", b"refuse"),
            400,
            "not a review",
        ),
        (
            "panic",
            post("/mutate", b"panic"),
            500,
            "the review could not be decided\n",
        ),
        (
            "no content type",
            request("POST /mutate", "Content-Length: 2\r\n", b"{}"),
            415,
            "must be application/json",
        ),
        (
            "form",
            request(
                "POST /mutate",
                "Content-Type: text/plain\r\nContent-Length: 2\r\n",
                b"{}",
            ),
            415,
            "not \"text/plain\"",
        ),
        (
            "10 MB announced",
            request("POST /mutate", &format!("{json}Content-Length: 10000000\r\n"), b"{"),
            413,
            "larger",
        ),
        ("GET", request("GET /mutate", "", b""), 405, "POST"),
        ("DELETE", request("DELETE /validate", "", b""), 405, "POST"),
        ("another path", post("/", b"{}"), 404, "/mutate and /validate"),
        ("dots", post("/mutate/../validate", b"{}"), 404, "/mutate and /validate"),
        (
            "bad length",
            request("POST /mutate", &format!("{json}Content-Length: -1\r\n"), b"{}"),
            400,
            "",
        ),
        (
            "two lengths",
            request(
                "POST /mutate",
                &format!("{json}Content-Length: 1\r\nContent-Length: 2\r\n"),
                b"{}",
            ),
            400,
            "",
        ),
        ("no HTTP", b"\0\x01\x02 nonsense\r\n\r\n".to_vec(), 400, ""),
        (
            "endless header",
            request("POST /mutate", &format!("X: {}\r\n", "x".repeat(1 << 20)), b""),
            431,
            "",
        ),
        (
            "too many headers",
            request("POST /mutate", &"X: x\r\n".repeat(500), b""),
            431,
            "",
        ),
    ];
    for (name, bytes, status, sentence) in cases {
        let mut client = server.connect().await;
        // The server may have answered and closed before the last byte is sent.
        let _ = client.send(&bytes).await;
        let response = client
            .response()
            .await
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.status, status, "{name}: {response:?}");
        assert!(response.body.contains(sentence), "{name}: {response:?}");
    }
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_10_mb_body_without_content_length_is_refused() {
    let server = Server::start(Limits::default());
    let mut client = server.connect().await;
    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";
    client.send(&request("POST /mutate", headers, b"")).await.unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    for _ in 0..160 {
        // The server answers and closes the connection once the limit is exceeded.
        if client.send(&chunk).await.is_err() {
            break;
        }
    }
    match client.response().await {
        Ok(response) => assert_eq!(response.status, 413),
        // The answer can be lost with the connection while the client still sends.
        Err(error) => assert_ne!(error.kind(), std::io::ErrorKind::TimedOut, "{error}"),
    }
    server.assert_serves().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_fails_one_review_and_keeps_the_connection() {
    let server = Server::start(Limits::default());
    let mut client = server.connect().await;
    for body in [&b"panic"[..], b"panic at once"] {
        assert_eq!(client.post("/mutate", body).await.unwrap().status, 500);
        assert_eq!(client.post("/mutate", b"{}").await.unwrap().status, 200);
        assert_eq!(client.post("/mutate", b"at once").await.unwrap().status, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incomplete_body_does_not_affect_the_server() {
    let limits = Limits {
        small_reviews: 1,
        small_budget: 100,
        ..Limits::default()
    };
    let server = Server::start(limits);
    for _ in 0..10 {
        let mut client = server.connect().await;
        let whole = post("/mutate", &[b' '; 90]);
        client.send(&whole[..whole.len() - 1]).await.unwrap();
        drop(client);
    }
    // The server refuses this review while an incomplete body still holds memory; it notices each end a moment later.
    let fits = async {
        while server
            .connect()
            .await
            .post("/mutate", &[b' '; 90])
            .await
            .unwrap()
            .status
            != 200
        {}
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), fits)
        .await
        .expect("the memory is not released");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_port_fails_the_handshake() {
    let server = Server::start(Limits::default());
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0; 4096],
        &[0x16, 0x03, 0x01, 0xff, 0xff],
        b"\x80",
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // The connection must end, with an alert or a reset.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(answer.len() < 100, "an alert at most");
    }
    server.assert_serves().await;
}
