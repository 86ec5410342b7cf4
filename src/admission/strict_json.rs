//! JSON in which no object names one key twice.
//!
//! Of two values for one key `serde_json` keeps the last and another reader might keep the first; an object that means
//! two things is judged by neither.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Value};

/// A [`Value`] that is read only from JSON without duplicate keys.
pub(super) struct Strict(pub(super) Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place::Inside.deserialize(deserializer).map(Self)
    }
}

/// The same of a Kubernetes object, without its `metadata.managedFields`: no rule reads them, and they are often the larger
/// half of it. They are held to the same strictness.
pub(super) struct StrictObject(pub(super) Value);

impl<'de> Deserialize<'de> for StrictObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Place::Object.deserialize(deserializer).map(Self)
    }
}

/// Which value is read.
#[derive(Clone, Copy)]
enum Place {
    /// A Kubernetes object.
    Object,
    /// Its `metadata`.
    Metadata,
    /// Anything else.
    Inside,
}

impl<'de> DeserializeSeed<'de> for Place {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place {
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
        while let Some(item) = items.next_element_seed(Self::Inside)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut left_out = false;
        while let Some(key) = fields.next_key::<String>()? {
            let place = match (self, key.as_str()) {
                (Self::Object, "metadata") => Self::Metadata,
                (Self::Metadata, "managedFields") => {
                    if left_out {
                        return Err(twice(&key));
                    }
                    left_out = true;
                    fields.next_value::<StrictIgnored>()?;
                    continue;
                }
                _ => Self::Inside,
            };
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(fields.next_value_seed(place)?);
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

/// What is read as [`Strict`] is, and forgotten.
struct StrictIgnored;

impl<'de> Deserialize<'de> for StrictIgnored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for StrictIgnored {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self, A::Error> {
        while items.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self, A::Error> {
        let mut keys = Keys::default();
        while let Some(Key(key)) = fields.next_key()? {
            keys.insert(key)?;
            fields.next_value::<Self>()?;
        }
        Ok(self)
    }
}

/// A key, of the text itself where that has it without escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

/// The keys of one object so far. Few are compared one by one; many are not, or their number squared would be the price.
#[derive(Default)]
struct Keys<'de> {
    few: Vec<Cow<'de, str>>,
    many: BTreeSet<Cow<'de, str>>,
}

impl<'de> Keys<'de> {
    const FEW: usize = 16;

    fn insert<E: Error>(&mut self, key: Cow<'de, str>) -> Result<(), E> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(twice(&key));
        }
        if self.few.len() < Self::FEW {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
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
    fn managed_fields_are_held_to_it_and_left_out() {
        let object =
            |managed: &str| format!(r#"{{"metadata":{{"name":"a","managedFields":{managed}}},"managedFields":[1]}}"#);
        let many: Vec<String> = (0..40).map(|number| format!(r#""k\u003a{number}":{{}}"#)).collect();
        for managed in [
            "[]",
            "null",
            r#"[{"fieldsV1":{"f:a":{".":{},"k:{\"b\":1}":-1.5e3}}}]"#,
            &format!("{{{}}}", many.join(",")),
        ] {
            let read = read_object(&object(managed)).unwrap();
            assert_eq!(read.to_string(), r#"{"managedFields":[1],"metadata":{"name":"a"}}"#);
        }
        let (first, last) = (&many[0], &many[39]);
        for managed in [
            r#"[{"f:a":{},"f:b":{},"f:a":{}}]"#,
            r#"[{"f:a":{},"f\u003aa":{}}]"#,
            r#"[],"managedFields":[]"#,
            &format!("{{{},{last}}}", many.join(",")),
            &format!("{{{},{first}}}", many.join(",")),
        ] {
            assert!(
                read_object(&object(managed)).unwrap_err().contains("is given twice"),
                "{managed}"
            );
        }
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

        #[test]
        fn managed_fields_are_taken_where_other_json_is(value in any_json(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = value.to_string().into_bytes();
            let place = at.index(bytes.len());
            bytes[place] = byte;
            let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
            let within = |key: &str| format!(r#"{{"metadata":{{"{key}":{text}}}}}"#);
            prop_assert_eq!(read_object(&within("managedFields")).is_ok(), read_object(&within("labels")).is_ok());
        }
    }
}
