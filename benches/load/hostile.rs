//! The webhook under attack, with the shipped memory limit: how many honest reviews and probes are answered in time,
//! and how much memory the webhook uses.
//!
//! Each attack has its own server in its own memory cgroup and comes from another address than the honest client.
//! `make hostile` runs this; it needs the right to make a cgroup. `HOSTILE_SECONDS` sets the length.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::bodies::{self, worst};
use crate::client::{Client, Trust, post};
use crate::contest::certificates;
use crate::goals::{self, Goal, Row};

/// `resources.limits.memory` of manifests/base/deployment.yaml.
const LIMIT: u64 = 256 << 20;
/// Time limit for a review.
const IN_TIME: Duration = Duration::from_secs(2);
/// Time limit for a probe: the kubelet's default.
const PROBE: Duration = Duration::from_secs(1);
/// The address of the hostile client; the honest client has 127.0.0.1.
const HOSTILE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The repeated action of a hostile client on each of its connections.
#[derive(Clone, Copy)]
struct Attack {
    name: &'static str,
    connections: usize,
    act: Act,
}

#[derive(Clone, Copy)]
enum Act {
    /// Sends one tiny request and then stays idle.
    Idle,
    /// Sends this body without its last byte.
    Unended(usize),
    /// Sends a review again after each answer.
    Review(fn() -> Vec<u8>),
    /// Sends a review and does not read the answer.
    Unread(fn() -> Vec<u8>),
    /// Makes a handshake.
    Handshake,
    /// Opens a connection to the port of the probes and stays idle.
    Probes,
}

const ATTACKS: [Attack; 9] = [
    Attack {
        name: "nobody",
        connections: 0,
        act: Act::Idle,
    },
    Attack {
        name: "560 idle connections",
        connections: 560,
        act: Act::Idle,
    },
    Attack {
        name: "80 bodies of 64 KiB less a byte",
        connections: 80,
        act: Act::Unended(64 << 10),
    },
    Attack {
        name: "6 bodies of 4 MiB less a byte",
        connections: 6,
        act: Act::Unended(4 << 20),
    },
    Attack {
        name: "dearest reviews of 64 KB, 8 at once",
        connections: 8,
        act: Act::Review(dear),
    },
    Attack {
        name: "reviews of 1 MiB that are all values, 8 at once",
        connections: 8,
        act: Act::Review(many_values),
    },
    Attack {
        name: "19,900 empty sidecars, 14 answers unread",
        connections: 14,
        act: Act::Unread(sidecars),
    },
    Attack {
        name: "handshakes, 16 at once",
        connections: 16,
        act: Act::Handshake,
    },
    Attack {
        name: "1,100 connections to the probes",
        connections: 1100,
        act: Act::Probes,
    },
];

fn named(name: &str, size: usize) -> Vec<u8> {
    let kind = worst::WORST.iter().find(|kind| kind.name == name);
    worst::review(&(kind.expect("it is there").node)(size))
}

fn dear() -> Vec<u8> {
    named("quorum-domains", 160)
}

fn sidecars() -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&named("empty-sidecars", 19_900)).expect("JSON");
    review["request"]["operation"] = json!("CREATE");
    review["request"]["oldObject"] = Value::Null;
    review.to_string().into_bytes()
}

fn many_values() -> Vec<u8> {
    let mut review: Value = serde_json::from_slice(&named("empty-sidecars", 1)).expect("JSON");
    for object in ["object", "oldObject"] {
        review["request"][object]["spec"]["env"] = (0..9_900).map(|_| json!({"": 0})).collect();
        review["request"][object]["spec"]["more"] = json!("a".repeat(400_000));
    }
    review["request"]["oldObject"]["spec"]["version"] = json!("25.0.0");
    review.to_string().into_bytes()
}

/// The measurements of the honest client.
#[derive(Default)]
struct Seen {
    reviews: Count,
    probes: Count,
}

#[derive(Default)]
struct Count {
    in_time: usize,
    all: usize,
    slowest: Duration,
}

impl Count {
    fn add(&mut self, took: Option<Duration>) {
        self.all += 1;
        if let Some(took) = took {
            self.in_time += 1;
            self.slowest = self.slowest.max(took);
        }
    }

    fn share(&self) -> f64 {
        self.in_time as f64 / self.all.max(1) as f64
    }
}

pub(crate) fn run(seconds: u32) -> anyhow::Result<()> {
    let directory = tempfile::tempdir()?;
    let authority = certificates(directory.path())?;
    let trust = Trust::new(&authority.certificate.pem);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = Vec::new();
    println!(
        "| hostile client | reviews answered within 2 s | slowest | probes answered within 1 s | slowest | peak memory |\n\
         |---|---|---|---|---|---|"
    );
    for attack in &ATTACKS {
        let server = Guarded::start(directory.path())?;
        let seen = runtime.block_on(meet(&server, attack, &trust, Duration::from_secs(seconds.into())))?;
        let peak = server.peak()?;
        let Seen { reviews, probes } = &seen;
        println!(
            "| {} | {} of {} | {} ms | {} of {} | {} ms | {} MiB |",
            attack.name,
            reviews.in_time,
            reviews.all,
            reviews.slowest.as_millis(),
            probes.in_time,
            probes.all,
            probes.slowest.as_millis(),
            peak >> 20
        );
        let mut row = |what: &str, measured: f64, compared: f64, goal| {
            rows.push(Row {
                what: format!("{what}: {}", attack.name),
                measured: format!("{measured:.2}"),
                compared: format!("{compared:.2}"),
                ratio: measured / compared,
                goal,
            });
        };
        row("honest reviews in time", reviews.share(), 1.0, Goal::AtLeast(1.0));
        row("probes in time", probes.share(), 1.0, Goal::AtLeast(1.0));
        row(
            "peak memory, MiB, of its limit",
            (peak >> 20) as f64,
            (LIMIT >> 20) as f64,
            Goal::Below(0.9),
        );
    }
    goals::show(&rows)?;
    ensure!(rows.iter().all(Row::is_met), "not every goal is met");
    Ok(())
}

