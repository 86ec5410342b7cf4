//! Readers of stored StatefulSets, pod templates and labels. Pure.
//!
//! Anyone with write access can forge these values, so a value may only affect its own namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodTemplateSpec;

use crate::labels;

/// Whether the labels mark an object as managed by the operator.
pub fn is_ours(labels: &BTreeMap<String, String>) -> bool {
    labels
        .get(labels::MANAGED_BY)
        .is_some_and(|manager| manager == labels::OPERATOR)
}

/// Hash of the spec that a pod template was built from.
pub fn template_from(template: &PodTemplateSpec) -> Option<&str> {
    let annotations = template.metadata.as_ref()?.annotations.as_ref()?;
    annotations.get(labels::SPEC_HASH).map(String::as_str)
}

/// Hash of the spec that a StatefulSet was built from.
pub fn built_from(stored: &StatefulSet) -> Option<&str> {
    template_from(&stored.spec.as_ref()?.template)
}

/// The image of the `render-config` init container.
pub fn program_of(stored: &StatefulSet) -> Option<&str> {
    let pod = stored.spec.as_ref()?.template.spec.as_ref()?;
    let mut containers = pod.init_containers.iter().flatten();
    containers
        .find(|container| container.name == labels::RENDER_CONTAINER)?
        .image
        .as_deref()
}

/// Whether a StatefulSet wants pods or still has some.
pub fn runs(stored: &StatefulSet) -> bool {
    let wanted = stored.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let present = stored.status.as_ref().map_or(0, |status| status.replicas);
    wanted > 0 || present > 0
}
