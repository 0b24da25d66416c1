//! Speaks to the nodes of a simulated world.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use model::{AclUser, Millis, NodeAddr, NodeId};
use runtime::SimWorld;
use runtime::sim::Unanswered;

use super::{NOWHERE, NodeError, Nodes, Peer, Replication, SlowEntry};
use crate::spec::ADMIN;

pub(crate) struct SimNodes(pub(crate) SimWorld);

impl SimNodes {
    fn ask<T>(
        &self,
        peer: &Peer,
        ask: impl FnOnce(&SimWorld, &NodeId) -> Result<T, Unanswered>,
    ) -> Result<T, NodeError> {
        let answer = self.0.node_at(peer.addr).and_then(|node| ask(&self.0, &node));
        answer.map_err(|error| NodeError {
            addr: peer.addr,
            reason: error.to_string(),
            is_refusal: error == Unanswered::Invalid,
        })
    }
}

impl Nodes for SimNodes {
    fn ping<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.ping(node)) })
    }

    fn set_users<'a>(&'a self, peer: &'a Peer, users: &'a [AclUser]) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move {
            self.ask(peer, |world, node| {
                let mut all = world.users(node)?;
                all.retain(|user| user.name == ADMIN);
                all.extend(users.iter().cloned());
                world.set_users(node, all)
            })
        })
    }

    fn follow<'a>(&'a self, peer: &'a Peer, upstream: NodeAddr) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.replicate(node, Some(upstream))) })
    }

    fn hold<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.ping(node)) })
    }

    fn reconnect<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.ping(node)) })
    }

    fn ask_followers<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.ping(node)) })
    }

    fn fence<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.replicate(node, Some(NOWHERE))) })
    }

    fn promote<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.replicate(node, None)) })
    }

    fn set_memory<'a>(&'a self, peer: &'a Peer, bytes: u64) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.set_maxmemory(node, bytes)) })
    }

    fn set_max_clients<'a>(&'a self, peer: &'a Peer, most: u32) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.set_maxclients(node, most)) })
    }

    fn set_settings<'a>(
        &'a self,
        peer: &'a Peer,
        settings: &'a [(String, String)],
    ) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.set_settings(node, settings)) })
    }

    fn settings<'a>(
        &'a self,
        peer: &'a Peer,
        names: &'a [&'static str],
    ) -> BoxFuture<'a, Result<BTreeMap<String, String>, NodeError>> {
        Box::pin(async move {
            let mut all = self.ask(peer, |world, node| world.settings(node))?;
            all.retain(|name, _| names.contains(&name.as_str()));
            Ok(all)
        })
    }

    fn used_memory<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<u64, NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.used(node)) })
    }

    fn replication<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Replication, NodeError>> {
        Box::pin(async move {
            self.ask(peer, |world, node| {
                let upstream = world.upstream(node)?;
                let is_synced = upstream.is_some() && world.link_up(node)?;
                let offset = world.offset(node)?;
                let lost_for = (upstream.is_some() && !is_synced).then_some(Duration::ZERO);
                let followers = world.followers(node);
                Ok(Replication { upstream, is_synced, offset, applied: offset, followers, lost_for })
            })
        })
    }

    fn flush<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<(), NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| world.flush(node)) })
    }

    fn keys<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<i64, NodeError>> {
        Box::pin(async move { self.ask(peer, |world, node| Ok(world.keys(node)?.len() as i64)) })
    }

    fn slow_log<'a>(&'a self, peer: &'a Peer) -> BoxFuture<'a, Result<Vec<SlowEntry>, NodeError>> {
        Box::pin(async move {
            let said = self.ask(peer, |world, node| world.slow_log(node))?;
            let read = said.into_iter().map(|slow| SlowEntry {
                id: slow.id,
                at: Millis::from_seconds(slow.at),
                micros: slow.micros,
                client: "127.0.0.1:5".into(),
                arguments: slow.arguments,
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
            let there = self.ask(peer, |world, node| world.keys(node))?;
            let is_there = |(database, key): &(u32, String)| *database == 0 && there.contains(key);
            Ok(keys.iter().map(|key| if is_there(key) { "string" } else { "none" }.to_owned()).collect())
        })
    }
}
