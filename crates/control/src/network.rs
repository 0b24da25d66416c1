//! The default networks: one for the region, a subnet in each zone. Their ids are derived from the names, so that they
//! are the same for ever.

use sha2::{Digest, Sha256};

use crate::settings::{Region, Zone};

/// The id of the region's default network: `vpc-` and eight characters.
pub(crate) fn default_vpc(region: &Region) -> String {
    format!("vpc-{}", short_hash(&region.name))
}

/// The id of a zone's default subnet: `subnet-` and eight characters.
pub(crate) fn default_subnet(zone: &Zone) -> String {
    format!("subnet-{}", short_hash(&zone.name))
}

fn short_hash(name: &str) -> String {
    let digest = Sha256::digest(name.as_bytes());
    digest[..8].iter().map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz012345"[usize::from(byte % 32)])).collect()
}
