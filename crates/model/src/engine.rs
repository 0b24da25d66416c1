use std::fmt;

use serde::{Deserialize, Serialize};

/// Which of the two servers a node runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// `redis-server`
    Redis,
    /// `valkey-server`
    Valkey,
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            EngineKind::Redis => "Redis",
            EngineKind::Valkey => "Valkey",
        })
    }
}

/// An engine's version, as its own `--version` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EngineVersion {
    /// 7 in 7.0.15
    pub major: u16,
    /// 0 in 7.0.15
    pub minor: u16,
    /// 15 in 7.0.15
    pub patch: u16,
}

impl EngineVersion {
    /// A version from its three parts.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        EngineVersion { major, minor, patch }
    }

    /// Reads `7.0.15` or `7.0`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.').map(|part| part.parse::<u16>().ok());
        let version = EngineVersion::new(parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        parts.next().is_none().then_some(version)
    }
}

impl fmt::Display for EngineVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl TryFrom<String> for EngineVersion {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        EngineVersion::parse(&text).ok_or_else(|| format!("{text:?} is not an engine version"))
    }
}

impl From<EngineVersion> for String {
    fn from(version: EngineVersion) -> String {
        version.to_string()
    }
}

/// How an instance spreads its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// One primary and its replicas.
    Standard,
    /// Several shards, each a primary and its replicas.
    Cluster,
}

/// The API's number for an engine, its version and its architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TypeId(i64);

struct TypeRow {
    id: i64,
    engine: EngineKind,
    version: EngineVersion,
    architecture: Architecture,
}

const fn row(id: i64, engine: EngineKind, major: u16, minor: u16, architecture: Architecture) -> TypeRow {
    TypeRow { id, engine, version: EngineVersion::new(major, minor, 0), architecture }
}

/// The types that the API has for Redis and Valkey (those of CKV, Tendis and Memcached are other products' engines).
const TYPES: &[TypeRow] = &[
    row(2, EngineKind::Redis, 2, 8, Architecture::Standard),
    row(6, EngineKind::Redis, 4, 0, Architecture::Standard),
    row(7, EngineKind::Redis, 4, 0, Architecture::Cluster),
    row(8, EngineKind::Redis, 5, 0, Architecture::Standard),
    row(9, EngineKind::Redis, 5, 0, Architecture::Cluster),
    row(15, EngineKind::Redis, 6, 2, Architecture::Standard),
    row(16, EngineKind::Redis, 6, 2, Architecture::Cluster),
    row(17, EngineKind::Redis, 7, 0, Architecture::Standard),
    row(18, EngineKind::Redis, 7, 0, Architecture::Cluster),
    row(19, EngineKind::Valkey, 8, 0, Architecture::Standard),
    row(20, EngineKind::Valkey, 8, 0, Architecture::Cluster),
    row(21, EngineKind::Valkey, 9, 0, Architecture::Standard),
    row(22, EngineKind::Valkey, 9, 0, Architecture::Cluster),
];

impl TypeId {
    /// Reads a number; `None` where the API has no such type for Redis or Valkey.
    pub fn parse(id: i64) -> Option<Self> {
        TYPES.iter().any(|row| row.id == id).then_some(TypeId(id))
    }

    /// All types, in the order of their numbers.
    pub fn all() -> impl Iterator<Item = TypeId> {
        TYPES.iter().map(|row| TypeId(row.id))
    }

    /// The number that clients send.
    pub fn number(self) -> i64 {
        self.0
    }

    /// Redis or Valkey.
    pub fn engine(self) -> EngineKind {
        self.row().engine
    }

    /// The version that the type promises at least (its patch is 0).
    pub fn version(self) -> EngineVersion {
        self.row().version
    }

    /// Standard or cluster.
    pub fn architecture(self) -> Architecture {
        self.row().architecture
    }

    fn row(self) -> &'static TypeRow {
        TYPES.iter().find(|row| row.id == self.0).expect("a TypeId is made by parse or all alone")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back_as_they_print() {
        for text in ["7.0.15", "8.1.0", "255.1.2"] {
            assert_eq!(EngineVersion::parse(text).map(|v| v.to_string()).as_deref(), Some(text));
        }
        assert_eq!(EngineVersion::parse("7.0"), Some(EngineVersion::new(7, 0, 0)));
        for text in ["", "7", "7.x", "7.0.1.2", "-1.0"] {
            assert_eq!(EngineVersion::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_type_knows_its_engine() {
        for id in TypeId::all() {
            assert_eq!(TypeId::parse(id.number()), Some(id));
            assert_eq!(id.engine() == EngineKind::Valkey, id.number() >= 19);
        }
        assert_eq!(TypeId::parse(1), None);
        assert_eq!(TypeId::parse(200), None);
    }
}
