use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A rule of a security group. The first that names a connection decides over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRule {
    /// Whether it accepts; else it drops.
    pub accepts: bool,
    /// `TCP`, `UDP`, `ICMP` or `ALL`.
    pub protocol: String,
    /// `ALL`, a port, a range such as `6379-6380`, or several with commas.
    pub ports: String,
    /// An address or a network, as a request named it.
    pub cidr: String,
    /// What its owner says of it.
    pub description: String,
}

/// The rules of a direction, as the ledger keeps them.
pub(crate) fn read_rules(text: &str) -> Result<Vec<SecurityRule>> {
    serde_json::from_str(text).map_err(|error| Error::Corrupt(error.to_string()))
}
