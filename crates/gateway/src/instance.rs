use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use model::{Connected, Fingerprint, InstanceId, Limits, Logins, Millis, NodeId};

use crate::commands::{Commands, KNOWN};
use crate::event_loop::wall_time;
use crate::scripts::Scripts;
use crate::sight::{Refusal, Sight};
use crate::tls::{Agreed, Terms};

/// How far ahead of its rate an instance may be: what it did not use for so long it may use at once.
const BURST: Duration = Duration::from_millis(100);

/// What the connections of an instance share, over all its addresses.
pub(crate) struct Instance {
    pub(crate) id: InstanceId,
    /// Tells it from others, by counting.
    pub(crate) number: usize,
    rules: RwLock<Arc<Rules>>,
    asks_for_password: AtomicBool,
    tls: RwLock<Option<Agreed>>,
    present: Mutex<Present>,
    scripts: Mutex<Scripts>,
    /// The commands that a node has.
    commands: Mutex<Option<(NodeId, Arc<Commands>)>>,
    /// What is seen of those that are not let in.
    outside: Mutex<Sight>,
    /// What clients send.
    pub(crate) inbound: Meter,
    /// What they get.
    pub(crate) outbound: Meter,
}

/// What the table says of it.
#[derive(Default, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) limits: Limits,
    pub(crate) logins: Logins,
}

/// Who is connected.
#[derive(Default)]
struct Present {
    open: u64,
    /// With which password of the default user they have signed in.
    signed_in: HashMap<Fingerprint, u64>,
}

impl Instance {
    pub(crate) fn new(id: InstanceId, number: usize) -> Instance {
        Instance {
            id,
            number,
            rules: RwLock::default(),
            asks_for_password: AtomicBool::new(false),
            tls: RwLock::default(),
            present: Mutex::default(),
            scripts: Mutex::default(),
            commands: Mutex::default(),
            outside: Mutex::new(Sight::new(u16::MAX, wall_time())),
            inbound: Meter::default(),
            outbound: Meter::default(),
        }
    }

    /// Brings into force what the table says.
    pub(crate) fn set(&self, limits: Limits, logins: &Logins) {
        if self.rules().limits == limits && self.rules().logins == *logins {
            return;
        }
        self.inbound.set(limits.inbound);
        self.outbound.set(limits.outbound);
        self.asks_for_password.store(logins.password.is_some(), Ordering::Relaxed);
        let rules = Arc::new(Rules { limits, logins: logins.clone() });
        *self.rules.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

    /// Takes connections by TLS as a table says; what could not be read is tried again.
    pub(crate) fn set_tls(&self, data: &Path, tls: Option<&model::Tls>) {
        let mut current = self.tls.write().unwrap_or_else(PoisonError::into_inner);
        let is_in_force = |agreed: &Agreed| agreed.failure.is_none() && Some(&agreed.wanted) == tls;
        if current.as_ref().map_or(tls.is_none(), is_in_force) {
            return;
        }
        let agreed = tls.map(|tls| Agreed::on(data, tls.clone(), current.as_ref()));
        let why = |agreed: Option<&Agreed>| agreed.and_then(|agreed| agreed.failure.clone());
        let failure = why(agreed.as_ref());
        if let Some(failure) = &failure
            && why(current.as_ref()).as_ref() != Some(failure)
        {
            tracing::error!(instance = %self.id, failure, "TLS is not as it is to be");
        }
        *current = agreed;
    }

    /// Tries again what of its TLS could not be read.
    pub(crate) fn heal_tls(&self, data: &Path) {
        let wanted = {
            let current = self.tls.read().unwrap_or_else(PoisonError::into_inner);
            current.as_ref().filter(|agreed| agreed.failure.is_some()).map(|agreed| agreed.wanted.clone())
        };
        if let Some(wanted) = wanted {
            self.set_tls(data, Some(&wanted));
        }
    }

    /// How it takes connections by TLS, if it does.
    pub(crate) fn terms(&self) -> Option<Arc<Terms>> {
        let current = self.tls.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|agreed| agreed.terms.clone())
    }

