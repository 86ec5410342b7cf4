//! Checks the rights of the account in advance: optional kinds are skipped with a warning.

use std::fmt::Debug;

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::PeersCommandError;
use crate::controller::observe::api_of;
use crate::controller::observe::caches::OptionalKind;
use crate::controller::{Scope, ScopePart};
use crate::crd::StellarNode;
use crate::kubernetes::api::{ApiError, deadline};

/// Status of an answer if the account lacks a right.
const FORBIDDEN: u16 = 403;
/// Status of an answer for an unknown kind.
const UNKNOWN: u16 = 404;

/// Requests one object of each kind, and returns the optional kinds that the account may not read.
///
/// Other errors are left to the watches, which retry.
///
/// # Errors
/// Fails if the account may not read a required kind.
pub(crate) async fn missing(
    client: &Client,
    scope: &Scope,
    slots_in: &str,
) -> Result<Vec<OptionalKind>, PeersCommandError> {
    let mut refused = Vec::new();
    let mut without = Vec::new();
    for part in scope.parts() {
        let nodes = ask::<StellarNode>(client, &part).await;
        if nodes == Some(UNKNOWN) {
            return Err(PeersCommandError::NotInstalled);
        }
        let needed = [
            ("stellarnodes", nodes),
            ("statefulsets", ask::<StatefulSet>(client, &part).await),
            ("pods", ask::<Pod>(client, &part).await),
            ("configmaps", ask::<ConfigMap>(client, &part).await),
        ];
        refused.extend(needed.into_iter().filter(|(_, answer)| *answer == Some(FORBIDDEN)));
        let budgets = ask::<PodDisruptionBudget>(client, &part).await;
        if budgets == Some(FORBIDDEN) && !without.contains(&OptionalKind::Budgets) {
            without.push(OptionalKind::Budgets);
        }
        let refusals = ask::<Event>(client, &part).await;
        if refusals == Some(FORBIDDEN) && !without.contains(&OptionalKind::Refusals) {
            without.push(OptionalKind::Refusals);
        }
    }
    if !refused.is_empty() {
        let kinds: Vec<&str> = refused.into_iter().map(|(kind, _)| kind).collect();
        let place = match scope {
            Scope::All => "in all namespaces".to_owned(),
            Scope::Namespaces(names) => {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("in namespace {}", names.join(", "))
            }
        };
        return Err(PeersCommandError::Forbidden {
            kinds: kinds.join(", "),
            place,
        });
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), slots_in);
    let slots = code(deadline(leases.list_metadata(&one())).await);
    without.extend((slots == Some(FORBIDDEN)).then_some(OptionalKind::Slots));
    let namespaces = namespaces(client, scope).await;
    without.extend((namespaces == Some(FORBIDDEN)).then_some(OptionalKind::Namespaces));
    Ok(without)
}

fn one() -> ListParams {
    ListParams::default().limit(1)
}

/// The error status of a list of this kind; `None` if it succeeds.
async fn ask<K>(client: &Client, part: &ScopePart) -> Option<u16>
where
    K: Resource<Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = api_of(part, client);
    code(deadline(api.list_metadata(&one())).await)
}

/// The same for Namespaces: one list for all, or one request for each selected namespace.
async fn namespaces(client: &Client, scope: &Scope) -> Option<u16> {
    let api: Api<Namespace> = Api::all(client.clone());
    let Scope::Namespaces(names) = scope else {
        return code(deadline(api.list_metadata(&one())).await);
    };
    for name in names {
        let answer = code(deadline(api.get_metadata_opt(name)).await);
        if answer.is_some() {
            return answer;
        }
    }
    None
}

fn code<T>(answer: Result<T, ApiError>) -> Option<u16> {
    answer.err().and_then(|error| error.code())
}

/// The warning for a skipped kind.
pub(crate) fn left_out(what: OptionalKind, slots_in: &str) -> String {
    match what {
        OptionalKind::Slots => format!(
            "your account may not list leases in namespace {slots_in}, where --operator-namespace says the slots are: \
             their holders are not shown, and the next steps are shown as if no validator had a slot"
        ),
        OptionalKind::Budgets => {
            "your account may not list poddisruptionbudgets: the next steps are shown as if there were none".to_owned()
        }
        OptionalKind::Refusals => {
            "your account may not list events: a pod that the API server refuses is shown without the reason".to_owned()
        }
        OptionalKind::Namespaces => {
            "your account may not read the namespaces themselves: a namespace with the annotation \
             stellar.org/pause-restarts is shown as not paused"
                .to_owned()
        }
    }
}
