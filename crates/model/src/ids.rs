use std::fmt;

use serde::{Deserialize, Serialize};

/// An instance: `crs-` and eight of `[a-z0-9]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct InstanceId(String);

impl InstanceId {
    /// Makes an id out of 64 random bits.
    pub fn from_random(bits: u64) -> Self {
        const ALPHABET: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        let mut rest = bits;
        let mut id = String::from("crs-");
        for _ in 0..8 {
            id.push(char::from(ALPHABET[(rest % 36) as usize]));
            rest /= 36;
        }
        InstanceId(id)
    }

    /// Reads an id; `None` where the text can't be one, so that no instance can have it.
    pub fn parse(text: &str) -> Option<Self> {
        let tail = text.strip_prefix("crs-")?;
        let fits = tail.len() == 8 && tail.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        fits.then(|| InstanceId(text.to_owned()))
    }

    /// The id as clients write it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for InstanceId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        InstanceId::parse(&text).ok_or_else(|| format!("{text:?} is not an instance id"))
    }
}

impl From<InstanceId> for String {
    fn from(id: InstanceId) -> String {
        id.0
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One Redis process of an instance, over all its restarts: 40 hexadecimal digits, as the API shows them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeId(String);

impl NodeId {
    /// Makes an id out of 160 random bits.
    pub fn from_random(bits: [u8; 20]) -> Self {
        NodeId(bits.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads an id; `None` where the text can't be one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        fits.then(|| NodeId(text.to_owned()))
    }

    /// The id as the API shows it; also the name of the node's folder.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for NodeId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        NodeId::parse(&text).ok_or_else(|| format!("{text:?} is not a node id"))
    }
}

impl From<NodeId> for String {
    fn from(id: NodeId) -> String {
        id.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A task: positive, and growing in the order in which tasks were accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId(pub i64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Counts the starts of a node. Whoever acts on a node or reports of one says under which epoch,
/// and what an older epoch says is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub i64);

impl Epoch {
    /// The epoch of the next start.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_instance_id_can_be_read_again() {
        for bits in [0, 1, 35, 36, u64::MAX] {
            let id = InstanceId::from_random(bits);
            assert_eq!(InstanceId::parse(id.as_str()), Some(id));
        }
    }

    #[test]
    fn what_cannot_be_an_instance_id_is_refused() {
        for text in ["", "crs-", "crs-1234567", "crs-123456789", "crs-ABCDEFGH", "cdb-12345678", "crs-1234567\u{e9}"] {
            assert_eq!(InstanceId::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_node_id_is_forty_hexadecimal_digits() {
        let id = NodeId::from_random([0xab; 20]);
        assert_eq!(id.as_str().len(), 40);
        assert_eq!(NodeId::parse(id.as_str()), Some(id));
        assert_eq!(NodeId::parse("../../etc"), None);
    }
}
