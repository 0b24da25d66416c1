use std::collections::BTreeMap;
use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, ServerErrorKind, aio::MultiplexedConnection, cmd,
};
use futures_util::future::BoxFuture;
use model::{AclUser, Millis, NodeAddr};

use super::{NOWHERE, NodeError, Nodes, Peer, Replication, SlowEntry};
use crate::spec::ADMIN;

/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a node may take to answer. Deleting much data is asked for in the background, so nothing takes longer.
const ANSWER: Duration = Duration::from_secs(5);

/// How long a node that is about to be fenced holds clients' writes. Its successor takes over in some ten milliseconds.
const HELD_FOR: Duration = Duration::from_secs(1);

/// How soon a primary that was told to has asked its replicas.
const ASKED_BY: Duration = Duration::from_millis(1);

/// Speaks to real engines. A connection lives for one exchange: exchanges are few, and nodes come and go.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisNodes;

impl Nodes for RedisNodes {
    fn ping<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { ask::<String>(peer, &cmd("PING")).await.map(drop) })
    }

    fn set_users<'a>(&'a self, peer: &'a Peer, users: &'a [AclUser]) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let mut connection = connect(peer).await?;
            let listed = cmd("ACL").arg("USERS").query_async::<Vec<String>>(&mut connection).await;
            let mut gone = listed.map_err(|error| refused(peer.addr, &error))?;
            gone.retain(|name| name != ADMIN && !users.iter().any(|user| user.name == *name));
            let mut all = Pipeline::with_capacity(users.len() + 1);
            all.atomic();
            // The default user can't be deleted, and is among those given.
            if !gone.is_empty() {
                all.cmd("ACL").arg("DELUSER").arg(gone);
            }
            for user in users {
                let command = all.cmd("ACL").arg("SETUSER").arg(&user.name).arg("reset");
                for rule in user.rules.expose().split_ascii_whitespace() {
                    command.arg(rule);
                }
            }
            all.exec_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))
        })
    }

    fn follow<'a>(&'a self, peer: &'a Peer, upstream: NodeAddr) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            // Said again to a replica that already follows, it is answered as done and breaks no link.
            let mut following = Pipeline::new();
            following.cmd("REPLICAOF").arg(upstream.0.ip().to_string()).arg(upstream.0.port()).ignore();
            // A node that holds writes does not take those of its primary either.
            following.cmd("CLIENT").arg("UNPAUSE").ignore();
            let mut connection = connect(peer).await?;
            following.query_async::<()>(&mut connection).await.map_err(|error| refused(peer.addr, &error))
        })
    }

    fn replication<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Replication, NodeError>> {
        Box::pin(async move {
            ask::<String>(peer, cmd("INFO").arg("replication")).await.map(|text| read_replication(&text))
        })
    }

    fn hold<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let millis = HELD_FOR.as_millis() as u64;
            ask::<String>(peer, cmd("CLIENT").arg("PAUSE").arg(millis).arg("WRITE")).await.map(drop)
        })
    }

    fn fence<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let (host, port) = (NOWHERE.0.ip().to_string(), NOWHERE.0.port());
            ask::<String>(peer, cmd("REPLICAOF").arg(host).arg(port)).await.map(drop)
        })
    }

    fn promote<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let mut connection = connect(peer).await?;
            let mut promotion = Pipeline::new();
            promotion.cmd("REPLICAOF").arg("NO").arg("ONE").ignore();
            promotion.cmd("CLIENT").arg("UNPAUSE").ignore();
            promotion.query_async::<()>(&mut connection).await.map_err(|error| refused(peer.addr, &error))
        })
    }

    fn set_memory<'a>(&'a self, peer: &'a Peer, bytes: u64) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(
            async move { ask::<String>(peer, cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes)).await.map(drop) },
        )
    }

    fn set_max_clients<'a>(&'a self, peer: &'a Peer, most: u32) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let set = |most: u32| async move {
                ask::<String>(peer, cmd("CONFIG").arg("SET").arg("maxclients").arg(most)).await.map(drop)
            };
            let Err(error) = set(most).await else { return Ok(()) };
            let Some(least) = most_that_can_be(&error.reason).filter(|least| *least < most) else { return Err(error) };
            tracing::warn!(addr = %peer.addr, most, least, "the host lets a node have fewer connections; raise `ulimit -n`");
            set(least).await
        })
    }

    fn set_settings<'a>(
        &'a self,
        peer: &'a Peer,
        settings: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            // One by one, since Redis 6.2 takes no more with one command.
            let mut all = Pipeline::with_capacity(settings.len());
            for (name, value) in settings {
                all.cmd("CONFIG").arg("SET").arg(name).arg(value).ignore();
            }
            let mut connection = connect(peer).await?;
            all.exec_async(&mut connection).await.map_err(|error| {
                let is_refusal = error.kind() == ErrorKind::Server(ServerErrorKind::ResponseError);
                NodeError { is_refusal, ..refused(peer.addr, &error) }
            })
        })
    }

    fn settings<'a>(
        &'a self,
        peer: &'a Peer,
        names: &'a [&'static str],
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, NodeError>> {
        Box::pin(async move {
            let mut all = Pipeline::with_capacity(names.len());
            for name in names {
                all.cmd("CONFIG").arg("GET").arg(*name);
            }
            let mut connection = connect(peer).await?;
            let answers: Vec<BTreeMap<String, String>> =
                all.query_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))?;
            Ok(answers.into_iter().flatten().collect())
        })
    }

    fn used_memory<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<u64, NodeError>> {
        Box::pin(async move {
            let text: String = ask(peer, cmd("INFO").arg("memory")).await?;
            let used = text.lines().find_map(|line| line.strip_prefix("used_memory:")?.trim().parse().ok());
            used.ok_or_else(|| error(peer.addr, "INFO has no used_memory".into()))
        })
    }

    fn reconnect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { ask::<i64>(peer, cmd("CLIENT").arg("KILL").arg("TYPE").arg("master")).await.map(drop) })
    }

    fn ask_followers<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            // More replicas than there are: it asks all of them. Then it waits in vain, to the next tenth of a second.
            let mut connection = connect(peer).await?;
            let mut wait = cmd("WAIT");
            wait.arg(1000).arg(1);
            match tokio::time::timeout(ASKED_BY, wait.query_async::<i64>(&mut connection)).await {
                Ok(answer) => answer.map(drop).map_err(|error| refused(peer.addr, &error)),
                Err(_) => Ok(()),
            }
        })
    }

    fn flush<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let mut all = Pipeline::new();
            all.atomic().cmd("FLUSHALL").arg("ASYNC").ignore().cmd("DBSIZE");
            let mut connection = connect(peer).await?;
            let (left,): (i64,) = all.query_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))?;
            if left == 0 { Ok(()) } else { Err(error(peer.addr, format!("{left} keys were left after FLUSHALL"))) }
        })
    }

    fn keys<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<i64, NodeError>> {
        Box::pin(async move {
            let text: String = ask(peer, cmd("INFO").arg("keyspace")).await?;
            Ok(text.lines().filter_map(|line| line.split_once("keys=")?.1.split(',').next()?.parse::<i64>().ok()).sum())
        })
    }

    fn slow_log<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Vec<SlowEntry>, NodeError>> {
        Box::pin(async move {
            let rows: Vec<SlowRow> = ask(peer, cmd("SLOWLOG").arg("GET").arg(1024)).await?;
            let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
            let read = rows.into_iter().map(|(id, at, micros, arguments, client, _)| SlowEntry {
                id,
                at: Millis::from_seconds(at),
                micros,
                client,
                arguments: arguments.iter().map(text).collect(),
            });
            Ok(read.collect())
        })
    }

    fn key_types<'a>(
        &'a self,
        peer: &'a Peer,
        keys: &'a [(u32, String)],
    ) -> BoxFuture<'a, Result<Vec<String>, NodeError>> {
        Box::pin(async move {
            let mut all = Pipeline::with_capacity(2 * keys.len());
            for (database, key) in keys {
                all.cmd("SELECT").arg(*database).ignore().cmd("TYPE").arg(key);
            }
            let mut connection = connect(peer).await?;
            all.query_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))
        })
    }
}

