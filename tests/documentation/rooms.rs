//! The order of the modules: the tables in `src/lib.rs` and `src/controller/mod.rs` name every folder, no module uses
//! one above it in its table, and no folder has too many files.

use std::collections::{BTreeMap, BTreeSet};

use crate::{files, read, rows};

/// The most files in one folder, without those in its subfolders.
const MOST: usize = 15;
/// The most lines of a test file.
const LONGEST: usize = 400;
/// The widest comment line in characters, in code, scripts and manifests. rustfmt does not wrap comments.
const WIDEST: usize = 120;

/// The modules of a table from top to bottom: the names of its links.
fn table(file: &str) -> Vec<String> {
    let text = read(file);
    let lines = text.lines().filter_map(|line| line.strip_prefix("//! "));
    let rooms = rows(&lines.map(|line| format!("{line}\n")).collect::<String>());
    let links = rooms.iter().skip(1).map(|cells| cells[0].split('`').skip(1).step_by(2));
    links.flatten().map(str::to_owned).collect()
}

/// The code of a file without comments and tests.
fn program(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.map(|line| format!("{line}\n")).collect()
}

fn is_test(file: &str) -> bool {
    file.ends_with("tests.rs") || file.ends_with("/samples.rs") || file.ends_with("/fixtures.rs")
}

/// The path of a file's module as names: `src/tls/plan.rs` is `tls`, `plan`.
fn module(file: &str) -> Vec<&str> {
    let path = file.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/')
        .filter(|name| !matches!(*name, "mod" | "lib" | "main"))
        .collect()
}

/// The module paths of a `use` path, one for each part in braces.
fn paths(text: &str) -> Vec<String> {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('{') else {
        let end = text
            .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
            .unwrap_or(text.len());
        let path = text[..end].trim_end_matches(':');
        let rest = &text[end..];
        return match rest.strip_prefix('{') {
            Some(_) if text[..end].ends_with("::") => {
                paths(rest).into_iter().map(|part| format!("{path}::{part}")).collect()
            }
            _ => vec![path.to_owned()],
        };
    };
    let (mut depth, mut start, mut found) = (1, 0, Vec::new());
    for (place, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || depth == 1 && letter == ',' {
            found.extend(paths(&inner[start..place]));
            start = place + 1;
        }
        if depth == 0 {
            break;
        }
    }
    found
}

/// The module paths that a file uses, each as names from the root.
fn used(file: &str, text: &str) -> BTreeSet<Vec<String>> {
    let here = module(file);
    let mut found = BTreeSet::new();
    for keyword in ["crate::", "super::", "self::"] {
        for (place, _) in text.match_indices(keyword) {
            let before = text[..place].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let mut base = match keyword {
                "crate::" => Vec::new(),
                "super::" => here[..here.len().saturating_sub(1)].to_vec(),
                _ => here.clone(),
            };
            let mut rest = &text[place + keyword.len()..];
            while let Some(further) = rest.strip_prefix("super::") {
                base.pop();
                rest = further;
            }
            for path in paths(rest) {
                let names = base.iter().copied().chain(path.split("::")).map(str::to_owned);
                found.insert(names.collect());
            }
        }
    }
    found
}

