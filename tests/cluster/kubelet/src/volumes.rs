//! Makes volumes as directories.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, KeyToPath, Pod, Volume};

use crate::env::expand;
use crate::paths::Mapping;
use crate::sources::{Data, Sources};

const DEFAULT_MODE: i32 = 0o644;
/// The only simulated CSI driver: its volumes have the content of the Secret with its credentials.
const DRIVER: &str = "secrets.test.stellar.org";

/// Makes directories for all volumes of the pod below `directory`, with the content of ConfigMaps and Secrets.
///
/// Other volumes (`emptyDir`, claims) keep their content.
///
/// # Errors
/// The errors that a kubelet reports as `FailedMount`.
pub(crate) fn make(pod: &Pod, directory: &Path, sources: &Sources) -> Result<(), String> {
    for volume in pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let target = directory.join(&volume.name);
        let failed = |error: io::Error| format!("volume {}: {error}", volume.name);
        match files(volume, sources)? {
            None => fs::create_dir_all(&target).map_err(failed)?,
            Some(files) => {
                if target.exists() {
                    fs::remove_dir_all(&target).map_err(failed)?;
                }
                fs::create_dir_all(&target).map_err(failed)?;
                for (path, content, mode) in files {
                    write(&target, &path, &content, mode).map_err(failed)?;
                }
            }
        }
    }
    Ok(())
}

/// Maps the paths inside the container to its volumes.
pub(crate) fn mapping(container: &Container, directory: &Path, env: &BTreeMap<String, String>) -> Mapping {
    let mut mapping = Mapping::default();
    for mount in container.volume_mounts.iter().flatten() {
        let mut outside = directory.join(&mount.name);
        let sub_path = mount.sub_path_expr.as_deref().map(|expression| expand(expression, env));
        if let Some(sub_path) = sub_path
            .or_else(|| mount.sub_path.clone())
            .filter(|path| is_inside(Path::new(path)))
        {
            outside.push(sub_path);
        }
        mapping.insert(&mount.mount_path, outside);
    }
    mapping
}

type File = (PathBuf, Vec<u8>, i32);

/// The files of a volume; `None` if its content does not come from the API.
fn files(volume: &Volume, sources: &Sources) -> Result<Option<Vec<File>>, String> {
    if let Some(source) = &volume.config_map {
        let data = sources.config_map(&source.name, source.optional)?;
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        return select(data, source.items.as_deref(), source.optional, mode).map(Some);
    }
    if let Some(source) = &volume.secret {
        let data = sources.secret(source.secret_name.as_deref().unwrap_or_default(), source.optional)?;
        let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
        return select(data, source.items.as_deref(), source.optional, mode).map(Some);
    }
    if let Some(source) = &volume.csi {
        if source.driver != DRIVER {
            let driver = &source.driver;
            return Err(format!(
                "driver name {driver} not found in the list of registered CSI drivers"
            ));
        }
        let name = source
            .node_publish_secret_ref
            .as_ref()
            .map(|secret| secret.name.as_str());
        let data = sources.secret(name.unwrap_or_default(), None)?;
        return select(data, None, None, DEFAULT_MODE).map(Some);
    }
    let Some(projected) = &volume.projected else {
        return Ok(None);
    };
    let mode = projected.default_mode.unwrap_or(DEFAULT_MODE);
    let mut files = Vec::new();
    for source in projected.sources.iter().flatten() {
        if let Some(source) = &source.config_map {
            let data = sources.config_map(&source.name, source.optional)?;
            files.extend(select(data, source.items.as_deref(), source.optional, mode)?);
        } else if let Some(source) = &source.secret {
            let data = sources.secret(&source.name, source.optional)?;
            files.extend(select(data, source.items.as_deref(), source.optional, mode)?);
        }
    }
    Ok(Some(files))
}

