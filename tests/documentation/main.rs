//! Checks that the documentation is correct: a test runs each command, each reason of the code and no other is
//! explained, rights and values equal those of the manifests, and what it calls refused is refused. This needs no
//! cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod certificates;
mod commands;
mod completion;
mod reasons;
mod refused;
mod rights;
mod rooms;
mod run_by;
mod values;

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the project.
fn read(file: &str) -> String {
    let path = Path::new(ROOT).join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a directory, as paths from the root of the project.
fn files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::from(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(Path::new(ROOT).join(&directory)).expect("a directory") {
            let entry = entry.expect("an entry");
            let path = directory.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                directories.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found.sort();
    found
}

/// The cells of the tables in a text, row by row; a `|` inside code does not separate cells.
fn rows(text: &str) -> Vec<Vec<String>> {
    let lines = text
        .lines()
        .filter(|line| line.starts_with('|') && !line.starts_with("|---"));
    lines
        .map(|line| {
            let mut cells = vec![String::new()];
            let mut in_code = false;
            for letter in line.trim().trim_matches('|').chars() {
                match letter {
                    '|' if !in_code => cells.push(String::new()),
                    _ => {
                        in_code ^= letter == '`';
                        cells.last_mut().expect("one").push(letter);
                    }
                }
            }
            cells.iter().map(|cell| cell.trim().to_owned()).collect()
        })
        .collect()
}

/// The part of a text from a heading to the next heading of the same level.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text
        .find(&format!("\n{heading}\n"))
        .unwrap_or_else(|| panic!("{heading}"));
    let body = &text[start + heading.len() + 2..];
    let level = heading.split(' ').next().expect("a level");
    let end = body.find(&format!("\n{level} ")).unwrap_or(body.len());
    &body[..end]
}

/// The texts in backticks.
fn code(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
