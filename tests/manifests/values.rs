//! Each value of the chart has the documented effect, and unknown values are refused.

use serde_json::{Value, json};

use crate::rendering::{
    NAMESPACE, Objects, chart, container, environment, objects, of_kind, only, path, run, template,
};

fn with(values: &Value) -> Objects {
    let values = values.as_object().expect("values").iter();
    let set: Vec<String> = values.map(|(key, value)| format!("--set-json={key}={value}")).collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    objects(&chart(NAMESPACE, &set))
}

/// The error of `helm template` for refused arguments.
fn refusal(arguments: &[&str]) -> String {
    let output = template(NAMESPACE, arguments);
    assert!(!output.success, "{arguments:?} were accepted");
    output.stderr
}

#[test]
fn chart_passes_lint() {
    run("helm", ["lint", "--strict", &path("chart")]).ok("helm lint");
}

#[test]
fn invalid_values_are_refused() {
    for (value, complaint) in [
        ("replica=3", "replica"),
        ("image.name=other", "name"),
        ("watch.allNamespace=true", "allNamespace"),
        ("replicas=0", "replicas"),
        ("replicas=two", "replicas"),
        ("certManager=true", "certManager"),
        ("watch.namespaces={Not A Name}", "namespaces"),
        ("watch.namespaces={one},watch.allNamespaces=true", "watch"),
        ("podLabels.number=1", "podLabels"),
        ("image.pullPolicy=Sometimes", "pullPolicy"),
        ("image.digest=latest", "digest"),
    ] {
        let error = refusal(&["--set", value]);
        let about = error
            .lines()
            .any(|line| line.starts_with("- ") && line.contains(complaint));
        assert!(about, "{value}: {error}");
    }
    let old = refusal(&["--kube-version", "1.33.0"]);
    assert!(old.contains("1.34"), "{old}");
}

#[test]
fn switches_omit_their_objects() {
    for (switch, kinds) in [
        ("crds.install", vec!["CustomResourceDefinition"]),
        ("networkPolicy.enabled", vec!["NetworkPolicy"]),
        ("podDisruptionBudget.enabled", vec!["PodDisruptionBudget"]),
        (
            "admissionPolicy.enabled",
            vec!["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"],
        ),
    ] {
        let mut expected = with(&json!({}));
        expected.retain(|[kind, ..], _| !kinds.contains(&kind.as_str()));
        assert_eq!(with(&json!({ switch: false })), expected, "{switch}");
    }
}