/// An entry of `SLOWLOG GET`: its id, when, how long, the command, and the client's address and name.
type SlowRow = (i64, i64, i64, Vec<Vec<u8>>, String, String);

/// What an engine says that it can do, which was told to take more connections than the host has files for.
fn most_that_can_be(said: &str) -> Option<u32> {
    let (_, number) = said.split_once("handle the specified number of clients, try with ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

async fn connect(peer: &Peer) -> Result<MultiplexedConnection, NodeError> {
    let addr = ConnectionAddr::Tcp(peer.addr.0.ip().to_string(), peer.addr.0.port());
    let sign_in =
        RedisConnectionInfo::default().set_username(ADMIN).set_password(peer.admin.expose()).set_skip_set_lib_name();
    let info = addr.into_connection_info().map_err(|error| refused(peer.addr, &error))?.set_redis_settings(sign_in);
    let client = Client::open(info).map_err(|error| refused(peer.addr, &error))?;
    let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT)).set_response_timeout(Some(ANSWER));
    client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| refused(peer.addr, &error))
}

async fn ask<T: FromRedisValue>(peer: &Peer, command: &Cmd) -> Result<T, NodeError> {
    let mut connection = connect(peer).await?;
    command.query_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))
}

fn refused(addr: NodeAddr, why: &::redis::RedisError) -> NodeError {
    error(addr, why.to_string())
}

