//! The webhook under load, compared with three other servers in the same run: one with only TLS and HTTP, and two that
//! do the same mutation as it is usually written in Rust and in Go.
//!
//! Every server is a process on one core, and the client (oha) runs on another. They use HTTP/1.1 over TLS on loopback
//! and keep connections alive as API servers do. The servers are loaded alternately, round after round, so that a slow
//! phase of the machine affects all; the median is shown. `LOAD_SECONDS` and `LOAD_ROUNDS` set the length. All servers
//! end with this program.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "it fails by panicking"
)]

#[path = "../bodies/mod.rs"]
#[allow(dead_code, reason = "one of them is sent")]
mod bodies;
#[path = "../../tests/https/client.rs"]
#[allow(dead_code, reason = "it serves the tests")]
mod client;
#[path = "../goals/mod.rs"]
mod goals;

mod contest;
mod hostile;
mod oha;
mod plain;
mod server;
mod servers;
mod table;

use std::env;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use contest::Contest;
use servers::Kind;

fn number(variable: &str, default: u32) -> u32 {
    env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

fn start() -> anyhow::Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["serve", kind, port, certificates] => {
            let kind = Kind::named(kind)?;
            let address = SocketAddr::from(([127, 0, 0, 1], port.parse()?));
            servers::serve(kind, address, None, Path::new(certificates))
        }
        ["guarded", port, probes, certificates] => {
            let address = |port: &str| anyhow::Ok(SocketAddr::from(([127, 0, 0, 1], port.parse()?)));
            servers::serve(
                Kind::Ours,
                address(port)?,
                Some(address(probes)?),
                Path::new(certificates),
            )
        }
        ["hostile", ..] => hostile::run(number("HOSTILE_SECONDS", 8)),
        // cargo bench passes `--bench`; cargo test also runs this program, without it.
        ["--bench"] => {
            let contest = Contest {
                seconds: number("LOAD_SECONDS", 5),
                rounds: number("LOAD_ROUNDS", 3),
            };
            table::show(&contest.run()?)
        }
        _ => {
            println!("cargo bench --bench load [-- hostile]");
            Ok(())
        }
    }
}

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error:#}");
            ExitCode::FAILURE
        }
    }
}
