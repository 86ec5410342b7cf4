//! `stellar-operator config` prints the configuration file of a validator's pod without the seed.

use std::process::{Command, Output};

use stellar_k8s::labels;
use test_kit::{Options, TWO, TestEnv, Validators};

fn config(env: &TestEnv, node: &str) -> Output {
    Command::new(test_kit::operator_binary())
        .args(["config", node, "--namespace", env.namespace()])
        .env("KUBECONFIG", env.cluster().kubeconfig())
        .output()
        .expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn config_prints_the_pods_file_without_the_seed() {
    let env = TestEnv::start("config-command", Options::default()).await;
    let validators = Validators::new(2);
    env.create_settled(&validators, 2).await;
    for name in TWO {
        let output = config(&env, name);
        let (errors, printed) = (text(output.stderr), text(output.stdout));
        assert!(output.status.success() && errors.is_empty(), "{errors}");
        assert!(
            printed.contains(&format!(
                "# NODE_SEED, from key STELLAR_CORE_SEED of Secret {name}-seed\n"
            )),
            "{printed}"
        );
        assert!(
            !printed.contains("public-key"),
            "the output has the public key: {printed}"
        );
        let mut printed: toml::Table = printed.parse().expect("TOML");
        let mut file = env.rendered_config(&format!("{name}-0")).expect("it was rendered");
        assert!(file.remove("NODE_SEED").is_some());
        // The other pod may have a new address since this pod read the list.
        file.remove(labels::KNOWN_PEERS);
        let peers = printed.remove(labels::KNOWN_PEERS).expect("a peer");
        assert_eq!(printed, file, "{name}");
        let own = format!("{}:11625", env.pod_ip(name).expect("an address"));
        let others: Vec<String> = env.peers().into_iter().filter(|peer| *peer != own).collect();
        assert_eq!(peers.try_into::<Vec<String>>().expect("addresses"), others, "{name}");
    }
    let output = config(&env, "validator-3");
    assert!(!output.status.success());
    let errors = text(output.stderr);
    assert!(
        errors.contains(&format!("no StellarNode {}/validator-3", env.namespace())),
        "{errors}"
    );
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("UTF-8")
}
