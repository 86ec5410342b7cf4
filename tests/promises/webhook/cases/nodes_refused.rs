//! Values that the API server refuses in a new StellarNode.

use serde_json::{Value, json};
use test_kit::{Options, TestEnv};

use super::objects::{configured, horizon, organisations, private, quorum_set, rpc, running, validator, with};
use super::request::Step;
use super::{Case, check};

const CORE_CONFIG: &str = "spec.validatorConfig.coreConfig";
const LIST: &str = "spec.validatorConfig.knownPeersRef.name";
/// The object as a whole: the field of a rule about its name.
const OBJECT: &str = "<nil>";
const PORT: &str = "spec.validatorConfig.peerPort";
const QUORUM_SET: &str = "spec.validatorConfig.quorumSet";
const SEED: &str = "spec.validatorConfig.seedSecretRef";
const SEED_PATH: &str = "spec.validatorConfig.kmsConfig.seedPath";
const URLS: &str = "spec.validatorConfig.historyArchiveUrls";

fn ports() -> Vec<Case> {
    let port = |name: &str, port: i64| configured(name, json!({ "peerPort": port }));
    vec![
        Case::create("port 0", port("port-0", 0)).invalid_by_schema(PORT, "greater than or equal to 1"),
        Case::create("port 70000", port("port-70000", 70000)).invalid_by_schema(PORT, "less than or equal to 65535"),
        Case::create("the HTTP port of stellar-core", port("port-http", 11626)).invalid(PORT, "HTTP port"),
        Case::create("the port of the health container", port("port-health", 11628))
            .invalid(PORT, "container \"health\""),
    ]
}

fn names() -> Vec<Case> {
    let rule = "at most 52 of a-z, 0-9 and -, first a letter";
    vec![
        Case::create("a name of 53 letters", validator(&"a".repeat(53), json!({}))).invalid_by_schema(OBJECT, rule),
        Case::create("a name with a dot", validator("one.two", json!({}))).invalid_by_schema(OBJECT, rule),
        Case::create("a name that starts with a digit", validator("1-validator", json!({})))
            .invalid_by_schema(OBJECT, rule),
        Case::create("a name of 52 letters is allowed", validator(&"a".repeat(52), json!({}))),
    ]
}

fn blocks() -> Vec<Case> {
    let horizon_config = json!({ "databaseSecretRef": "db", "stellarCoreUrl": "http://core:11626" });
    vec![
        Case::create(
            "a validator without its block",
            validator("block-absent", json!({ "validatorConfig": null })),
        )
        .invalid_by_schema("spec", "validatorConfig is given exactly when nodeType is Validator"),
        Case::create(
            "a validator with the block of another type",
            validator("block-wrong", json!({ "horizonConfig": horizon_config })),
        )
        .invalid_by_schema("spec", "horizonConfig is given exactly when nodeType is Horizon"),
        Case::create(
            "two pods with one seed",
            validator("two-pods", json!({ "replicas": 2 })),
        )
        .invalid_by_schema("spec", "replicas is 1 for a Validator"),
        Case::create(
            "no replicas instead of suspended",
            validator("no-pod", json!({ "replicas": 0 })),
        )
        .invalid("spec.replicas", "suspended: true"),
        Case::create(
            "a URL without a scheme",
            with(
                horizon("url"),
                json!({ "spec": { "horizonConfig": { "stellarCoreUrl": "core:11626" } } }),
            ),
        )
        .invalid("spec.horizonConfig.stellarCoreUrl", "http://"),
        Case::create(
            "both minAvailable and maxUnavailable",
            rpc("budget", json!({ "minAvailable": "50%", "maxUnavailable": 1 })),
        )
        .forbidden("spec.maxUnavailable", "remove one"),
        Case::create(
            "two pods with one volume",
            rpc("shared", json!({ "replicas": 2, "storage": { "size": "1Gi" } })),
        )
        .invalid("spec.replicas", "one volume"),
        Case::create(
            "a captive core without validators",
            rpc("trusts-nobody", json!({ "sorobanConfig": { "captiveCoreConfig": "" } })),
        )
        .invalid("spec.sorobanConfig.captiveCoreConfig", "trusts"),
    ]
}

