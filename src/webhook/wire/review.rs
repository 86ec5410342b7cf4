//! Parses an `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! The envelope borrows from the body. The object stays untyped JSON, so fields of newer API versions pass through
//! unchanged. This module has no rules about StellarNodes.

use std::borrow::Cow;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::response::one_line;
use super::strict_json::StrictObject;

pub(crate) const API_VERSION: &str = "admission.k8s.io/v1";
pub(crate) const KIND: &str = "AdmissionReview";
/// Longest sentence about an invalid review. It quotes the body.
const SENTENCE: usize = 500;

/// The body is not a valid review; each message is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    #[error("the body is not UTF-8: send an AdmissionReview as JSON")]
    Utf8(#[from] std::str::Utf8Error),
    /// The body is not JSON, or not shaped like a review.
    #[error("the body is not an AdmissionReview: {0}")]
    Json(#[source] serde_json::Error),
    #[error("the body is not a JSON object: send an {KIND}")]
    NotObject,
    #[error("the kind is {0:?}: send an {KIND}")]
    Kind(String),
    #[error("the apiVersion is {0:?}: this webhook speaks {API_VERSION}")]
    Version(String),
    #[error("the review has no request")]
    NoRequest,
    /// Without a uid, the API server cannot match the answer.
    #[error("request.uid is empty")]
    NoUid,
    #[error("request.{0} is absent, which {1} needs")]
    NoObject(&'static str, Operation),
    #[error("request.{0} is not a JSON object")]
    ObjectForm(&'static str),
    /// The kind of the object differs from that in the request, so it is unclear which rules apply.
    #[error("request.{field} is of kind {found:?}, and request.kind says {said:?}")]
    ObjectKind {
        field: &'static str,
        found: String,
        said: String,
    },
    /// The object cannot be parsed, for example nested too deeply or with a duplicate key.
    #[error("request.{0} cannot be read: {1}")]
    Object(&'static str, #[source] serde_json::Error),
}

impl BadReview {
    /// The message on one line of bounded length, for any body.
    pub fn sentence(&self) -> String {
        one_line(self.to_string()).chars().take(SENTENCE).collect()
    }
}

/// A review with a valid envelope.
#[derive(Debug)]
pub struct Review<'a> {
    pub request: Request<'a>,
}

/// The needed part of `request`.
#[derive(Debug)]
pub struct Request<'a> {
    /// Copied into the response.
    pub uid: Cow<'a, str>,
    pub kind: GroupVersionKind<'a>,
    /// `status`, `scale` and the like; absent or empty for the object itself.
    pub sub_resource: Option<Cow<'a, str>>,
    /// Name of the object; empty on a create with `generateName`.
    pub name: Option<Cow<'a, str>>,
    pub namespace: Option<Cow<'a, str>>,
    pub operation: Operation,
    object: Option<Object<'a>>,
    old_object: Option<Object<'a>>,
}

#[derive(Debug)]
enum Object<'a> {
    /// Parsed with the rest of the review.
    Read(Value),
    /// Not parsed yet.
    Raw(&'a RawValue),
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct GroupVersionKind<'a> {
    /// API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    #[serde(borrow, default)]
    pub version: Cow<'a, str>,
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, strum::Display)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum Operation {
    Create,
    Update,
    Delete,
    /// A call through an object, such as `exec`.
    Connect,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a, R: Deserialize<'de>"))]
struct Envelope<'a, R> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(default)]
    request: Option<R>,
}

/// A request with objects of type `O`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a, O: Deserialize<'de>"))]
struct Wire<'a, O> {
    #[serde(borrow, default)]
    uid: Cow<'a, str>,
    #[serde(borrow, default)]
    kind: GroupVersionKind<'a>,
    #[serde(borrow, default)]
    sub_resource: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    namespace: Option<Cow<'a, str>>,
    operation: Operation,
    #[serde(default = "Option::default")]
    object: Option<O>,
    #[serde(default = "Option::default")]
    old_object: Option<O>,
}

/// A request with its objects parsed. serde would also accept a list for this struct, so it is read as a map only.
struct AtOnce<'a>(Wire<'a, StrictObject>);

