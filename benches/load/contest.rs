//! The contest: all servers run, and each is loaded one after the other, at full speed, at a steady rate and with new
//! connections.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use jiff::SignedDuration;
use stellar_k8s::tls::certificate::Pair;
use stellar_k8s::tls::issue;
use stellar_k8s::util::clock;

use crate::bodies;
use crate::client::Trust;
use crate::oha::{Load, Oha, Seen};
use crate::server::{Cores, Server, mutated};
use crate::servers::Kind;

/// The length of a load in seconds and the number of rounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contest {
    pub(crate) seconds: u32,
    pub(crate) rounds: u32,
}

/// The measurements of one server under one load, round by round.
pub(crate) type Rounds = Vec<Seen>;

/// The measurements of one server.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) kind: Kind,
    pub(crate) full_speed: Rounds,
    pub(crate) steady: Rounds,
    pub(crate) connections: Rounds,
    /// Resident memory after all loads, in MiB.
    pub(crate) resident: f64,
}

/// The result of a contest.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) contest: Contest,
    pub(crate) body: usize,
    pub(crate) figures: Vec<Figures>,
}

impl Contest {
    pub(crate) fn run(self) -> anyhow::Result<Outcome> {
        let cores = Cores::of_this_process()?;
        let oha = Oha {
            program: tool("benches/load/oha")?.join("oha"),
            core: cores.client,
        };
        let go = tool("benches/go-webhook/build")?;
        let directory = tempfile::tempdir()?;
        let authority = certificates(directory.path())?;
        let body = bodies::set_4k();
        fs::write(directory.path().join("body.json"), &body)?;
        let servers = Kind::ALL.map(|kind| Server::start(kind, cores.server, directory.path(), &go));
        let mut servers = servers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(same_work(&mut servers, &authority, &body))?;

        let mut figures = self.ask_all(&oha, &servers, directory.path())?;
        for (figures, server) in figures.iter_mut().zip(&servers) {
            figures.resident = server.resident()?;
        }
        Ok(Outcome {
            contest: self,
            body: body.len(),
            figures,
        })
    }

    fn ask_all(self, oha: &Oha, servers: &[Server], directory: &Path) -> anyhow::Result<Vec<Figures>> {
        let mut figures = Kind::ALL.map(|kind| Figures {
            kind,
            full_speed: Rounds::new(),
            steady: Rounds::new(),
            connections: Rounds::new(),
            resident: 0.0,
        });
        for round in 0..=self.rounds {
            // The first round only warms the servers up.
            let seconds = if round == 0 { 1 } else { self.seconds };
            for (server, figures) in servers.iter().zip(&mut figures) {
                eprintln!("round {round} of {}: {}", self.rounds, server.kind.title());
                let full_speed = oha.ask(server, Load::FullSpeed, seconds, directory)?;
                if round == 0 {
                    continue;
                }
                figures.full_speed.push(full_speed);
                figures.steady.push(oha.ask(server, Load::Steady, seconds, directory)?);
                figures
                    .connections
                    .push(oha.ask(server, Load::NewConnections, seconds.div_ceil(2), directory)?);
            }
        }
        Ok(figures.into())
    }
}

/// Builds a tool once per machine; returns its directory.
fn tool(script: &str) -> anyhow::Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&script).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| script.display().to_string())?;
    ensure!(output.status.success(), "{} failed", script.display());
    Ok(String::from_utf8(output.stdout)?.trim_end().into())
}

/// Makes one certificate for all servers, as the operator does; returns its CA.
pub(crate) fn certificates(directory: &Path) -> anyhow::Result<Pair> {
    let authority = issue::authority(clock::now(), SignedDuration::from_hours(2))?;
    let names = ["127.0.0.1", "webhook.ns.svc"].map(str::to_owned);
    let leaf = issue::leaf(
        &authority,
        &BTreeSet::from(names),
        clock::now(),
        SignedDuration::from_hours(1),
    )?;
    for (name, text) in [
        ("ca.crt", &authority.certificate.pem),
        ("tls.crt", &leaf.certificate.pem),
        ("tls.key", &leaf.key),
    ] {
        fs::write(directory.join(name), text)?;
    }
    Ok(authority)
}

/// Asserts that every mutating server makes the same object from the review.
async fn same_work(servers: &mut [Server], authority: &Pair, body: &[u8]) -> anyhow::Result<()> {
    let trust = Trust::new(&authority.certificate.pem);
    let mut expected = None;
    for server in servers {
        let answer = server.first_answer(&trust, body).await?;
        if server.kind == Kind::Echo {
            ensure!(answer.body.as_bytes() == body, "the echo is another body");
            continue;
        }
        let object = mutated(body, &answer).with_context(|| server.kind.title())?;
        let expected = expected.get_or_insert_with(|| object.clone());
        ensure!(object == *expected, "{} makes another object", server.kind.title());
    }
    Ok(())
}