fn seeds() -> Vec<Case> {
    let database = |name: &str, key: &str| {
        let reference = json!({ "secretKeyRef": { "name": "postgres", "key": key } });
        configured(name, json!({ "database": reference }))
    };
    let from_driver = |name: &str| {
        let csi = json!({ "driver": "secrets.example.org", "volumeAttributes": { "class": "one" } });
        let config = json!({ "keySource": "KMS", "kmsConfig": { "seedPath": "/mnt/seed/a", "csi": csi }, "seedSecretRef": null });
        validator(name, json!({ "suspended": false, "validatorConfig": config }))
    };
    vec![
        Case::create("no seed", configured("seed-absent", json!({ "seedSecretRef": null })))
            .required(SEED, "STELLAR_CORE_SEED"),
        Case::create("no network", validator("network-absent", json!({ "network": null })))
            .required_by_schema("spec.network", "Required value")
            .invalid_by_schema(OBJECT, "some validation rules were not checked"),
        Case::create(
            "an empty seed",
            configured("seed-empty", json!({ "seedSecretRef": "" })),
        )
        .required(SEED, "STELLAR_CORE_SEED"),
        Case::create(
            "a seed that names no Secret",
            configured("seed-bad", json!({ "seedSecretRef": "My_Seed" })),
        )
        .invalid(SEED, "cannot be the name of a Secret"),
        Case::create("the seed of a validator that runs", running("seed-taken", "taken"))
            .after(Step::create(running("seed-holder", "taken")))
            .duplicate(SEED, "already the seed of validator \"seed-holder\""),
        Case::create(
            "the seed of a running validator is allowed for a suspended one",
            with(
                running("seed-waits", "shared"),
                json!({ "spec": { "suspended": true } }),
            ),
        )
        .after(Step::create(running("seed-runs", "shared"))),
        Case::create(
            "the seed of a validator of another network is allowed",
            with(
                private(
                    "seed-there",
                    json!({ "quorumSet": quorum_set(4), "seedSecretRef": "both" }),
                ),
                json!({ "spec": { "suspended": false } }),
            ),
        )
        .after(Step::create(running("seed-here", "both"))),
        Case::create("the database of another validator", database("database-taken", "taken"))
            .after(Step::create(database("database-holder", "taken")))
            .duplicate(
                "spec.validatorConfig.database.secretKeyRef",
                "already the database of validator \"database-holder\"",
            ),
        Case::create("the seed file of a validator that runs", from_driver("driver-taken"))
            .after(Step::create(from_driver("driver-holder")))
            .duplicate("spec.validatorConfig.kmsConfig", "validator \"driver-holder\""),
        Case::create(
            "a seed file without a path",
            configured("kms", json!({ "keySource": "KMS" })),
        )
        .required(SEED_PATH, "path of the file"),
        Case::create(
            "a seed file with a relative path",
            configured(
                "kms-path",
                json!({ "keySource": "KMS", "kmsConfig": { "seedPath": "seed" } }),
            ),
        )
        .invalid(SEED_PATH, "not an absolute path"),
        Case::create(
            "a driver's seed file below a mount of the operator",
            configured(
                "kms-place",
                json!({
                    "keySource": "KMS",
                    "kmsConfig": { "seedPath": "/config/seed", "csi": { "driver": "a", "nodePublishSecretRef": { "name": "a b" } } },
                }),
            ),
        )
        .invalid(SEED_PATH, "the operator mounts /config")
        .invalid(
            "spec.validatorConfig.kmsConfig.csi.nodePublishSecretRef.name",
            "name of a Secret",
        ),
    ]
}

fn lists() -> Vec<Case> {
    let list = |name: &str, reference: Value| configured(name, json!({ "knownPeersRef": reference }));
    vec![
        Case::create(
            "the ConfigMap with its own config as list",
            list("own-config", json!({ "name": "own-config-config" })),
        )
        .invalid(LIST, "this node's own config"),
        Case::create(
            "a list name that is no ConfigMap name",
            list("list-bad", json!({ "name": "Our Peers" })),
        )
        .invalid(LIST, "cannot be the name of a ConfigMap"),
        Case::create(
            "the config of another node as list",
            list("takes-config", json!({ "name": "has-config-config" })),
        )
        .after(Step::create(configured("has-config", json!({}))))
        .invalid(LIST, "config of another StellarNode"),
        Case::create("a node whose config would be a list", configured("listed", json!({})))
            .after(Step::create(list("lists", json!({ "name": "listed-config" }))))
            .invalid("metadata.name", "is the list of known peers"),
        Case::create("another key of the list", list("key-wrong", json!({ "key": "peers" })))
            .invalid_by_schema("spec.validatorConfig.knownPeersRef.key", "always KNOWN_PEERS"),
    ]
}