/// Checks one table: it has each folder, and no module uses one above it.
fn assert_order(directory: &str, order: &[String]) {
    let place = |room: &str| order.iter().position(|one| one == room);
    let depth = module(&format!("{directory}/x.rs")).len() - 1;
    let mut wrong = BTreeSet::new();
    for file in files(directory) {
        if !file.ends_with(".rs") || is_test(&file) {
            continue;
        }
        let Some(room) = module(&file).get(depth).map(|room| (*room).to_owned()) else {
            continue;
        };
        let is_folder = file[directory.len() + 1..].contains('/');
        let Some(own) = place(&room) else {
            assert!(
                !is_folder,
                "{directory}/mod.rs or lib.rs does not name the module {room}"
            );
            continue;
        };
        for used in used(&file, &program(&read(&file))) {
            let within = used[..depth.min(used.len())] == module(&file)[..depth];
            let other = used.get(depth).filter(|_| within).and_then(|other| place(other));
            if is_folder && other.is_some_and(|other| other < own) {
                wrong.insert(format!("{file} uses {}", used.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "a module uses one above it: {wrong:#?}");
}

/// The modules that may talk to the API server.
const WITH_CLIENT: [&str; 8] = [
    "observe",
    "apply",
    "execute",
    "read",
    "run",
    "tls",
    "commands",
    "peer_discovery",
];

/// Whether code names the type `kube::Client` or `kube::Api`; an enum variant with the same name does not count.
fn names_client(code: &str) -> bool {
    ["Client", "Api"].iter().any(|name| {
        code.match_indices(name).any(|(place, _)| {
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let (before, after) = (&code[..place], &code[place + name.len()..]);
            let is_variant = before.ends_with("::") && !before.ends_with("kube::");
            !is_word(before.chars().next_back()) && !is_word(after.chars().next()) && !is_variant
        })
    })
}

#[test]
fn names_client_finds_each_use_of_a_client() {
    for code in [
        "use kube::{Api, ResourceExt};",
        "client: kube::Client,",
        "fn f(client: &Client)",
        "Api<K>",
    ] {
        assert!(names_client(code), "{code}");
    }
    for code in [
        "ApplyError::Api(error)",
        "ApiError",
        "ClientBuilder",
        "client",
        "kube::Error::Api(status)",
    ] {
        assert!(!names_client(code), "{code}");
    }
}

#[test]
fn only_modules_that_do_io_name_a_client() {
    let is_program = |file: &String| file.ends_with(".rs") && !is_test(file) && !file.ends_with("/played.rs");
    let with: Vec<String> = files("src")
        .into_iter()
        .filter(is_program)
        .filter(|file| !module(file).iter().any(|name| WITH_CLIENT.contains(name)))
        .filter(|file| names_client(&program(&read(file))))
        .collect();
    assert!(with.is_empty(), "code that decides names a client: {with:#?}");
}

#[test]
fn no_module_uses_one_above_it() {
    assert_order("src", &table("src/lib.rs"));
    assert_order("src/controller", &table("src/controller/mod.rs"));
}

#[test]
fn no_folder_has_too_many_files() {
    let mut rooms = BTreeMap::<String, usize>::new();
    let all = ["src", "tests/kit", "tests/promises"].into_iter().flat_map(files);
    for file in all.filter(|file| file.ends_with(".rs")) {
        let (room, _) = file.rsplit_once('/').expect("a folder");
        *rooms.entry(room.to_owned()).or_default() += 1;
    }
    rooms.retain(|_, count| *count > MOST);
    assert!(rooms.is_empty(), "more than {MOST} files: {rooms:?}");
}

#[test]
fn no_test_file_is_too_long() {
    let all = files("tests").into_iter().filter(|file| file.ends_with(".rs"));
    let long: Vec<String> = all.filter(|file| read(file).lines().count() > LONGEST).collect();
    assert!(long.is_empty(), "more than {LONGEST} lines: {long:?}");
}

#[test]
fn each_file_named_by_the_documentation_exists() {
    let text = read("docs/architecture.md");
    let named: Vec<String> = rows(&text)
        .into_iter()
        .filter_map(|row| row.into_iter().nth(1))
        .collect();
    let paths = named.iter().map(|cell| cell.trim().trim_matches('`'));
    let paths: Vec<&str> = paths.filter(|path| path.starts_with("src/")).collect();
    assert!(paths.len() >= 24, "{paths:?}");
    let all: BTreeSet<String> = files("src").into_iter().collect();
    let missing: Vec<&&str> = paths.iter().filter(|path| !all.contains(**path)).collect();
    assert!(missing.is_empty(), "missing files: {missing:?}");
}

/// The comment sign of a file; `None` for a file without comments, such as a README.
fn comment(file: &str) -> Option<&'static str> {
    let name = file.rsplit('/').next().unwrap_or_default();
    match name.split_once('.') {
        None | Some((_, "yaml" | "tpl" | "env")) => Some("# "),
        Some((_, "rs" | "go")) => Some("//"),
        Some(_) => None,
    }
}

#[test]
fn no_comment_is_too_wide() {
    let directories = [".ci", "benches", "certs", "demo", "image", "manifests", "src", "tests"];
    let alone = ["Dockerfile", "Makefile"].map(str::to_owned);
    let mut wide = Vec::new();
    for file in directories.into_iter().flat_map(files).chain(alone) {
        let Some(sign) = comment(&file) else { continue };
        for (number, line) in read(&file).lines().enumerate() {
            let line = line.trim_end();
            // The comment of a field becomes its description in the CRD, line by line.
            let is_description = file.starts_with("src/crd/") && line.trim_start().starts_with("/// ");
            if !is_description && line.trim_start().starts_with(sign) && line.chars().count() > WIDEST {
                wide.push(format!("{file}:{}", number + 1));
            }
        }
    }
    assert!(wide.is_empty(), "comments wider than {WIDEST}: {wide:#?}");
}

#[test]
fn used_finds_each_import() {
    let text = "use crate::tls::{plan, store::Store};\nuse super::super::labels;\nlet x = self::a::b(crate::util::clock::now());";
    let found = used("src/controller/rollout/slots.rs", text);
    let expected = [
        "controller::rollout::slots::a::b",
        "controller::labels",
        "tls::plan",
        "tls::store::Store",
        "util::clock::now",
    ];
    let expected: BTreeSet<Vec<String>> = expected
        .iter()
        .map(|path| path.split("::").map(str::to_owned).collect())
        .collect();
    assert_eq!(found, expected);
}
