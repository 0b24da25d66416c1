use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use model::{AclUser, EngineKind, Epoch, NodeAddr, NodeId, NodeSpec, Secret};
use runtime::{EngineSearch, LocalRuntime, Runtime};

use super::*;
use crate::nodes::{Nodes, Peer, RedisNodes};
use crate::spec::{ADMIN, hash_of};

fn engine(kind: EngineKind, major: u16, minor: u16) -> Engine {
    Engine { kind, version: EngineVersion::new(major, minor, 0) }
}

fn type_id(number: i64) -> TypeId {
    TypeId::parse(number).unwrap()
}

fn set(values: &[(&str, &str)]) -> Params {
    values.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

/// What an engine is told of a setting.
fn told(params: &Params, engine: Engine, name: &str) -> Option<String> {
    settings(params, engine).into_iter().find(|(other, _)| other == name).map(|(_, value)| value)
}

#[test]
fn the_table_is_sorted_and_every_default_can_be_set() {
    assert!(TABLE.is_sorted_by(|one, other| one.name < other.name));
    for parameter in TABLE {
        let read = parameter.read(type_id(21), &parameter.show(parameter.default));
        assert_eq!(read.unwrap(), parameter.default, "{}", parameter.name);
        assert!(!parameter.tips.0.is_empty() && !parameter.tips.1.is_empty(), "{}", parameter.name);
    }
}

#[test]
fn an_engine_is_told_by_its_own_names_in_its_own_units() {
    let params = set(&[("hash-max-ziplist-entries", "100"), ("slowlog-log-slower-than", "20")]);
    let (old, new) = (engine(EngineKind::Redis, 6, 2), engine(EngineKind::Redis, 7, 0));
    for (engine, name, value) in [
        (old, "hash-max-ziplist-entries", Some("100")),
        (old, "hash-max-listpack-entries", None),
        (new, "hash-max-ziplist-entries", None),
        (new, "hash-max-listpack-entries", Some("100")),
        (engine(EngineKind::Valkey, 8, 1), "zset-max-listpack-value", Some("64")),
        (engine(EngineKind::Redis, 4, 0), "slave-lazy-flush", Some("yes")),
        (engine(EngineKind::Redis, 5, 0), "replica-lazy-flush", Some("yes")),
        (engine(EngineKind::Redis, 2, 8), "lazyfree-lazy-expire", None),
        (engine(EngineKind::Redis, 5, 0), "active-expire-effort", None),
        (old, "slowlog-log-slower-than", Some("20000")),
        (new, "disable-command-list", None),
        (new, "UserPasswordSeparate", None),
        (new, "notify-keyspace-events", Some("")),
    ] {
        assert_eq!(told(&params, engine, name).as_deref(), value, "{engine:?} {name}");
    }
    let off = set(&[("slowlog-log-slower-than", "-1")]);
    assert_eq!(told(&off, new, "slowlog-log-slower-than").as_deref(), Some("-1"));
}

#[test]
fn what_an_engine_takes_at_its_start_alone_is_not_said_while_it_runs() {
    let live = |engine| live_settings(&Params::new(), engine).iter().any(|(name, _)| name == "io-threads");
    for (engine, is_live) in [
        (engine(EngineKind::Redis, 7, 0), false),
        (engine(EngineKind::Redis, 9, 0), false),
        (engine(EngineKind::Valkey, 8, 1), false),
        (engine(EngineKind::Valkey, 9, 0), true),
    ] {
        assert_eq!(live(engine), is_live, "{engine:?}");
        assert_eq!(find(type_id(17), "io-threads").unwrap().needs_restart(engine), !is_live, "{engine:?}");
    }
}

#[test]
fn types_have_what_their_version_has_by_the_name_of_then() {
    for (number, name, there) in [
        (2, "timeout", true),
        (2, "lazyfree-lazy-expire", false),
        (6, "slave-lazy-flush", true),
        (6, "replica-lazy-flush", false),
        (8, "slave-lazy-flush", false),
        (8, "replica-lazy-flush", true),
        (8, "active-expire-effort", false),
        (15, "active-expire-effort", true),
        (17, "hash-max-ziplist-value", true),
        (17, "hash-max-listpack-value", false),
        (17, "sentineauth", false),
        (17, "port", false),
        (17, "", false),
    ] {
        assert_eq!(find(type_id(number), name).is_some(), there, "{number} {name}");
    }
}

#[test]
fn values_are_what_they_may_be_and_nothing_else() {
    for (name, good, bad) in [
        ("timeout", vec!["0", "31536000"], vec!["-1", "31536001", "", "1.0", "+1", "01", " 1", "1s", "\"1\""]),
        ("hz", vec!["1", "500"], vec!["0", "501", "99999999999999999999"]),
        ("slowlog-log-slower-than", vec!["-1", "0", "1000000"], vec!["-2", "1000001"]),
        ("maxmemory-policy", vec!["volatile-ttl", "allkeys-lfu"], vec!["", "LRU", "Noeviction", "noeviction\n"]),
        ("lazyfree-lazy-expire", vec!["yes", "no"], vec!["true", "1", "YES", "\"yes\""]),
        ("notify-keyspace-events", vec!["", "\"\"", "KEA", "Kn"], vec!["k", "K A", "\""]),
        (
            "disable-command-list",
            vec!["", "\"\"", "keys", "keys,flushall"],
            vec!["get", "keys,", "keys,keys", "keys flushall", "KEYS", ","],
        ),
        ("UserPasswordSeparate", vec!["@", ":", "\"@\""], vec!["", "\"\"", "@@", "a"]),
    ] {
        let parameter = find(type_id(17), name).unwrap();
        for value in good {
            let read = parameter.read(type_id(17), value);
            assert_eq!(read.unwrap(), value.trim_matches('"'), "{name} {value:?}");
        }
        for value in bad {
            let why = parameter.read(type_id(17), value).expect_err(&format!("{name} {value:?}"));
            assert!(why.en.contains(name) && why.zh.contains(name), "{why:?}");
        }
    }
    let range = find(type_id(17), "hz").unwrap().read(type_id(17), "501").unwrap_err();
    assert!(range.en.contains("from 1 to 500") && range.en.contains("501"), "{range:?}");
    let events = find(type_id(15), "notify-keyspace-events").unwrap();
    assert!(events.read(type_id(15), "Kn").is_err(), "Redis 6.2 has no event of new keys");
}

#[test]
fn what_a_node_says_is_shown_as_it_was_set_where_that_is_the_same() {
    let engine = engine(EngineKind::Redis, 7, 0);
    let params = set(&[("notify-keyspace-events", "KEA"), ("slowlog-log-slower-than", "20"), ("hz", "20")]);
    for (name, said, shown) in [
        ("notify-keyspace-events", "AKE", "KEA"),
        ("notify-keyspace-events", "K", "K"),
        ("slowlog-log-slower-than", "20000", "20"),
        ("slowlog-log-slower-than", "5000", "5"),
        ("slowlog-log-slower-than", "-1000", "-1"),
        ("hz", "20", "20"),
        ("hz", "10", "10"),
    ] {
        let parameter = find(type_id(17), name).unwrap();
        let said = BTreeMap::from([(name.to_owned(), said.to_owned())]);
        assert_eq!(parameter.current(&params, engine, &said), shown, "{name}");
    }
}

/// Other values than the defaults, as far from them as may be.
fn others(parameter: &Parameter) -> Vec<String> {
    let strings = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    match parameter.kind {
        Kind::Enum(values) => strings(values),
        Kind::Integer(min, max) => vec![min.to_string(), max.to_string(), (min + 1).to_string()],
        Kind::Letters(_) => strings(&["K", "KEA", "Kg$lshzxetd"]),
        Kind::Text(_) | Kind::Multi(_) => Vec::new(),
    }
}

/// A node that runs on an engine with these parameters.
struct Trial {
    runtime: std::sync::Arc<LocalRuntime>,
    spec: NodeSpec,
    peer: Peer,
    engine: Engine,
}

impl Trial {
    async fn start(runtime: &std::sync::Arc<LocalRuntime>, engine: Engine, params: &Params) -> Trial {
        let addr = NodeAddr(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        let admin = Secret::new("of no value");
        let rules = Secret::new(format!("on {} ~* &* +@all", hash_of(&admin).expose()));
        let number = addr.0.port().to_be_bytes();
        let spec = NodeSpec {
            node: NodeId::from_random(std::array::from_fn(|index| number[index % 2])),
            epoch: Epoch(1),
            engine: engine.kind,
            version: engine.version,
            addr,
            maxmemory: 64 << 20,
            maxclients: 100,
            users: vec![AclUser { name: ADMIN.into(), rules }],
            admin_name: ADMIN.into(),
            admin_password: admin.clone(),
            upstream: None,
            has_data: false,
            settings: settings(params, engine),
        };
        let state = runtime.ensure(spec.clone()).await.unwrap();
        assert_eq!(state.engine, engine);
        let peer = Peer { addr, admin };
        tokio::time::timeout(Duration::from_secs(10), async { while RedisNodes.ping(&peer).await.is_err() {} })
            .await
            .unwrap();
        Trial { runtime: runtime.clone(), spec, peer, engine }
    }

    /// Each parameter has its value of these, by what the engine says.
    async fn check(&self, params: &Params, which: impl Fn(&Parameter) -> bool) {
        let names = setting_names(self.engine);
        let said = RedisNodes.settings(&self.peer, &names).await.unwrap();
        for name in &names {
            assert!(said.contains_key(*name), "{:?} has no {name}", self.engine);
        }
        for parameter in TABLE.iter().filter(|parameter| parameter.since <= self.engine.version && which(parameter)) {
            let now = parameter.current(params, self.engine, &said);
            assert_eq!(now, parameter.value(params), "{:?}: {}", self.engine, parameter.name);
        }
    }

    async fn end(self) {
        self.runtime.remove(self.spec.node.clone(), self.spec.epoch).await.unwrap();
    }
}

/// The facts of the table, held against every engine that is there (`./test` has several).
#[tokio::test]
async fn every_engine_has_what_the_table_says() {
    let more = std::env::var_os("OPENCRS_E2E_ENGINES").unwrap_or_default();
    let programs: Vec<PathBuf> = std::env::split_paths(&more).filter(|path| path.is_absolute()).collect();
    let dir = tempfile::tempdir().unwrap();
    let runtime = LocalRuntime::open(dir.path().to_owned(), EngineSearch::path_and(programs)).unwrap();
    let engines = runtime.engines();
    assert!(!engines.is_empty(), "no engine is installed");
    for engine in engines {
        let known = || TABLE.iter().filter(|parameter| parameter.since <= engine.version);
        let different = |parameter: &Parameter| others(parameter).into_iter().find(|value| value != parameter.default);
        let params: Params =
            known().filter_map(|parameter| Some((parameter.name.to_owned(), different(parameter)?))).collect();
        let node = Trial::start(&runtime, engine, &params).await;
        node.check(&params, |_| true).await;

        RedisNodes.set_settings(&node.peer, &live_settings(&Params::new(), engine)).await.unwrap();
        node.check(&Params::new(), |parameter| !parameter.needs_restart(engine)).await;
        node.check(&params, |parameter| parameter.needs_restart(engine)).await;

        for parameter in known() {
            let Some(setting) = parameter.setting() else { continue };
            for value in others(parameter) {
                let told = [(setting.name_for(engine).to_owned(), setting.write(&value))];
                match RedisNodes.set_settings(&node.peer, &told).await {
                    Ok(()) => assert!(!parameter.needs_restart(engine), "{engine:?} takes {told:?} live"),
                    Err(error) => {
                        assert!(parameter.needs_restart(engine), "{engine:?}: {error}");
                        assert!(error.is_refusal, "{engine:?}: {error}");
                    }
                }
            }
        }
        node.end().await;
    }
}
