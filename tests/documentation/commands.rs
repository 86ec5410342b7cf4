//! A test runs each command of the documentation unchanged, or `run_by.rs` says why not.

use std::collections::{BTreeMap, BTreeSet};

use crate::run_by::{DEMO, NOT_RUN, RUN_BY};
use crate::{code, files, read};

/// The programs of commands.
const PROGRAMS: [&str; 7] = [
    "kubectl",
    "helm",
    "make",
    "cargo",
    "docker",
    "stellar-operator",
    "certs/make",
];
/// A file with the output of `--help`.
const GENERATED: &str = "docs/configuration.md";
const NOTES: &str = "manifests/chart/templates/NOTES.txt";

/// Commands with the files that have them.
type Commands = BTreeMap<String, BTreeSet<String>>;

/// The command in a line, if there is one: a program with arguments, without a trailing comment.
fn command(line: &str) -> Option<String> {
    let line = line.split(" # ").next()?.trim();
    let program = line.split(' ').next()?;
    let alone = program == line && program != "certs/make";
    (PROGRAMS.contains(&program) && !alone).then(|| line.to_owned())
}

/// Whether a text only names a subcommand and is no complete command.
fn is_name(text: &str) -> bool {
    text.strip_prefix("stellar-operator ")
        .is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'))
}

/// The lines of fenced blocks, with continued lines joined, and the text around them.
fn blocks(text: &str) -> (Vec<String>, String) {
    let (mut lines, mut around, mut fenced) = (Vec::<String>::new(), Vec::new(), false);
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            around.push(line);
        } else if let Some(last) = lines.last_mut().filter(|last| last.ends_with('\\')) {
            last.pop();
            last.push_str(line.trim_start());
        } else {
            lines.push(line.to_owned());
        }
    }
    (lines, around.join(" "))
}

/// The commands of the documentation, and those that the README shows as output of the demo.
fn commands() -> (Commands, BTreeSet<String>) {
    let mut typed = Commands::new();
    let mut printed = BTreeSet::new();
    let documents = files("docs")
        .into_iter()
        .chain(["README.md", "certs/README.md"].map(str::to_owned))
        .filter(|file| file.ends_with(".md") && file != GENERATED);
    for file in documents {
        let (lines, around) = blocks(&read(&file));
        printed.extend(
            lines
                .iter()
                .filter_map(|line| line.strip_prefix("$ "))
                .map(str::to_owned),
        );
        let mut inline = code(&around);
        inline.retain(|text| !is_name(text));
        for found in lines.iter().chain(&inline).filter_map(|line| command(line)) {
            typed.entry(found).or_default().insert(file.clone());
        }
    }
    // The chart's notes for a release with this name.
    let notes = read(NOTES)
        .replace("{{ .Release.Namespace }}", "stellar")
        .replace("{{ .Release.Name }}", "stellar-operator");
    for found in notes.lines().filter(|line| line.starts_with("  ")).filter_map(command) {
        typed.entry(found).or_default().insert(NOTES.to_owned());
    }
    (typed, printed)
}

#[test]
fn each_command_is_run_by_a_test_or_says_why_not() {
    let (typed, _) = commands();
    assert!(typed.len() > 50, "{typed:#?}");
    let run: BTreeMap<&str, &str> = RUN_BY
        .iter()
        .flat_map(|(file, commands)| commands.iter().map(|command| (*command, *file)))
        .collect();
    let excused: BTreeSet<&str> = NOT_RUN
        .iter()
        .flat_map(|(_, commands)| commands.iter().copied())
        .collect();
    let unknown: Vec<_> = typed
        .iter()
        .filter(|(command, _)| !run.contains_key(command.as_str()) && !excused.contains(command.as_str()))
        .collect();
    assert!(
        unknown.is_empty(),
        "neither run nor explained in tests/documentation/run_by.rs: {unknown:#?}"
    );
    let known = run.keys().chain(&excused);
    let gone: Vec<_> = known.filter(|command| !typed.contains_key(**command)).collect();
    assert!(gone.is_empty(), "no document has these commands: {gone:#?}");
    for command in run.keys().chain(&excused) {
        assert!(
            !(run.contains_key(command) && excused.contains(command)),
            "{command:?} is both run and explained as not run"
        );
    }
}

#[test]
fn each_named_file_runs_its_commands() {
    for (file, commands) in RUN_BY {
        let text = read(file);
        for command in *commands {
            let target = command.strip_prefix("make ");
            let runs = match (*file, target) {
                ("Makefile", Some(target)) => text
                    .split("$(MAKE) --no-print-directory ")
                    .skip(1)
                    .any(|rest| rest.split(['\n', ';']).next() == Some(target)),
                ("Makefile" | "tests/node/run", None) => text.contains(command),
                _ => text.contains(&format!("\"{command}\"")),
            };
            assert!(runs, "{file} runs {command:?}");
        }
    }
    let makefile = read("Makefile");
    let (typed, _) = commands();
    // Variables may follow, as in `make one T=NAME`.
    for command in typed.keys().filter_map(|command| command.strip_prefix("make ")) {
        let target = command.split(' ').next().unwrap_or_default();
        assert!(
            makefile.contains(&format!("\n{target}: ")),
            "there is no target {target}"
        );
    }
}

#[test]
fn the_demo_types_the_commands_of_the_readme() {
    let (_, printed) = commands();
    assert_eq!(
        printed.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        BTreeSet::from(DEMO)
    );
    let plain = |text: &str| text.replace(['\'', '"'], "");
    let demo = plain(&read("demo/run"))
        .replace("$namespace", "stellar")
        .replace("$nodes", "app.kubernetes.io/name=stellar-node");
    for command in DEMO {
        let command = plain(command);
        assert!(demo.contains(&format!("show {command}\n")), "{command}");
    }
}
