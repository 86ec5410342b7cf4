//! The storage provisioner: creates a volume for each claim, grows it on request, and deletes it with its claim.

use std::pin::pin;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

use crate::status::in_time;

const PROVISIONER: &str = "test.stellar.org/kubelet";
const CLASS: &str = "standard";

/// Provisions and grows volumes for claims until the process ends.
pub(crate) async fn claims(client: Client) {
    let api = Api::<PersistentVolumeClaim>::all(client.clone());
    let mut events = pin!(
        watcher(api, watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(event) = events.next().await {
        match event {
            Ok(claim) => until_done("a claim", || Box::pin(serve(&client, &claim))).await,
            Err(error) => tracing::warn!(%error, "watching claims"),
        }
    }
}

/// Deletes volumes of deleted claims until the process ends.
pub(crate) async fn volumes(client: Client) {
    let api = Api::<PersistentVolume>::all(client);
    let mut events = pin!(
        watcher(api.clone(), watcher::Config::default())
            .default_backoff()
            .applied_objects()
    );
    while let Some(event) = events.next().await {
        match event {
            Ok(volume) => {
                let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
                let policy = volume
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
                let ours = volume
                    .annotations()
                    .get("pv.kubernetes.io/provisioned-by")
                    .is_some_and(|by| by == PROVISIONER);
                if ours && phase == Some("Released") && policy == Some("Delete") {
                    let name = volume.name_any();
                    until_done("a released volume", || {
                        Box::pin(async { in_time(api.delete(&name, &DeleteParams::default())).await.map(drop) })
                    })
                    .await;
                }
            }
            Err(error) => tracing::warn!(%error, "watching volumes"),
        }
    }
}

/// Retries some times. After a conflict, a duplicate or a missing object nothing is left to do.
async fn until_done<'a, F>(what: &str, mut attempt: F)
where
    F: FnMut() -> futures::future::BoxFuture<'a, anyhow::Result<()>>,
{
    for _ in 0..10 {
        match attempt().await {
            Ok(()) => return,
            Err(error) => match error.downcast_ref::<kube::Error>() {
                Some(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => return,
                _ => tracing::warn!(%error, "serving {what}"),
            },
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn serve(client: &Client, claim: &PersistentVolumeClaim) -> anyhow::Result<()> {
    let Some(spec) = &claim.spec else { return Ok(()) };
    if claim.metadata.deletion_timestamp.is_some() || spec.storage_class_name.as_deref() != Some(CLASS) {
        return Ok(());
    }
    let wanted = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref()?.get("storage"));
    let volumes = Api::<PersistentVolume>::all(client.clone());
    if let Some(volume) = &spec.volume_name {
        let status = claim.status.clone().unwrap_or_default();
        let has = status.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        if status.phase.as_deref() != Some("Bound") || has == wanted {
            return Ok(());
        }
        let (parameters, larger) = (PatchParams::default(), json!({ "capacity": { "storage": wanted } }));
        in_time(volumes.patch(volume, &parameters, &Patch::Merge(json!({ "spec": larger })))).await?;
        let claims = Api::<PersistentVolumeClaim>::namespaced(client.clone(), &claim.namespace().unwrap_or_default());
        in_time(claims.patch_status(
            &claim.name_any(),
            &parameters,
            &Patch::Merge(json!({ "status": larger })),
        ))
        .await?;
        return Ok(());
    }
    let name = format!("pvc-{}", claim.uid().unwrap_or_default());
    let volume = serde_json::from_value(json!({
        "metadata": { "name": name, "annotations": { "pv.kubernetes.io/provisioned-by": PROVISIONER } },
        "spec": {
            "capacity": { "storage": wanted },
            "accessModes": spec.access_modes,
            "volumeMode": spec.volume_mode,
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete",
            // With the uid, the binder binds this volume to this claim as soon as it sees it.
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.namespace(),
                "name": claim.name_any(), "uid": claim.uid(), "resourceVersion": claim.resource_version(),
            },
            // The volume has no content: no process writes to a claim.
            "csi": { "driver": "test.stellar.org", "volumeHandle": name },
        },
    }))?;
    in_time(volumes.create(&PostParams::default(), &volume)).await?;
    Ok(())
}
