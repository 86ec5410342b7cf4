//! The config that `render-config` makes from base config, seed and peers.

use proptest::prelude::*;

use super::render::{Database, Sources, preview};
use super::rules_tests::{THREE, domains, flat, keys_in, me, seed, seed_text, spec};
use crate::core_config::*;
use crate::crd::PeersAs;
use crate::peers::{NodeId, PeerList, PeerRecord};

/// A base config without further inputs.
pub(super) fn sources<'a>(base: &'a str, node: &'a NodeId) -> Sources<'a> {
    Sources {
        base,
        node,
        own_peers: &[],
        list: None,
        pod_ip: None,
        peers_as: PeersAs::Known,
        database: Database::OnVolume,
        keys: Keys::Listed,
        archives: Some(archives::IN_POD),
    }
}

impl<'a> Sources<'a> {
    /// The same with these archives.
    pub(super) fn with(self, archives: Option<GroupArchives<'a>>) -> Self {
        Self { archives, ..self }
    }
}

fn list(members: usize) -> PeerList {
    let members = (1..=members).map(|i| PeerRecord {
        node: NodeId::new("stellar", format!("validator-{i}")),
        port: 11625,
        address: Some(format!("10.244.0.{i}:11625")),
        since: jiff::Timestamp::UNIX_EPOCH,
        history: None,
    });
    PeerList::new(jiff::Timestamp::UNIX_EPOCH, members.collect())
}

