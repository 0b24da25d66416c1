//! What an engine is told at its start: its configuration, which it reads from standard input because it holds a
//! password, and its access list, which is a file because Redis wants it so, and holds hashes alone.

use std::fmt::Write;
use std::io::{self, ErrorKind};

use model::{AclUser, EngineKind, NodeSpec};

use crate::Engine;

/// The access list's file in the node's folder.
pub(super) const USERS: &str = "users.acl";
/// The log's file in the node's folder.
pub(super) const LOG: &str = "redis.log";

/// What a node's folder, its address and its finding again depend on. No setting may change these.
const OURS: [&str; 18] = [
    "aclfile",
    "bind",
    "daemonize",
    "dir",
    "include",
    "loadmodule",
    "logfile",
    "masterauth",
    "masteruser",
    "pidfile",
    "port",
    "primaryauth",
    "primaryuser",
    "replicaof",
    "slaveof",
    "supervised",
    "unixsocket",
    "user",
];

/// Settings that take several values, and how many of them make a line of a configuration.
const LISTS: [(&str, usize); 2] = [("client-output-buffer-limit", 4), ("save", 2)];

/// The whole configuration of a node for an engine. It holds a secret.
pub(super) fn render(spec: &NodeSpec, engine: Engine) -> io::Result<String> {
    let mut config = Config(String::new());
    let addr = spec.addr.0;
    config.line("bind", [addr.ip().to_string()]);
    config.line("port", [addr.port()]);
    // It would refuse whoever comes from another host; that is for the access list to decide.
    config.line("protected-mode", ["no"]);
    config.line("tcp-backlog", [1024]);
    config.line("daemonize", ["no"]);
    config.line("dir", ["."]);
    config.line("logfile", [LOG]);
    config.line("aclfile", [USERS]);
    config.line("maxclients", [spec.maxclients]);
    config.line("maxmemory", [spec.maxmemory]);
    config.line("maxmemory-policy", ["noeviction"]);
    config.line("appendonly", ["yes"]);
    config.line("appendfsync", ["everysec"]);
    config.line("save", [""]);
    config.line("repl-diskless-sync", ["yes"]);
    // It would wait so many seconds for a second replica to ask for the same transfer.
    config.line("repl-diskless-sync-delay", [0]);
    // A replica's connection may come from another address than the one it listens on.
    config.line("replica-announce-ip", [addr.ip().to_string()]);
    config.line("replica-announce-port", [addr.port()]);
    if engine.kind == EngineKind::Valkey || engine.version.major >= 7 {
        config.line("enable-debug-command", ["local"]);
        // On a full disk a replica would else end itself at the next write; what its file then lacks, it gets from its
        // primary when it starts.
        config.line("replica-ignore-disk-write-errors", ["yes"]);
    }
    config.line("masteruser", [&spec.admin_name]);
    config.line("masterauth", [spec.admin_password.expose()]);
    if let Some(upstream) = &spec.upstream {
        config.line("replicaof", [upstream.addr.0.ip().to_string(), upstream.addr.0.port().to_string()]);
    }
    for (name, value) in &spec.settings {
        config.setting(name, value)?;
    }
    Ok(config.0)
}

struct Config(String);

impl Config {
    fn line<T: ToString>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        self.0.push_str(name);
        for value in values {
            self.0.push(' ');
            quote(&mut self.0, &value.to_string());
        }
        self.0.push('\n');
    }

    fn setting(&mut self, name: &str, value: &str) -> io::Result<()> {
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !is_name || OURS.contains(&name) {
            return Err(invalid(format!("{name:?} can't be set")));
        }
        let values: Vec<&str> = value.split_ascii_whitespace().collect();
        match LISTS.iter().find(|(list, _)| *list == name) {
            Some((_, length)) if !values.is_empty() => values.chunks(*length).for_each(|part| self.line(name, part)),
            _ => self.line(name, [value]),
        }
        Ok(())
    }
}

/// One value in double quotes, as Redis reads it in its configuration: whatever it holds, it stays one value.
fn quote(text: &mut String, value: &str) {
    text.push('"');
    for byte in value.bytes() {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b' '..=b'~' => text.push(char::from(byte)),
            _ => write!(text, "\\x{byte:02x}").expect("a String takes all that is written to it"),
        }
    }
    text.push('"');
}

/// The access list, a user a line. Nobody is in it but the users given, and passwords stand in it as hashes alone.
pub(super) fn render_users(users: &[AclUser]) -> io::Result<String> {
    let mut list = String::new();
    if !users.iter().any(|user| user.name == "default") {
        // Without a line of its own, Redis lets this user do everything without a password.
        list.push_str("user default off\n");
    }
    for AclUser { name, rules } in users {
        // There is no quoting in an access list.
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(invalid(format!("{name:?} can't be the name of a user")));
        }
        let rules = rules.expose();
        if rules.contains(char::is_control) {
            return Err(invalid(format!("the rules of user {name} hold a control character")));
        }
        if rules.split(' ').any(|rule| rule.starts_with(['>', '<'])) {
            return Err(invalid(format!("the rules of user {name} hold a password in clear")));
        }
        writeln!(list, "user {name} {rules}").expect("a String takes all that is written to it");
    }
    Ok(list)
}

