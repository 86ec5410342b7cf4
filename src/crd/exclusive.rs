//! What one validator at a time may use: a seed and a database, told apart without reading a Secret.

use k8s_openapi::api::core::v1::CSIVolumeSource;
use serde_json::json;

use super::{KeySource, KmsConfig, SecretKeyRef, ValidatorConfig};

/// Where a seed comes from. Two equal ones give the same seed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SeedSource {
    /// The Secret of this name.
    Secret(String),
    /// A file of a CSI driver's volume.
    Driver {
        /// Driver, attributes and credentials of the volume, as JSON.
        volume: String,
        /// Path of the file.
        path: String,
    },
}

impl SeedSource {
    /// The source that a validator's settings name. `None` where they name none, and where an agent puts the file into the pod: what
    /// that one gives to whom is not to be seen from here.
    pub fn of(source: KeySource, secret: &str, kms: Option<&KmsConfig>) -> Option<Self> {
        match source {
            KeySource::Secret => (!secret.is_empty()).then(|| Self::Secret(secret.to_owned())),
            KeySource::Kms => {
                let kms = kms?;
                let csi = kms.csi.as_ref()?;
                Some(Self::of_driver(csi, &kms.seed_path))
            }
        }
    }

    /// This file of a CSI driver's volume.
    pub fn of_driver(csi: &CSIVolumeSource, path: &str) -> Self {
        let credentials = csi.node_publish_secret_ref.as_ref().map(|secret| &secret.name);
        let volume = json!([csi.driver, csi.volume_attributes, credentials]);
        Self::Driver {
            volume: volume.to_string(),
            path: path.to_owned(),
        }
    }
}

impl ValidatorConfig {
    /// Where this validator's seed comes from, as far as it can be told.
    pub fn seed_source(&self) -> Option<SeedSource> {
        SeedSource::of(self.key_source, &self.seed_secret_ref, self.kms_config.as_ref())
    }

    /// The key of a Secret that names this validator's own database, where it has one.
    pub fn database_key(&self) -> Option<&SecretKeyRef> {
        self.database.as_ref().map(|database| &database.secret_key_ref)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn what_is_read_decides_and_what_is_not_read_does_not() {
        let of = |config: Value| serde_json::from_value::<ValidatorConfig>(config).unwrap().seed_source();
        let driver = |secret: &str, class: &str, path: &str, read_only: bool| {
            of(json!({
                "seedSecretRef": secret, "keySource": "KMS",
                "kmsConfig": { "seedPath": path, "csi": {
                    "driver": "d", "volumeAttributes": { "class": class }, "readOnly": read_only,
                } },
            }))
        };
        let secret = |name: &str| of(json!({ "seedSecretRef": name, "kmsConfig": { "seedPath": "/not/read" } }));
        assert_eq!(secret("a"), Some(SeedSource::Secret("a".to_owned())));
        assert_ne!(secret("a"), secret("b"));
        assert_eq!(secret(""), None);
        let one = driver("a", "x", "/seeds/1", true);
        assert!(one.is_some());
        assert_eq!(one, driver("b", "x", "/seeds/1", false));
        assert_ne!(one, driver("a", "y", "/seeds/1", true));
        assert_ne!(one, driver("a", "x", "/seeds/2", true));
        // Of an agent nothing is known; nor is a name that is absent the name of a Secret.
        assert_eq!(
            of(json!({ "keySource": "KMS", "kmsConfig": { "seedPath": "/seeds/1" } })),
            None
        );
    }
}
