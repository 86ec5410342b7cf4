//! Manifests: from files to objects, and what the objects of one call know of each other.
//!
//! Decides nothing about an object; [`check`](crate::commands::check) does.

use std::io::Read as _;
use std::path::Path;

use serde_json::Value;

use super::CheckError;
use crate::admission::context::Context;
use crate::crd::{NodeType, StellarNode};
use crate::webhook::wire::strict_json::Strict;

/// A file's name and its text; `-` is standard input.
///
/// # Errors
/// When it cannot be read.
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

/// The documents of a file that are not empty.
///
/// # Errors
/// When the text is neither YAML nor JSON.
pub(crate) fn documents(file: &str, text: &str) -> Result<Vec<Value>, CheckError> {
    // Several JSON objects in a row are no YAML.
    let json: Result<Vec<Strict>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    if let Ok(documents) = json {
        return Ok(documents.into_iter().map(|Strict(document)| document).collect());
    }
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| CheckError::Parse {
        file: file.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The objects of a document: those of a `List` or of a list of one kind, such as a `StellarNodeList`, else the
/// document.
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

/// The StellarNodes of one call; those that cannot be read are reported by the rules and unknown to the others.
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

    fn each_validator(&self, namespace: &str, tell: &mut dyn FnMut(&StellarNode)) {
        self.of(namespace)
            .filter(|node| node.spec.node_type == NodeType::Validator)
            .for_each(tell);
    }
}
