//! The measured reviews: captured ones (`tests/reviews`), and two enlarged ones.
//!
//! The additions are text in the places where an API server writes it: the object, its `managedFields`, and for an
//! update the stored object and kubectl's `last-applied-configuration`. So the order and share of each part stay as
//! captured.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "not every bench has each")]
pub(crate) mod worst;

use std::fs;
use std::path::Path;

/// The captured review with this name.
pub(crate) fn captured(name: &str) -> Vec<u8> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reviews");
    fs::read(directory.join(name).with_extension("json")).unwrap()
}

/// 4 KB: a manually created StatefulSet of a validator. `set-create` with ten settings as env, requests and
/// limits, and a volume; the patch adds an annotation, an env entry and a port.
pub(crate) fn set_4k() -> Vec<u8> {
    let settings: Vec<usize> = (1..=10).collect();
    let env = joined(&settings, |number| {
        format!(r#"{{"name":"SETTING_{number:02}","value":"a value {number}"}}"#)
    });
    let managed_env = joined(&settings, |number| {
        format!(r#""k:{{\"name\":\"SETTING_{number:02}\"}}":{{".":{{}},"f:name":{{}},"f:value":{{}}}}"#)
    });
    let text = String::from_utf8(captured("set-create")).unwrap();
    let text = replaced(
        &text,
        r#""image":"stellar/stellar-core:26.0.1","resources":{},"#,
        &format!(
            r#""image":"stellar/stellar-core:26.0.1","env":[{env}],"resources":{{"limits":{{"memory":"4Gi"}},"requests":{{"cpu":"500m","memory":"2Gi"}}}},"volumeMounts":[{{"name":"data","mountPath":"/data"}}],"#
        ),
    );
    let text = replaced(
        &text,
        r#"".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:resources":{},"#,
        &format!(
            r#"".":{{}},"f:env":{{".":{{}},{managed_env}}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:name":{{}},"f:resources":{{".":{{}},"f:limits":{{".":{{}},"f:memory":{{}}}},"f:requests":{{".":{{}},"f:cpu":{{}},"f:memory":{{}}}}}},"#
        ),
    );
    let text = replaced(
        &text,
        r#""schedulerName":"default-scheduler"}"#,
        r#""schedulerName":"default-scheduler","volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"core-1"}}]}"#,
    );
    text.into_bytes()
}

/// 40 KB: an update of one with many containers. `set-many-containers-update` with seven more sidecars of eight
/// settings each; the patch adds an env entry.
pub(crate) fn set_40k() -> Vec<u8> {
    let containers: Vec<usize> = (1..=7).collect();
    let settings: Vec<usize> = (1..=8).collect();
    let variable = |number: &usize| format!(r#"{{"name":"SETTING_{number:02}","value":"a value {number}"}}"#);
    let more = joined(&containers, |number| {
        let env = joined(&settings, variable);
        format!(
            r#"{{"name":"sidecar-{number}","image":"sidecar:1","env":[{env}],"resources":{{}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent"}}"#
        )
    });
    let applied = joined(&containers, |number| {
        let env = joined(&settings, variable);
        format!(r#"{{"env":[{env}],"image":"sidecar:1","name":"sidecar-{number}"}}"#)
    });
    let managed = joined(&containers, |number| {
        let env = joined(&settings, |number| {
            format!(r#""k:{{\"name\":\"SETTING_{number:02}\"}}":{{".":{{}},"f:name":{{}},"f:value":{{}}}}"#)
        });
        format!(
            r#""k:{{\"name\":\"sidecar-{number}\"}}":{{".":{{}},"f:env":{{".":{{}},{env}}},"f:image":{{}},"f:imagePullPolicy":{{}},"f:name":{{}},"f:resources":{{}},"f:terminationMessagePath":{{}},"f:terminationMessagePolicy":{{}}}}"#
        )
    });
    let text = String::from_utf8(captured("set-many-containers-update")).unwrap();
    let text = replaced(
        &text,
        r#""containers":[{"name":"exporter""#,
        &format!(r#""containers":[{more},{{"name":"exporter""#),
    );
    let text = replaced(
        &text,
        r#"\"containers\":[{\"image\":\"exporter:1\""#,
        &format!(
            r#"\"containers\":[{},{{\"image\":\"exporter:1\""#,
            applied.replace('"', r#"\""#)
        ),
    );
    let text = replaced(
        &text,
        r#""f:containers":{"k:{\"name\":\"backup\"}":{".":{},"f:env""#,
        &format!(r#""f:containers":{{{managed},"k:{{\"name\":\"backup\"}}":{{".":{{}},"f:env""#),
    );
    text.into_bytes()
}

fn joined<T>(items: &[T], write: impl Fn(&T) -> String) -> String {
    items.iter().map(write).collect::<Vec<_>>().join(",")
}

/// Replaces every `from` by `to`; fails if there is none, because then the captured review was changed.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from} is not in the captured review");
    text.replace(from, to)
}
