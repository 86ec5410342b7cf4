//! Annotations tell Argo CD and Flux to keep what the StellarNodes depend on, and the kustomization of docs/gitops.md
//! leaves out the namespace.

use std::path::Path;

use stellar_k8s::labels::KEPT;

use crate::rendering::{ROOT, kustomize, objects, run};

#[test]
fn definition_and_namespace_are_kept() {
    for overlay in ["crd", "overlays/cluster", "overlays/namespace", "overlays/cert-manager"] {
        let all = objects(&kustomize(overlay));
        let kept = all
            .iter()
            .filter(|([kind, ..], _)| kind == "Namespace" || kind == "CustomResourceDefinition");
        assert_eq!(kept.clone().count(), 1, "{overlay}");
        for (key, object) in kept {
            for (name, value) in KEPT {
                assert_eq!(object["metadata"]["annotations"][name], value, "{key:?} of {overlay}");
            }
        }
    }
}

#[test]
fn the_documented_kustomization_leaves_out_the_namespace_and_nothing_else() {
    let page = std::fs::read_to_string(format!("{ROOT}/docs/gitops.md")).expect("the page");
    let blocks = page
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    let kustomization = blocks.last().expect("a kustomization");
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let clone = directory.path().join("stellar-operator");
    std::os::unix::fs::symlink(Path::new(ROOT), clone).expect("a link");
    std::fs::write(directory.path().join("kustomization.yaml"), kustomization).expect("written");
    let rendered = run(
        "kubectl",
        [Path::new("kustomize").as_os_str(), directory.path().as_os_str()],
    )
    .ok("kustomize");
    let mut all = objects(&kustomize("overlays/namespace"));
    all.retain(|[kind, ..], _| kind != "Namespace");
    assert_eq!(objects(&rendered), all);
}
