//! Each command in the documentation is run by a test as it stands, or says why it is not.

use std::collections::{BTreeMap, BTreeSet};

use crate::run_by::{DEMO, NOT_RUN, RUN_BY};
use crate::{code, files, read};

/// What a command begins with.
const PROGRAMS: [&str; 7] = [
    "kubectl",
    "helm",
    "make",
    "cargo",
    "docker",
    "stellar-operator",
    "certs/make",
];
/// Its content is `--help`.
const GENERATED: &str = "docs/configuration.md";
const NOTES: &str = "manifests/chart/templates/NOTES.txt";

/// Commands, each with the files that have it.
type Commands = BTreeMap<String, BTreeSet<String>>;

/// The command in a line, if it has one: a program with arguments, without a comment behind it.
fn command(line: &str) -> Option<String> {
    let line = line.split(" # ").next()?.trim();
    let program = line.split(' ').next()?;
    let alone = program == line && program != "certs/make";
    (PROGRAMS.contains(&program) && !alone).then(|| line.to_owned())
}

/// Whether a text names a subcommand, and is nothing to type.
fn is_name(text: &str) -> bool {
    text.strip_prefix("stellar-operator ")
        .is_some_and(|rest| rest.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-'))
}

/// The lines of fenced blocks, continued ones joined, and the text around them.
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

/// Commands to type, and what the demo printed that it typed.
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
    // As a release that is called so is told.
    let notes = read(NOTES)
        .replace("{{ .Release.Namespace }}", "stellar")
        .replace("{{ .Release.Name }}", "stellar-operator");
    for found in notes.lines().filter(|line| line.starts_with("  ")).filter_map(command) {
        typed.entry(found).or_default().insert(NOTES.to_owned());
    }
    (typed, printed)
}

#[test]
fn each_is_run_by_a_test_or_says_why_not() {
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
        "neither run nor excused in tests/documentation/run_by.rs: {unknown:#?}"
    );
    let known = run.keys().chain(&excused);
    let gone: Vec<_> = known.filter(|command| !typed.contains_key(**command)).collect();
    assert!(gone.is_empty(), "in no document any more: {gone:#?}");
    for command in run.keys().chain(&excused) {
        assert!(
            !(run.contains_key(command) && excused.contains(command)),
            "{command:?} is run and excused"
        );
    }
}

#[test]
fn whoever_is_said_to_run_one_does() {
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
fn what_the_demo_is_said_to_print_it_types() {
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
