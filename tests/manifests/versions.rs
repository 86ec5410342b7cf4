//! Image, chart and crate have one version.

use serde_json::Value;

use crate::rendering::{chart, container, environment, kustomize, objects, path};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn install_file() -> String {
    std::fs::read_to_string(path("install.yaml")).expect("it is generated")
}

#[test]
fn every_install_runs_the_image_of_this_version() {
    let rendered = chart("elsewhere", &[]);
    let overlays = ["namespace", "cluster", "cert-manager"].map(|name| kustomize(&format!("overlays/{name}")));
    for manifests in overlays.iter().chain([&rendered, &install_file()]) {
        let objects = objects(manifests);
        let image = format!("stellar-operator:{VERSION}");
        assert_eq!(container(&objects)["image"], image.as_str());
        // What the validators' init container and sidecar run.
        assert_eq!(environment(&objects)["OPERATOR_IMAGE"], image);
    }
}

#[test]
fn the_chart_has_the_version_of_the_crate() {
    let text = std::fs::read_to_string(path("chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["version"], VERSION);
    assert_eq!(chart["appVersion"], VERSION);
}
