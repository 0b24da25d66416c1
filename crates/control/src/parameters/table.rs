//! The facts of parameters.
//!
//! Names, units, defaults and choices are those that the API's reference and its public clients show. Ranges that they
//! don't show are the engine's own, or narrower where its own makes no sense for a service. What an engine calls a setting
//! and when it takes it is as the engines that are tested with say (Redis 6.2 and 7.0, Valkey 8.1 and 9.1): a test holds
//! each row against each of them.
//!
//! What the product has besides is about its own proxy or its cluster, and has no effect here, so that it is not offered:
//! auto-failback, read-local-node-only, rehash-maintenance-time, sentineauth.

use model::{EngineKind, EngineVersion};
use runtime::Engine;

use super::{Effect, Kind, Parameter, Setting, Taken};

const fn version(major: u16, minor: u16) -> EngineVersion {
    EngineVersion::new(major, minor, 0)
}

const FIRST: EngineVersion = version(2, 8);
const YES_NO: Kind = Kind::Enum(&["yes", "no"]);
/// Entries and bytes up to which small values are kept packed.
const PACKED: Kind = Kind::Integer(1, 10_000);

const fn setting(name: &'static str) -> Effect {
    Effect::Setting(Setting { name, former: None, factor: 1, taken: Taken::Live })
}

/// Redis 7.0 has lists packed in another way, and names them after it.
const fn packed(name: &'static str, former: &'static str) -> Effect {
    Effect::Setting(Setting { name, former: Some((version(7, 0), former)), factor: 1, taken: Taken::Live })
}

