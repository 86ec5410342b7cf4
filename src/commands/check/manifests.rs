//! Reads manifests from files, and lets the objects of one call refer to each other.
//!
//! [`check`](crate::commands::check) applies the rules.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::CheckError;
use crate::admission::context::Context;
use crate::crd::{NodeType, StellarNode};
use crate::webhook::wire::strict_json::Strict;

/// Name and text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<(String, String), CheckError> {
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

/// The non-empty documents of a file.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Value>, CheckError> {
    // A sequence of JSON objects is not valid YAML.
    let json: Result<Vec<Strict>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    if let Ok(documents) = json {
        return Ok(documents.into_iter().map(|Strict(document)| document).collect());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| CheckError::Parse {
        file: file.to_owned(),
        reason: reason(&error.to_string()),
    })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The first line of the parser's error. Below it the parser shows the place again, and in it it names its own options.
fn reason(error: &str) -> String {
    let line = error.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    line.split(", set ").next().unwrap_or_default().to_owned()
}

/// The objects of a document: the items of a `List` or of a typed list such as a `StellarNodeList`, otherwise the
/// document itself.
pub(crate) fn items(mut document: Value) -> Vec<Value> {
    let is_list = document["kind"].as_str().is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => items,
        Some(Value::Null) if is_list => Vec::new(),
        Some(other) => {
            document["items"] = other;
            vec![document]
        }
        None => vec![document],
    }
}

/// The StellarNodes of one call. Those that do not parse are missing here; the rules report them.
pub(crate) struct Manifests(pub(crate) Vec<StellarNode>);

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

    fn each_validator(&self, namespace: &str, visit: &mut dyn FnMut(&StellarNode)) {
        self.of(namespace)
            .filter(|node| node.spec.node_type == NodeType::Validator)
            .for_each(visit);
    }
}
