//! Manual changes to pods and StatefulSets.

use serde_json::json;
use test_kit::TestEnv;

/// A finalizer on a validator's pod that blocks its deletion. Dropping the value removes the finalizer, also when the
/// test fails; otherwise the namespace could not be deleted.
#[derive(Debug)]
pub(super) struct HeldPod<'a> {
    env: &'a TestEnv,
    pod: String,
}

impl<'a> HeldPod<'a> {
    /// Adds the finalizer to the current pod of this validator.
    pub(super) fn of(env: &'a TestEnv, name: &str) -> Self {
        let pod = format!("pod/{name}-0");
        let hold = json!({ "metadata": { "finalizers": ["test.stellar.org/hold"] } }).to_string();
        env.kubectl(&["patch", &pod, "--type=merge", "-p", &hold]).ok("hold");
        Self { env, pod }
    }
}

impl Drop for HeldPod<'_> {
    fn drop(&mut self) {
        let free = r#"{"metadata":{"finalizers":null}}"#;
        self.env.kubectl(&["patch", &self.pod, "--type=merge", "-p", free]);
    }
}

/// Changes the update strategy of a validator's StatefulSet; `null` for its default.
pub(super) fn set_strategy(env: &TestEnv, name: &str, strategy: &serde_json::Value) {
    // Replace the whole strategy: a merge would keep fields that another type does not allow.
    let patch = json!([{ "op": "replace", "path": "/spec/updateStrategy", "value": strategy }]).to_string();
    env.kubectl(&["patch", &format!("statefulset/{name}"), "--type=json", "-p", &patch])
        .ok("updateStrategy");
}

/// Deletes the StatefulSets of these validators at once.
pub(super) fn delete_workloads(env: &TestEnv, names: &[&str], cascade: &str) {
    let objects: Vec<String> = names.iter().map(|name| format!("statefulset/{name}")).collect();
    let cascade = format!("--cascade={cascade}");
    let mut arguments = vec!["delete", "--wait=false", &cascade];
    arguments.extend(objects.iter().map(String::as_str));
    env.kubectl(&arguments).ok("delete");
}