/// By name.
pub(crate) const TABLE: &[Parameter] = &[
    Parameter {
        name: "UserPasswordSeparate",
        former: None,
        since: FIRST,
        kind: Kind::Text(&["@", ":"]),
        default: crate::routes::SEPARATOR,
        unit: "",
        tips: (
            "What stands between an account's name and its password where a client sends both as its password",
            "自定义账号登录时账号名与密码之间的连接符",
        ),
        effect: Effect::Separator,
    },
    Parameter {
        name: "active-expire-effort",
        former: None,
        since: version(6, 0),
        kind: Kind::Integer(1, 10),
        default: "1",
        unit: "",
        tips: (
            "How hard expired keys are looked for: more frees memory sooner and takes more of the processor",
            "主动清理过期键的力度，取值越大清理越及时，占用CPU越多",
        ),
        effect: setting("active-expire-effort"),
    },
    Parameter {
        name: "cluster-node-timeout",
        former: None,
        since: FIRST,
        kind: Kind::Integer(15_000, 120_000),
        default: "15000",
        unit: "ms",
        tips: (
            "How long a node of a cluster may be out of reach before it is taken for failed",
            "集群节点不可达超过该时间后判定为故障",
        ),
        effect: setting("cluster-node-timeout"),
    },
    Parameter {
        name: "disable-command-list",
        former: None,
        since: FIRST,
        kind: Kind::Multi(&["flushall", "flushdb", "keys", "hgetall", "eval", "evalsha", "script"]),
        default: "",
        unit: "",
        tips: ("Commands that are refused, separated by commas", "禁用的命令列表，以逗号分隔"),
        effect: Effect::Commands,
    },
    Parameter {
        name: "hash-max-ziplist-entries",
        former: None,
        since: FIRST,
        kind: PACKED,
        default: "512",
        unit: "",
        tips: (
            "A hash of more fields is kept in a form that is faster and takes more memory",
            "哈希字段数超过该值时不再使用紧凑编码",
        ),
        effect: packed("hash-max-listpack-entries", "hash-max-ziplist-entries"),
    },
    Parameter {
        name: "hash-max-ziplist-value",
        former: None,
        since: FIRST,
        kind: PACKED,
        default: "64",
        unit: "byte",
        tips: (
            "A hash with a longer field or value is kept in a form that is faster and takes more memory",
            "哈希字段或值的长度超过该值时不再使用紧凑编码",
        ),
        effect: packed("hash-max-listpack-value", "hash-max-ziplist-value"),
    },
    Parameter {
        name: "hz",
        former: None,
        since: FIRST,
        kind: Kind::Integer(1, 500),
        default: "10",
        unit: "",
        tips: (
            "How often a second a node looks after expired keys, clients that are gone and the like",
            "每秒执行后台任务（如清理过期键）的次数",
        ),
        effect: setting("hz"),
    },
    Parameter {
        name: "io-threads",
        former: None,
        since: version(6, 0),
        kind: Kind::Integer(1, 16),
        default: "1",
        unit: "",
        tips: ("How many threads of a node write to clients", "节点处理网络读写的线程数"),
        effect: Effect::Setting(Setting {
            name: "io-threads",
            former: None,
            factor: 1,
            taken: Taken::AtStart { live_from: Engine { kind: EngineKind::Valkey, version: version(9, 0) } },
        }),
    },
    Parameter {
        name: "lazyfree-lazy-eviction",
        former: None,
        since: version(4, 0),
        kind: YES_NO,
        default: "yes",
        unit: "",
        tips: ("Whether evicted keys are freed in the background", "淘汰键时是否异步释放内存"),
        effect: setting("lazyfree-lazy-eviction"),
    },
    Parameter {
        name: "lazyfree-lazy-expire",
        former: None,
        since: version(4, 0),
        kind: YES_NO,
        default: "yes",
        unit: "",
        tips: ("Whether expired keys are freed in the background", "键过期时是否异步释放内存"),
        effect: setting("lazyfree-lazy-expire"),
    },
    Parameter {
        name: "lazyfree-lazy-server-del",
        former: None,
        since: version(4, 0),
        kind: YES_NO,
        default: "yes",
        unit: "",
        tips: (
            "Whether keys that a command replaces, as RENAME does, are freed in the background",
            "RENAME等命令隐式删除键时是否异步释放内存",
        ),
        effect: setting("lazyfree-lazy-server-del"),
    },
    Parameter {
        name: "lazyfree-lazy-user-del",
        former: None,
        since: version(6, 0),
        kind: YES_NO,
        default: "yes",
        unit: "",
        tips: ("Whether DEL frees memory in the background, as UNLINK does", "DEL命令是否与UNLINK一样异步释放内存"),
        effect: setting("lazyfree-lazy-user-del"),
    },
    Parameter {
        name: "maxmemory-policy",
        former: None,
        since: FIRST,
        kind: Kind::Enum(&[
            "noeviction",
            "allkeys-lru",
            "allkeys-lfu",
            "allkeys-random",
            "volatile-lru",
            "volatile-lfu",
            "volatile-random",
            "volatile-ttl",
        ]),
        default: "noeviction",
        unit: "",
        tips: ("Which keys are evicted when memory is used up", "内存用尽时淘汰键的策略"),
        effect: setting("maxmemory-policy"),
    },
    Parameter {
        name: "notify-keyspace-events",
        former: None,
        since: FIRST,
        kind: Kind::Letters(&[
            ('K', FIRST),
            ('E', FIRST),
            ('g', FIRST),
            ('$', FIRST),
            ('l', FIRST),
            ('s', FIRST),
            ('h', FIRST),
            ('z', FIRST),
            ('x', FIRST),
            ('e', FIRST),
            ('t', version(5, 0)),
            ('d', version(6, 2)),
            ('m', version(6, 0)),
            ('n', version(7, 0)),
            ('A', FIRST),
        ]),
        default: "",
        unit: "",
        tips: ("Which events of keys are published, a letter each", "发布哪些键空间通知，每类事件一个字母"),
        effect: setting("notify-keyspace-events"),
    },
    Parameter {
        name: "proxy-slowlog-log-slower-than",
        former: None,
        since: FIRST,
        kind: Kind::Integer(-1, 1_000_000),
        default: "500",
        unit: "ms",
        tips: (
            "Commands that take longer from the gateway to a node and back are logged as slow there; 0 logs all, -1 none",
            "代理侧执行时间超过该值的命令记入代理慢日志，0表示全部记录，-1表示不记录",
        ),
        effect: Effect::SlowAfter,
    },
    Parameter {
        name: "replica-lazy-flush",
        former: Some((version(5, 0), "slave-lazy-flush")),
        since: version(4, 0),
        kind: YES_NO,
        default: "yes",
        unit: "",
        tips: (
            "Whether a replica frees its old data in the background when it gets all data anew",
            "副本全量同步时是否异步清空旧数据",
        ),
        effect: Effect::Setting(Setting {
            name: "replica-lazy-flush",
            former: Some((version(5, 0), "slave-lazy-flush")),
            factor: 1,
            taken: Taken::Live,
        }),
    },
    Parameter {
        name: "set-max-intset-entries",
        former: None,
        since: FIRST,
        kind: PACKED,
        default: "512",
        unit: "",
        tips: (
            "A set of more whole numbers is kept in a form that is faster and takes more memory",
            "整数集合元素数超过该值时不再使用紧凑编码",
        ),
        effect: setting("set-max-intset-entries"),
    },
    Parameter {
        name: "slowlog-log-slower-than",
        former: None,
        since: FIRST,
        kind: Kind::Integer(-1, 1_000_000),
        default: "10",
        unit: "ms",
        tips: (
            "Commands that take longer are logged as slow; 0 logs all, -1 none",
            "执行时间超过该值的命令记入慢日志，0表示全部记录，-1表示不记录",
        ),
        effect: Effect::Setting(Setting {
            name: "slowlog-log-slower-than",
            former: None,
            factor: 1000,
            taken: Taken::Live,
        }),
    },
    Parameter {
        name: "timeout",
        former: None,
        since: FIRST,
        kind: Kind::Integer(0, 31_536_000),
        default: "31536000",
        unit: "s",
        tips: (
            "A connection that nothing is sent on for longer is closed; 0 closes none",
            "连接空闲超过该时间后关闭，0表示不关闭",
        ),
        effect: setting("timeout"),
    },
    Parameter {
        name: "zset-max-ziplist-entries",
        former: None,
        since: FIRST,
        kind: PACKED,
        default: "128",
        unit: "",
        tips: (
            "A sorted set of more members is kept in a form that is faster and takes more memory",
            "有序集合元素数超过该值时不再使用紧凑编码",
        ),
        effect: packed("zset-max-listpack-entries", "zset-max-ziplist-entries"),
    },
    Parameter {
        name: "zset-max-ziplist-value",
        former: None,
        since: FIRST,
        kind: PACKED,
        default: "64",
        unit: "byte",
        tips: (
            "A sorted set with a longer member is kept in a form that is faster and takes more memory",
            "有序集合元素长度超过该值时不再使用紧凑编码",
        ),
        effect: packed("zset-max-listpack-value", "zset-max-ziplist-value"),
    },
];
