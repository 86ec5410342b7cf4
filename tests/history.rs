//! `stellar-operator history` serves the files of an archive unchanged, and nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(30);
const WELL_KNOWN: &str = ".well-known/stellar-history.json";
const CHECKPOINT: &str = "history/00/00/00/history-0000003f.json";
const LEDGERS: &str = "ledger/00/00/00/ledger-0000003f.xdr.gz";
/// A file with the signature of gzip.
const GZIP: &[u8] = b"\x1f\x8b\x08\x00ledgers, compressed";

/// The running program and the parent of its served directory; dropping the value removes both.
struct Program {
    child: Child,
    port: u16,
    above: tempfile::TempDir,
}

/// A free port of the loopback interface, outside of the range that the kernel gives to clients: such a port could
/// belong to another test or connect to itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let begin = u16::try_from(std::process::id() * 16 % 4000).unwrap();
    let mut ports = std::iter::repeat_with(|| 12_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 4000);
    ports
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap()
}

/// An answer with the names of its headers in lower case.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

fn write(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

impl Program {
    /// Starts the program with a directory that does not exist yet.
    fn start() -> Self {
        let above = tempfile::tempdir().unwrap();
        let port = free_port();
        let child = Self::command(port, &above.path().join("history")).spawn().unwrap();
        let program = Self { child, port, above };
        program.until_it_answers();
        program
    }

    /// Starts the program with an archive.
    fn with_archive() -> Self {
        let program = Self::start();
        write(&program.dir().join(WELL_KNOWN), b"{\"currentLedger\":63}");
        write(&program.dir().join(CHECKPOINT), b"{}");
        write(&program.dir().join(LEDGERS), GZIP);
        program
    }

    fn command(port: u16, dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stellar-operator"));
        command
            .env_clear()
            .args(["history", "--listen", &format!("127.0.0.1:{port}"), "--dir"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn dir(&self) -> PathBuf {
        self.above.path().join("history")
    }

    fn until_it_answers(&self) {
        let start = Instant::now();
        while self.ask("GET", "/alive", "").is_none_or(|answer| answer.status != 200) {
            assert!(start.elapsed() < SOON, "it does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends this request target unchanged; `None` while the program does not listen.
    fn ask(&self, method: &str, target: &str, header: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok()?;
        stream.set_read_timeout(Some(SOON)).unwrap();
        let request = format!("{method} {target} HTTP/1.1\r\nHost: here\r\n{header}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = || {
            let mut text = String::new();
            lines.read_line(&mut text).unwrap();
            text.trim_end().to_owned()
        };
        let status = line().split(' ').nth(1)?.parse().unwrap();
        let headers = std::iter::from_fn(|| {
            let text = line();
            let (name, value) = text.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        });
        let headers = headers.collect();
        let mut body = Vec::new();
        lines.read_to_end(&mut body).unwrap();
        Some(Answer { status, headers, body })
    }

    #[track_caller]
    fn get(&self, target: &str, header: &str) -> Answer {
        self.ask("GET", target, header).unwrap()
    }

    /// Resident memory in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    fn end(&mut self) -> ExitStatus {
        let id = self.child.id().to_string();
        Command::new("kill").arg(&id).status().unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn files_are_served_unchanged() {
    let program = Program::with_archive();
    let json = "application/json";
    let octets = "application/octet-stream";
    for (file, kind, content) in [
        (WELL_KNOWN, json, b"{\"currentLedger\":63}".as_slice()),
        (CHECKPOINT, json, b"{}"),
        (LEDGERS, octets, GZIP),
    ] {
        let length = content.len().to_string();
        // The program does not decompress for clients, not even on request.
        let answer = program.get(&format!("/{file}"), "Accept-Encoding: gzip, deflate\r\n");
        assert_eq!((answer.status, answer.body.as_slice()), (200, content), "{file}");
        assert_eq!(answer.header("content-type"), Some(kind), "{file}");
        assert_eq!(answer.header("content-encoding"), None, "{file}");
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{file}");
        let answer = program.ask("HEAD", &format!("/{file}"), "").unwrap();
        assert_eq!((answer.status, answer.body.len()), (200, 0), "{file}");
        assert_eq!(answer.header("content-length"), Some(length.as_str()), "{file}");
    }
}

#[test]
fn a_range_is_served() {
    let program = Program::with_archive();
    let length = GZIP.len();
    for (range, part) in [
        ("bytes=0-1", 0..2),
        ("bytes=4-", 4..length),
        ("bytes=-3", length - 3..length),
        ("bytes=5-5", 5..6),
    ] {
        let answer = program.get(&format!("/{LEDGERS}"), &format!("Range: {range}\r\n"));
        assert_eq!(
            (answer.status, answer.body.as_slice()),
            (206, &GZIP[part.clone()]),
            "{range}"
        );
        let expected = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        assert_eq!(answer.header("content-range"), Some(expected.as_str()), "{range}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/octet-stream"),
            "{range}"
        );
    }
    for (range, status) in [
        ("bytes=1000-", 416),
        ("bytes=5-4", 416),
        ("lines=1-2", 416),
        // A request for several ranges gets the whole file.
        ("bytes=0-1,4-5", 200),
    ] {
        let answer = program.get(&format!("/{LEDGERS}"), &format!("Range: {range}\r\n"));
        assert_eq!(answer.status, status, "{range}");
        assert_eq!(answer.body == GZIP, status == 200, "{range}");
    }
}

#[test]
fn only_files_of_the_archive_are_served() {
    let program = Program::with_archive();
    let (dir, above) = (program.dir(), program.above.path().to_owned());
    write(&above.join("secret"), b"secret");
    write(&above.join("history-of-another/secret"), b"secret");
    for (link, target) in [
        ("absolute.json", above.join("secret")),
        ("relative.json", PathBuf::from("../secret")),
        ("dir", above.clone()),
        ("loop", PathBuf::from("loop")),
        ("dangling", PathBuf::from("nothing")),
        ("proc", PathBuf::from("/proc/self/cwd")),
    ] {
        symlink(target, dir.join(link)).unwrap();
    }
    assert!(Command::new("mkfifo").arg(dir.join("pipe")).status().unwrap().success());
    let secret = format!("{}/secret", above.display());
    let long = format!("/{}", "x".repeat(300));
    let targets = [
        "/",
        "//",
        "/.",
        "/history",
        "/history/",
        "/history/00/00/00",
        "/.well-known/",
        "/nothing",
        "/pipe",
        "/../secret",
        "/%2e%2e/secret",
        "/%2E%2E%2fsecret",
        "/history/../../secret",
        "/..%2fsecret",
        "/..\\secret",
        "/..%5csecret",
        "/history/00/%2e%2e/%2e%2e/%2e%2e/secret",
        "/../history-of-another/secret",
        "/.well-known/stellar-history.json/",
        "/.well-known/stellar-history.json%00",
        "/%00",
        "/%ff",
        "/%zz",
        "/absolute.json",
        "/relative.json",
        "/dir/secret",
        "/dir",
        "/loop",
        "/dangling",
        "/proc/secret",
        "/alive/",
        secret.as_str(),
        long.as_str(),
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
    ];
    for target in targets {
        for method in ["GET", "HEAD"] {
            let answer = program.ask(method, target, "").unwrap();
            assert!(matches!(answer.status, 400 | 404), "{method} {target}: {answer:?}");
            let text = String::from_utf8_lossy(&answer.body);
            assert!(!text.contains("secret") && !text.contains("root:"), "{target}: {text}");
            assert!(
                !text.contains("stellar-history"),
                "the answer lists the directory: {text}"
            );
        }
    }
    // A link to a file inside the directory is served.
    symlink("history-0000003f.json", dir.join("history/00/00/00/last.json")).unwrap();
    assert_eq!(program.get("/history/00/00/00/last.json", "").body, b"{}");
    // A file is replaced by a link to the outside, and back: the opened file decides.
    let changing = dir.join("changing");
    for _ in 0..50 {
        let _ = std::fs::remove_file(&changing);
        symlink("../secret", &changing).unwrap();
        assert_eq!(program.get("/changing", "").status, 404);
        std::fs::remove_file(&changing).unwrap();
        std::fs::write(&changing, "mine").unwrap();
        assert_eq!(program.get("/changing", "").body, b"mine");
    }
}

#[test]
fn requests_write_no_files() {
    let program = Program::with_archive();
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "MKCOL", "TRACE"] {
        for target in ["/alive", "/new", "/.well-known/stellar-history.json"] {
            assert_eq!(
                program.ask(method, target, "").unwrap().status,
                405,
                "{method} {target}"
            );
        }
    }
    assert!(!program.dir().join("new").exists());
    assert_eq!(program.get(&format!("/{CHECKPOINT}"), "").body, b"{}");
}

#[test]
fn it_starts_without_a_directory_and_serves_what_appears() {
    let mut program = Program::start();
    let target = format!("/{WELL_KNOWN}");
    assert_eq!(program.get(&target, "").status, 404);
    assert_eq!(program.get("/", "").status, 404);
    write(&program.dir().join(WELL_KNOWN), b"{}");
    assert_eq!(program.get(&target, "").body, b"{}");
    // The program serves rewritten files, and a new directory with the same name.
    write(&program.dir().join(WELL_KNOWN), b"{\"currentLedger\":127}");
    assert_eq!(program.get(&target, "").body, b"{\"currentLedger\":127}");
    std::fs::remove_dir_all(program.dir()).unwrap();
    assert_eq!(program.get(&target, "").status, 404);
    write(&program.dir().join(WELL_KNOWN), b"{}");
    assert_eq!(program.get(&target, "").body, b"{}");
    assert!(program.end().success(), "it exits with success on SIGTERM");
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = Program::command(port, Path::new("/nothing"))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{port}: give another address")),
        "{said}"
    );
    assert!(said.contains("in use"), "{said}");
}

#[test]
fn clients_that_do_not_read_cost_little_memory() {
    const LARGE: u64 = 64 << 20;
    let program = Program::with_archive();
    let large = std::fs::File::create(program.dir().join("large")).unwrap();
    large.set_len(LARGE).unwrap();
    let mut crowd = Vec::new();
    for _ in 0..120 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, program.port)).unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        // The answer has begun.
        stream.read_exact(&mut [0; 1]).unwrap();
        crowd.push(stream);
    }
    assert_eq!(program.get(&format!("/{CHECKPOINT}"), "").status, 200);
    let memory = program.memory();
    assert!(memory < 96 * 1024, "{memory} KiB");
    // The number of connections is limited: an extra one is closed, and all places are free again afterwards.
    let mut further: Vec<_> = (0..20)
        .filter_map(|_| TcpStream::connect((Ipv4Addr::LOCALHOST, program.port)).ok())
        .collect();
    let refused = further.iter_mut().any(|stream| {
        stream.set_read_timeout(Some(SOON)).unwrap();
        let _ = stream.write_all(b"GET /alive HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.is_empty()
    });
    assert!(refused, "more connections are open than allowed");
    drop((crowd, further));
    program.until_it_answers();
}