fn invalid(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use model::{EngineVersion, Epoch, NodeAddr, NodeId, Secret, Upstream};

    use super::*;

    fn spec() -> NodeSpec {
        NodeSpec {
            node: NodeId::from_random([1; 20]),
            epoch: Epoch(1),
            engine: EngineKind::Redis,
            version: EngineVersion::new(7, 0, 0),
            addr: NodeAddr("127.0.0.1:7001".parse().unwrap()),
            maxmemory: 1 << 30,
            maxclients: 10_000,
            users: vec![],
            admin_name: "admin".into(),
            admin_password: Secret::new("s3cret"),
            upstream: None,
            has_data: false,
            settings: vec![],
        }
    }

    fn engine(kind: EngineKind, major: u16, minor: u16) -> Engine {
        Engine { kind, version: EngineVersion::new(major, minor, 0) }
    }

    fn rendered(spec: &NodeSpec) -> Vec<String> {
        let text = render(spec, engine(EngineKind::Redis, 7, 0)).unwrap();
        text.lines().map(ToOwned::to_owned).collect()
    }

    fn with_setting(name: &str, value: &str) -> io::Result<String> {
        let settings = vec![(name.to_owned(), value.to_owned())];
        let text = render(&NodeSpec { settings, ..spec() }, engine(EngineKind::Redis, 7, 0))?;
        let bare = render(&spec(), engine(EngineKind::Redis, 7, 0))?;
        Ok(text.strip_prefix(&bare).expect("settings come last").to_owned())
    }

    fn user(name: &str, rules: &str) -> AclUser {
        AclUser { name: name.into(), rules: Secret::new(rules) }
    }

    #[test]
    fn a_node_listens_where_it_is_told_and_keeps_what_it_acknowledged() {
        let lines = rendered(&spec());
        for line in [
            r#"bind "127.0.0.1""#,
            r#"port "7001""#,
            r#"appendonly "yes""#,
            r#"appendfsync "everysec""#,
            r#"maxmemory "1073741824""#,
            r#"maxmemory-policy "noeviction""#,
            r#"save """#,
            r#"masterauth "s3cret""#,
        ] {
            assert!(lines.iter().any(|l| l == line), "{line} is not in {lines:#?}");
        }
        assert!(!lines.iter().any(|line| line.starts_with("replicaof")));
    }

    #[test]
    fn a_replica_is_told_of_its_primary() {
        let upstream = Some(Upstream { addr: NodeAddr("[::1]:7002".parse().unwrap()) });
        let lines = rendered(&NodeSpec { upstream, ..spec() });
        assert!(lines.iter().any(|line| line == r#"replicaof "::1" "7002""#), "{lines:#?}");
    }

    #[test]
    fn an_engine_is_not_told_what_it_does_not_know() {
        for (kind, major, minor, knows) in [
            (EngineKind::Redis, 6, 2, false),
            (EngineKind::Redis, 7, 0, true),
            (EngineKind::Redis, 8, 2, true),
            (EngineKind::Valkey, 8, 0, true),
            (EngineKind::Valkey, 9, 0, true),
        ] {
            let text = render(&spec(), engine(kind, major, minor)).unwrap();
            assert_eq!(text.contains("enable-debug-command"), knows, "{kind} {major}.{minor}");
        }
    }

    #[test]
    fn no_value_can_become_a_directive() {
        for value in ["a\nport 1", "a\r\nport 1", "a\" \nport 1", "a\\\nport 1", "a\0\nport 1"] {
            let text = with_setting("requirepass", value).unwrap();
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        assert_eq!(
            with_setting("requirepass", "a \"b\" \\ é\n").unwrap(),
            "requirepass \"a \\\"b\\\" \\\\ \\xc3\\xa9\\x0a\"\n"
        );
    }

    #[test]
    fn no_name_of_a_setting_can_become_a_directive() {
        for name in ["", "a b", "a\nport", "PORT", "\"a", "dir", "include", "loadmodule", "aclfile", "port"] {
            assert_eq!(with_setting(name, "x").unwrap_err().kind(), ErrorKind::InvalidInput, "{name:?}");
        }
    }

    #[test]
    fn a_setting_of_several_values_is_a_line_for_each_group() {
        let limits = "normal 0 0 0 replica 256mb 64mb 60";
        assert_eq!(
            with_setting("client-output-buffer-limit", limits).unwrap(),
            "client-output-buffer-limit \"normal\" \"0\" \"0\" \"0\"\n\
             client-output-buffer-limit \"replica\" \"256mb\" \"64mb\" \"60\"\n"
        );
        assert_eq!(with_setting("save", "900 1 300 10").unwrap(), "save \"900\" \"1\"\nsave \"300\" \"10\"\n");
        assert_eq!(with_setting("save", "").unwrap(), "save \"\"\n");
    }

    #[test]
    fn the_access_list_holds_the_users_and_shuts_out_the_rest() {
        let list = render_users(&[user("admin", "on #ab ~* &* +@all"), user("default", "off")]).unwrap();
        assert_eq!(list, "user admin on #ab ~* &* +@all\nuser default off\n");
        assert_eq!(render_users(&[user("admin", "on")]).unwrap(), "user default off\nuser admin on\n");
    }

    #[test]
    fn what_would_be_another_user_or_a_password_in_clear_is_refused() {
        for (name, rules) in
            [("a b", "on"), ("a\nuser", "on"), ("", "on"), ("a", "on\nuser b on"), ("a", "on >hunter2"), ("a", "on\0")]
        {
            let refused = render_users(&[user(name, rules)]).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
            assert!(!refused.to_string().contains("hunter2"));
        }
    }
}