impl<'de: 'a, 'a> Deserialize<'de> for AtOnce<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OfMap<'a>(PhantomData<&'a ()>);

        impl<'de: 'a, 'a> Visitor<'de> for OfMap<'a> {
            type Value = AtOnce<'a>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a request")
            }

            fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<AtOnce<'a>, A::Error> {
                Wire::deserialize(MapAccessDeserializer::new(fields)).map(AtOnce)
            }
        }

        deserializer.deserialize_map(OfMap(PhantomData))
    }
}

/// Parses the envelope of a review.
pub fn parse(body: &[u8]) -> Result<Review<'_>, BadReview> {
    let text = std::str::from_utf8(body)?;
    match parse_at_once(text) {
        Some(review) => Ok(review),
        None => parse_in_steps(text),
    }
}

/// Parses a valid review in one pass, the fast path; `None` if anything is wrong with it.
pub(crate) fn parse_at_once(text: &str) -> Option<Review<'_>> {
    let envelope: Envelope<'_, AtOnce<'_>> = serde_json::from_str(text).ok()?;
    let sound = text.trim_start().starts_with('{') && envelope.kind == KIND && envelope.api_version == API_VERSION;
    let AtOnce(request) = envelope.request.filter(|_| sound)?;
    let read = |StrictObject(object)| Object::Read(object);
    Some(Review {
        request: request.with(read),
    })
    .filter(|review| !review.request.uid.is_empty())
}

/// Parses a review step by step, the inner part only after the outer part is valid. Otherwise a wrong kind would be
/// reported as a wrong shape, and an unused object could fail the review.
pub(crate) fn parse_in_steps(text: &str) -> Result<Review<'_>, BadReview> {
    let envelope: Envelope<'_, &RawValue> = serde_json::from_str(text).map_err(BadReview::Json)?;
    // serde also accepts a list for a struct.
    if !text.trim_start().starts_with('{') {
        return Err(BadReview::NotObject);
    }
    if envelope.kind != KIND {
        return Err(BadReview::Kind(envelope.kind.into_owned()));
    }
    if envelope.api_version != API_VERSION {
        return Err(BadReview::Version(envelope.api_version.into_owned()));
    }
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    let request = envelope.request.filter(is_object).ok_or(BadReview::NoRequest)?;
    let request: Wire<'_, &RawValue> = serde_json::from_str(request.get()).map_err(BadReview::Json)?;
    if request.uid.is_empty() {
        return Err(BadReview::NoUid);
    }
    Ok(Review {
        request: request.with(Object::Raw),
    })
}

impl<'a, O> Wire<'a, O> {
    fn with(self, object_of: fn(O) -> Object<'a>) -> Request<'a> {
        Request {
            uid: self.uid,
            kind: self.kind,
            sub_resource: self.sub_resource,
            name: self.name,
            namespace: self.namespace,
            operation: self.operation,
            object: self.object.map(object_of),
            old_object: self.old_object.map(object_of),
        }
    }
}

impl Request<'_> {
    /// Takes the object to be stored, without managedFields. A second call finds no object.
    pub fn take_object(&mut self) -> Result<Value, BadReview> {
        let object = self.object.take();
        self.read("object", object)
    }

    /// Takes the stored object, on an update. A second call finds no object.
    pub fn take_old_object(&mut self) -> Result<Option<Value>, BadReview> {
        if self.operation == Operation::Update {
            let object = self.old_object.take();
            self.read("oldObject", object).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the request is for the object itself, not for a subresource such as `status` or `scale`.
    pub fn is_whole_object(&self) -> bool {
        self.sub_resource.as_deref().is_none_or(str::is_empty)
    }

    fn read(&self, field: &'static str, object: Option<Object<'_>>) -> Result<Value, BadReview> {
        let object = match object.ok_or(BadReview::NoObject(field, self.operation))? {
            Object::Read(object) => object,
            Object::Raw(raw) => {
                let read = serde_json::from_str(raw.get()).map(|StrictObject(object)| object);
                read.map_err(|error| BadReview::Object(field, error))?
            }
        };
        if !object.is_object() {
            return Err(BadReview::ObjectForm(field));
        }
        let found = object["kind"].as_str().unwrap_or_default();
        if found != self.kind.kind {
            return Err(BadReview::ObjectKind {
                field,
                found: found.to_owned(),
                said: self.kind.kind.to_string(),
            });
        }
        Ok(object)
    }
}
