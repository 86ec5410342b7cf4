//! Edits the JSON of reviews of a real API server.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Map, Value, json};

use crate::inputs::{Body, bodies};
use crate::values::{TWICE, any_json, field, name, write};

/// The edited parts of a review; a repeated part is edited more often.
const PARTS: [&str; 14] = [
    "",
    "/request",
    "/request/kind",
    "/request/object",
    "/request/object/metadata",
    "/request/object/metadata",
    "/request/object/spec",
    "/request/object/spec",
    "/request/object/spec/validatorConfig",
    "/request/object/spec/template/spec",
    "/request/object/spec/template/spec/containers",
    "/request/object/spec/template/spec/containers",
    "/request/oldObject",
    "/request/oldObject/spec",
];

/// The part of a review and the value in it that is edited.
#[derive(Clone, Debug)]
struct Place {
    part: &'static str,
    value: Index,
}

/// An edit of a review.
#[derive(Clone, Debug)]
enum Edit {
    /// Sets a field that the rules read, in the object or in the old object.
    Set(bool, &'static str, Value),
    Replace(Place, Value),
    Copy(Place, Place),
    Remove(Place, Index),
    Rename(Place, Index, String),
    Insert(Place, Index, String, Value),
    /// Duplicates an entry of a list or a key of an object.
    Repeat(Place, Index),
    /// Copies the object to the old object, so that later edits are the changes of an update.
    Update,
}

impl Edit {
    fn apply(&self, review: &mut Value) {
        match self {
            Self::Set(old, field, value) => {
                let object = if *old { "/request/oldObject" } else { "/request/object" };
                if let Some(object) = review.pointer_mut(object) {
                    set(object, field, value.clone());
                }
            }
            Self::Replace(place, value) => *place.find(review) = value.clone(),
            Self::Copy(from, to) => {
                let copy = from.find(review).clone();
                *to.find(review) = copy;
            }
            Self::Remove(place, entry) => match place.collection(review) {
                Value::Array(list) if !list.is_empty() => drop(list.remove(entry.index(list.len()))),
                Value::Object(map) => drop(key(map, entry).and_then(|key| map.remove(&key))),
                _ => {}
            },
            Self::Rename(place, entry, name) => {
                if let Value::Object(map) = place.collection(review)
                    && let Some(value) = key(map, entry).and_then(|key| map.remove(&key))
                {
                    map.insert(name.clone(), value);
                }
            }
            Self::Insert(place, entry, name, value) => match place.collection(review) {
                Value::Array(list) => list.insert(entry.index(list.len() + 1), value.clone()),
                Value::Object(map) => drop(map.insert(name.clone(), value.clone())),
                _ => {}
            },
            Self::Repeat(place, entry) => match place.collection(review) {
                Value::Array(list) if !list.is_empty() => list.push(list[entry.index(list.len())].clone()),
                Value::Object(map) => {
                    if let Some(key) = key(map, entry) {
                        map.insert(format!("{TWICE}{key}"), map[&key].clone());
                    }
                }
                _ => {}
            },
            Self::Update => {
                if let Some(request) = review.get_mut("request").and_then(Value::as_object_mut) {
                    request.insert("operation".to_owned(), json!("UPDATE"));
                    let object = request.get("object").cloned().unwrap_or_default();
                    request.insert("oldObject".to_owned(), object);
                }
            }
        }
    }
}

impl Place {
    fn find<'a>(&self, review: &'a mut Value) -> &'a mut Value {
        self.find_among(review, |_| true)
    }

    fn collection<'a>(&self, review: &'a mut Value) -> &'a mut Value {
        self.find_among(review, |value| value.is_object() || value.is_array())
    }

    fn find_among<'a>(&self, review: &'a mut Value, wanted: fn(&Value) -> bool) -> &'a mut Value {
        let part = if review.pointer(self.part).is_some() {
            self.part
        } else {
            ""
        };
        let Some(part) = review.pointer_mut(part) else {
            unreachable!("the whole always exists");
        };
        let mut found = Vec::new();
        walk(part, &mut Vec::new(), &mut found, wanted);
        let Some(path) = found.get(self.value.index(found.len().max(1))) else {
            return part;
        };
        path.iter().fold(part, |value, step| match value {
            Value::Array(list) => &mut list[*step],
            Value::Object(map) => map.values_mut().nth(*step).expect("the path was found before"),
            _ => unreachable!("only collections have parts"),
        })
    }
}

/// Finds the paths to all wanted values, each as indices of entries. `managedFields` counts as one value.
fn walk(value: &Value, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>, wanted: fn(&Value) -> bool) {
    if wanted(value) {
        found.push(path.clone());
    }
    let parts: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| if key == "managedFields" { &Value::Null } else { value })
            .collect(),
        _ => return,
    };
    for (step, part) in parts.into_iter().enumerate() {
        path.push(step);
        walk(part, path, found, wanted);
        path.pop();
    }
}

fn key(map: &Map<String, Value>, entry: &Index) -> Option<String> {
    map.keys().nth(entry.index(map.len().max(1))).cloned()
}

/// Writes a field and the missing objects above it. A value that is no object stays, and the field is not written.
fn set(mut object: &mut Value, pointer: &str, value: Value) {
    for token in pointer.split('/').skip(1) {
        if object.is_null() {
            *object = json!({});
        }
        let Value::Object(map) = object else { return };
        object = map.entry(token.replace("~1", "/")).or_insert(Value::Null);
    }
    *object = value;
}

/// Captured reviews with edits that keep valid JSON.
pub(crate) fn edited() -> BoxedStrategy<Body> {
    let reviews = bodies()
        .into_iter()
        .map(|body| serde_json::from_slice(&body.0).expect("JSON"));
    let reviews: Vec<Value> = reviews.collect();
    let place = || (select(PARTS.to_vec()), any::<Index>()).prop_map(|(part, value)| Place { part, value });
    let at = any::<Index>;
    let edit = prop_oneof![
        8 => (prop::bool::weighted(0.2), field()).prop_map(|(old, (field, value))| Edit::Set(old, field, value)),
        3 => (place(), any_json()).prop_map(|(place, value)| Edit::Replace(place, value)),
        1 => (place(), place()).prop_map(|(from, to)| Edit::Copy(from, to)),
        3 => (place(), at()).prop_map(|(place, entry)| Edit::Remove(place, entry)),
        1 => (place(), at(), name()).prop_map(|(place, entry, name)| Edit::Rename(place, entry, name)),
        3 => (place(), at(), name(), any_json()).prop_map(|(place, entry, name, value)| Edit::Insert(place, entry, name, value)),
        1 => (place(), at()).prop_map(|(place, entry)| Edit::Repeat(place, entry)),
        2 => Just(Edit::Update),
    ];
    (select(reviews), prop::collection::vec(edit, 1..6))
        .prop_map(|(mut review, edits)| {
            for edit in edits {
                edit.apply(&mut review);
            }
            write(&review)
        })
        .boxed()
}
