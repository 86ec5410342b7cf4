//! The conditions of a StellarNode: their types, owners and reasons.
//!
//! This module holds names only. `status` decides which condition a node gets. `docs/operations.md` says what to do
//! about each, and a test compares it with this file.

use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use crate::util::text::plain;

/// A condition's type together with its reason. No reason belongs to two types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumDiscriminants, IntoStaticStr)]
#[strum_discriminants(name(ConditionType))]
#[strum_discriminants(doc = "What a condition is about.")]
#[strum_discriminants(derive(IntoStaticStr, VariantArray, PartialOrd, Ord))]
pub enum Reason {
    /// Whether its pods are Ready.
    Ready(Ready),
    /// Whether a change of its spec is being rolled out.
    Progressing(Progressing),
    /// Whether something other than its spec blocks it.
    Degraded(Degraded),
    /// Whether its spec is invalid, so that no objects can be built from it.
    ConfigInvalid(ConfigInvalid),
    /// Whether it has joined its peer group.
    Joined(Joined),
    /// Whether its group is joined with every namespace that it lists.
    PeerGroupJoined(PeerGroupJoined),
    /// Whether it takes part in consensus.
    Voting(Voting),
    /// Whether its pod has loaded the peers that it needs.
    PeersReady(PeersReady),
    /// Whether a new pod template waits to be rolled out.
    UpdatePending(UpdatePending),
    /// Whether a restart in its group has passed its deadline.
    RolloutStalled(RolloutStalled),
    /// Whether something keeps its pod from running.
    PodBlocked(PodBlocked),
    /// Whether another running pod reports the same public key.
    SeedInUse(SeedInUse),
}

/// The component that writes a condition. Each has its own field manager: an apply deletes the conditions of its
/// manager that it omits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Controller,
    Discovery,
}

impl ConditionType {
    /// The type as the status spells it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The component that writes this condition.
    pub fn owner(self) -> Owner {
        match self {
            Self::Ready | Self::Progressing | Self::Degraded | Self::ConfigInvalid => Owner::Controller,
            Self::Joined
            | Self::PeerGroupJoined
            | Self::Voting
            | Self::PeersReady
            | Self::UpdatePending
            | Self::RolloutStalled
            | Self::PodBlocked
            | Self::SeedInUse => Owner::Discovery,
        }
    }

    /// The component that writes the condition of this name; `None` for conditions of other programs.
    pub fn owner_of(name: &str) -> Option<Owner> {
        let mut all = Self::VARIANTS.iter();
        all.find(|one| one.as_str() == name).map(|one| one.owner())
    }
}

/// A condition without its timestamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub reason: Reason,
    /// The condition's status, `True` or `False`.
    pub status: bool,
    /// A sentence for the user.
    pub message: String,
    /// Whether a person has to act. The log and an Event then report the condition when it begins.
    pub warns: bool,
}

impl Finding {
    /// Creates the condition that has this reason.
    pub fn new(reason: impl Into<Reason>, status: bool, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status,
            message: plain(&message.into()),
            warns: false,
        }
    }

    /// Marks the condition as a warning, which the log and an Event report.
    pub fn warning(self) -> Self {
        Self { warns: true, ..self }
    }

    pub fn condition(&self) -> ConditionType {
        self.reason.into()
    }
}

/// Defines the reasons of each condition as one enum, and [`Reason::all`] over all of them.
macro_rules! reasons {
    ($($condition:ident { $($word:ident,)+ })+) => {
        $(
            #[doc = concat!("The reasons of `", stringify!($condition), "`.")]
            #[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
            #[allow(missing_docs, reason = "docs/operations.md has a sentence for each")]
            pub enum $condition { $($word,)+ }

            impl From<$condition> for Reason {
                fn from(reason: $condition) -> Self {
                    Self::$condition(reason)
                }
            }
        )+

        impl Reason {
            /// All reasons of all conditions.
            pub fn all() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend($condition::VARIANTS.iter().copied().map(Self::$condition));)+
                all
            }

            /// The reason as the status spells it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$condition(reason) => reason.into(),)+
                }
            }
        }
    };
}

reasons! {
    Ready {
        PodReady,
        PodsReady,
        PodNotReady,
        PodsNotReady,
        Suspended,
        NoReplicas,
        SeedInUse,
        DatabaseInUse,
        ConfigInvalid,
        Degraded,
    }
    Progressing {
        Creating,
        RollingOut,
        WaitsForTurn,
        WaitsForPerson,
        Stopped,
        RolloutComplete,
        ProgressDeadlineExceeded,
    }
    Degraded {
        NotOurs,
        Refused,
        ReplicaFailure,
        VolumeNotEnlarged,
        NoArchive,
        ProgressDeadlineExceeded,
        AsExpected,
    }
    ConfigInvalid {
        Refused,
        Unreadable,
    }
    Joined {
        Ready,
        NeverReady,
        Suspended,
    }
    PeerGroupJoined {
        Joined,
        NoConsent,
    }
    Voting {
        PodReady,
        PodNotReady,
        CatchingUp,
        LeftBehind,
    }
    PeersReady {
        Loaded,
        Linked,
        NotConnected,
        RestartPending,
        NotJoined,
        NotReported,
        ListUnreadable,
        NetworkConflict,
        NotOurs,
    }
    UpdatePending {
        UpToDate,
        WaitsForTurn,
        WaitsForPerson,
        Rolling,
        NotWritten,
    }
    RolloutStalled {
        DeadlineExceeded,
        TurnsUnreadable,
    }
    PodBlocked {
        PodRefused,
        Unschedulable,
        CreateContainerConfigError,
        CreateContainerError,
        ImagePullBackOff,
        CrashLoopBackOff,
    }
    SeedInUse {
        SeedInUse,
    }
}
