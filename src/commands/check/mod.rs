//! `stellar-operator check`: manifests judged without a cluster, by the rules of the webhook.
//!
//! Objects are first given what the webhook would add, then held to the CRD's schema and to the rules, beside the other
//! objects of the same call, so that a seed used twice is found here, too. Objects of kinds without rules pass unread.

#[cfg(test)]
mod check_tests;
pub(crate) mod manifests;
pub(crate) mod schema;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde::Serialize;
use serde_json::Value;

use crate::admission::mutate::mutate;
use crate::admission::validate::validate;
use crate::core_config::Tolerance;
use crate::crd::{self, StellarNodeSpec};
use crate::kubernetes::field_error::{FieldError, Reason};
use crate::labels;
use crate::util::text::plain;
use manifests::{Manifests, documents, items, read};

/// Exit code when a manifest would be refused.
pub(crate) const REFUSED: u8 = 1;
/// Exit code when a file is no manifest.
pub(crate) const UNREADABLE: u8 = 2;

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Manifests, YAML or JSON, one or many documents each; - for standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// How to print the result
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Output {
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
    /// Which document of the file, from 1; empty ones do not count.
    pub document: usize,
    /// Whether there are rules for its kind.
    pub judged: bool,
    /// Its kind.
    pub kind: String,
    /// Its name, empty if it has none.
    pub name: String,
    /// What refuses it.
    pub errors: Vec<FieldError>,
    /// What is told and passes.
    pub warnings: Vec<String>,
    /// What the quorum set of a validator stands, where it has one that works.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
}

impl CheckArgs {
    /// Checks and prints; the exit code is 0 if all objects pass, 1 if one would be refused, 2 if a file is no
    /// manifest.
    ///
    /// # Errors
    /// When the result cannot be written.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitCode, CheckError> {
        let reports = self.files.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>();
        let reports = match reports.and_then(|files| check(&files)) {
            Ok(reports) => reports,
            Err(error) => {
                writeln!(err, "{}", plain(&error.to_string()))?;
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
    let mut found = Vec::new();
    for (file, text) in files {
        for (index, content) in documents(file, text)?.into_iter().enumerate() {
            let document = index + 1;
            for object in items(content) {
                if object["kind"].as_str().is_none_or(str::is_empty) {
                    let file = file.clone();
                    return Err(CheckError::NoKind { file, document });
                }
                found.push(Found { file, document, object });
            }
        }
    }
    let nodes = found.iter().map(|found| &found.object);
    let context = Manifests(
        nodes
            .filter(|object| Rules::of(object) == Rules::StellarNode)
            .filter_map(|object| serde_json::from_value(object.clone()).ok())
            .collect(),
    );
    let schema = crd::schema();
    Ok(found
        .into_iter()
        .map(|found| found.judge(&context, schema.as_ref()))
        .collect())
}

/// An object and where it stands.
struct Found<'a> {
    file: &'a str,
    document: usize,
    object: Value,
}

/// Which rules there are for an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    StellarNode,
    StatefulSet,
    None,
}

impl Rules {
    fn of(object: &Value) -> Self {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, object["kind"].as_str()) {
            (labels::GROUP, Some(labels::KIND)) => Self::StellarNode,
            ("apps", Some("StatefulSet")) => Self::StatefulSet,
            _ => Self::None,
        }
    }
}

impl Found<'_> {
    fn judge(self, context: &Manifests, schema: Option<&JSONSchemaProps>) -> Report {
        let Self {
            file,
            document,
            mut object,
        } = self;
        let rules = Rules::of(&object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut report = Report {
            file: file.to_owned(),
            document,
            judged: rules != Rules::None,
            kind: text(&object["kind"]),
            name: text(&object["metadata"]["name"]),
            errors: Vec::new(),
            warnings: Vec::new(),
            tolerance: None,
        };
        if !report.judged {
            return report;
        }
        let schema = schema.filter(|_| rules == Rules::StellarNode);
        if let Some(schema) = schema {
            schema::prune(schema, &mut object);
        }
        let mutation = mutate(&object, None, context);
        report.warnings = mutation.warnings;
        if let Err(error) = json_patch::patch(&mut object, &mutation.patch) {
            report
                .warnings
                .push(format!("the webhook's additions do not apply: {error}"));
        }
        let verdict = validate(&object, None, context);
        report.warnings.extend(verdict.warnings);
        report.errors = verdict.errors;
        if rules == Rules::StellarNode {
            report.errors.extend(unknown_version(&object));
            report.tolerance = tolerance(&object);
        }
        if let Some(schema) = schema {
            merge(&mut report.errors, schema::check(schema, &object));
        }
        report
    }
}

fn tolerance(node: &Value) -> Option<Tolerance> {
    let spec: StellarNodeSpec = serde_json::from_value(node["spec"].clone()).ok()?;
    Tolerance::of(&spec)
}

/// A version of the StellarNode that no API server with our CRD serves.
fn unknown_version(node: &Value) -> Option<FieldError> {
    let version = &node["apiVersion"];
    (version != labels::API_VERSION).then(|| {
        FieldError::invalid(
            "apiVersion",
            format!("{version} is not served: write {}", labels::API_VERSION),
        )
    })
}

/// Adds what the schema says where the rules are silent; of one field the rules speak better. A rule that could not
/// read a whole block gives way to the schema, which names the field in it.
fn merge(errors: &mut Vec<FieldError>, schema: Vec<FieldError>) {
    let holds = |outer: &str, inner: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    errors.retain(|error| {
        error.reason != Reason::FieldValueInvalid || !schema.iter().any(|other| holds(&error.field, &other.field))
    });
    for error in schema {
        if errors.iter().all(|other| other.field != error.field) {
            errors.push(error);
        }
    }
}

pub(crate) fn print(reports: &[Report], out: &mut dyn Write) -> std::io::Result<()> {
    for report in reports {
        let Report {
            file,
            document,
            judged,
            kind,
            name,
            errors,
            warnings,
            tolerance,
        } = report;
        let place = format!("{file}: document {document}: {kind} {name}");
        let mut say = |text: &str| writeln!(out, "{}", plain(&format!("{place}: {text}")));
        if !judged {
            say("not judged, there are no rules for its kind")?;
        } else if errors.is_empty() && warnings.is_empty() {
            say("fine")?;
        }
        for error in errors {
            say(&format!("error: {error}"))?;
        }
        for warning in warnings {
            say(&format!("warning: {warning}"))?;
        }
        if let Some(tolerance) = tolerance {
            say(&tolerance.to_string())?;
        }
    }
    Ok(())
}
