//! Validators join and leave a group, and groups stay apart.

mod across_namespaces;
mod networks_apart;
mod unlinked_mode;
mod validator_joins;
mod validator_suspended;