fn select(
    data: Option<&Data>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: i32,
) -> Result<Vec<File>, String> {
    let Some(data) = data.map(Data::bytes) else {
        return Ok(Vec::new());
    };
    let Some(items) = items else {
        return Ok(data
            .iter()
            .map(|(key, value)| (PathBuf::from(key), value.clone(), mode))
            .collect());
    };
    let mut files = Vec::new();
    for item in items {
        match data.get(&item.key) {
            Some(value) => files.push((PathBuf::from(&item.path), value.clone(), item.mode.unwrap_or(mode))),
            None if optional == Some(true) => {}
            None => return Err(format!("references non-existent key: {}", item.key)),
        }
    }
    Ok(files)
}

fn write(directory: &Path, path: &Path, content: &[u8], mode: i32) -> io::Result<()> {
    if !is_inside(path) {
        return Err(io::Error::other(format!("{} leads out of the volume", path.display())));
    }
    let path = directory.join(path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mode = u32::try_from(mode).map_err(io::Error::other)?;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&path)?;
    io::Write::write_all(&mut file, content)?;
    // The umask changes the mode above; a kubelet ignores the umask.
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))
}

fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|component| matches!(component, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::files;
    use crate::sources::{Data, Sources};

    /// Path, content and mode of a file.
    type Plain = (String, String, i32);

    fn content(volume: &serde_json::Value) -> Result<Option<Vec<Plain>>, String> {
        let data = Data::from([("a".to_owned(), b"1".to_vec()), ("b".to_owned(), b"2".to_vec())]);
        let sources = Sources::new([("map".to_owned(), data.clone())], [("secret".to_owned(), data)]);
        let volume = serde_json::from_value(volume.clone()).map_err(|error| error.to_string())?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let plain = |(path, bytes, mode): super::File| (path.display().to_string(), text(bytes), mode);
        files(&volume, &sources).map(|files| files.map(|files| files.into_iter().map(plain).collect()))
    }

    #[test]
    fn a_reference_selects_the_content() {
        let file = |path: &str, content: &str, mode| (path.to_owned(), content.to_owned(), mode);
        for (volume, expected) in [
            (json!({ "name": "v", "emptyDir": {} }), Ok(None)),
            (
                json!({ "name": "v", "configMap": { "name": "no", "optional": true } }),
                Ok(Some(vec![])),
            ),
            (
                json!({ "name": "v", "configMap": { "name": "no" } }),
                Err("configmap \"no\" not found".to_owned()),
            ),
            (
                json!({ "name": "v", "configMap": { "name": "map" } }),
                Ok(Some(vec![file("a", "1", 0o644), file("b", "2", 0o644)])),
            ),
            (
                json!({ "name": "v", "secret": { "secretName": "secret", "defaultMode": 256,
                    "items": [{ "key": "b", "path": "x/y" }] } }),
                Ok(Some(vec![file("x/y", "2", 0o400)])),
            ),
            (
                json!({ "name": "v", "csi": { "driver": "secrets.test.stellar.org",
                    "nodePublishSecretRef": { "name": "secret" } } }),
                Ok(Some(vec![file("a", "1", 0o644), file("b", "2", 0o644)])),
            ),
            (
                json!({ "name": "v", "csi": { "driver": "no" } }),
                Err("driver name no not found in the list of registered CSI drivers".to_owned()),
            ),
            (
                json!({ "name": "v", "configMap": { "name": "map", "items": [{ "key": "c", "path": "c" }] } }),
                Err("references non-existent key: c".to_owned()),
            ),
            (
                json!({ "name": "v", "projected": { "sources": [
                    { "configMap": { "name": "map", "items": [{ "key": "a", "path": "p", "mode": 288 }] } },
                    { "secret": { "name": "no", "optional": true } } ] } }),
                Ok(Some(vec![file("p", "1", 0o440)])),
            ),
        ] {
            assert_eq!(content(&volume), expected, "{volume}");
        }
    }
}
