//! With keySource KMS a CSI driver mounts the seed into the pod as a file. No Secret of the cluster holds the seed
//! under the name that the operator knows, and only `render-config` reads it.

use serde_json::{Value, json};
use test_kit::{Options, SOON, TestEnv, Validators, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn validator_starts_with_the_seed_from_its_csi_driver() {
    let env = TestEnv::start("seed-driver", Options::default()).await;
    let validators = Validators::new(4);
    // The seed that the simulated driver provides; a real driver reads it from its vault.
    let vault = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "vault" },
        "stringData": { "the-seed": validators.seed(1) },
    });
    let mut node = validators.node(1);
    json_patch::merge(
        &mut node["spec"]["validatorConfig"],
        &json!({
            "seedSecretRef": "none", "keySource": "KMS",
            "kmsConfig": {
                "seedPath": "/mnt/secrets/the-seed",
                "csi": {
                    "driver": "secrets.test.stellar.org",
                    "volumeAttributes": { "secretProviderClass": "stellar" },
                    "nodePublishSecretRef": { "name": "vault" },
                },
            },
        }),
    );
    env.apply(&vault.to_string());
    env.apply(&node.to_string());
    wait_for("it to vote", SOON, async || {
        (env.reason("validator-1", "Ready")? == "PodReady").then_some(())
    })
    .await;
    let config = env.rendered_config("validator-1-0").expect("it was rendered");
    assert!(validators.is_seed_of(1, config["NODE_SEED"].as_str().expect("a seed")));

    let pod = env.get("pod/validator-1-0").expect("its pod")["spec"].clone();
    let mounts_it = |container: &&Value| {
        let mounts = container["volumeMounts"].as_array().into_iter().flatten();
        mounts.into_iter().any(|mount| mount["mountPath"] == "/mnt/secrets")
    };
    let containers = ["initContainers", "containers"].map(|list| pod[list].as_array().expect("containers").clone());
    let containers = containers.concat();
    let mounting: Vec<&str> = containers
        .iter()
        .filter(mounts_it)
        .filter_map(|container| container["name"].as_str())
        .collect();
    assert_eq!(mounting, ["render-config"]);
    let volumes = pod["volumes"].as_array().expect("volumes");
    let csi = volumes
        .iter()
        .find(|volume| volume["csi"].is_object())
        .expect("its volume")["csi"]
        .clone();
    assert_eq!(csi["readOnly"], true);
    assert_eq!(csi["volumeAttributes"]["secretProviderClass"], "stellar");
    assert!(!env.log().contains(validators.seed(1)));
}