    /// Why it does not take connections as it is to, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        let current = self.tls.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().and_then(|agreed| agreed.failure.clone())
    }

    pub(crate) fn rules(&self) -> Arc<Rules> {
        self.rules.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the default user needs a password.
    pub(crate) fn asks_for_password(&self) -> bool {
        self.asks_for_password.load(Ordering::Relaxed)
    }

    /// Keeps a script that a client has brought along, for the next primary.
    pub(crate) fn keep_script(&self, body: &[u8]) {
        self.scripts().keep(body);
    }

    pub(crate) fn forget_scripts(&self) {
        *self.scripts() = Scripts::default();
    }

    pub(crate) fn has_scripts(&self) -> bool {
        !self.scripts().is_empty()
    }

    /// The requests that load what clients have brought along.
    pub(crate) fn scripts_to_load(&self) -> Vec<Vec<u8>> {
        self.scripts().to_load()
    }

    fn scripts(&self) -> MutexGuard<'_, Scripts> {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The commands of a node, where they were learned from it.
    pub(crate) fn commands_of(&self, node: &NodeId) -> Option<Arc<Commands>> {
        let known = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(of, _)| of == node).map(|(_, commands)| commands.clone())
    }

    /// Reads a node's answer to COMMAND; `None` where it is none.
    pub(crate) fn learn_commands(&self, node: NodeId, answer: &[u8]) -> Option<Arc<Commands>> {
        let mut known = self.commands.lock().unwrap_or_else(PoisonError::into_inner);
        // What has a number keeps it: it is counted by that.
        let former = known.as_ref().map_or(&*KNOWN, |(_, commands)| commands);
        let commands = Arc::new(former.learn(answer)?);
        *known = Some((node, commands.clone()));
        Some(commands)
    }

    /// Takes over what a predecessor had learned of a node.
    pub(crate) fn know_commands(&self, node: NodeId, commands: Commands) {
        *self.commands.lock().unwrap_or_else(PoisonError::into_inner) = Some((node, Arc::new(commands)));
    }

    /// Notes that a client was not let in.
    pub(crate) fn refused(&self, why: Refusal) {
        self.outside().refused(why);
    }

    /// What was seen before anybody was let in.
    pub(crate) fn tell(&self, now: Millis) -> model::Sight {
        self.outside().tell(now, KNOWN.names())
    }

    fn outside(&self) -> MutexGuard<'_, Sight> {
        self.outside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection for as long as the answer lives; `None` where there are as many as there may be.
    pub(crate) fn admit(self: &Arc<Self>) -> Option<Guest> {
        let most = self.rules().limits.connections.map_or(u64::MAX, u64::from);
        let mut present = self.present();
        if present.open >= most {
            return None;
        }
        present.open += 1;
        Some(Guest { instance: self.clone(), signed_in: None })
    }

    /// As [`Self::admit`], of one that was let in before.
    pub(crate) fn admit_again(self: &Arc<Self>, signed_in: Option<Fingerprint>) -> Guest {
        self.present().open += 1;
        let mut guest = Guest { instance: self.clone(), signed_in: None };
        guest.signs_in(signed_in);
        guest
    }

    /// The scripts that clients have brought along, the oldest first.
    pub(crate) fn kept_scripts(&self) -> Vec<Vec<u8>> {
        self.scripts().bodies().map(<[u8]>::to_vec).collect()
    }

    /// The commands that were learned, and from which node.
    pub(crate) fn known_commands(&self) -> Option<(NodeId, Arc<Commands>)> {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn connected(&self) -> Connected {
        let old = self.rules().logins.old_password.clone();
        let present = self.present();
        let on_old_password = old.and_then(|old| present.signed_in.get(&old).copied()).unwrap_or(0);
        Connected { open: present.open, on_old_password }
    }

    fn present(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place among those of its instance.
pub(crate) struct Guest {
    pub(crate) instance: Arc<Instance>,
    signed_in: Option<Fingerprint>,
}

impl Guest {
    /// With which password of the default user the client has signed in.
    pub(crate) fn signed_in(&self) -> Option<&Fingerprint> {
        self.signed_in.as_ref()
    }

    /// Notes with which password of the default user the client has signed in; `None` where it did as somebody else.
    pub(crate) fn signs_in(&mut self, password: Option<Fingerprint>) {
        let mut present = self.instance.present();
        forget(&mut present, self.signed_in.take());
        if let Some(password) = &password {
            *present.signed_in.entry(password.clone()).or_default() += 1;
        }
        drop(present);
        self.signed_in = password;
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut present = self.instance.present();
        present.open -= 1;
        forget(&mut present, self.signed_in.take());
    }
}

fn forget(present: &mut Present, password: Option<Fingerprint>) {
    let Some(password) = password else { return };
    if let Some(count) = present.signed_in.get_mut(&password) {
        *count -= 1;
        if *count == 0 {
            present.signed_in.remove(&password);
        }
    }
}

/// Keeps a direction to its rate: whoever has passed something on pauses until the rate allows more.
#[derive(Default)]
pub(crate) struct Meter {
    /// Most instances have no limit, and are not to pay for those that have.
    is_limited: AtomicBool,
    flow: Mutex<Flow>,
}

#[derive(Default)]
struct Flow {
    /// Bytes a second; `None` as many as there are.
    rate: Option<u64>,
    /// When all that has passed would have passed at the rate.
    paid_until: Option<Instant>,
}

impl Meter {
    fn set(&self, rate: Option<u64>) {
        *self.flow() = Flow { rate, paid_until: None };
        self.is_limited.store(rate.is_some(), Ordering::Relaxed);
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.is_limited.load(Ordering::Relaxed)
    }

    /// Counts bytes that have passed.
    pub(crate) fn pass(&self, bytes: usize, now: Instant) {
        if !self.is_limited.load(Ordering::Relaxed) {
            return;
        }
        let mut flow = self.flow();
        let Some(rate) = flow.rate else { return };
        let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
        flow.paid_until = Some(flow.paid_until.map_or(now, |until| until.max(now)) + cost);
    }

    /// Until when nothing more is to pass, where that is not over.
    pub(crate) fn pauses_until(&self, now: Instant) -> Option<Instant> {
        if !self.is_limited.load(Ordering::Relaxed) {
            return None;
        }
        let until = self.flow().paid_until?.checked_sub(BURST)?;
        (until > now).then_some(until)
    }

    /// How far ahead of its rate it is.
    pub(crate) fn owes(&self, now: Instant) -> Duration {
        self.flow().paid_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Goes on from what it owed elsewhere.
    pub(crate) fn owe(&self, span: Duration, now: Instant) {
        self.flow().paid_until = now.checked_add(span);
    }

    fn flow(&self) -> MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(connections: Option<u32>) -> Arc<Instance> {
        let instance = Arc::new(Instance::new(InstanceId::from_random(1), 0));
        instance.set(Limits { connections, ..Limits::default() }, &Logins::default());
        instance
    }

    #[test]
    fn as_many_connections_are_admitted_as_there_may_be() {
        let instance = instance(Some(2));
        let guests = [instance.admit(), instance.admit()];
        assert!(guests.iter().all(Option::is_some) && instance.admit().is_none());
        drop(guests);
        assert!(instance.admit().is_some());
        instance.set(Limits::default(), &Logins::default());
        let many: Vec<_> = (0..10).map(|_| instance.admit().unwrap()).collect();
        assert_eq!(instance.connected().open, many.len() as u64);
    }

    #[test]
    fn who_signed_in_with_the_old_password_is_counted_until_it_leaves_or_signs_in_anew() {
        let (instance, print) = (instance(None), |text: &str| Fingerprint(text.into()));
        let mut guests: Vec<_> = (0..3).map(|_| instance.admit().unwrap()).collect();
        guests[0].signs_in(Some(print("old")));
        guests[1].signs_in(Some(print("old")));
        assert_eq!(instance.connected().on_old_password, 0);
        let logins = Logins { old_password: Some(print("old")), ..Logins::default() };
        instance.set(Limits::default(), &logins);
        assert_eq!(instance.connected(), Connected { open: 3, on_old_password: 2 });
        guests[0].signs_in(Some(print("new")));
        assert_eq!(instance.connected().on_old_password, 1);
        guests.remove(1);
        assert_eq!(instance.connected(), Connected { open: 2, on_old_password: 0 });
    }

    #[test]
    fn what_passes_is_kept_to_its_rate() {
        let (meter, begun) = (Meter::default(), Instant::now());
        meter.pass(1 << 30, begun);
        assert_eq!(meter.pauses_until(begun), None);
        meter.set(Some(1_000_000));
        let (mut now, mut passed) = (begun, 0);
        while passed < 3_000_000 {
            meter.pass(10_000, now);
            passed += 10_000;
            now = meter.pauses_until(now).unwrap_or(now);
        }
        let took = (now - begun).as_secs_f64();
        assert!((2.8..3.0).contains(&took), "{took}");
    }
}
