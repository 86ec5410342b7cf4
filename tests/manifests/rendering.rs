//! Renders manifests as text and as objects.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use test_kit::Output;

pub(crate) const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The namespace that the overlays name.
pub(crate) const NAMESPACE: &str = "stellar";

/// Objects by kind, namespace and name.
pub(crate) type Objects = BTreeMap<[String; 3], Value>;

/// The path of a file below `manifests`.
pub(crate) fn path(file: &str) -> String {
    format!("{ROOT}/manifests/{file}")
}

/// Runs a program of the tests with a home directory of its own.
pub(crate) fn run<I: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Output {
    let mut command = Command::new(program);
    for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(variable, Path::new(env!("CARGO_TARGET_TMPDIR")).join("helm"));
    }
    let output = command.args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}; run this with: make test"));
    Output {
        success: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs `kubectl kustomize`.
pub(crate) fn kustomize(directory: &str) -> String {
    run("kubectl", ["kustomize", &path(directory)]).ok(directory)
}

/// Runs `helm template` for the chart in a namespace, with arguments such as `--set`.
pub(crate) fn template(namespace: &str, arguments: &[&str]) -> Output {
    let chart = path("chart");
    let fixed = ["template", "operator", chart.as_str(), "--namespace", namespace];
    run("helm", fixed.iter().chain(arguments))
}

/// Runs `helm template`, which must succeed; returns the manifests.
pub(crate) fn chart(namespace: &str, arguments: &[&str]) -> String {
    template(namespace, arguments).ok("helm template")
}

/// Parses the objects in a YAML text; a duplicate fails the test.
pub(crate) fn objects(yaml: &str) -> Objects {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    let mut objects = Objects::new();
    for object in documents.into_iter().filter(|document| !document.is_null()) {
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let metadata = &object["metadata"];
        let key = [
            word(&object["kind"]),
            word(&metadata["namespace"]),
            word(&metadata["name"]),
        ];
        assert!(!objects.contains_key(&key), "twice: {key:?}");
        objects.insert(key, object);
    }
    objects
}

/// The only object of this kind.
pub(crate) fn only<'a>(objects: &'a Objects, kind: &'a str) -> &'a Value {
    let found: Vec<&Value> = of_kind(objects, kind).collect();
    match found.as_slice() {
        [object] => object,
        others => panic!("{} of {kind}", others.len()),
    }
}

/// All objects of a kind.
pub(crate) fn of_kind<'a>(objects: &'a Objects, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    let is_kind = move |([found, ..], _): &(&[String; 3], &Value)| found == kind;
    objects.iter().filter(is_kind).map(|(_, object)| object)
}

/// The operator's container.
pub(crate) fn container(objects: &Objects) -> &Value {
    &only(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
}

/// The environment variables of the operator's container with a literal value.
pub(crate) fn environment(objects: &Objects) -> BTreeMap<&str, &str> {
    let variables = container(objects)["env"].as_array().expect("variables").iter();
    variables
        .filter_map(|variable| Some((variable["name"].as_str()?, variable["value"].as_str()?)))
        .collect()
}
