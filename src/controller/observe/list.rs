//! Lists that are read in parts.

use std::fmt::Debug;

use kube::Api;
use kube::api::ListParams;
use serde::de::DeserializeOwned;

use crate::kubernetes::api::{ApiError, PART, deadline};

/// Lists the selected objects page by page and passes each page to `take`. Tenants control the number and size of the
/// objects, so the whole list may not fit in memory.
pub async fn list_in_parts<K>(api: &Api<K>, selected: ListParams, mut take: impl FnMut(Vec<K>)) -> Result<(), ApiError>
where
    K: Clone + Debug + DeserializeOwned,
{
    let mut next = selected.limit(PART);
    loop {
        let part = deadline(api.list(&next)).await?;
        take(part.items);
        match part.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => next = next.continue_token(&token),
            None => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::ResourceExt as _;
    use serde_json::json;

    use super::*;
    use crate::kubernetes::played::{Call, api_server};

    #[tokio::test]
    async fn a_list_is_read_in_parts_of_sixteen_to_its_end() {
        let (client, calls) = api_server(|call| {
            let (name, next) = match call.parameter("continue") {
                None => ("first", "2"),
                Some("2") => ("second", "3"),
                Some(_) => ("third", ""),
            };
            json!({
                "apiVersion": "v1", "kind": "ConfigMapList", "metadata": { "continue": next },
                "items": [{ "metadata": { "name": name } }],
            })
        });
        let mut parts = Vec::new();
        let api: Api<ConfigMap> = Api::namespaced(client, "a");
        let take = |part: Vec<ConfigMap>| parts.push(part.iter().map(ConfigMap::name_any).collect::<Vec<_>>());
        list_in_parts(&api, ListParams::default().labels("of"), take)
            .await
            .unwrap();
        assert_eq!(parts, [["first"], ["second"], ["third"]]);
        let calls = calls.all();
        let asked: Vec<_> = calls.iter().map(|call| call.parameter("continue")).collect();
        assert_eq!(asked, [None, Some("2"), Some("3")]);
        let in_parts =
            |call: &Call| call.parameter("limit") == Some("16") && call.parameter("labelSelector") == Some("of");
        assert!(calls.iter().all(in_parts), "{calls:?}");
    }
}
