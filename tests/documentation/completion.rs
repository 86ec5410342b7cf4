//! The scripts of `stellar-operator completion` are valid, and complete a subcommand and an option.

use std::io::Write as _;
use std::process::{Command, Stdio};

/// What a command of the documentation prints.
fn printed(command: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_stellar-operator"))
        .args(command.split(' ').skip(1))
        .output()
        .expect("the program runs");
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What a shell that reads this script prints.
fn said(shell: &str, script: &str) -> String {
    let mut child = Command::new(shell)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(script.as_bytes())
        .expect("written");
    let output = child.wait_with_output().expect("the shell ends");
    assert!(output.status.success(), "{shell}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn bash_completes_a_subcommand_and_an_option() {
    let script = printed("stellar-operator completion bash");
    for (words, expected) in [
        ("ch", "check"),
        ("check --str", "--strict"),
        ("peers --dry", "--dry-run"),
    ] {
        let count = words.split(' ').count();
        let call = format!(
            "{script}\nCOMP_WORDS=(stellar-operator {words})\nCOMP_CWORD={count}\n\
             _stellar__operator stellar-operator \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"\n\
             echo \"${{COMPREPLY[@]}}\"\n"
        );
        assert_eq!(said("bash", &call).trim(), expected, "{words}");
    }
}

#[test]
fn the_scripts_of_the_other_shells_name_every_subcommand() {
    for shell in ["zsh", "fish"] {
        let script = printed(&format!("stellar-operator completion {shell}"));
        for subcommand in ["run", "peers", "check", "config", "crd", "completion"] {
            assert!(script.contains(subcommand), "{shell}: {subcommand}");
        }
    }
}
