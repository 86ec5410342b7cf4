//! The environment of a container, as a kubelet makes it from the stored pod.
//!
//! Pure: the caller passes the content of ConfigMaps and Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVarSource, Pod};

use crate::sources::{Data, Sources};

/// The variables, references resolved and `$(NAME)` expanded.
///
/// # Errors
/// The errors that a kubelet reports as `CreateContainerConfigError`.
pub(crate) fn resolve(container: &Container, pod: &Pod, sources: &Sources) -> Result<BTreeMap<String, String>, String> {
    let mut env = BTreeMap::new();
    for from in container.env_from.iter().flatten() {
        let prefix = from.prefix.as_deref().unwrap_or_default();
        let data = if let Some(reference) = &from.config_map_ref {
            sources.config_map(&reference.name, reference.optional)?.map(Data::text)
        } else if let Some(reference) = &from.secret_ref {
            sources.secret(&reference.name, reference.optional)?.map(Data::text)
        } else {
            None
        };
        env.extend(
            data.into_iter()
                .flatten()
                .map(|(key, value)| (format!("{prefix}{key}"), value)),
        );
    }
    for variable in container.env.iter().flatten() {
        let value = match &variable.value_from {
            Some(source) => referenced(source, pod, sources)?,
            None => Some(expand(variable.value.as_deref().unwrap_or_default(), &env)),
        };
        if let Some(value) = value {
            env.insert(variable.name.clone(), value);
        }
    }
    Ok(env)
}

fn referenced(source: &EnvVarSource, pod: &Pod, sources: &Sources) -> Result<Option<String>, String> {
    if let Some(field) = &source.field_ref {
        return field_of(pod, &field.field_path)
            .map(Some)
            .ok_or_else(|| format!("unknown field {}", field.field_path));
    }
    let (map, kind, name, key, optional) = if let Some(reference) = &source.config_map_key_ref {
        let map = sources.config_map(&reference.name, reference.optional)?;
        (map, "configmap", &reference.name, &reference.key, reference.optional)
    } else if let Some(reference) = &source.secret_key_ref {
        let map = sources.secret(&reference.name, reference.optional)?;
        (map, "secret", &reference.name, &reference.key, reference.optional)
    } else {
        return Err("only fieldRef, configMapKeyRef and secretKeyRef are known here".to_owned());
    };
    match map.and_then(|map| map.text().remove(key)) {
        Some(value) => Ok(Some(value)),
        None if optional == Some(true) => Ok(None),
        None => Err(format!("couldn't find key {key} in {kind} {name}")),
    }
}

fn field_of(pod: &Pod, path: &str) -> Option<String> {
    let quoted = |prefix: &str| path.strip_prefix(prefix)?.strip_suffix("']");
    let spec = pod.spec.as_ref()?;
    let status = pod.status.clone().unwrap_or_default();
    Some(match path {
        "metadata.name" => pod.metadata.name.clone()?,
        "metadata.namespace" => pod.metadata.namespace.clone()?,
        "metadata.uid" => pod.metadata.uid.clone()?,
        "spec.nodeName" => spec.node_name.clone()?,
        "spec.serviceAccountName" => spec.service_account_name.clone().unwrap_or_default(),
        "status.podIP" => status.pod_ip.unwrap_or_default(),
        "status.podIPs" => status
            .pod_ips
            .iter()
            .flatten()
            .map(|ip| ip.ip.clone())
            .collect::<Vec<_>>()
            .join(","),
        "status.hostIP" => status.host_ip.unwrap_or_default(),
        _ => {
            let (map, key) = if let Some(key) = quoted("metadata.labels['") {
                (&pod.metadata.labels, key)
            } else {
                (&pod.metadata.annotations, quoted("metadata.annotations['")?)
            };
            map.as_ref().and_then(|map| map.get(key)).cloned().unwrap_or_default()
        }
    })
}

/// Expands as Kubernetes does: `$(NAME)` of a known variable is replaced, `$$` is a dollar sign, all else stays.
pub(crate) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        written.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            written.push('$');
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|inner| inner.split_once(')')) {
            match env.get(name) {
                Some(value) => written.push_str(value),
                None => written.extend(["$(", name, ")"]),
            }
            rest = after;
        } else {
            written.push('$');
        }
    }
    written.push_str(rest);
    written
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    use super::{expand, resolve};
    use crate::sources::{Data, Sources};

    #[test]
    fn expansion_equals_that_of_kubernetes() {
        let env = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "$(A)".to_owned())]);
        for (text, expected) in [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$(C)", "$(C)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$A $", "$A $"),
            ("$(A", "$(A"),
        ] {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    fn pod(env: &serde_json::Value, env_from: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": { "name": "v-0", "namespace": "ns", "labels": { "a/b": "c" } },
            "spec": { "containers": [{ "name": "core", "env": env, "envFrom": env_from }] },
            "status": { "podIP": "10.1.2.3" },
        }))
        .unwrap()
    }

    fn sources() -> Sources {
        let peers = Data::from([("KNOWN_PEERS".to_owned(), b"a\nb".to_vec())]);
        Sources::new([("peers".to_owned(), peers.clone())], [("seed".to_owned(), peers)])
    }

    fn resolved(env: &serde_json::Value, env_from: &serde_json::Value) -> Result<BTreeMap<String, String>, String> {
        let pod = pod(env, env_from);
        resolve(&pod.spec.as_ref().unwrap().containers[0], &pod, &sources())
    }

    #[test]
    fn references_are_resolved() {
        let env = resolved(
            &json!([
                { "name": "IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
                { "name": "LABEL", "valueFrom": { "fieldRef": { "fieldPath": "metadata.labels['a/b']" } } },
                { "name": "ADDRESS", "value": "$(IP):1" },
                { "name": "PEERS", "valueFrom": { "configMapKeyRef": { "name": "peers", "key": "KNOWN_PEERS" } } },
                { "name": "NONE", "valueFrom": { "configMapKeyRef": { "name": "no", "key": "k", "optional": true } } },
                { "name": "NO_KEY", "valueFrom": { "secretKeyRef": { "name": "seed", "key": "k", "optional": true } } },
            ]),
            &json!([{ "prefix": "P_", "configMapRef": { "name": "peers" } }]),
        )
        .unwrap();
        let expected = [
            ("ADDRESS", "10.1.2.3:1"),
            ("IP", "10.1.2.3"),
            ("LABEL", "c"),
            ("PEERS", "a\nb"),
            ("P_KNOWN_PEERS", "a\nb"),
        ];
        assert_eq!(
            env,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
        );
    }

    #[test]
    fn a_missing_reference_is_an_error_unless_optional() {
        for (source, part) in [
            (
                json!({ "configMapKeyRef": { "name": "no", "key": "k" } }),
                "configmap \"no\" not found",
            ),
            (
                json!({ "secretKeyRef": { "name": "seed", "key": "k" } }),
                "couldn't find key k in secret seed",
            ),
            (
                json!({ "fieldRef": { "fieldPath": "spec.hostname" } }),
                "unknown field spec.hostname",
            ),
        ] {
            let error = resolved(&json!([{ "name": "X", "valueFrom": source }]), &json!([])).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
