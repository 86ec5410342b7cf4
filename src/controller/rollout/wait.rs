//! A reason to restart a validator, and what it waits for. Pure.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::controller::model::snapshot::{Cause, Validator, Workload};

/// A reason to restart a validator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Why.
    pub cause: Cause,
    /// Hash of what is pending: what a person approves.
    pub hash: String,
    /// What it waits for before it may ask for a slot; `None` if for nothing.
    pub wait: Option<Wait>,
}

/// What a need waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Until then, for this reason.
    Until(Timestamp, Cow<'static, str>),
    /// For an event, described so.
    For(Cow<'static, str>),
    /// For what a person did to the StatefulSet, or has to do, described so.
    ForPerson(Cow<'static, str>),
}

impl Wait {
    /// What is waited for, in words.
    pub fn reason(&self) -> &str {
        match self {
            Self::Until(_, reason) | Self::For(reason) | Self::ForPerson(reason) => reason,
        }
    }
}

/// A pod that does not serve its peer port loads no peers by a restart, and the slot for one would not end.
pub(crate) fn not_serving(validator: &Validator) -> Option<Wait> {
    let serves = validator.pod.as_ref().is_some_and(|pod| pod.ready);
    (!serves).then(|| Wait::For("its pod does not serve its peer port".into()))
}

/// A StatefulSet that cannot become what we build would hold a slot for ever.
pub(crate) fn not_convertible(workload: &Workload) -> Option<Wait> {
    (!workload.convertible).then(|| {
        let reason = "the StatefulSet's selector does not select the pods that we build, or its volumeClaimTemplates have no volume \
         named data, and Kubernetes never changes these; or it has stellar-core in a container of another name, or another \
         owner: delete it and its pod, and it is made anew";
        Wait::ForPerson(reason.into())
    })
}
