//! Keeps `caBundle` in the MutatingWebhookConfiguration and the ValidatingWebhookConfiguration of one name.
//!
//! Only `caBundle` is written, and only in configurations of this name. A missing configuration is reported and never
//! created: deleting it is an administrator's emergency brake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch as JsonPatch;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::api::{Api, ApiResource, DynamicObject, Patch};
use serde_json::{Value, json};
use tracing::info;

use crate::kubernetes::api::{ApiError, deadline, merge};
use crate::labels;

/// State of both configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleState {
    pub missing: Vec<&'static str>,
    pub different: Vec<&'static str>,
}

impl BundleState {
    /// Whether every existing configuration has the bundle, so that no call of the API server fails for lack of trust.
    pub fn is_in_force(&self) -> bool {
        self.different.is_empty()
    }
}

/// State of one configuration before a write.
enum Before {
    Missing,
    Different,
    Same,
}

/// The two webhook configurations of one name.
#[derive(Clone, Debug)]
pub struct Configurations {
    name: String,
    apis: [(&'static str, Api<DynamicObject>); 2],
}

impl Configurations {
    /// The configurations called `name`; this reads nothing yet.
    pub fn new(client: &kube::Client, name: &str) -> Self {
        let mutating = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        let validating = ApiResource::erase::<ValidatingWebhookConfiguration>(&());
        Self {
            name: name.to_owned(),
            apis: [
                ("MutatingWebhookConfiguration", Api::all_with(client.clone(), &mutating)),
                (
                    "ValidatingWebhookConfiguration",
                    Api::all_with(client.clone(), &validating),
                ),
            ],
        }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks whether both contain `bundle`.
    pub async fn look(&self, bundle: &str) -> Result<BundleState, ApiError> {
        let mut found = BundleState::default();
        for (kind, api) in &self.apis {
            match deadline(api.get_opt(&self.name)).await? {
                None => found.missing.push(kind),
                Some(object) if repair(&object, bundle).is_some() => found.different.push(kind),
                Some(_) => {}
            }
        }
        Ok(found)
    }

    /// Writes `bundle` into both where it is missing, and returns the state before the write.
    ///
    /// A conflict on one configuration is left for the next round. A failed write of one does not prevent that of the
    /// other.
    pub async fn put(&self, bundle: &str) -> Result<BundleState, ApiError> {
        let mut found = BundleState::default();
        let mut failure = None;
        for (kind, api) in &self.apis {
            match self.put_into(kind, api, bundle).await {
                Ok(Before::Missing) => found.missing.push(kind),
                Ok(Before::Different) => found.different.push(kind),
                Ok(Before::Same) => {}
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(found), Err)
    }

    async fn put_into(&self, kind: &str, api: &Api<DynamicObject>, bundle: &str) -> Result<Before, ApiError> {
        let Some(object) = deadline(api.get_opt(&self.name)).await? else {
            return Ok(Before::Missing);
        };
        let Some(patch) = repair(&object, bundle) else {
            return Ok(Before::Same);
        };
        match deadline(api.patch(&self.name, &merge(labels::MANAGER), &Patch::<()>::Json(patch))).await {
            Ok(_) => info!(kind, name = self.name, "wrote caBundle"),
            Err(error) if self.is_overtaken(&error, &object, api).await? => {
                info!(kind, name = self.name, %error, "caBundle not written, the configuration was changed meanwhile");
            }
            Err(error) => return Err(error),
        }
        Ok(Before::Different)
    }

    /// Whether a write failed because the object changed since it was read. Status 422 is either the failed test of the
    /// resourceVersion or a policy that refuses the change.
    async fn is_overtaken(
        &self,
        error: &ApiError,
        read: &DynamicObject,
        api: &Api<DynamicObject>,
    ) -> Result<bool, ApiError> {
        match error.code() {
            Some(404 | 409) => Ok(true),
            Some(422) => {
                let now = deadline(api.get_opt(&self.name)).await?;
                let version = now.and_then(|object| object.metadata.resource_version);
                Ok(version != read.metadata.resource_version)
            }
            _ => Ok(false),
        }
    }
}

/// The patch that sets the bundle on every webhook of a configuration and changes nothing else; `None` if all have it.
///
/// It first tests the resourceVersion: list indices are only valid for the object that was read.
fn repair(configuration: &DynamicObject, bundle: &str) -> Option<JsonPatch> {
    let wanted = STANDARD.encode(bundle);
    let webhooks = configuration.data.get("webhooks").and_then(Value::as_array)?;
    let wrong = webhooks.iter().enumerate().filter(|(_, webhook)| {
        let present = webhook.pointer("/clientConfig/caBundle").and_then(Value::as_str);
        present != Some(wanted.as_str())
    });
    let writes: Vec<Value> = wrong
        .map(|(place, _)| {
            json!({ "op": "add", "path": format!("/webhooks/{place}/clientConfig/caBundle"), "value": wanted })
        })
        .collect();
    if writes.is_empty() {
        return None;
    }
    let version = configuration.metadata.resource_version.as_deref().unwrap_or_default();
    let test = json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version });
    let operations = std::iter::once(test).chain(writes).collect();
    // Parsing cannot fail: both operations are spelled out above.
    serde_json::from_value(Value::Array(operations)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration(bundles: &[Option<&str>]) -> DynamicObject {
        let webhooks = bundles.iter().map(|bundle| {
            let mut client = json!({ "service": { "name": "w", "namespace": "n" } });
            if let Some(bundle) = bundle {
                client["caBundle"] = STANDARD.encode(bundle).into();
            }
            json!({ "name": "a.stellar.org", "clientConfig": client, "fromTheFuture": 1 })
        });
        serde_json::from_value(json!({
            "metadata": { "name": "c", "resourceVersion": "7" },
            "webhooks": webhooks.collect::<Vec<_>>(),
        }))
        .unwrap()
    }

    #[test]
    fn only_wrong_bundles_are_written() {
        for (bundles, written) in [
            (vec![Some("new"), Some("new")], vec![]),
            (vec![], vec![]),
            (vec![None, Some("new")], vec![0]),
            (vec![Some("new"), Some("old")], vec![1]),
            (vec![Some(""), None], vec![0, 1]),
        ] {
            let object = configuration(&bundles);
            let mut after = serde_json::to_value(&object).unwrap();
            let patch = repair(&object, "new");
            let paths = patch
                .iter()
                .flat_map(|patch| patch.0.iter().skip(1))
                .map(|op| op.path().to_string());
            let expected = written
                .iter()
                .map(|place| format!("/webhooks/{place}/clientConfig/caBundle"));
            assert_eq!(paths.collect::<Vec<_>>(), expected.collect::<Vec<_>>(), "{bundles:?}");
            if let Some(patch) = patch {
                json_patch::patch(&mut after, &patch).unwrap();
            }
            let all = vec![Some("new"); bundles.len()];
            assert_eq!(
                after,
                serde_json::to_value(configuration(&all)).unwrap(),
                "nothing else changed"
            );
        }
    }

    #[test]
    fn a_configuration_that_changed_meanwhile_is_not_patched() {
        let patch = repair(&configuration(&[None]), "new").unwrap();
        let mut newer = serde_json::to_value(configuration(&[None])).unwrap();
        newer["metadata"]["resourceVersion"] = "8".into();
        assert!(json_patch::patch(&mut newer, &patch).is_err());
    }
}
