//! Parses JSON without duplicate keys and with a limit on the number of values.
//!
//! Of two values for one key, `serde_json` keeps the last and another reader might keep the first, so neither can be
//! checked. The limit bounds memory: a few bytes of text become hundreds in memory, since `{"":0}` is a map of its own.

use std::cell::Cell;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

/// Most values of one object: list elements and map fields. Real objects have a few hundred. Each value takes at most
/// 640 bytes, those of a map with one field.
pub(crate) const MOST_VALUES: usize = 20_000;

/// A [`Value`] from JSON without duplicate keys.
pub(crate) struct Strict(pub(crate) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(What::Inside, deserializer).map(Self)
    }
}

/// A [`Strict`] Kubernetes object without its `metadata.managedFields`. No rule reads managedFields, and they are often
/// the larger half of an object. They must be valid JSON, nothing more.
pub(crate) struct StrictObject(pub(crate) Value);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(What::Object, deserializer).map(Self)
    }
}

fn read<'de, D: Deserializer<'de>>(what: What, deserializer: D) -> Result<Value, D::Error> {
    let left = Cell::new(MOST_VALUES);
    Place { what, left: &left }.deserialize(deserializer)
}

/// Kind of the value that is parsed.
#[derive(Clone, Copy)]
enum What {
    Object,
    Metadata,
    Inside,
}

/// Kind of the value, and the number of values still allowed.
#[derive(Clone, Copy)]
struct Place<'a> {
    what: What,
    left: &'a Cell<usize>,
}

impl Place<'_> {
    /// The seed of a nested value.
    fn inside<E: Error>(self, what: What) -> Result<Self, E> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(Self { what, ..self })
            }
            None => Err(E::custom(format_args!("it holds more than {MOST_VALUES} values"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self.inside(What::Inside)?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut left_out = false;
        while let Some(key) = fields.next_key::<String>()? {
            let what = match (self.what, key.as_str()) {
                (What::Object, "metadata") => What::Metadata,
                (What::Metadata, "managedFields") => {
                    if left_out {
                        return Err(twice(&key));
                    }
                    left_out = true;
                    fields.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => What::Inside,
            };
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(fields.next_value_seed(self.inside(what)?)?);
                }
                Entry::Occupied(entry) => return Err(twice(entry.key())),
            }
        }
        Ok(Value::Object(map))
    }
}

fn twice<E: Error>(key: &str) -> E {
    E::custom(format_args!("key {key:?} is given twice"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        serde_json::from_str(text)
            .map(|Strict(value)| value)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_twice_is_an_error_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"[{"b":{"a":1,"c":2,"a":3}}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            assert!(read(text).unwrap_err().contains(r#"key "a" is given twice"#), "{text}");
        }
        assert!(read(r#"{"a":{"a":1},"b":[{"a":1},{"a":1}]}"#).is_ok());
    }

    fn read_object(text: &str) -> Result<Value, String> {
        serde_json::from_str(text)
            .map(|StrictObject(value)| value)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn managed_fields_are_left_out() {
        let object =
            |managed: &str| format!(r#"{{"metadata":{{"name":"a","managedFields":{managed}}},"managedFields":[1]}}"#);
        for managed in [
            "[]",
            "null",
            r#"[{"fieldsV1":{"f:a":{".":{},"k:{\"b\":1}":-1.5e3}}}]"#,
            r#"[{"f:a":{},"f:a":{}}]"#,
        ] {
            let read = read_object(&object(managed)).unwrap();
            assert_eq!(read.to_string(), r#"{"managedFields":[1],"metadata":{"name":"a"}}"#);
        }
        assert!(
            read_object(&object(r#"[],"managedFields":[]"#))
                .unwrap_err()
                .contains("is given twice")
        );
        assert!(read_object(&object(r#"[{"f:a":}]"#)).is_err(), "it is no JSON");
    }

    #[test]
    fn what_holds_too_many_values_is_an_error() {
        let list = |length: usize| format!("[{}]", vec![r#"{"":0}"#; length].join(","));
        // Each is an element and holds a field; one more place is asked for where a list ends.
        assert!(read(&list(MOST_VALUES / 2 - 1)).is_ok());
        for text in [list(MOST_VALUES / 2 + 1), list(600_000)] {
            assert!(read(&text).unwrap_err().contains("more than 20000 values"));
        }
        let managed = format!(r#"{{"metadata":{{"managedFields":{}}}}}"#, list(MOST_VALUES));
        assert!(read_object(&managed).is_ok(), "they are left out");
    }

    #[test]
    fn what_nests_too_deeply_is_an_error() {
        assert!(read(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn other_json_is_read_as_serde_json_reads_it(value in any_json()) {
            let text = value.to_string();
            prop_assert_eq!(read(&text).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
        }
    }
}
