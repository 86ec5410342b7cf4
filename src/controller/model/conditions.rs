//! The conditions of a StellarNode: what each is about, who writes it, and the reasons that it can have.
//!
//! Words only; who says which is decided in `status`. `docs/operations.md` says what to do about each, and a test holds
//! it to this file.

use strum::{EnumDiscriminants, IntoStaticStr, VariantArray};

use crate::util::text::plain;

/// A condition's type together with its reason: none has another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumDiscriminants, IntoStaticStr)]
#[strum_discriminants(name(ConditionType))]
#[strum_discriminants(doc = "What a condition is about.")]
#[strum_discriminants(derive(IntoStaticStr, VariantArray, PartialOrd, Ord))]
pub enum Reason {
    /// Whether its pods are Ready.
    Ready(Ready),
    /// Whether its pods are being made those of its spec.
    Progressing(Progressing),
    /// Whether something else than its spec stands in its way.
    Degraded(Degraded),
    /// Whether nothing can be built from its spec.
    ConfigInvalid(ConfigInvalid),
    /// Whether it is a member of its group.
    Joined(Joined),
    /// Whether its group reaches over all namespaces that it names.
    PeerGroupJoined(PeerGroupJoined),
    /// Whether it takes part in consensus.
    Voting(Voting),
    /// Whether its pod loaded the peers that it needs.
    PeersReady(PeersReady),
    /// Whether its pod template is to be another.
    UpdatePending(UpdatePending),
    /// Whether a restart in its group does not end.
    RolloutStalled(RolloutStalled),
    /// Whether another pod that runs reports the public key of its own.
    SeedInUse(SeedInUse),
}

/// Who writes a condition: the next apply by one would take away what another wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The StellarNode controller.
    Controller,
    /// Discovery and rollout.
    Discovery,
}

impl ConditionType {
    /// As the status calls it.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Who writes it.
    pub fn owner(self) -> Owner {
        match self {
            Self::Ready | Self::Progressing | Self::Degraded | Self::ConfigInvalid => Owner::Controller,
            Self::Joined
            | Self::PeerGroupJoined
            | Self::Voting
            | Self::PeersReady
            | Self::UpdatePending
            | Self::RolloutStalled
            | Self::SeedInUse => Owner::Discovery,
        }
    }

    /// Who writes the condition that a status calls so; `None` if it is none of ours.
    pub fn owner_of(name: &str) -> Option<Owner> {
        let mut all = Self::VARIANTS.iter();
        all.find(|one| one.as_str() == name).map(|one| one.owner())
    }
}

/// A condition without its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is about, and one word that says why.
    pub reason: Reason,
    /// Whether it holds.
    pub status: bool,
    /// One sentence that says why.
    pub message: String,
    /// Whether somebody has to do something: a warning and an Event tell of it when it begins.
    pub warns: bool,
}

impl Finding {
    /// The condition of that reason.
    pub fn new(reason: impl Into<Reason>, status: bool, message: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            status,
            message: plain(&message.into()),
            warns: false,
        }
    }

    /// The same, of which a warning and an Event tell.
    pub fn warning(self) -> Self {
        Self { warns: true, ..self }
    }

    /// What it is about.
    pub fn condition(&self) -> ConditionType {
        self.reason.into()
    }
}

/// The reasons of each condition, which become [`Reason`]s.
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
            /// Each of them.
            pub fn all() -> Vec<Self> {
                let mut all = Vec::new();
                $(all.extend($condition::VARIANTS.iter().copied().map(Self::$condition));)+
                all
            }

            /// The word for it.
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
    SeedInUse {
        SeedInUse,
    }
}
