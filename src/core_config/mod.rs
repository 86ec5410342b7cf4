//! To be written.
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ConfigError;
/// x
pub fn base_config(_s: &crate::crd::StellarNodeSpec) -> Result<String, ConfigError> {
    Ok(String::new())
}
/// x
pub mod pod_paths {
    #![allow(missing_docs)]
    pub const BASE_DIR: &str = "";
    pub const PEERS_DIR: &str = "";
    pub const CONFIG_DIR: &str = "";
    pub const CONFIG_FILE: &str = "";
    pub const DATA_DIR: &str = "";
    pub const NEW_DB_MARKER: &str = "";
    pub const VOTING_PATH: &str = "";
    pub fn render_config_args(_n: &crate::peers::NodeId, _s: Option<&str>) -> Vec<String> {
        vec![]
    }
    pub fn health_args() -> Vec<String> {
        vec![]
    }
}
/// x
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// x
    pub field: &'static str,
    /// x
    pub message: String,
}
/// x
pub fn check_validator(_c: &crate::crd::ValidatorConfig) -> Vec<Problem> {
    vec![]
}
/// x
pub fn quorum_warnings(_t: &str) -> Vec<String> {
    vec![]
}
