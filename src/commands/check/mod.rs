//! `stellar-operator check`: checks manifests against the rules of the webhook, without a cluster.
//!
//! Each object first gets the webhook's additions, and is then checked against the CRD's schema and the rules. The
//! other objects of the same call serve as context, so a duplicate seed is found here as well. Objects of kinds without
//! rules pass unchecked.

#[cfg(test)]
mod check_tests;
pub(crate) mod manifests;
mod report;
pub(crate) mod schema;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde::Serialize;
use serde_json::Value;

use crate::admission::mutate::mutate;
use crate::admission::stateful_set::ValidatorSet;
use crate::admission::validate::validate;
use crate::core_config::Tolerance;
use crate::crd::{self, StellarNodeSpec};
use crate::kubernetes::field_error::{FieldError, Reason};
use crate::labels;
use crate::util::text::plain;
use manifests::{Manifests, documents, items, read};

/// Exit code if a manifest would be refused.
pub(crate) const REFUSED: u8 = 1;
/// Exit code if a file or document is not a manifest.
pub(crate) const UNREADABLE: u8 = 2;

/// Arguments of `check`.
#[derive(Clone, Debug, Args)]
pub struct CheckArgs {
    /// Manifests in YAML or JSON, with one or more documents each; - for standard input
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Output,
    /// Count warnings as errors
    #[arg(long)]
    pub(crate) strict: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Output {
    /// One line per problem
    #[default]
    Text,
    /// A JSON list with one entry per object
    Json,
    /// One annotation per problem, for GitHub Actions
    Github,
}

/// A file cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("{file}: cannot be read: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("{file}: neither YAML nor JSON: {reason}")]
    Parse { file: String, reason: String },
    #[error("{file}: document {document} is not a Kubernetes object: it has no kind")]
    NoKind {
        file: String,
        /// Number of the document, from 1.
        document: usize,
    },
    #[error("the result cannot be written")]
    Write(#[from] std::io::Error),
}

/// The result for one object.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub file: String,
    /// Number of the document in the file, from 1. Empty documents do not count.
    pub document: usize,
    /// Whether the rules cover its kind.
    pub judged: bool,
    pub kind: String,
    /// The name; empty if it has none.
    pub name: String,
    /// Errors: the webhook would refuse the object.
    pub errors: Vec<FieldError>,
    /// Warnings: the webhook would accept the object.
    pub warnings: Vec<String>,
    /// Failures that a validator's quorum set tolerates; `None` without a valid quorum set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<Tolerance>,
}

impl CheckArgs {
    /// Checks and prints. The exit code is 0 if all objects pass, 1 if the webhook would refuse one, 2 if a file or
    /// document is not a manifest. The others are checked all the same.
    pub fn run(&self, out: &mut dyn Write, err: &mut dyn Write) -> Result<ExitCode, CheckError> {
        let mut unreadable = Vec::new();
        let mut files = Vec::new();
        for path in &self.files {
            match read(path) {
                Ok(file) => files.push(file),
                Err(error) => unreadable.push(error),
            }
        }
        let (reports, more) = check(&files);
        unreadable.extend(more);
        for error in &unreadable {
            writeln!(err, "{}", plain(&error.to_string()))?;
        }
        match self.output {
            Output::Text => report::lines(&reports, out)?,
            Output::Github => report::annotations(&reports, &unreadable, out)?,
            Output::Json => {
                serde_json::to_writer_pretty(&mut *out, &reports).map_err(std::io::Error::from)?;
                writeln!(out)?;
            }
        }
        let is_bad = |report: &Report| !report.errors.is_empty() || self.strict && !report.warnings.is_empty();
        Ok(ExitCode::from(if !unreadable.is_empty() {
            UNREADABLE
        } else if reports.iter().any(is_bad) {
            REFUSED
        } else {
            0
        }))
    }
}

/// Checks manifests, given as pairs of file name and text. Also returns what is not a manifest among them.
pub fn check(files: &[(String, String)]) -> (Vec<Report>, Vec<CheckError>) {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for (file, text) in files {
        let documents = documents(file, text).unwrap_or_else(|error| {
            unreadable.push(error);
            Vec::new()
        });
        for (index, content) in documents.into_iter().enumerate() {
            let document = index + 1;
            for object in items(content) {
                if object["kind"].as_str().is_none_or(str::is_empty) {
                    let file = file.clone();
                    unreadable.push(CheckError::NoKind { file, document });
                } else {
                    found.push(SourceObject { file, document, object });
                }
            }
        }
    }
    let nodes = found.iter().map(|found| &found.object);
    let context = Manifests(
        nodes
            .filter(|object| RuleSet::of(object) == RuleSet::StellarNode)
            .filter_map(|object| serde_json::from_value(object.clone()).ok())
            .collect(),
    );
    let schema = crd::schema();
    let reports = found.into_iter().map(|found| found.judge(&context, schema.as_ref()));
    (reports.collect(), unreadable)
}

/// An object and its source.
struct SourceObject<'a> {
    file: &'a str,
    document: usize,
    object: Value,
}

/// The rules for an object.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RuleSet {
    StellarNode,
    StatefulSet,
    None,
}

impl RuleSet {
    fn of(object: &Value) -> Self {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        match (group, object["kind"].as_str()) {
            (labels::GROUP, Some(labels::KIND)) => Self::StellarNode,
            ("apps", Some("StatefulSet")) if ValidatorSet::new(object).is_some() => Self::StatefulSet,
            _ => Self::None,
        }
    }
}

impl SourceObject<'_> {
    fn judge(self, context: &Manifests, schema: Option<&JSONSchemaProps>) -> Report {
        let Self {
            file,
            document,
            mut object,
        } = self;
        let rules = RuleSet::of(&object);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut report = Report {
            file: file.to_owned(),
            document,
            judged: rules != RuleSet::None,
            kind: text(&object["kind"]),
            name: text(&object["metadata"]["name"]),
            errors: Vec::new(),
            warnings: Vec::new(),
            tolerance: None,
        };
        if !report.judged {
            report.warnings.extend(foreign_version(&object));
            return report;
        }
        let schema = schema.filter(|_| rules == RuleSet::StellarNode);
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
        if rules == RuleSet::StellarNode {
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

/// The warning for a StellarNode of another group, which may be a misspelt apiVersion.
fn foreign_version(object: &Value) -> Option<String> {
    (object["kind"] == labels::KIND).then(|| {
        format!(
            "apiVersion: {} is another kind than that of this operator: write {} for a StellarNode of its own",
            object["apiVersion"],
            labels::API_VERSION
        )
    })
}

/// The error for an apiVersion that the CRD does not serve.
fn unknown_version(node: &Value) -> Option<FieldError> {
    let version = &node["apiVersion"];
    (version != labels::API_VERSION).then(|| {
        FieldError::invalid(
            "apiVersion",
            format!("{version} is not served: write {}", labels::API_VERSION),
        )
    })
}

/// Adds the errors of the schema for fields without an error of a rule, whose message is better. An `Invalid` error
/// about a whole block gives way to schema errors about fields inside.
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