#[test]
fn several_namespaces_each_get_rights_and_webhooks() {
    let objects = with(&json!({ "watch.namespaces": ["one", "two"] }));
    assert_eq!(environment(&objects)["WATCH_NAMESPACE"], "one,two");
    for kind in ["Role", "RoleBinding"] {
        let of_nodes = of_kind(&objects, kind).filter(|object| object["metadata"]["name"] == "stellar-operator-nodes");
        let namespaces: Vec<&Value> = of_nodes.map(|object| &object["metadata"]["namespace"]).collect();
        assert_eq!(namespaces, ["one", "two"], "{kind}");
    }
    for kind in ["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"] {
        for webhook in only(&objects, kind)["webhooks"].as_array().unwrap() {
            let selected = &webhook["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(selected["operator"], "In");
            assert_eq!(selected["values"], json!(["one", "two"]));
        }
    }
}

#[test]
fn pod_settings_reach_the_deployment() {
    let objects = with(&json!({
        "image": { "repository": "registry.example.org/operator", "tag": "1", "pullPolicy": "Always" },
        "imagePullSecrets": [{ "name": "pull" }],
        "replicas": 3,
        "extraArgs": ["--restart", "unlinked"],
        "logLevel": "debug",
        "logFormat": "json",
        "resources": { "requests": null, "limits": { "memory": "1Gi" } },
        "podLabels": { "team": "a" },
        "podAnnotations": { "note": "b" },
        "priorityClassName": "high",
        "nodeSelector": { "disk": "fast" },
        "tolerations": [{ "key": "late", "operator": "Exists" }],
        "affinity": { "nodeAffinity": {} },
    }));
    let deployment = &only(&objects, "Deployment")["spec"];
    let pod = &deployment["template"]["spec"];
    let set = json!([
        deployment["replicas"],
        deployment["template"]["metadata"],
        pod["imagePullSecrets"][0]["name"],
        pod["priorityClassName"],
        pod["nodeSelector"],
        pod["tolerations"],
        pod["affinity"],
    ]);
    let labels = json!({ "app.kubernetes.io/name": "stellar-operator", "team": "a" });
    let expected = json!([
        3,
        { "labels": labels, "annotations": { "note": "b" } },
        "pull",
        "high",
        { "disk": "fast" },
        [{ "key": "late", "operator": "Exists" }],
        { "nodeAffinity": {} },
    ]);
    assert_eq!(set, expected);
    let container = container(&objects);
    assert_eq!(container["image"], "registry.example.org/operator:1");
    assert_eq!(container["imagePullPolicy"], "Always");
    assert_eq!(container["args"], json!(["run", "--restart", "unlinked"]));
    assert_eq!(container["resources"], json!({ "limits": { "memory": "1Gi" } }));
    assert_eq!(environment(&objects)["RUST_LOG"], "debug");
    assert_eq!(environment(&objects)["LOG_FORMAT"], "json");
    assert_eq!(
        environment(&objects)["OPERATOR_IMAGE"],
        "registry.example.org/operator:1"
    );
}

#[test]
fn an_image_digest_is_used_in_both_places() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    let image = json!({ "repository": "registry.example.org/operator", "tag": "1", "digest": digest });
    // A parent chart sets `enabled` and `global`.
    let objects = with(&json!({ "image": image, "enabled": true, "global": { "team": "a" } }));
    let expected = format!("registry.example.org/operator@{digest}");
    assert_eq!(container(&objects)["image"], expected);
    assert_eq!(environment(&objects)["OPERATOR_IMAGE"], expected);
}

#[test]
fn one_dashboard_is_enough_for_several_releases() {
    let dashboards = |dashboard: bool| {
        let objects = with(&json!({ "monitoring": { "enabled": true, "dashboard": dashboard } }));
        let labelled = of_kind(&objects, "ConfigMap");
        labelled
            .filter(|object| object["metadata"]["labels"]["grafana_dashboard"] == "1")
            .count()
    };
    assert_eq!((dashboards(true), dashboards(false)), (1, 0));
}

#[test]
fn monitoring_objects_get_their_own_labels() {
    let objects = with(&json!({ "monitoring": { "enabled": true, "labels": { "release": "prometheus" } } }));
    for kind in ["ServiceMonitor", "PrometheusRule"] {
        let labels = &only(&objects, kind)["metadata"]["labels"];
        assert_eq!(labels["release"], "prometheus", "{kind}");
        assert_eq!(labels["app.kubernetes.io/name"], "stellar-operator", "{kind}");
    }
}

#[test]
fn program_knows_every_environment_variable_of_the_deployment() {
    let help = run(env!("CARGO_BIN_EXE_stellar-operator"), ["run", "--help"]).ok("--help");
    let all = json!({ "watch": { "allNamespaces": true }, "certManager": { "enabled": true } });
    for objects in [with(&all), with(&json!({ "watch.namespaces": ["one"] }))] {
        for variable in container(&objects)["env"].as_array().unwrap() {
            let known = format!("[env: {}=", variable["name"].as_str().unwrap());
            assert!(help.contains(&known), "{known}");
        }
    }
}

#[test]
fn helm_test_passes_while_the_program_runs() {
    let objects = with(&json!({}));
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in only(&objects, "ConfigMap")["data"].as_object().unwrap() {
        std::fs::write(directory.path().join(file), text.as_str().unwrap()).unwrap();
    }
    let container = &only(&objects, "Pod")["spec"]["containers"][0];
    let mounted = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let here = directory.path().display().to_string();
    let arguments = container["args"].as_array().unwrap().iter();
    let arguments = arguments.map(|argument| argument.as_str().unwrap().replace(mounted, &here));
    run(env!("CARGO_BIN_EXE_stellar-operator"), arguments).ok("the sample passes `check`");
}
