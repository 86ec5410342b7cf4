//! Validates manifests against the CRD's schema, as the API server does.
//!
//! The schema is the one that `stellar-operator crd` prints, so the two cannot drift apart. Only the features that it
//! uses are implemented: types, required fields, ranges, lengths, enums and unknown fields. The webhook's rules cover
//! the CEL rules. The webhook itself does not use this module: the API server has validated the schema before it calls
//! the webhook.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Map, Value};

use crate::kubernetes::field_error::FieldError;
use crate::kubernetes::names::distance;

/// Fields that the API server validates in its own way, or not at all on a create.
const NOT_OURS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// What is said of a field that the schema does not know.
const UNKNOWN: &str = "unknown field: kubectl refuses it, and what other clients send of it is lost; correct its spelling or \
                       remove it";
/// Most edits between a field and a misspelt form of it.
const MOST_EDITS: usize = 2;
/// How deep a field that stands in the wrong place is looked for: `spec.validatorConfig.peerPort`.
const DEEPEST: usize = 3;

/// Removes nulls where the schema allows none, as the API server does before validation (apiextensions-apiserver,
/// `PruneNonNullableNullsWithoutDefaults`; with a default, the default replaces the null).
pub(crate) fn prune(schema: &JSONSchemaProps, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, value| !value.is_null() || field(schema, name).is_none_or(is_nullable));
            for (name, value) in fields {
                if let Some(schema) = field(schema, name) {
                    prune(schema, value);
                }
            }
        }
        Value::Array(items) => {
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                items.iter_mut().for_each(|item| prune(schema, item));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All schema errors of a new, pruned object.
pub(crate) fn check(schema: &JSONSchemaProps, object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if let Some(fields) = object.as_object() {
        let judged = fields.iter().filter(|(name, _)| !NOT_OURS.contains(&name.as_str()));
        let judged: Map<String, Value> = judged.map(|(name, value)| (name.clone(), value.clone())).collect();
        check_fields(schema, &judged, "", &mut errors);
    }
    for error in errors.iter_mut().filter(|error| error.message == UNKNOWN) {
        if let Some(hint) = hint(schema, &error.field) {
            error.message = format!("unknown field{hint}");
        }
    }
    errors
}

/// What the author of an unknown field may have meant: a field with a similar name there, or one of this name in
/// another place.
fn hint(root: &JSONSchemaProps, path: &str) -> Option<String> {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let known = at(root, parent)?.properties.as_ref()?.keys();
    let most = MOST_EDITS.min(name.len() / 2);
    let edits = |other: &String| distance(&other.to_lowercase(), &name.to_lowercase(), most);
    let near = known.filter_map(|other| Some((edits(other)?, other)));
    if let Some((_, near)) = near.min() {
        return Some(format!(
            ": did you mean {near}? kubectl refuses it, and what other clients send of it is lost"
        ));
    }
    let place = place_of(root, name, DEEPEST)?;
    Some(format!(" in this place: write it as {place}"))
}

/// The schema of the field with this path.
fn at<'a>(root: &'a JSONSchemaProps, path: &str) -> Option<&'a JSONSchemaProps> {
    let mut segments = path.split('.').filter(|segment| !segment.is_empty());
    segments.try_fold(root, |schema, segment| {
        let (name, is_item) = match segment.split_once('[') {
            Some((name, _)) => (name, true),
            None => (segment, false),
        };
        let found = field(schema, name)?;
        match &found.items {
            Some(JSONSchemaPropsOrArray::Schema(item)) if is_item => Some(&**item),
            _ => Some(found),
        }
    })
}

/// The path of the field of this name that is the fewest levels deep, among the fields that are ours.
fn place_of(schema: &JSONSchemaProps, name: &str, levels: usize) -> Option<String> {
    let known = schema.properties.as_ref().filter(|_| levels > 0)?;
    if known.contains_key(name) {
        return Some(name.to_owned());
    }
    let ours = known.iter().filter(|(field, _)| !NOT_OURS.contains(&field.as_str()));
    let found = ours.filter_map(|(field, schema)| Some(format!("{field}.{}", place_of(schema, name, levels - 1)?)));
    found.min_by_key(|path| path.matches('.').count())
}

fn is_nullable(schema: &JSONSchemaProps) -> bool {
    schema.nullable == Some(true)
}