fn error(addr: NodeAddr, reason: String) -> NodeError {
    NodeError { addr, reason, is_refusal: false }
}

fn read_replication(info: &str) -> Replication {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let upstream = match (field("master_host"), field("master_port")) {
        (Some(host), Some(port)) => format!("{host}:{port}").parse().ok().map(NodeAddr),
        _ => None,
    };
    let number = |name: &str| field(name).and_then(|text| text.trim().parse::<i64>().ok());
    let is_syncing = number("master_sync_in_progress") != Some(0);
    let is_synced = field("master_link_status") == Some("up") && !is_syncing;
    let offset = number("master_repl_offset").unwrap_or(0);
    let applied = number("slave_repl_offset").filter(|_| upstream.is_some()).unwrap_or(offset);
    // -1: it never had it.
    let lost_for = number("master_link_down_since_seconds").filter(|_| !is_syncing);
    let lost_for = lost_for.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    let followers = info.lines().filter_map(read_follower).collect();
    Replication { upstream, is_synced, offset, applied, followers, lost_for }
}

/// Reads `slave0:ip=127.0.0.1,port=7002,state=online,offset=14,lag=0`. Until a follower has told how far it is its offset
/// is 0, and the stream may not flow yet, although the first sync is over.
fn read_follower(line: &str) -> Option<u16> {
    let (name, fields) = line.trim().split_once(':')?;
    name.strip_prefix("slave")?.parse::<u32>().ok()?;
    let field = |name: &str| fields.split(',').find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let flows = field("state") == Some("online") && field("offset").is_some_and(|offset| offset != "0");
    flows.then(|| field("port")?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_synced_once_its_link_is_up_and_no_sync_goes_on() {
        let info = "# Replication\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7001\r\n\
                    master_link_status:up\r\nmaster_sync_in_progress:0\r\nslave_repl_offset:70\r\n\
                    master_repl_offset:71\r\n";
        let upstream = Some(NodeAddr("127.0.0.1:7001".parse().unwrap()));
        let synced = Replication { upstream, is_synced: true, offset: 71, applied: 70, ..Replication::default() };
        assert_eq!(read_replication(info), synced);
        let syncing = info.replace("in_progress:0", "in_progress:1");
        assert_eq!(read_replication(&syncing), Replication { is_synced: false, ..synced });
        let primary = Replication { offset: 5, applied: 5, ..Replication::default() };
        assert_eq!(read_replication("role:master\r\nmaster_repl_offset:5\r\n"), primary);
    }

    #[test]
    fn a_follower_counts_once_it_has_told_how_far_it_is() {
        let info = "role:master\r\nconnected_slaves:3\r\n\
                    slave0:ip=127.0.0.1,port=7002,state=online,offset=14,lag=0\r\n\
                    slave1:ip=127.0.0.1,port=7003,state=online,offset=0,lag=0\r\n\
                    slave2:ip=127.0.0.1,port=7004,state=wait_bgsave,offset=9,lag=0\r\nslave_read_only:1\r\n";
        assert_eq!(read_replication(info).followers, [7002]);
    }

    #[test]
    fn a_replica_tells_since_when_its_upstream_is_lost_unless_it_never_had_it_or_loads_a_copy() {
        let lost = |seconds: &str, syncing: &str| {
            let info = format!(
                "role:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7001\r\nmaster_link_status:down\r\n\
                 master_sync_in_progress:{syncing}\r\nmaster_link_down_since_seconds:{seconds}\r\n"
            );
            read_replication(&info).lost_for
        };
        assert_eq!(lost("3", "0"), Some(Duration::from_secs(3)));
        assert_eq!(lost("-1", "0"), None);
        assert_eq!(lost("3", "1"), None);
    }
}
