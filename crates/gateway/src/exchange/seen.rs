//! What is noted of what passes.

use std::collections::BTreeMap;

use model::{InstanceId, Millis, Sight};

use super::answers::Pending;
use super::{Exchange, UpstreamKey};
use crate::event_loop::Of;
use crate::framing::Framer;
use crate::sight::Slow;
use crate::world::World;

impl<W: World> Exchange<W> {
    /// Takes the oldest request of an upstream for answered.
    pub(super) fn note(&mut self, key: UpstreamKey, has_failed: bool) -> Option<Pending> {
        let upstream = self.upstreams.get_mut(key)?;
        let front = upstream.pending.front()?;
        if let Some(client) = self.clients.get(front.client)
            && let Some(branch) = self.branches.get_mut(client.branch)
        {
            let took = self.world.now().saturating_duration_since(front.at).as_micros();
            let took = u32::try_from(took).unwrap_or(u32::MAX);
            if branch.sight.answered(front.command, took, has_failed) {
                let request = upstream.oldest_request();
                let mut framer = Framer::default();
                if !request.is_empty() {
                    framer.read(request, false);
                }
                let user = client.standing.login.as_ref().and_then(|login| login.user.as_deref()).unwrap_or_default();
                let slow = Slow {
                    at: Millis(self.world.time().0 - i64::from(took / 1000)),
                    took,
                    client: client.from.0,
                    account: std::str::from_utf8(user).ok().filter(|user| *user != "default").unwrap_or_default(),
                    database: client.standing.database,
                };
                if framer.len() > 0 {
                    branch.sight.slow(slow, (0..framer.len()).map(|index| framer.arg(request, index)));
                } else {
                    // It was too long to be kept: its name is told alone.
                    let name = branch.commands.names().get(usize::from(front.command)).map_or("", String::as_str);
                    branch.sight.slow(slow, std::iter::once(name.as_bytes()));
                }
            }
        }
        self.upstreams.get_mut(key)?.pop()
    }

    /// What was seen of instances, as far as it is asked for.
    pub(crate) fn tell(&mut self, of: &Of) -> BTreeMap<InstanceId, Sight> {
        let now = self.world.time();
        let mut told = BTreeMap::new();
        for branch in self.branches.values_mut() {
            if matches!(of, Of::Instance(id) if *id != branch.instance.id) {
                continue;
            }
            let sight = branch.sight.tell(now, branch.commands.names());
            if matches!(of, Of::SeenAfter(after) if sight.seen_at <= *after) {
                continue;
            }
            told.insert(branch.instance.id.clone(), sight);
        }
        told
    }
}
