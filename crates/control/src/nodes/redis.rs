use std::time::Duration;

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, IntoConnectionInfo, Pipeline,
    RedisConnectionInfo, aio::MultiplexedConnection, cmd,
};
use futures_util::future::BoxFuture;
use model::{AclUser, NodeAddr};

use super::{NodeError, Nodes, Peer, Replication};
use crate::spec::ADMIN;

/// How long a node may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a node may take to answer. Deleting much data is asked for in the background, so nothing takes longer.
const ANSWER: Duration = Duration::from_secs(5);

/// Speaks to real engines. A connection lives for one exchange: exchanges are few, and nodes come and go.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedisNodes;

impl Nodes for RedisNodes {
    fn ping<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { ask::<String>(peer, &cmd("PING")).await.map(drop) })
    }

    fn set_users<'a>(&'a self, peer: &'a Peer, users: &'a [AclUser]) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            let mut all = Pipeline::with_capacity(users.len());
            all.atomic();
            for user in users {
                let command = all.cmd("ACL").arg("SETUSER").arg(&user.name).arg("reset");
                for rule in user.rules.expose().split_ascii_whitespace() {
                    command.arg(rule);
                }
            }
            let mut connection = connect(peer).await?;
            all.exec_async(&mut connection).await.map_err(|error| refused(peer.addr, &error))
        })
    }

    fn follow<'a>(&'a self, peer: &'a Peer, upstream: NodeAddr) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            // Said again to a replica that already follows, it is answered as done and breaks no link.
            let (host, port) = (upstream.0.ip().to_string(), upstream.0.port());
            ask::<String>(peer, cmd("REPLICAOF").arg(host).arg(port)).await.map(drop)
        })
    }

    fn replication<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Replication, NodeError>> {
        Box::pin(async move {
            ask::<String>(peer, cmd("INFO").arg("replication")).await.map(|text| read_replication(&text))
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
    NodeError { addr, reason }
}

fn read_replication(info: &str) -> Replication {
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let upstream = match (field("master_host"), field("master_port")) {
        (Some(host), Some(port)) => format!("{host}:{port}").parse().ok().map(NodeAddr),
        _ => None,
    };
    let is_synced = field("master_link_status") == Some("up") && field("master_sync_in_progress") == Some("0");
    Replication { upstream, is_synced }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_synced_once_its_link_is_up_and_no_sync_goes_on() {
        let info = "# Replication\r\nrole:slave\r\nmaster_host:127.0.0.1\r\nmaster_port:7001\r\n\
                    master_link_status:up\r\nmaster_sync_in_progress:0\r\n";
        let upstream = Some(NodeAddr("127.0.0.1:7001".parse().unwrap()));
        assert_eq!(read_replication(info), Replication { upstream, is_synced: true });
        let syncing = info.replace("in_progress:0", "in_progress:1");
        assert_eq!(read_replication(&syncing), Replication { upstream, is_synced: false });
        assert_eq!(read_replication("role:master\r\n"), Replication { upstream: None, is_synced: false });
    }
}