fn settings_of_core() -> Vec<Case> {
    let quorum = |name: &str, text: &str| configured(name, json!({ "quorumSet": text }));
    let core = |name: &str, text: &str| configured(name, json!({ "coreConfig": text }));
    let archive = |name: &str, url: &str| {
        configured(
            name,
            json!({ "enableHistoryArchive": true, "historyArchiveUrls": [url] }),
        )
    };
    vec![
        Case::create("a quorum set that is no TOML", quorum("quorum-toml", "[QUORUM_SET"))
            .invalid(QUORUM_SET, "is not TOML"),
        Case::create(
            "a quorum set with too low a threshold",
            quorum("quorum-low", &quorum_set(7).replace("=67", "=30")),
        )
        .invalid(QUORUM_SET, "THRESHOLD_PERCENT"),
        Case::create(
            "a quorum set that tolerates no failure",
            quorum("quorum-three", &quorum_set(3)),
        )
        .invalid(QUORUM_SET, "name at least 4"),
        Case::create(
            "a quorum set with an unknown validator",
            quorum(
                "quorum-name",
                "[QUORUM_SET]\nTHRESHOLD_PERCENT=100\nVALIDATORS=[\"$alice\"]\n",
            ),
        )
        .invalid(QUORUM_SET, "no validator has the name \"alice\""),
        Case::create(
            "a setting that this stellar-core version does not know",
            with(
                core("core-tomorrow", "KEY_OF_TOMORROW=1\n"),
                json!({ "spec": { "version": "24.1.0" } }),
            ),
        )
        .invalid(CORE_CONFIG, "knows no key \"KEY_OF_TOMORROW\""),
        Case::create(
            "a setting that an older stellar-core removed",
            core("core-gone", "EXPERIMENTAL_BUCKETLIST_DB=true\n"),
        )
        .invalid(CORE_CONFIG, "removed in 23.0.0"),
        Case::create(
            "a setting that a validator cannot have",
            core("core-stream", "METADATA_OUTPUT_STREAM=\"fd:3\"\n"),
        )
        .invalid(CORE_CONFIG, "streams from no validator"),
        Case::create(
            "a quorum set of organisations, for a validator without one",
            quorum("quorum-homeless", &organisations(4)),
        )
        .invalid("spec.validatorConfig.homeDomain", "has no home domain"),
        Case::create("a setting in small letters", core("core-small", "log_color=true\n"))
            .invalid(CORE_CONFIG, "did you mean LOG_COLOR?"),
        Case::create(
            "a setting that the operator owns",
            core("core-owned", "KNOWN_PEERS=[\"10.0.0.1\"]\n"),
        )
        .invalid(CORE_CONFIG, "KNOWN_PEERS belongs to the operator"),
        Case::create("a seed in the settings", core("core-seed", "NODE_SEED=\"S\"\n"))
            .invalid(CORE_CONFIG, "NODE_SEED belongs to the operator"),
        Case::create(
            "a setting that stellar-core does not know",
            core("core-unknown", "PEER_PROT=1\n"),
        )
        .invalid(CORE_CONFIG, "PEER_PROT"),
        Case::create(
            "an archive with a blank",
            archive("archive-blank", "https://history.example/a b"),
        )
        .invalid(URLS, "holds blanks, quotes"),
        Case::create(
            "an archive with a quote",
            archive("archive-quote", "https://history.example/'a"),
        )
        .invalid(URLS, "holds blanks, quotes"),
    ]
}

fn amounts() -> Vec<Case> {
    let resources = |name: &str, resources: Value| validator(name, json!({ "resources": resources }));
    let size = |name: &str, size: &str| validator(name, json!({ "storage": { "size": size } }));
    vec![
        Case::create(
            "an invalid amount",
            resources("cpu-bad", json!({ "requests": { "cpu": "two" } })),
        )
        .invalid("spec.resources.requests.cpu", "is not a quantity"),
        Case::create(
            "a request above its limit",
            resources(
                "cpu-high",
                json!({ "requests": { "cpu": "2" }, "limits": { "cpu": "1500m" } }),
            ),
        )
        .invalid("spec.resources.requests.cpu", "more than the limit"),
        Case::create("a volume of no size", size("size-bad", "100GB"))
            .invalid("spec.storage.size", "for example 100Gi"),
        Case::create("an empty volume", size("size-0", "0")).invalid("spec.storage.size", "for example 100Gi"),
    ]
}

/// The webhook reports all problems at once; a problem found by the schema would hide them.
fn several() -> Vec<Case> {
    let config = json!({
        "peerPort": 11626,
        "seedSecretRef": "",
        "knownPeersRef": { "name": "everything-config" },
        "coreConfig": "NODE_SEED=\"S\"\n",
    });
    let spec = json!({ "replicas": 0, "storage": { "size": "0" }, "validatorConfig": config });
    vec![
        Case::create("all problems are reported at once", validator("everything", spec))
            .invalid("spec.replicas", "suspended: true")
            .invalid("spec.storage.size", "not a size of a volume")
            .invalid(PORT, "HTTP port")
            .required(SEED, "absent")
            .invalid(LIST, "own config")
            .invalid(CORE_CONFIG, "NODE_SEED belongs to the operator"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_nodes_are_refused() {
    let env = TestEnv::start("cases-nodes-refused", Options::default()).await;
    let tables = [
        ports(),
        names(),
        blocks(),
        seeds(),
        lists(),
        settings_of_core(),
        amounts(),
        several(),
    ];
    check(&env, tables.into_iter().flatten().collect()).await;
}
