//! Image, chart and crate have the same version.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::rendering::{ROOT, chart, container, environment, kustomize, objects, only, path, run};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn install_file() -> String {
    fs::read_to_string(path("install.yaml")).expect("it is generated")
}

#[test]
fn every_install_uses_the_image_of_this_version() {
    let rendered = chart("elsewhere", &[]);
    let overlays = ["namespace", "cluster", "cert-manager"].map(|name| kustomize(&format!("overlays/{name}")));
    for manifests in overlays.iter().chain([&rendered, &install_file()]) {
        let objects = objects(manifests);
        let image = format!("stellar-operator:{VERSION}");
        assert_eq!(container(&objects)["image"], image.as_str());
        // The image of the validators' init container and sidecar.
        assert_eq!(environment(&objects)["OPERATOR_IMAGE"], image);
    }
}

/// docs/install.md shows a kustomization for another registry.
#[test]
fn an_image_registry_is_set_in_both_places() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("own-image");
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("a directory");
    std::os::unix::fs::symlink(ROOT, directory.join("stellar-operator")).expect("a link to the project");
    let text = fs::read_to_string(format!("{ROOT}/docs/install.md")).expect("the documentation");
    let (_, rest) = text.split_once("```yaml\n").expect("a kustomization");
    let (own, _) = rest.split_once("```").expect("its end");
    fs::write(directory.join("kustomization.yaml"), own).expect("written");
    let built = run("kubectl", ["kustomize".as_ref(), directory.as_os_str()]).ok("kustomize");
    let objects = objects(&built);
    let pod = &only(&objects, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], "registry.example.org/stellar-operator:1");
    let variables = container["env"].as_array().expect("variables");
    let image = variables.iter().find(|variable| variable["name"] == "OPERATOR_IMAGE");
    assert_eq!(image.expect("it is given")["value"], container["image"]);
}

#[test]
fn the_chart_has_the_version_of_the_crate() {
    let text = std::fs::read_to_string(path("chart/Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(chart["version"], VERSION);
    assert_eq!(chart["appVersion"], VERSION);
}