/// The schema of a field, or of each value of a map.
fn field<'a>(schema: &'a JSONSchemaProps, name: &str) -> Option<&'a JSONSchemaProps> {
    let each = match &schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(each)) => Some(&**each),
        Some(JSONSchemaPropsOrBool::Bool(_)) | None => None,
    };
    let named = schema.properties.as_ref().and_then(|known| known.get(name));
    named.or(each)
}

fn check_value(schema: &JSONSchemaProps, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && is_nullable(schema) {
        return;
    }
    if let Some(expected) = wrong_type(schema, value) {
        errors.push(FieldError::invalid(path, format!("{} is not {expected}", shown(value))));
        return;
    }
    check_choice(schema, value, path, errors);
    match value {
        Value::Number(number) => check_range(schema, number.as_f64(), value, path, errors),
        Value::String(text) => check_length(schema, text, path, errors),
        Value::Array(items) => {
            check_count(schema, items, path, errors);
            if let Some(JSONSchemaPropsOrArray::Schema(schema)) = &schema.items {
                for (index, item) in items.iter().enumerate() {
                    check_value(schema, item, &format!("{path}[{index}]"), errors);
                }
            }
        }
        Value::Object(fields) => check_fields(schema, fields, path, errors),
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_fields(schema: &JSONSchemaProps, fields: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let child = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    for name in schema.required.iter().flatten() {
        if !fields.contains_key(name) {
            let message = "absent: it must be written, see kubectl explain stellarnode.spec";
            errors.push(FieldError::required(child(name), message));
        }
    }
    for (name, value) in fields {
        let path = child(name);
        if let Some(schema) = field(schema, name) {
            check_value(schema, value, &path, errors);
        } else if schema.x_kubernetes_preserve_unknown_fields != Some(true) {
            errors.push(FieldError::forbidden(path, UNKNOWN));
        }
    }
}

/// The expected type, if the value has another one.
fn wrong_type(schema: &JSONSchemaProps, value: &Value) -> Option<&'static str> {
    if schema.x_kubernetes_int_or_string == Some(true) {
        return (!value.is_i64() && !value.is_string()).then_some("a whole number or a text");
    }
    let (fits, expected) = match schema.type_.as_deref()? {
        "string" => (value.is_string(), "a text: put it in quotes"),
        "integer" => (is_whole(value), "a whole number: write it without quotes"),
        "number" => (value.is_number(), "a number: write it without quotes"),
        "boolean" => (value.is_boolean(), "true or false, without quotes"),
        "array" => (value.is_array(), "a list"),
        "object" => (value.is_object(), "a map of fields"),
        _ => (true, ""),
    };
    (!fits).then_some(expected)
}

/// A number without a fraction, including one written as `1.0`.
fn is_whole(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn check_choice(schema: &JSONSchemaProps, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let choices: Vec<&Value> = schema.enum_.iter().flatten().map(|choice| &choice.0).collect();
    if !choices.is_empty() && !choices.contains(&value) {
        let choices: Vec<String> = choices.into_iter().map(shown).collect();
        let message = format!("{} is not supported: write one of {}", shown(value), choices.join(", "));
        errors.push(FieldError::invalid(path, message));
    }
}

fn check_range(schema: &JSONSchemaProps, number: Option<f64>, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let Some(number) = number else {
        return;
    };
    if let Some(least) = schema.minimum.filter(|least| number < *least) {
        errors.push(FieldError::invalid(
            path,
            format!("{value} is too small: write {least} or more"),
        ));
    }
    if let Some(most) = schema.maximum.filter(|most| number > *most) {
        errors.push(FieldError::invalid(
            path,
            format!("{value} is too large: write {most} or less"),
        ));
    }
}

fn check_length(schema: &JSONSchemaProps, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if schema.min_length.is_some_and(|least| length < least) {
        errors.push(FieldError::invalid(path, "empty: write a value"));
    }
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        errors.push(FieldError::invalid(path, format!("longer than {most} characters")));
    }
}

fn check_count(schema: &JSONSchemaProps, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let count = i64::try_from(items.len()).unwrap_or(i64::MAX);
    if schema.min_items.is_some_and(|least| count < least) {
        errors.push(FieldError::invalid(path, "an empty list: write an entry"));
    }
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        errors.push(FieldError::invalid(path, format!("more than {most} entries")));
    }
}

/// A value in short form: a whole object would make the message unreadable.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a map of fields".to_owned(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
