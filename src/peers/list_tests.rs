//! A list from another writer: the parts that are accepted.

use proptest::prelude::*;
use serde_json::json;

use super::tests::list;
use crate::peers::*;

#[test]
fn a_member_with_an_address_of_another_form_stays_one_without_an_address() {
    let text = list(3)
        .to_json()
        .replace("10.244.0.1:11625", "x y\\\"]\\nNODE_SEED=1:11625");
    let (read, left_out) = PeerList::parse_noting(&text).unwrap();
    assert_eq!(read.members[1].address, None);
    assert_eq!(read.views(), list(3).views());
    assert_eq!(left_out.len(), 1);
    assert!(
        left_out[0].contains("validator-1") && !left_out[0].contains('\n'),
        "{left_out:?}"
    );
}

#[test]
fn what_is_no_entry_costs_no_other_and_nobody_is_in_it_twice() {
    let mut text: Value = serde_json::from_str(&list(3).to_json()).unwrap();
    let members = text["members"].as_array_mut().unwrap();
    members[0]["port"] = json!(0);
    members[1]["node"] = json!("nowhere");
    members.push(json!("\u{1b}[2J"));
    members.push(members[2].clone());
    let (read, left_out) = PeerList::parse_noting(&text.to_string()).unwrap();
    assert_eq!(read.members, list(3).members[2..]);
    assert_eq!(left_out.len(), 3, "{left_out:?}");
    assert!(left_out.iter().all(|what| !what.contains(char::is_control)));
}

/// Anything that a list may contain as an entry.
fn entry() -> impl Strategy<Value = Value> {
    let address = prop_oneof![
        any::<String>(),
        "[0-9.]{7,15}:[0-9]{1,5}",
        "10\\.0\\.0\\.[1-9](:11625)?[\n\"' ]?",
        Just("a-0.a-headless.n.svc.cluster.local:11625".to_owned()),
    ];
    let node = prop_oneof!["n/[a-c]", any::<String>()];
    (node, 0..70_000u32, address).prop_map(|(node, port, address)| {
        json!({ "node": node, "port": port, "address": address, "since": Timestamp::UNIX_EPOCH })
    })
}

proptest! {
    #[test]
    fn nothing_but_addresses_of_our_form_comes_out_of_a_list(
        entries in proptest::collection::vec(entry(), 0..8), good in 1..4u8,
    ) {
        let good = json!({
            "node": "z/z", "port": 11625, "address": format!("10.9.9.{good}:11625"), "since": Timestamp::UNIX_EPOCH,
        });
        let members: Vec<&Value> = entries.iter().chain([&good]).collect();
        let text = json!({ "format": 1, "version": Timestamp::UNIX_EPOCH, "members": members }).to_string();
        let (read, _) = PeerList::parse_noting(&text).unwrap();
        let is_written_so = |record: &PeerRecord| {
            record.address.as_ref().is_none_or(|address| port_of_address(&record.node, address) == Some(record.port))
        };
        prop_assert!(read.members.iter().all(is_written_so));
        prop_assert!(read.addresses().contains(&good["address"].as_str().unwrap().to_owned()));
        let blank = |address: &String| address.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'\\".contains(c));
        prop_assert!(!read.addresses().iter().any(blank));
        // Writing the list again gives the same bytes, so one write repairs it.
        prop_assert_eq!(&PeerList::parse(&read.to_json()).unwrap(), &read);
    }
}
