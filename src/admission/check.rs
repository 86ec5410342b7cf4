//! `stellar-operator check`: manifests judged without a cluster, by the rules of the webhook.
//!
//! Objects are first given what the webhook would add, then judged beside the other objects of the same call, so that a
//! seed used twice is found here, too. Objects of kinds without rules pass.

use std::io::{Read as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::context::Context;
use super::field_error::FieldError;
use super::mutate::mutate;
use super::validate::validate;
use crate::crd::{NodeType, StellarNode};
use crate::labels;

/// Exit code when a manifest would be refused.
const REFUSED: u8 = 1;
/// Exit code when a file is no manifest.
const UNREADABLE: u8 = 2;

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Manifests, YAML or JSON, one or many documents each; - for standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// One line for each problem
    #[default]
    Text,
    /// One JSON list, an entry for each object
    Json,
}

/// Why a file could not be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Read {
        /// Which file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is neither YAML nor JSON.
    #[error("{file}: neither YAML nor JSON: {reason}")]
    Parse {
        /// Which file.
        file: String,
        /// Where and why.
        reason: String,
    },
    /// A document is not an object with a kind.
    #[error("{file}: document {document} is no Kubernetes object: it has no kind")]
    NoKind {
        /// Which file.
        file: String,
        /// Which document, from 1.
        document: usize,
    },
    /// The result cannot be written.
    #[error("the result cannot be written")]
    Write(#[from] std::io::Error),
}

/// What is to be said of one object.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The file it is from.
    pub file: String,
    /// Its kind.
    pub kind: String,
    /// Its name, empty if it has none.
    pub name: String,
    /// What refuses it.
    pub errors: Vec<FieldError>,
    /// What is told and passes.
    pub warnings: Vec<String>,
}

impl CheckArgs {
    /// Checks and prints; the exit code is 0 if all objects pass, 1 if one would be refused, 2 if a file is no manifest.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitCode, CheckError> {
        let reports = self.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>();
        let reports = match reports.and_then(|files| check(&files)) {
            Ok(reports) => reports,
            Err(error) => {
                writeln!(err, "{error}")?;
                return Ok(ExitCode::from(UNREADABLE));
            }
        };
        match self.output {
            Output::Text => print(&reports, out)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, &reports).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        let refused = reports.iter().any(|report| !report.errors.is_empty());
        Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
    }
}

/// Judges manifests, each a file's name and its text.
///
/// # Errors
/// When a text is no manifest.
pub fn check(files: &[(String, String)]) -> Result<Vec<Report>, CheckError> {
    let mut objects = Vec::new();
    for (file, text) in files {
        for (index, document) in documents(file, text)?.into_iter().enumerate() {
            for object in items(document) {
                if object["kind"].as_str().is_none_or(str::is_empty) {
                    return Err(CheckError::NoKind {
                        file: file.clone(),
                        document: index + 1,
                    });
                }
                objects.push((file, object));
            }
        }
    }
    let context = Manifests(
        objects
            .iter()
            .filter(|(_, object)| object["kind"] == labels::KIND)
            .filter_map(|(_, object)| serde_json::from_value(object.clone()).ok())
            .collect(),
    );
    Ok(objects
        .into_iter()
        .map(|(file, object)| judge(file, object, &context))
        .collect())
}

fn judge(file: &str, mut object: Value, context: &Manifests) -> Report {
    let mutation = mutate(&object, None, context);
    let mut warnings = mutation.warnings;
    if let Err(error) = json_patch::patch(&mut object, &mutation.patch) {
        warnings.push(format!("the webhook's additions do not apply: {error}"));
    }
    let verdict = validate(&object, None, context);
    warnings.extend(verdict.warnings);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Report {
        file: file.to_owned(),
        kind: text(&object["kind"]),
        name: text(&object["metadata"]["name"]),
        errors: verdict.errors,
        warnings,
    }
}

fn read(path: &Path) -> Result<(String, String), CheckError> {
    let (file, text) = if path == Path::new("-") {
        let mut text = String::new();
        let read = std::io::stdin().read_to_string(&mut text);
        ("standard input".to_owned(), read.map(|_| text))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    match text {
        Ok(text) => Ok((file, text)),
        Err(source) => Err(CheckError::Read { file, source }),
    }
}

fn documents(file: &str, text: &str) -> Result<Vec<Value>, CheckError> {
    // Several JSON objects in a row are no YAML.
    let json: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    if let Ok(documents) = json {
        return Ok(documents);
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| CheckError::Parse {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The objects of a document: those of a `List`, else the document itself.
fn items(mut document: Value) -> Vec<Value> {
    match document["kind"].as_str() {
        Some("List") => match document["items"].take() {
            Value::Array(items) => items,
            _ => Vec::new(),
        },
        _ => vec![document],
    }
}

fn print(reports: &[Report], out: &mut dyn Write) -> std::io::Result<()> {
    for report in reports {
        let Report {
            file,
            kind,
            name,
            errors,
            warnings,
        } = report;
        if errors.is_empty() && warnings.is_empty() {
            writeln!(out, "{file}: {kind} {name}: fine")?;
        }
        for error in errors {
            writeln!(out, "{file}: {kind} {name}: error: {error}")?;
        }
        for warning in warnings {
            writeln!(out, "{file}: {kind} {name}: warning: {warning}")?;
        }
    }
    Ok(())
}

/// The StellarNodes of one call; those that cannot be read are reported by the rules and unknown to the others.
struct Manifests(Vec<StellarNode>);

impl Manifests {
    fn of<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a StellarNode> {
        self.0
            .iter()
            .filter(move |node| node.metadata.namespace.as_deref().unwrap_or_default() == namespace)
    }
}

impl Context for Manifests {
    fn node(&self, namespace: &str, name: &str) -> Option<StellarNode> {
        self.of(namespace)
            .find(|node| node.metadata.name.as_deref() == Some(name))
            .cloned()
    }

    fn validators(&self, namespace: &str) -> Vec<StellarNode> {
        self.of(namespace)
            .filter(|node| node.spec.node_type == NodeType::Validator)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_seed_used_twice_is_found_in_the_manifests_alone() {
        let seed = vec!["spec.validatorConfig.seedSecretRef".to_owned()];
        assert_eq!(
            fields(&format!("{}---\n{}", node("a", "1111"), node("b", "1111"))),
            [seed.clone(), seed]
        );
    }

    #[test]
    fn what_is_no_manifest_is_an_error() {
        for text in ["a: [", "just text", "[]", "metadata: {}"] {
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
}
