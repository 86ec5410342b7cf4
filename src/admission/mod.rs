//! The admission webhook: what the API server asks before it stores an object.
//!
//! | module | what it is for |
//! |---|---|
//! | [`check`] | the same rules for manifests, without a cluster |
//! | [`config`] | its flags |
//! | [`server`] | HTTPS: routes, drain, and how the parts are joined |
//! | [`limits`] | what one client, or many, may cost |
//! | [`review`], [`response`] | the wire: `AdmissionReview` in and out |
//! | [`field_error`] | one problem of one field |
//! | [`context`] | what the rules know beside the object |
//! | [`stateful_set`] | how a StatefulSet is read |
//! | [`mutate`](mod@mutate) | what is added to an object before it is stored |
//! | [`validate`](mod@validate) | which objects are refused, and why |
//! | `manifests` | how [`check`] reads files |
//! | `schema` | what the CRD's schema refuses, for [`check`] |
//! | `strict_json` | JSON in which no key is given twice |
//! | `stellar_node`, `horizon_rpc`, `disruption`, `key_source`, `pod_settings`, `sidecars`, `storage`, `workload` | the rules for each kind; `port`, `quantity`, `url` for each sort of value |
//! | [`decide`] | review → answer: what always passes, and who decides the rest |
//! | [`rules`] | all of that behind [`reviewer`] |
//! | [`reviewer`] | what the HTTP layer knows of the rules: a body goes in, an answer comes out |

pub mod check;
pub mod config;
pub mod context;
pub mod decide;
mod disruption;
pub mod field_error;
mod horizon_rpc;
mod key_source;
pub mod limits;
mod manifests;
pub mod mutate;
mod neighbours;
mod pod_settings;
mod port;
pub(crate) mod quantity;
pub mod response;
pub mod review;
pub mod reviewer;
pub mod rules;
mod scheduling;
mod schema;
pub mod server;
mod sidecars;
pub mod stateful_set;
mod stellar_node;
mod storage;
mod strict_json;
mod url;
pub mod validate;
mod workload;

#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod mutate_tests;
#[cfg(test)]
mod neighbours_tests;
#[cfg(test)]
mod pod_settings_tests;
#[cfg(test)]
mod validate_tests;
#[cfg(test)]
mod wire_tests;
