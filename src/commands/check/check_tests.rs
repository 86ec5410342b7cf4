//! Tests of `stellar-operator check`.

use std::process::ExitCode;

use crate::commands::check::*;

const NODE: &str = "apiVersion: stellar.org/v1alpha1\nkind: StellarNode\nmetadata: {name: NAME}\nspec:\n  nodeType: \
                    Validator\n  network: testnet\n  version: '1'\n  validatorConfig: {seedSecretRef: seed, peerPort: PORT}\n";

fn node(name: &str, port: &str) -> String {
    NODE.replace("NAME", name).replace("PORT", port)
}

fn fields(text: &str) -> Vec<Vec<String>> {
    let reports = check(&[("f".to_owned(), text.to_owned())]).expect("manifests");
    let fields = |report: Report| report.errors.into_iter().map(|error| error.field).collect();
    reports.into_iter().map(fields).collect()
}

#[test]
fn yaml_and_json_of_many_documents() {
    let port = "spec.validatorConfig.peerPort";
    let pod = "apiVersion: v1\nkind: Pod\n";
    let none: Vec<String> = Vec::new();
    assert_eq!(
        fields(&format!("---\n{}---\n{pod}", node("a", "11626"))),
        [vec![port.to_owned()], none.clone()]
    );
    assert_eq!(fields(r#"{"kind":"Pod"} {"kind":"Pod"}"#), [none.clone(), none.clone()]);
    assert_eq!(fields(r#"{"kind":"List","items":[{"kind":"Pod"}]}"#), [none]);
    assert!(fields("").is_empty());
}

#[test]
fn what_the_schema_refuses_is_refused_here() {
    let good = node("a", "11625");
    let port = "spec.validatorConfig.peerPort";
    for (text, field) in [
        (good.replace("  network: testnet\n", ""), "spec.network"),
        (good.replace("'1'", "26"), "spec.version"),
        (
            good.replace("nodeType: Validator", "nodeType: Validator\n  suspended: 'yes'"),
            "spec.suspended",
        ),
        (
            good.replace("nodeType: Validator", "nodeType: Validator\n  suspendd: true"),
            "spec.suspendd",
        ),
        (
            good.replace("seedSecretRef: seed", "seedSecretRef: seed, keySource: Vault"),
            "spec.validatorConfig.keySource",
        ),
        (
            good.replace("seedSecretRef: seed, ", ""),
            "spec.validatorConfig.seedSecretRef",
        ),
        (good.replace("v1alpha1", "v1alpha9"), "apiVersion"),
        (node("a", "70000"), port),
        (node("a", "0"), port),
        (node("a", "'11625'"), port),
    ] {
        assert_eq!(fields(&text), [vec![field.to_owned()]], "{text}");
    }
}

#[test]
fn lists_of_any_kind_are_opened() {
    let port = vec!["spec.validatorConfig.peerPort".to_owned()];
    let list = |kind: &str| {
        let item = node("a", "11626").replace('\n', "\n  ");
        format!("apiVersion: v1\nkind: {kind}\nitems:\n- {item}")
    };
    assert_eq!(fields(&list("List")), std::slice::from_ref(&port));
    assert_eq!(fields(&list("StellarNodeList")), [port]);
    assert!(fields("{kind: List, items: null}").is_empty());
}

#[test]
fn kinds_of_other_groups_are_not_judged() {
    let other = node("a", "11626").replace("stellar.org/v1alpha1", "example.org/v1");
    let reports = check(&[("f".to_owned(), format!("{other}---\n{}", node("b", "11626")))]).expect("manifests");
    let said: Vec<_> = reports
        .iter()
        .map(|one| (one.document, one.judged, one.errors.len()))
        .collect();
    assert_eq!(said, [(1, false, 0), (2, true, 1)]);
}

#[test]
fn a_line_names_file_document_object_and_field() {
    let mut out = Vec::new();
    let text = format!("kind: Pod\n---\n{}", node("a", "11626"));
    print(&check(&[("f".to_owned(), text)]).expect("manifests"), &mut out).expect("written");
    let said = String::from_utf8(out).expect("text");
    assert!(said.contains("f: document 1: Pod : not checked"), "{said}");
    assert!(
        said.contains("f: document 2: StellarNode a: error: spec.validatorConfig.peerPort: 11626"),
        "{said}"
    );
}

#[test]
fn what_a_quorum_set_stands_is_said() {
    let mut out = Vec::new();
    print(
        &check(&[("f".to_owned(), node("a", "11625"))]).expect("manifests"),
        &mut out,
    )
    .expect("written");
    let said = String::from_utf8(out).expect("text");
    assert!(
        said.contains("f: document 1: StellarNode a: the quorum set of 4 tolerates"),
        "{said}"
    );
}

#[test]
fn a_seed_used_twice_is_found_in_the_manifests_alone() {
    let seed = vec!["spec.validatorConfig.seedSecretRef".to_owned()];
    assert_eq!(
        fields(&format!("{}---\n{}", node("a", "1111"), node("b", "1111"))),
        [seed.clone(), seed]
    );
}

#[test]
fn what_is_no_manifest_is_an_error() {
    for text in [
        "a: [",
        "just text",
        "[]",
        "metadata: {}",
        "kind: Pod\nkind: Pod",
        r#"{"kind":"Pod","kind":"Pod"}"#,
    ] {
        assert!(check(&[("f".to_owned(), text.to_owned())]).is_err(), "{text}");
    }
}

#[test]
fn the_exit_code_says_which() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, code) in [
        (node("a", "11625"), 0),
        (node("a", "11626"), REFUSED),
        ("a: [".to_owned(), UNREADABLE),
    ] {
        let file = directory.path().join("f.yaml");
        std::fs::write(&file, text).expect("written");
        for output in [Output::Text, Output::Json] {
            let args = CheckArgs {
                files: vec![file.clone()],
                output,
            };
            let got = args.run(&mut Vec::new(), &mut Vec::new()).expect("written");
            assert_eq!(got, ExitCode::from(code));
        }
    }
}

#[test]
fn what_a_terminal_obeys_is_written_as_text() {
    let mut out = Vec::new();
    let text = node("a", "11626").replace("{name: a}", r#"{name: "a\e[2Jb"}"#);
    print(&check(&[("f".to_owned(), text)]).expect("manifests"), &mut out).expect("written");
    let said = String::from_utf8(out).expect("text");
    assert!(said.contains(r"a\u{1b}[2Jb") && !said.contains('\u{1b}'), "{said:?}");
}
