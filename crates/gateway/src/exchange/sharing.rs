//! How clients share upstreams: which of those that are of one standing a request is best placed with, and when nobody is to
//! ask for more.

use super::upstreams::{DIAL_FOR, Phase, Upstream};
use super::{BranchKey, ClientKey, Exchange, Timer, UpstreamKey};
use crate::session::Standing;
use crate::world::World;

/// In a simulation little is much: so all of this comes about there.
pub(super) const IS_SIMULATED: bool = cfg!(any(test, feature = "simulation"));

/// How much an engine reads of a connection in one turn of its own loop: more of that waits for the next.
const TURN: usize = if IS_SIMULATED { 64 } else { 16 * 1024 };
/// So many requests are worth a turn by themselves, and more than so many turns are not waited for.
const MANY: usize = if IS_SIMULATED { 4 } else { 64 };
const TURNS: usize = 4;
/// How much more it writes to a connection in a turn.
const READS_TO_WRITES: usize = 4;
/// How many share one standing at most, where one is not enough.
const MOST_SHARED: usize = 24;
/// How many are shared of a branch at most before nothing is opened but the first of a standing: an engine has few more
/// places than its clients have.
const MOST_OF_BRANCH: usize = 48;
/// How much waits to be sent at most before those who ask are not read any more.
const MOST_UNSENT: usize = if IS_SIMULATED { 1024 } else { 512 * 1024 };

impl<S> Upstream<S> {
    /// Whether an engine has enough to do with it. A turn of few long requests is worth little, so that others are to add
    /// theirs over another connection; many short ones are best sent together.
    pub(super) fn is_full(&self) -> bool {
        let load = self.load();
        load >= TURN && self.pending.len() < MANY || load >= TURNS * TURN
    }

    fn load(&self) -> usize {
        self.under_way.max(self.unsent()) + self.pending.len() * self.reply_length / READS_TO_WRITES
    }

    /// Notes how long replies are, of which there were so many in so many bytes.
    pub(super) fn note_replies(&mut self, bytes: usize, replies: usize) {
        self.read_since += bytes;
        if let Some(length) = self.read_since.checked_div(replies) {
            self.read_since = 0;
            self.reply_length = (self.reply_length * 7 + length) / 8;
        }
    }

    /// Whether nobody is to ask for more before some of it is sent.
    pub(super) fn is_crowded(&self) -> bool {
        self.unsent() > MOST_UNSENT
    }

    pub(super) fn has_room(&self) -> bool {
        self.unsent() <= MOST_UNSENT / 4
    }
}

impl<W: World> Exchange<W> {
    /// The upstream of those that share a standing where the next request is best placed: the first that is not full, so that
    /// as many as can be have one, and where all are full the one with the least to do, until there is another.
    pub(super) fn shared(&mut self, branch: BranchKey, standing: &Standing) -> Option<UpstreamKey> {
        let all = self.branches[branch].pool.get(standing)?;
        let (mut least, mut is_one_coming) = (None::<(usize, UpstreamKey)>, false);
        for key in all {
            match self.upstreams.get(*key) {
                Some(upstream) if !upstream.is_open => is_one_coming = true,
                Some(upstream) if !upstream.is_full() => return Some(*key),
                Some(upstream) => {
                    let this = (upstream.load(), *key);
                    least = Some(least.map_or(this, |other| other.min(this)));
                }
                None => {}
            }
        }
        let (first, count) = (all.first().copied(), all.len());
        let Some((_, least)) = least else { return first };
        let of_branch = || self.branches[branch].pool.values().map(Vec::len).sum::<usize>();
        if !is_one_coming && count < MOST_SHARED && of_branch() < MOST_OF_BRANCH {
            let spare = self.open(branch, standing.clone(), None);
            if let Some(spare) = self.upstreams.get_mut(spare) {
                spare.is_spare = true;
            }
        }
        Some(least)
    }

    /// An upstream that those share who are of a standing, where there is one that can be used now.
    pub(super) fn pooled(&self, key: ClientKey, standing: &Standing) -> Option<UpstreamKey> {
        let branch = self.branches.get(self.clients.get(key)?.branch)?;
        let is_open = |key: &&UpstreamKey| self.upstreams.get(**key).is_some_and(|upstream| upstream.is_open);
        branch.pool.get(standing)?.iter().find(is_open).copied()
    }

    /// Has nobody come to share an upstream any more.
    pub(super) fn leave_pool(&mut self, key: UpstreamKey) {
        let Some(upstream) = self.upstreams.get(key) else { return };
        let (branch, reader, wanted) = (upstream.branch, upstream.reader, &upstream.wanted);
        let Some(branch) = self.branches.get_mut(branch) else { return };
        branch.replicas.forget(key, reader, wanted);
        let Some(shared) = branch.pool.get_mut(wanted) else { return };
        shared.retain(|other| *other != key);
        match shared.first().copied() {
            None => drop(branch.pool.remove(&wanted.clone())),
            Some(first) => {
                if let Some(first) = self.upstreams.get_mut(first) {
                    first.is_spare = false;
                }
            }
        }
    }

    /// Begins a connection that those share who are of this standing.
    pub(super) fn open_shared(&mut self, branch: BranchKey, standing: Standing) {
        self.open(branch, standing, None);
    }

    /// Has an upstream that has changed become what it is to be beyond that, and shares it.
    pub(super) fn share(&mut self, key: UpstreamKey, wanted: Standing) {
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if self.branches[upstream.branch].pool.contains_key(&wanted) {
            self.remove_upstream(key);
            return;
        }
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        upstream.owner = None;
        upstream.is_trial = false;
        upstream.is_open = false;
        upstream.phase = Phase::Settling;
        upstream.dials_until = self.world.now() + DIAL_FOR;
        for request in upstream.has.towards(&wanted) {
            upstream.push_preamble(&request, true);
        }
        let branch = &self.branches[upstream.branch];
        // A stranger's could not, and so has not.
        if branch.may_load(&wanted) {
            upstream.push_scripts(branch);
            upstream.loads_scripts = branch.loads_scripts;
        }
        upstream.wanted = wanted.clone();
        self.branches[upstream.branch].pool.entry(wanted).or_default().push(key);
        self.unsent.push(key);
        self.set_timer(DIAL_FOR, Timer::GiveUp(key));
        self.settle_upstream(key);
    }
}
