//! Where a validator publishes the history of the ledgers that it closes.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a validator publishes history, and how.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.commands) == (self.publish == 'Commands')")
        .message("history.commands is given exactly when history.publish is Commands"),
    validation = Rule::new("!has(self.credentialsSecretRef) || self.publish == 'Commands'")
        .message("history.credentialsSecretRef is for history.publish: Commands")
)]
pub struct HistoryConfig {
    /// Volume: an archive on the validator's own volume, which the operator creates and serves to the other validators of its group. Commands: an archive that history.commands reach. None: no archive.
    pub publish: Publish,
    /// The commands that reach the archive, with publish: Commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commands: Option<HistoryCommands>,
    /// Name of a Secret, in the same namespace, each key of which becomes an environment variable of the commands, for example AWS_ACCESS_KEY_ID. The operator does not read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_secret_ref: Option<String>,
}

/// Where a validator publishes history.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum Publish {
    /// On its own volume.
    Volume,
    /// Nowhere.
    None,
    /// Where its commands write.
    Commands,
}

/// The commands of an archive. stellar-core runs them without a shell; {0} and {1} are the files, and the image of stellar-core must have the programs.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryCommands {
    /// Fetches the archive's file {0} into the local file {1}, for example: aws s3 cp s3://bucket/{0} {1}
    pub get: String,
    /// Stores the local file {0} as the archive's file {1}, for example: aws s3 cp {0} s3://bucket/{1}
    pub put: String,
    /// Creates the archive's directory {0}, where it needs that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mkdir: Option<String>,
}
