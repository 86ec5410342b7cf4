//! `stellar-operator`: connects Stellar validators on Kubernetes.
//!
//! stellar-core reads its peers once, at its start, and pods change their addresses each time they restart. This
//! program notices which validators exist and where they are, puts that list where every validator's pod reads it, and
//! restarts a validator when – and only when – it must read the list again, one at a time.
//!
//! # A map
//!
//! A room uses only rooms below it in this table.
//!
//! | room | what it is for |
//! |---|---|
//! | [`cli`] | the command line, and which module answers each subcommand |
//! | [`commands`] | the subcommands: `peers`, `check`, `config`, `render-config`, `health`, `history` |
//! | [`run`] | the subcommand `run`: wires webhook, caches, leader and controllers together |
//! | [`controller`] | StellarNode → StatefulSet and Service; peer discovery; slots and restarts |
//! | [`admission`] | the rules of the webhook: what is added to an object, and what is refused. Pure |
//! | [`webhook`] | the HTTPS server of the webhook; knows nothing of Stellar |
//! | [`tls`] | the webhook's certificates: issue, share, reload, `caBundle` |
//! | [`core_config`] | `stellar-core.cfg`: stellar-core's rules, and how the file is rendered |
//! | [`metrics`] | what is counted, for Prometheus; `/healthz` and `/readyz` |
//! | [`peers`] | the list of known peers, views of it, and what a pod reports to have loaded |
//! | [`crd`] | the StellarNode API: types and schema |
//! | [`kubernetes`] | calls, names, quantities, and what stored objects say |
//! | [`labels`] | every label, annotation and object name |
//! | [`util`] | time, text, digests, HTTP servers, the log |
//!
//! Everything that decides is a pure function of what the API server holds: *observe* (reflector caches) → *decide*
//! (pure) → *apply* (server-side apply) → *report* (status, Events). Code that decides takes no client.

pub mod admission;
pub mod cli;
pub mod commands;
pub mod controller;
pub mod core_config;
pub mod crd;
pub mod kubernetes;
pub mod labels;
pub mod metrics;
pub mod peers;
pub mod run;
pub mod tls;
pub mod util;
pub mod webhook;

/// The git revision that this program was built from; empty where it is not known, as in a debug build.
pub const REVISION: &str = env!("STELLAR_OPERATOR_REVISION");