fn peers_of(config: &str) -> Vec<String> {
    let table: toml::Table = config.parse().unwrap();
    let peers = table
        .get("KNOWN_PEERS")
        .and_then(toml::Value::as_array)
        .cloned()
        .unwrap_or_default();
    peers.iter().map(|peer| peer.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_config_has_the_others_and_not_itself() {
    let base = base_config(&spec(Some(flat(4, "")))).unwrap();
    let own: Vec<String> = [
        "core.example:11625",
        "core.example",
        "10.244.0.1",
        "10.9.9.9:11625",
        "validator-1-0.validator-1-headless.stellar.svc.cluster.local:11625",
    ]
    .map(str::to_owned)
    .to_vec();
    let ip = Some("10.9.9.9".parse().unwrap());
    let config = render(
        &Sources {
            own_peers: &own,
            list: Some(&list(4)),
            pod_ip: ip,
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap();
    assert_eq!(peers_of(&config).len(), 4, "{config}");
    assert!(
        !config.contains("10.244.0.1\"") && !config.contains("10.244.0.1:"),
        "{config}"
    );
    for peer in ["10.244.0.2:11625", "10.244.0.3:11625", "10.244.0.4:11625"] {
        assert!(peers_of(&config).contains(&peer.to_owned()));
    }
    assert!(config.contains(&format!("NODE_SEED=\"{}\"\n", seed_text(1))));
    let alone = render(
        &Sources {
            list: Some(&list(1)),
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap();
    assert!(!alone.contains("KNOWN_PEERS"));
    let own = ["a b".to_owned()];
    let error = render(
        &Sources {
            own_peers: &own,
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("a b") && !error.contains(&seed_text(1)));
}

#[test]
fn discovered_names_are_absolute_and_a_users_own_stay() {
    let name = |number: usize| format!("validator-{number}-0.validator-{number}-headless.stellar.svc.cluster.local");
    let mut list = list(4);
    for (place, member) in list.members.iter_mut().enumerate().take(3) {
        member.address = Some(format!("{}:11625", name(place + 1)));
    }
    let own = [
        "core.example".to_owned(),
        // Relative to the pod's search domains: a dot would change its meaning.
        "core-1.other:11625".to_owned(),
        // Another spelling of a discovered peer.
        format!("{}:11625", name(2).to_uppercase()),
        "10.9.9.9:11625".to_owned(),
    ];
    let base = base_config(&spec(Some(flat(4, "")))).unwrap();
    let node = me();
    let sources = Sources {
        own_peers: &own,
        list: Some(&list),
        ..sources(&base, &node)
    };
    let config = render(&sources, &seed(1)).unwrap();
    let validator_2 = format!("{}:11625", name(2).to_uppercase());
    let validator_3 = format!("{}.:11625", name(3));
    assert_eq!(
        peers_of(&config),
        [
            "10.244.0.4:11625",
            "10.9.9.9:11625",
            &validator_2,
            "core-1.other:11625",
            "core.example",
            &validator_3,
        ]
    );
}

#[test]
fn one_text_serves_the_whole_group() {
    let own = |number: u8| seed(number).public_key().to_owned();
    let mut quorum = domains("x.org=HIGH", THREE);
    for i in 1..=3 {
        quorum = quorum.replace(&format!("K{i}"), &own(i));
    }
    let mut spec = spec(Some(quorum));
    spec.validator_config.as_mut().unwrap().home_domain = Some("x.org".to_owned());
    let base = base_config(&spec).unwrap();
    for i in 1..=3 {
        let config = render(&sources(&base, &me()), &seed(i)).unwrap();
        assert_eq!(config.matches("PUBLIC_KEY").count(), 2, "{config}");
        assert!(!config.contains(&own(i)));
    }
}

#[test]
fn self_is_an_alias_only_where_it_is_used() {
    let quorum = keys_in("[QUORUM_SET]\nVALIDATORS=['$self','K2','K3','K4']");
    let base = base_config(&spec(Some(quorum))).unwrap();
    let config = render(&sources(&base, &me()), &seed(1)).unwrap();
    assert!(
        config.contains(&format!("NODE_SEED=\"{} self\"", seed_text(1))),
        "{config}"
    );
    // The key already has a name, and stellar-core refuses a second one.
    let named = format!(
        "NODE_NAMES=['{} me']\n[QUORUM_SET]\nVALIDATORS=['$self','K2','K3','K4']",
        seed(1).public_key()
    );
    let base = base_config(&spec(Some(keys_in(&named)))).unwrap();
    let config = render(&sources(&base, &me()), &seed(1)).unwrap();
    assert!(
        config.contains(&format!("NODE_SEED=\"{}\"", seed_text(1))) && !config.contains("$self"),
        "{config}"
    );
}

proptest! {
    #[test]
    fn a_config_is_toml_with_keys_before_tables_and_without_itself(
        hosts in prop::collection::vec("[a-z]{1,8}(:[1-9][0-9]{0,3})?", 0..6),
        members in 0usize..8,
    ) {
        let base = base_config(&spec(Some(flat(4, "")))).unwrap();
        let list = list(members);
        let config = render(&Sources { own_peers: &hosts, list: Some(&list), ..sources(&base, &me()) }, &seed(1)).unwrap();
        prop_assert_eq!(&config, &render(&Sources { own_peers: &hosts, list: Some(&list), ..sources(&base, &me()) }, &seed(1)).unwrap());
        let table: toml::Table = config.parse().unwrap();
        prop_assert!(table.values().skip_while(|value| !value.is_table()).all(toml::Value::is_table));
        prop_assert!(!peers_of(&config).contains(&"10.244.0.1:11625".to_owned()));
        prop_assert!(!config.contains("KNOWN_PEERS=[]"));
        for peer in list.others(&me()) {
            prop_assert!(peers_of(&config).contains(peer.address.as_ref().unwrap()));
        }
    }
}

#[test]
fn peers_may_be_preferred() {
    let base = base_config(&spec(Some(flat(4, "")))).unwrap();
    let own = ["core.example".to_owned()];
    let known = render(
        &Sources {
            own_peers: &own,
            list: Some(&list(4)),
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap();
    let preferred = render(
        &Sources {
            own_peers: &own,
            list: Some(&list(4)),
            peers_as: PeersAs::Preferred,
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap();
    assert!(known.contains("KNOWN_PEERS=[") && !known.contains("PREFERRED_PEERS"));
    assert_eq!(preferred, known.replace("KNOWN_PEERS=", "PREFERRED_PEERS="));
    let alone = render(
        &Sources {
            peers_as: PeersAs::Preferred,
            ..sources(&base, &me())
        },
        &seed(1),
    )
    .unwrap();
    assert!(!alone.contains("PEERS="), "an empty list is left out");
    let both = format!("PREFERRED_PEERS=['a']\n{base}");
    assert!(
        render(
            &Sources {
                own_peers: &own,
                ..sources(&both, &me())
            },
            &seed(1)
        )
        .is_ok()
    );
    let error = render(
        &Sources {
            own_peers: &own,
            peers_as: PeersAs::Preferred,
            ..sources(&both, &me())
        },
        &seed(1),
    )
    .unwrap_err();
    assert!(error.to_string().contains("PREFERRED_PEERS"), "{error}");
}

#[test]
fn the_database_may_be_another_and_is_never_quoted() {
    let base = base_config(&spec(Some(flat(4, "")))).unwrap();
    let with = |database| {
        let database = Database::Given(database);
        assert!(!format!("{database:?}").contains("hunter2"));
        render(
            &Sources {
                database,
                ..sources(&base, &me())
            },
            &seed(1),
        )
    };
    let database = "postgresql://dbname=core host=db user=core password=hunter2";
    let config: toml::Table = with(database).unwrap().parse().unwrap();
    assert_eq!(config["DATABASE"].as_str(), Some(database));
    for wrong in ["", "hunter2", "mysql://hunter2", "postgresql://a\nhunter2"] {
        let error = crate::util::error_chain::on_one_line(&with(wrong).unwrap_err());
        assert!(error.contains("Secret") && !error.contains("hunter2"), "{error}");
    }
}

#[test]
fn a_preview_is_the_file_without_its_seed() {
    let own = seed(1).public_key().to_owned();
    let listed = domains("x.org=HIGH", &THREE.replace("K1", &own));
    let aliased = "[QUORUM_SET]\nVALIDATORS=['$self','K2','K3','K4']".to_owned();
    for quorum in [flat(4, ""), keys_in(&listed), keys_in(&aliased)] {
        let mut spec = spec(Some(quorum));
        spec.validator_config.as_mut().unwrap().home_domain = Some("x.org".to_owned());
        let base = base_config(&spec).unwrap();
        let (node, list) = (me(), list(4));
        let sources = Sources {
            list: Some(&list),
            ..sources(&base, &node)
        };
        let file = render(&sources, &seed(1)).unwrap();
        let without: Vec<&str> = file.lines().filter(|line| !line.starts_with("NODE_SEED=")).collect();
        let preview = preview(&sources, Some(&own)).unwrap();
        assert_eq!(preview.lines().collect::<Vec<_>>(), without);
    }
}

#[test]
fn a_preview_holds_no_database_of_a_secret_and_does_without_the_public_key() {
    let base = base_config(&spec(Some(flat(4, "")))).unwrap();
    let node = me();
    let sources = Sources {
        database: Database::Withheld,
        ..sources(&base, &node)
    };
    let preview = preview(&sources, None).unwrap();
    assert!(
        preview.contains("[QUORUM_SET]") && !preview.contains("DATABASE"),
        "{preview}"
    );
}
