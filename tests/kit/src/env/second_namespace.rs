//! A second namespace that a test's operator manages.

use crate::{Cluster, TestEnv, root};

/// A second namespace; dropping the value deletes it.
#[derive(Debug)]
pub struct SecondNamespace {
    cluster: Cluster,
    namespace: String,
}

impl SecondNamespace {
    /// Creates the namespace and gives the operator of `env` the same rights in it as in its own.
    pub fn create(env: &TestEnv) -> Self {
        let second = Self {
            cluster: env.cluster().clone(),
            namespace: format!("{}-b", env.namespace()),
        };
        second.kubectl(&["create", "namespace", &second.namespace], "");
        let shipped = root().join("manifests/base/rbac-watched-namespace.yaml");
        let rights = std::fs::read_to_string(shipped).expect("the shipped rights");
        let rights = rights.replace("namespace: stellar", &format!("namespace: {}", env.namespace()));
        second.kubectl(&["apply", "-f", "-"], &rights);
        second
    }

    /// Its name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Runs kubectl in this namespace as the administrator; returns the output.
    pub fn kubectl(&self, arguments: &[&str], stdin: &str) -> String {
        let arguments: Vec<&str> = ["--namespace", &self.namespace]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        self.cluster.kubectl(&arguments, stdin).ok("in the second namespace")
    }
}

impl Drop for SecondNamespace {
    fn drop(&mut self) {
        self.cluster
            .kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}
