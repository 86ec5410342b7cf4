//! The wire, inwards: `AdmissionReview` of `admission.k8s.io/v1`.
//!
//! The envelope is borrowed from the body and the object in it stays untyped JSON, so that fields of API versions newer
//! than ours pass through unharmed. Nothing here knows what a StellarNode is.

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
/// Longest sentence about a body that is no review: it repeats parts of the body.
const SENTENCE: usize = 500;

/// Why a body is no review that can be decided; each is one sentence.
#[derive(Debug, thiserror::Error)]
pub enum BadReview {
    /// The body is not text.
    #[error("the body is not UTF-8: send an AdmissionReview as JSON")]
    Utf8(#[from] std::str::Utf8Error),
    /// The body is not JSON, or not of the shape of a review.
    #[error("the body is not an AdmissionReview: {0}")]
    Json(#[source] serde_json::Error),
    /// The body is JSON of another form.
    #[error("the body is not a JSON object: send an {KIND}")]
    NotObject,
    /// The body is JSON of another kind.
    #[error("the kind is {0:?}: send an {KIND}")]
    Kind(String),
    /// The body is a review of another version.
    #[error("the apiVersion is {0:?}: this webhook speaks {API_VERSION}")]
    Version(String),
    /// The review asks nothing.
    #[error("the review has no request")]
    NoRequest,
    /// The answer could not be told from others.
    #[error("request.uid is empty")]
    NoUid,
    /// The object to decide on is absent.
    #[error("request.{0} is absent, which {1} needs")]
    NoObject(&'static str, Operation),
    /// The object is JSON of another form.
    #[error("request.{0} is not a JSON object")]
    ObjectForm(&'static str),
    /// The object is not what the request says that it is: by whose rules would it be judged?
    #[error("request.{field} is of kind {found:?}, and request.kind says {said:?}")]
    ObjectKind {
        /// Which object.
        field: &'static str,
        /// What the object says.
        found: String,
        /// What the request says.
        said: String,
    },
    /// The object is JSON that cannot be read, for example nested too deeply or with one key twice.
    #[error("request.{0} cannot be read: {1}")]
    Object(&'static str, #[source] serde_json::Error),
}

impl BadReview {
    /// The sentence, in one line of bounded length, whatever the body said.
    pub fn sentence(&self) -> String {
        one_line(self.to_string()).chars().take(SENTENCE).collect()
    }
}

/// A review whose envelope is sound.
#[derive(Debug)]
pub struct Review<'a> {
    /// What is asked.
    pub request: Request<'a>,
}

/// The part of `request` that is needed.
#[derive(Debug)]
pub struct Request<'a> {
    /// Goes back in the response.
    pub uid: Cow<'a, str>,
    /// What kind of object it is.
    pub kind: GroupVersionKind<'a>,
    /// `status`, `scale` and the like; absent or empty for the object itself.
    pub sub_resource: Option<Cow<'a, str>>,
    /// Name of the object; empty on a create with `generateName`.
    pub name: Option<Cow<'a, str>>,
    /// Namespace of the object.
    pub namespace: Option<Cow<'a, str>>,
    /// What is to be done.
    pub operation: Operation,
    object: Option<Object<'a>>,
    old_object: Option<Object<'a>>,
}

/// An object in a request.
#[derive(Debug)]
enum Object<'a> {
    /// Read with the rest of the review.
    Read(Value),
    /// Left as it is, to be read where it is asked for.
    Raw(&'a RawValue),
}

/// Group, version and kind of an object.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct GroupVersionKind<'a> {
    /// API group; empty for the core group.
    #[serde(borrow, default)]
    pub group: Cow<'a, str>,
    /// Version in the group.
    #[serde(borrow, default)]
    pub version: Cow<'a, str>,
    /// Kind, in the singular.
    #[serde(borrow, default)]
    pub kind: Cow<'a, str>,
}

/// What a request does.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// A change of a stored object.
    Update,
    /// The end of an object.
    Delete,
    /// A call through an object, `exec` and the like.
    Connect,
}

impl std::fmt::Display for Operation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        })
    }
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

/// A request whose objects are read as `O`.
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

/// A request with all that is in it, which serde would read from a list, too.
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

/// Reads the envelope of a review.
///
/// # Errors
/// When the body is no review of the one version there is, or lacks what an answer needs.
pub fn parse(body: &[u8]) -> Result<Review<'_>, BadReview> {
    let text = std::str::from_utf8(body)?;
    match parse_at_once(text) {
        Some(review) => Ok(review),
        None => parse_in_steps(text),
    }
}

/// Reads a sound review in one pass, which is what costs; `None` where anything is amiss.
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

/// Reads a review part by part, each only once the one around it is known to be right: else its shape would be blamed
/// for a wrong kind, and an object that nobody asks for would be held to anything.
pub(crate) fn parse_in_steps(text: &str) -> Result<Review<'_>, BadReview> {
    let envelope: Envelope<'_, &RawValue> = serde_json::from_str(text).map_err(BadReview::Json)?;
    // serde reads a struct from a list, too.
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
    /// Takes out the object as it would be stored, without its managedFields; a second time it is absent.
    ///
    /// # Errors
    /// When it is absent, cannot be read, or is of another kind than the request says.
    pub fn take_object(&mut self) -> Result<Value, BadReview> {
        let object = self.object.take();
        self.read("object", object)
    }

    /// Takes out the object as it is stored, on an update; a second time it is absent.
    ///
    /// # Errors
    /// When it is an update and the object is absent, cannot be read, or is of another kind than the request says.
    pub fn take_old_object(&mut self) -> Result<Option<Value>, BadReview> {
        if self.operation == Operation::Update {
            let object = self.old_object.take();
            self.read("oldObject", object).map(Some)
        } else {
            Ok(None)
        }
    }

    /// Whether the request is about the object itself, not about `status`, `scale` or another part of it.
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
