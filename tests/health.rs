//! `stellar-operator health` reports whether a validator really votes, which stellar-core's `/info` does not say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);

/// A simulated stellar-core, whose ledger grows by `step` with each answer.
struct Core {
    state: &'static str,
    ledger: u64,
    step: u64,
    age: u64,
    peers: u64,
}

impl Core {
    fn info(&mut self) -> String {
        self.ledger += self.step;
        let Self {
            state,
            ledger,
            age,
            peers,
            ..
        } = self;
        format!(
            r#"{{"info":{{"state":"{state}","startedOn":"2026-01-01T00:00:00Z","ledger":{{"num":{ledger},"age":{age}}},"peers":{{"authenticated_count":{peers}}}}}}}"#
        )
    }
}

/// Serves the answers of `core` while the test runs; returns the port.
fn stand_in(core: Arc<Mutex<Core>>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let body = core.lock().unwrap().info();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all((head + &body).as_bytes());
        }
    });
    port
}

/// The running program; dropping the value ends it.
struct Program {
    child: Child,
    port: u16,
}

impl Program {
    fn start(core: u16) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_stellar-operator"))
            .env_clear()
            .args(["health", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--info-url", &format!("http://127.0.0.1:{core}/info")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// The answer to a probe of the kubelet; `None` while the program does not listen.
    fn voting(&self) -> Option<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        let request = b"GET /voting HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Waits until a probe gets this status with these words.
    #[track_caller]
    fn says(&self, status: u16, words: &str) {
        let start = Instant::now();
        loop {
            let heard = self.voting().unwrap_or_default();
            if heard.starts_with(&format!("HTTP/1.1 {status} ")) && heard.contains(words) {
                return;
            }
            assert!(start.elapsed() < SOON, "waited in vain for {status} {words:?}: {heard}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn health_reports_catching_up_false_synced_voting_and_stuck() {
    let core = Arc::new(Mutex::new(Core {
        state: "Catching up",
        ledger: 100,
        step: 1,
        age: 3,
        peers: 3,
    }));
    let program = Program::start(stand_in(Arc::clone(&core)));
    let change = |change: fn(&mut Core)| change(&mut core.lock().unwrap());
    program.says(503, "catching up, ledger 1");
    // Right after a start, stellar-core says `Synced!` although no ledger has closed.
    change(|core| {
        core.state = "Synced!";
        (core.ledger, core.step) = (0, 0);
    });
    program.says(503, "no ledger has closed yet");
    change(|core| (core.ledger, core.step) = (200, 1));
    program.says(200, "");
    // Without a quorum, stellar-core's state stays the same for a while.
    change(|core| (core.step, core.age) = (0, 40));
    program.says(503, "is 40 s old, 24 s is too old");
    change(|core| (core.step, core.age, core.peers) = (1, 2, 0));
    program.says(503, "no peer is connected");
    change(|core| core.peers = 1);
    program.says(200, "");
}
