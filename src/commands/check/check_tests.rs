//! Tests of `stellar-operator check`.

use std::process::ExitCode;

use crate::commands::check::*;

const NODE: &str = "apiVersion: stellar.org/v1alpha1\nkind: StellarNode\nmetadata: {name: NAME}\nspec:\n  nodeType: \
                    Validator\n  network: testnet\n  version: '1'\n  validatorConfig: {seedSecretRef: seed, peerPort: PORT}\n";

fn node(name: &str, port: &str) -> String {
    NODE.replace("NAME", name).replace("PORT", port)
}

/// The reports on a text that holds nothing but manifests.
fn checked(text: &str) -> Vec<Report> {
    let (reports, unreadable) = check(&[("f".to_owned(), text.to_owned())]);
    assert!(unreadable.is_empty(), "{unreadable:?}");
    reports
}

fn printed(text: &str) -> String {
    let mut out = Vec::new();
    report::lines(&checked(text), &mut out).expect("written");
    String::from_utf8(out).expect("text")
}

fn fields(text: &str) -> Vec<Vec<String>> {
    let reports = checked(text);
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
    let reports = checked(&format!("{other}---\n{}", node("b", "11626")));
    assert!(
        reports[0].warnings[0].contains("write stellar.org/v1alpha1"),
        "{:?}",
        reports[0].warnings
    );
    let said: Vec<_> = reports
        .iter()
        .map(|one| (one.document, one.judged, one.errors.len()))
        .collect();
    assert_eq!(said, [(1, false, 0), (2, true, 1)]);
}

#[test]
fn a_line_names_file_document_object_and_field() {
    let said = printed(&format!("kind: Pod\n---\n{}", node("a", "11626")));
    assert!(said.contains("f: document 1: Pod : not checked"), "{said}");
    assert!(
        said.contains("f: document 2: StellarNode a: error: spec.validatorConfig.peerPort: 11626"),
        "{said}"
    );
}

#[test]
fn what_a_quorum_set_stands_is_said() {
    let said = printed(&node("a", "11625"));
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
        let good = ("g".to_owned(), "kind: Pod".to_owned());
        let (reports, unreadable) = check(&[("f".to_owned(), text.to_owned()), good]);
        assert_eq!(unreadable.len(), 1, "{text}");
        let told = unreadable[0].to_string();
        assert!(!told.contains("Options") && !told.contains('\n'), "{told}");
        assert_eq!(reports.len(), 1, "the other file is checked");
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
        for output in [Output::Text, Output::Json, Output::Github] {
            let args = CheckArgs {
                files: vec![file.clone()],
                output,
                strict: false,
            };
            let got = args.run(&mut Vec::new(), &mut Vec::new()).expect("written");
            assert_eq!(got, ExitCode::from(code));
        }
    }
}

#[test]
fn what_a_terminal_obeys_is_written_as_text() {
    let said = printed(&node("a", "11626").replace("{name: a}", r#"{name: "a\e[2Jb"}"#));
    assert!(said.contains(r"a\u{1b}[2Jb") && !said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn strict_counts_a_warning_as_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("f.yaml");
    std::fs::write(&file, node("a", "11625").replace("testnet", "tesnet")).expect("written");
    for (strict, code) in [(false, 0), (true, REFUSED)] {
        let args = CheckArgs {
            files: vec![file.clone(), directory.path().join("g.yaml")],
            output: Output::Text,
            strict,
        };
        let all = args.run(&mut Vec::new(), &mut Vec::new()).expect("written");
        assert_eq!(all, ExitCode::from(UNREADABLE), "there is no g.yaml");
        let args = CheckArgs {
            files: vec![file.clone()],
            ..args
        };
        let got = args.run(&mut Vec::new(), &mut Vec::new()).expect("written");
        assert_eq!(got, ExitCode::from(code));
    }
}

#[test]
fn a_stateful_set_of_another_program_is_not_judged() {
    let set = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: a}\n";
    assert!(printed(set).contains("StatefulSet a: not checked"));
}

#[test]
fn an_annotation_names_file_and_object() {
    let mut out = Vec::new();
    let (reports, unreadable) = check(&[
        ("a,b.yaml".to_owned(), node("a", "11626")),
        ("c.yaml".to_owned(), "a: [".to_owned()),
    ]);
    report::annotations(&reports, &unreadable, &mut out).expect("written");
    let said = String::from_utf8(out).expect("text");
    let begins = "::error file=a%2Cb.yaml,title=StellarNode a::spec.validatorConfig.peerPort: 11626";
    assert!(said.starts_with(begins), "{said}");
    assert!(
        said.contains("::error::c.yaml: neither YAML nor JSON: line 1"),
        "{said}"
    );
}