/// Runs both clients against the server.
async fn meet(server: &Guarded, attack: &Attack, trust: &Trust, time: Duration) -> anyhow::Result<Seen> {
    let begin = Instant::now();
    while Client::connect(server.webhook, trust).await.is_err() {
        ensure!(begin.elapsed() < IN_TIME * 10, "the server does not answer");
        sleep(Duration::from_millis(50)).await;
    }
    let mut crowd = JoinSet::new();
    for _ in 0..attack.connections {
        let (attack, trust) = (*attack, trust.clone());
        let target = match attack.act {
            Act::Probes => server.probes,
            _ => server.webhook,
        };
        crowd.spawn(async move {
            loop {
                let _ = act(attack.act, target, &trust).await;
                // A client that is disconnected reconnects.
                sleep(Duration::from_millis(20)).await;
            }
        });
    }
    sleep(time / 4).await;
    let mut seen = Seen::default();
    let review = post("/mutate", &bodies::set_4k());
    let mut kept = None;
    let end = Instant::now() + time;
    while Instant::now() < end {
        let begin = Instant::now();
        let answered = timeout(IN_TIME, honest(&mut kept, server.webhook, trust, &review)).await;
        seen.reviews.add(answered.is_ok().then(|| begin.elapsed()));
        let begin = Instant::now();
        let answered = timeout(PROBE, probe(server.probes)).await;
        seen.probes.add(matches!(answered, Ok(Ok(()))).then(|| begin.elapsed()));
        sleep(Duration::from_millis(50)).await;
    }
    crowd.shutdown().await;
    Ok(seen)
}

/// Sends a review as an API server does: on its open connection, or on a new one if that was closed.
async fn honest(kept: &mut Option<Client>, address: SocketAddr, trust: &Trust, review: &[u8]) {
    loop {
        let asked = async {
            let mut client = match kept.take() {
                Some(client) => client,
                None => Client::connect(address, trust).await?,
            };
            client.send(review).await?;
            let response = client.response().await?;
            *kept = Some(client);
            io::Result::Ok(response)
        };
        match asked.await {
            Ok(response) if response.status == 200 => return,
            _ => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn probe(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
        .await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    if text.starts_with("HTTP/1.1 200") {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

async fn act(act: Act, target: SocketAddr, trust: &Trust) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((HOSTILE, 0).into())?;
    let mut stream = socket.connect(target).await?;
    if let Act::Probes = act {
        stream.read_to_end(&mut Vec::new()).await?;
        return Ok(());
    }
    let mut client = Client::over(stream, trust).await?;
    match act {
        Act::Idle => {
            client.post("/mutate", b"{}").await?;
            client.stream.read_to_end(&mut Vec::new()).await?;
        }
        Act::Unended(length) => {
            let body = post("/mutate", &vec![b' '; length]);
            client.send(&body[..body.len() - 1]).await?;
            client.stream.read_to_end(&mut Vec::new()).await?;
        }
        Act::Review(body) => {
            let body = post("/validate", &body());
            loop {
                client.send(&body).await?;
                client.response().await?;
            }
        }
        Act::Unread(body) => {
            let body = post("/validate", &body());
            loop {
                client.send(&body).await?;
            }
        }
        Act::Handshake | Act::Probes => {}
    }
    Ok(())
}

/// A server in its own cgroup; dropping the value removes both.
struct Guarded {
    webhook: SocketAddr,
    probes: SocketAddr,
    group: PathBuf,
    process: Child,
}

impl Guarded {
    fn start(certificates: &Path) -> anyhow::Result<Self> {
        let group = Path::new("/sys/fs/cgroup/memory").join(format!("stellar-hostile-{}", std::process::id()));
        fs::create_dir_all(&group)
            .with_context(|| format!("{}: it needs cgroup v1 and the right to make one", group.display()))?;
        fs::write(group.join("memory.limit_in_bytes"), LIMIT.to_string())?;
        let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        let [webhook, probes] = ports.map(|listener| listener.local_addr());
        let (webhook, probes) = (webhook?, probes?);
        let process = Command::new("sh")
            .args(["-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$@\""])
            .arg(&group)
            .arg(std::env::current_exe()?)
            .args(["guarded", &webhook.port().to_string(), &probes.port().to_string()])
            .arg(certificates)
            // The server's standard input closes when this process ends for any reason.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self {
            webhook,
            probes,
            group,
            process,
        })
    }

    fn peak(&self) -> anyhow::Result<u64> {
        let text = fs::read_to_string(self.group.join("memory.max_usage_in_bytes"))?;
        Ok(text.trim().parse()?)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir(&self.group);
    }
}
