//! What becomes of answers that a client does not read.
//!
//! They stay with the engine, as they would without a gateway: the client's upstream is not read. The client itself is, since
//! some send all that they have to ask before they read anything. So that nobody else waits behind it, it gets an upstream of
//! its own: the one that it shares, once nobody else waits for an answer there. Until then, and where the client or a switch
//! waits for its answers, they are kept here, within a limit.

use std::time::{Duration, Instant};

use tracing::debug;

use super::branches::Branch;
use super::clients::{Client, End, Wait};
use super::sharing::IS_SIMULATED;
use super::upstreams::Phase;
use super::{ClientKey, Exchange, UpstreamKey};
use crate::sight::Ending;
use crate::world::World;

/// How much a client may have left unread before the rest stays with the engine.
const MOST_UNREAD: usize = if IS_SIMULATED { 16 } else { 1 << 20 };
/// How much where somebody waits for what comes after that.
const MOST_KEPT: usize = if IS_SIMULATED { 1024 } else { 64 << 20 };
/// How long they wait if it reads none of that.
const STALL_FOR: Duration = Duration::from_secs(2);

/// Why an upstream is not read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stall {
    /// Who does not read what came of it.
    pub(super) by: ClientKey,
    pub(super) since: Instant,
}

impl<S> Client<S> {
    /// Whether it reads more slowly than it is answered.
    pub(super) fn is_slow(&self) -> bool {
        self.unread() >= MOST_UNREAD
    }

    /// Whether it asks for nothing more until it is answered.
    fn awaits_answers(&self) -> bool {
        matches!(self.wait, Wait::Answers | Wait::Block)
    }
}

impl<W: World> Exchange<W> {
    /// Has an upstream read as fast as a client reads what comes of it.
    pub(super) fn keep_pace(&mut self, key: UpstreamKey, by: ClientKey) {
        let (Some(client), Some(upstream)) = (self.clients.get(by), self.upstreams.get(key)) else { return };
        let is_concerned = client.in_flight > 0 || upstream.owner == Some(by);
        if !client.is_slow() || !is_concerned {
            return self.let_go(key, by);
        }
        if upstream.owner.is_none() {
            self.make_own(key, by);
        }
        if self.clients.get(by).is_none_or(|client| client.unread() < self.allowance(key, client)) {
            return self.let_go(key, by);
        }
        let since = self.world.now();
        if let Some(upstream) = self.upstreams.get_mut(key).filter(|upstream| upstream.stalled.is_none()) {
            upstream.stalled = Some(Stall { by, since });
            self.watch_upstream(key);
        }
    }

    /// Looks again at the upstream of a client that may have begun to wait.
    pub(super) fn keep_pace_of(&mut self, key: ClientKey) {
        if let Some(upstream) =
            self.clients.get(key).filter(|client| client.is_slow()).and_then(|client| client.upstream)
        {
            self.keep_pace(upstream, key);
        }
    }

    /// Looks again at an upstream that is not read, since more may be kept now.
    pub(super) fn keep_pace_again(&mut self, key: UpstreamKey) {
        if let Some(stall) = self.upstreams.get(key).and_then(|upstream| upstream.stalled) {
            self.keep_pace(key, stall.by);
        }
    }

    /// Reads an upstream again that this client has kept from being read.
    pub(super) fn let_go(&mut self, key: UpstreamKey, by: ClientKey) {
        if let Some(upstream) = self.upstreams.get_mut(key)
            && upstream.stalled.is_some_and(|stall| stall.by == by)
        {
            upstream.stalled = None;
            self.watch_upstream(key);
        }
    }

    /// How much is kept for a client of what an upstream brings.
    fn allowance(&self, key: UpstreamKey, client: &Client<W::Wire>) -> usize {
        let is_awaited = self.upstreams.get(key).is_some_and(|upstream| {
            let is_held = self.branches.get(upstream.branch).is_some_and(Branch::is_held);
            upstream.owner.is_none() || upstream.phase == Phase::Parting || is_held
        });
        if is_awaited || client.awaits_answers() { MOST_KEPT } else { MOST_UNREAD }
    }

    /// Has others use other upstreams than this, and makes it the client's own if it alone waits for answers there. One
    /// to a replica stays nobody's: what the client asks for next may be for the primary.
    fn make_own(&mut self, key: UpstreamKey, by: ClientKey) {
        self.stop_sharing(key);
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let Some(branch) = self.branches.get(upstream.branch) else { return };
        let leads = branch.target.as_ref().is_some_and(|target| target.addr == upstream.addr);
        let is_alone = upstream.pending.iter().all(|pending| pending.client == by);
        let Some(client) = self.clients.get_mut(by) else { return };
        if upstream.reader.is_some() || !leads || !is_alone || client.upstream != Some(key) {
            return;
        }
        upstream.owner = Some(by);
        upstream.phase = Phase::Ready;
        upstream.is_open = !branch.is_held();
        client.owns = true;
    }

    /// Resets clients that have read nothing for so long, though somebody waits for that.
    pub(super) fn end_slow_clients(&mut self) {
        let now = self.world.now();
        let is_due = |stall: &Stall| now.saturating_duration_since(stall.since) >= STALL_FOR;
        let stalled = self.upstreams.iter().filter(|(_, upstream)| upstream.stalled.as_ref().is_some_and(is_due));
        for key in stalled.map(|(key, _)| key).collect::<Vec<_>>() {
            self.keep_pace_again(key);
            let Some(upstream) = self.upstreams.get(key) else { continue };
            let Some(by) = upstream.stalled.map(|stall| stall.by) else { continue };
            let Some(client) = self.clients.get(by) else { continue };
            let is_awaited = client.awaits_answers() || upstream.pending.iter().any(|pending| pending.client != by);
            // A rate is for all of an instance's clients together.
            if is_awaited && !client.is_muted {
                debug!("reset a client: it does not read what somebody waits behind");
                self.drop_client(by, End::Reset, Ending::Broken);
            }
        }
    }
}
