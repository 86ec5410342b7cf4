//! `image/pack` makes an image without a container engine, in the OCI's and in docker's format.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::ROOT;

fn done(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}

fn pack(file: &Path, root: &Path) -> String {
    done(
        Command::new(format!("{ROOT}/image/pack"))
            .arg(file)
            .arg("docker.io/library/thing:1.2")
            .arg(root)
            .arg(r#"{"Entrypoint":["/program"],"User":"65532:65532"}"#),
    )
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON")
}

/// The file of a descriptor; asserts its size and digest.
fn blob(layout: &Path, descriptor: &Value) -> std::path::PathBuf {
    let digest = descriptor["digest"].as_str().expect("a digest");
    let digest = digest.strip_prefix("sha256:").expect("of SHA-256");
    let file = layout.join("blobs/sha256").join(digest);
    assert_eq!(
        Some(file.metadata().expect("it is there").len()),
        descriptor["size"].as_u64()
    );
    let sum = done(Command::new("sha256sum").arg(&file));
    assert_eq!(sum.split(' ').next(), Some(digest));
    file
}

#[test]
fn image_parts_refer_to_each_other_and_the_content_is_complete() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path().join("root");
    std::fs::create_dir_all(root.join("etc")).expect("a directory");
    std::fs::write(root.join("program"), "#!/bin/sh\n").expect("a file");
    std::fs::write(root.join("etc/name"), "one").expect("a file");
    let file = directory.path().join("image.tar");
    let said = pack(&file, &root);

    let layout = directory.path().join("layout");
    std::fs::create_dir(&layout).expect("a directory");
    done(Command::new("tar").arg("-C").arg(&layout).arg("-xf").arg(&file));
    assert_eq!(json(&layout.join("oci-layout"))["imageLayoutVersion"], "1.0.0");
    let index = json(&layout.join("index.json"));
    let entry = &index["manifests"][0];
    assert_eq!(
        entry["annotations"]["io.containerd.image.name"],
        "docker.io/library/thing:1.2"
    );
    assert_eq!(
        said,
        format!(
            "docker.io/library/thing:1.2 {}",
            entry["digest"].as_str().expect("a digest")
        )
    );
    let manifest = json(&blob(&layout, entry));
    let config = json(&blob(&layout, &manifest["config"]));
    assert_eq!(config["config"]["Entrypoint"][0], "/program");
    assert_eq!(config["config"]["User"], "65532:65532");
    let layer = blob(&layout, &manifest["layers"][0]);
    // The layer is not compressed, so its digest is that of its content.
    assert_eq!(config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"]);
    let content = done(Command::new("tar").arg("-tf").arg(&layer));
    assert_eq!(
        content.lines().collect::<Vec<_>>(),
        ["./", "./etc/", "./etc/name", "./program"]
    );

    // Docker's format has the same files under other names.
    let docker = json(&layout.join("manifest.json"));
    assert_eq!(docker[0]["RepoTags"][0], "docker.io/library/thing:1.2");
    assert_eq!(
        json(&layout.join(docker[0]["Config"].as_str().expect("a path"))),
        config
    );
    assert_eq!(layout.join(docker[0]["Layers"][0].as_str().expect("a path")), layer);
}

#[test]
fn packing_is_reproducible() {
    let directory = tempfile::tempdir().expect("a directory");
    let [one, two] = ["one", "two"].map(|name| {
        let root = directory.path().join(name);
        std::fs::create_dir(&root).expect("a directory");
        std::fs::write(root.join("file"), "content").expect("a file");
        let file = directory.path().join(format!("{name}.tar"));
        pack(&file, &root);
        std::fs::read(file).expect("a file")
    });
    assert!(one == two, "the image does not depend on time or directory");
}
