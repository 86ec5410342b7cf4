//! A reason to restart a validator, and the condition that it waits for. Pure.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::controller::model::snapshot::{Cause, Validator, Workload};

/// A reason to restart a validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    pub cause: Cause,
    /// Hash of the pending change, which a person can approve.
    pub hash: String,
    /// The condition that must pass before it may get a slot; `None` if there is none.
    pub wait: Option<Wait>,
}

/// The condition that a need waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A time, with the reason.
    Until(Timestamp, Cow<'static, str>),
    /// An event, with its description.
    For(Cow<'static, str>),
    /// A person's action on the StatefulSet, with its description.
    ForPerson(Cow<'static, str>),
}

impl Wait {
    pub fn reason(&self) -> &str {
        match self {
            Self::Until(_, reason) | Self::For(reason) | Self::ForPerson(reason) => reason,
        }
    }
}

/// Holds back a validator whose pod does not serve its peer port: a restart would load no peers, and its slot would not
/// end.
pub(crate) fn not_serving(validator: &Validator) -> Option<Wait> {
    let serves = validator.pod.as_ref().is_some_and(|pod| pod.ready);
    (!serves).then(|| Wait::For("its pod does not serve its peer port".into()))
}

/// Holds back a validator whose StatefulSet cannot become the one that we build: its slot would never end.
pub(crate) fn not_convertible(workload: &Workload) -> Option<Wait> {
    (!workload.convertible).then(|| {
        let reason = "the StatefulSet's selector does not select the pods that we build, or its volumeClaimTemplates have no volume \
         named data, and Kubernetes never changes these; or it has stellar-core in a container of another name, or another \
         owner: delete it and its pod, and the operator creates it again";
        Wait::ForPerson(reason.into())
    })
}
