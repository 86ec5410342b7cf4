//! The report of the StellarNode controller on a node, and the reports that do not follow from its workload. Pure.
//!
//! `validator` and `horizon_rpc` report on a workload; the reconciler writes the status.

use crate::controller::exclusivity::{Exclusive, InUse};
use crate::controller::model::conditions::{ConfigInvalid, Degraded, Finding, Ready};
use crate::controller::resources::{self, Obstacle};
use crate::crd::StorageStatus;
use crate::labels;
use crate::util::error_chain;

/// The report of the StellarNode controller on a node.
#[derive(Clone, Debug)]
pub struct NodeReport {
    /// Number of pods wanted.
    pub replicas: i32,
    /// Number of pods ready.
    pub ready_replicas: i32,
    /// Where it is reached.
    pub endpoint: Option<String>,
    /// Its volume claim, and what is in force for it; the decision adds it.
    pub storage: Option<StorageStatus>,
    /// The conditions that the controller owns.
    pub conditions: Vec<Finding>,
}

/// Another validator has its seed or its database.
pub(crate) fn in_use(found: &InUse) -> NodeReport {
    let holder = &found.holder;
    let (reason, message) = match found.what {
        Exclusive::Seed => (
            Ready::SeedInUse,
            format!(
                "it is not started, because two nodes with one seed harm consensus and {holder} has the same: write \
                 another Secret in seedSecretRef, or suspend or delete one of the two"
            ),
        ),
        Exclusive::Database => (
            Ready::DatabaseInUse,
            format!(
                "it is not started, because it would wipe its database and {holder} has the same: write another key in \
                 database.secretKeyRef, or delete one of the two"
            ),
        ),
    };
    NodeReport {
        storage: None,
        replicas: 0,
        ready_replicas: 0,
        endpoint: None,
        conditions: vec![Finding::new(reason, false, message)],
    }
}

/// An object of another owner has the name of one of its objects.
pub(crate) fn in_the_way(replicas: i32, obstacle: &Obstacle) -> NodeReport {
    let operator = labels::OPERATOR;
    let message = match obstacle {
        Obstacle::NotOurs(object) => format!(
            "{object} is there and not managed by {operator}: rename or delete it, or label it {}={operator} to hand it over",
            labels::MANAGED_BY,
        ),
        Obstacle::Owned { object, owner } => format!(
            "{object} is labelled as managed by {operator} and belongs to {owner}, which goes on changing it: take that out \
             of its ownerReferences to hand it over, or delete it",
        ),
    };
    let conditions = vec![
        Finding::new(Ready::Degraded, false, message.clone()),
        Finding::new(Degraded::NotOurs, true, message),
    ];
    NodeReport {
        storage: None,
        replicas,
        ready_replicas: 0,
        endpoint: None,
        conditions,
    }
}

/// The API server refuses one of its objects for a reason outside its spec.
pub(crate) fn refused(replicas: i32, ready_replicas: i32, message: &str) -> NodeReport {
    let message = format!("the API server refuses its objects: {message}");
    NodeReport {
        storage: None,
        replicas,
        ready_replicas,
        endpoint: None,
        conditions: vec![
            Finding::new(Ready::Degraded, false, message.clone()),
            Finding::new(Degraded::Refused, true, message),
        ],
    }
}

/// Nothing can be built from its spec.
pub(crate) fn invalid(error: &resources::BuildError, replicas: i32, ready_replicas: i32) -> NodeReport {
    let message = error_chain::on_one_line(error);
    let conditions = vec![
        Finding::new(Ready::ConfigInvalid, false, message.clone()),
        Finding::new(ConfigInvalid::Refused, true, message),
    ];
    NodeReport {
        storage: None,
        replicas,
        ready_replicas,
        endpoint: None,
        conditions,
    }
}
