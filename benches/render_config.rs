//! The cost of `render-config` without file access: peers.json and base config → `stellar-core.cfg`.

#![allow(clippy::unwrap_used, missing_docs)]

use divan::Bencher;
use serde_json::json;
use stellar_k8s::core_config::{Database, Keys, Seed, Sources, base_config, render};
use stellar_k8s::crd::PeersAs;
use stellar_k8s::peers::{NodeId, PeerList, PeerRecord};
use stellar_strkey::ed25519::{PrivateKey, PublicKey};

fn main() {
    divan::main();
}

fn base() -> String {
    let members: Vec<String> = (1..=4)
        .map(|number| PublicKey([number; 32]).to_string().as_str().to_owned())
        .collect();
    let spec = json!({
        "nodeType": "Validator", "network": "Private ; 2026", "version": "26.0.1",
        "validatorConfig": {
            "seedSecretRef": "seed",
            "quorumSet": format!("[QUORUM_SET]\nTHRESHOLD_PERCENT=67\nVALIDATORS={members:?}"),
        },
    });
    base_config(&serde_json::from_value(spec).unwrap()).unwrap()
}

fn list(count: usize) -> String {
    let since = "2026-01-01T00:00:00Z".parse().unwrap();
    let members = (1..=count).map(|number| PeerRecord {
        node: NodeId::new("stellar", format!("validator-{number}")),
        port: 11625,
        address: Some(format!(
            "10.{}.{}.{}:11625",
            number / 65_536,
            number / 256 % 256,
            number % 256
        )),
        since,
        history: None,
    });
    PeerList::new(since, members.collect()).to_json()
}

#[divan::bench(args = [4, 100, 1_000])]
fn render_config(bencher: Bencher<'_, '_>, validators: usize) {
    let base = base();
    let json = list(validators);
    let seed = Seed::parse(PrivateKey([1; 32]).as_unredacted().to_string().as_str()).unwrap();
    let node = NodeId::new("stellar", "validator-1");
    let own_peers = ["core.example".to_owned()];
    bencher.bench_local(|| {
        let list = PeerList::parse(&json).unwrap();
        let sources = Sources {
            base: &base,
            node: &node,
            own_peers: &own_peers,
            list: Some(&list),
            pod_ip: None,
            peers_as: PeersAs::Known,
            database: Database::OnVolume,
            keys: Keys::Listed,
            archives: None,
        };
        render(&sources, &seed).unwrap()
    });
}
