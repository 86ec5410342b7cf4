//! `stellar-operator`: connects Stellar validators on Kubernetes.
//!
//! stellar-core reads its peers once, at its start, and pods change their addresses each time they restart. This
//! program notices which validators exist and where they are, puts that list where every validator's pod reads it, and
//! restarts a validator when – and only when – it must read the list again, one at a time.
//!
//! # A map
//!
//! | module | what it is for |
//! |---|---|
//! | [`cli`] | the command line: `run`, `peers`, `check`, `config`, `render-config`, `health`, `crd` |
//! | [`crd`] | the StellarNode API: types and schema |
//! | [`peers`] | the list of known peers, views of it, and what a pod reports to have loaded |
//! | [`admission`] | the webhook: `review` and `response` (wire), `mutate` and `validate` (pure rules), `server` (routes) |
//! | [`tls`] | the webhook's certificates: issue, share, reload, `caBundle` |
//! | [`controller`] | StellarNode → StatefulSet and Service; peer discovery; turns and restarts |
//! | [`peers_command`] | `stellar-operator peers`: who knows whom, and what would be done next |
//! | [`core_config`] | `stellar-core.cfg`: stellar-core's rules, and how the file is rendered |
//! | [`core_container`] | which container of a pod is stellar-core |
//! | [`health`] | the sidecar that tells whether a validator votes |
//! | [`probes`] | `/healthz` and `/readyz`, and what each part has to say to them |
//! | [`http`] | what the clients of our HTTP servers may cost |
//! | [`api`] | deadlines for calls to the API server |
//! | [`causes`] | an error with what caused it, on one line |
//! | [`kubeconfig`] | which API server a person means |
//! | [`metrics`] | what is counted, for Prometheus |
//! | [`leader`] | which replica does the leader's work |
//! | [`labels`] | every label, annotation and object name |
//! | [`names`] | what Kubernetes takes as a name |
//! | [`operator`] | wires webhook, caches, leader and controllers together |
//! | [`telemetry`] | the log |
//! | [`clock`], [`durations`], [`digest`] | the time, spans of it as people write them, and short hashes of text |
//!
//! Everything that decides is a pure function of what the API server holds: *observe* (reflector caches) → *decide*
//! (pure) → *apply* (server-side apply) → *report* (status, Events). Code that decides takes no client.

pub mod admission;
pub mod api;
pub mod causes;
pub mod cli;
pub mod clock;
pub mod controller;
pub mod core_config;
pub mod core_container;
pub mod crd;
pub mod digest;
pub mod durations;
pub mod health;
pub mod http;
pub mod kubeconfig;
pub mod labels;
pub mod leader;
pub mod metrics;
pub mod names;
pub mod operator;
pub mod peers;
pub mod peers_command;
pub mod probes;
pub mod telemetry;
pub mod tls;
