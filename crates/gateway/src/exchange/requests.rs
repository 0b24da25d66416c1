//! What each request means, and where it goes.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::answers::{Pending, Special, What};
use super::clients::{End, Wait};
use super::upstreams::Upstream;
use super::{ClientKey, Exchange, UpstreamKey};
use crate::commands::{Command, Kind, Timeout, Topic};
use crate::framing::{Framer, write_request};
use crate::login::Means;
use crate::session::{Standing, Transaction, Voice};
use crate::sight::Ending;
use crate::world::World;

/// A request that is all there, or as much of a long one as there is.
pub(super) struct Request<'a> {
    pub(super) framer: &'a Framer,
    pub(super) bytes: &'a [u8],
    pub(super) length: usize,
}

impl<'a> Request<'a> {
    /// How many arguments it has, its name among them.
    pub(super) fn len(&self) -> usize {
        self.framer.len()
    }

    pub(super) fn arg(&self, index: usize) -> &'a [u8] {
        self.framer.arg(self.bytes, index)
    }

    pub(super) fn is(&self, index: usize, word: &str) -> bool {
        self.arg(index).eq_ignore_ascii_case(word.as_bytes())
    }

    pub(super) fn args(&self, from: usize) -> impl Iterator<Item = &'a [u8]> {
        (from..self.len()).map(|index| self.arg(index))
    }

    /// As a list, whatever it came as.
    pub(super) fn list(&self) -> &'a [u8] {
        self.framer.request(self.bytes, self.length)
    }
}

/// What is to come of a request that ends what a client watches.
fn ends_watch(watches: bool, watched_elsewhere: bool) -> What {
    if watches || watched_elsewhere {
        What::Special(Box::new(Special::Unwatch { watches, watched_elsewhere }))
    } else {
        What::Plain
    }
}

impl<W: World> Exchange<W> {
    /// Does what a request asks for, or sends it on. Whether it was taken: otherwise the client waits, and the request is
    /// looked at again when it goes on.
    pub(super) fn request(&mut self, key: ClientKey, request: &Request<'_>) -> bool {
        let Some(client) = self.clients.get(key) else { return true };
        let branch = &mut self.branches[client.branch];
        let command = branch.commands.find(request.arg(0));
        if command.first_key > 0 && request.len() > usize::from(command.first_key) {
            branch.sight.asked_for(client.standing.database, request.arg(command.first_key.into()));
        }
        if client.session.is_none() && command.kind == Kind::Plain {
            // What nearly all requests are.
            let upstream = if command.reads && branch.replicas.has_any() {
                self.place_of_read(key)
            } else {
                self.place(key, false)
            };
            let Some(upstream) = upstream else { return self.is_gone(key) };
            self.send(key, upstream, request.list(), command, What::Plain);
            return true;
        }
        if client.session.as_ref().is_some_and(|session| session.transaction.is_some()) {
            return self.request_in_transaction(key, request, command);
        }
        match command.kind {
            Kind::Plain if command.reads && branch.replicas.has_any() && !client.owns && !client.needs_own() => {
                let Some(upstream) = self.place_of_read(key) else { return self.is_gone(key) };
                self.send(key, upstream, request.list(), command, What::Plain);
                true
            }
            Kind::Plain => self.pass(key, request, command, false),
            Kind::Eval => {
                if request.len() > 2 {
                    client.keep_script(request.arg(1));
                }
                self.pass(key, request, command, false)
            }
            Kind::Script => self.script(key, request, command),
            Kind::Function if request.is(1, "kill") || request.is(1, "stats") => {
                self.pass_beside_a_script(key, request, command)
            }
            Kind::Function => self.pass(key, request, command, false),
            Kind::Wait => self.wait(key, request, command),
            Kind::Blocking(timeout) => self.block(key, request, command, timeout),
            Kind::Auth => self.auth(key, request, command),
            Kind::Hello => self.hello(key, request, command),
            Kind::Select => self.select(key, request, command),
            Kind::Client => self.client_command(key, request, command),
            Kind::Multi => self.multi(key, request, command),
            // Without a transaction the node says what is wrong.
            Kind::Exec | Kind::Discard => self.pass(key, request, command, false),
            Kind::Watch => self.watch(key, request, command),
            Kind::Unwatch => self.unwatch(key, request, command),
            Kind::Subscribe(topic) => self.subscribe(key, request, command, topic),
            Kind::Unsubscribe(topic) => self.unsubscribe(key, request, command, topic),
            Kind::Reset => self.reset(key, request, command),
            Kind::Quit => self.quit(key),
            Kind::Opaque => self.splice(key, request),
            Kind::Foreign => {
                self.leave(key);
                true
            }
        }
    }

    /// Sends what there is of a long request, over an upstream of the client's own.
    pub(super) fn long_request(&mut self, key: ClientKey, request: &Request<'_>) -> bool {
        let Some(client) = self.clients.get_mut(key) else { return true };
        let command = self.branches[client.branch].commands.find(request.arg(0));
        let in_transaction = client.session.as_ref().is_some_and(|session| session.transaction.is_some());
        let can_pass = matches!(command.kind, Kind::Plain | Kind::Eval | Kind::Function)
            || in_transaction && matches!(command.kind, Kind::Blocking(_));
        if !can_pass {
            return false;
        }
        let Some(upstream) = self.place(key, true) else { return self.is_gone(key) };
        let what = if in_transaction {
            let session = self.clients[key].session();
            if let Some(transaction) = &mut session.transaction {
                transaction.requests = None;
            }
            What::Queued
        } else {
            What::Plain
        };
        self.send(key, upstream, request.list(), command, what);
        true
    }

    pub(super) fn is_gone(&self, key: ClientKey) -> bool {
        !self.clients.contains_key(key)
    }

    /// Sends a request on that needs nothing else.
    pub(super) fn pass(&mut self, key: ClientKey, request: &Request<'_>, command: Command, own: bool) -> bool {
        self.pass_as(key, request.list(), command, own, What::Plain)
    }

    pub(super) fn pass_as(&mut self, key: ClientKey, request: &[u8], command: Command, own: bool, what: What) -> bool {
        let Some(upstream) = self.place(key, own) else { return self.is_gone(key) };
        self.send(key, upstream, request, command, what);
        true
    }

    pub(super) fn pass_special(
        &mut self,
        key: ClientKey,
        request: &[u8],
        command: Command,
        own: bool,
        what: Special,
    ) -> bool {
        self.pass_as(key, request, command, own, What::Special(Box::new(what)))
    }

    /// Sends a request to a node.
    pub(super) fn send(&mut self, key: ClientKey, to: UpstreamKey, request: &[u8], command: Command, what: What) {
        let Some(upstream) = self.upstreams.get_mut(to) else { return };
        let (at, length) = (self.world.now(), u32::try_from(request.len()).unwrap_or(u32::MAX));
        if upstream.push(request, Pending { client: key, command: command.id, at, length, what }) {
            self.unsent.push(to);
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.in_flight += 1;
        }
    }

    /// Whether all that the client has asked for is answered; else it waits for that.
    pub(super) fn is_answered(&mut self, key: ClientKey) -> bool {
        let is_answered = !self.is_amidst(key);
        let Some(client) = self.clients.get_mut(key) else { return false };
        if !is_answered {
            client.wait = Wait::Answers;
        }
        is_answered
    }

    /// Whether something that the client is told by a node has begun or is to come.
    pub(super) fn is_amidst(&self, key: ClientKey) -> bool {
        let Some(client) = self.clients.get(key) else { return false };
        let own = client.upstream.filter(|_| client.owns).and_then(|own| self.upstreams.get(own));
        client.in_flight > 0 || own.is_some_and(Upstream::is_amidst_message)
    }

    /// Has the client wait until what was just sent is answered.
    pub(super) fn await_answer(&mut self, key: ClientKey) -> bool {
        if let Some(client) = self.clients.get_mut(key) {
            client.wait = Wait::Answers;
        }
        true
    }

    fn request_in_transaction(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let Some(upstream) = self.place(key, true) else { return self.is_gone(key) };
        let Some(client) = self.clients.get_mut(key) else { return true };
        let in_flight = client.in_flight;
        let session = client.session();
        // What the node refuses for its words changes nothing but that the transaction is spoilt.
        let is_refused =
            request.len() > 1 && matches!(command.kind, Kind::Exec | Kind::Discard | Kind::Multi | Kind::Reset);
        match command.kind {
            _ if is_refused => {
                if let Some(transaction) = &mut session.transaction {
                    transaction.add(request.list());
                }
                self.send(key, upstream, request.list(), command, What::Queued);
            }
            // Whether it was spoilt decides what is said, and is known once all of it is answered.
            Kind::Exec if session.watched_elsewhere && in_flight > 0 => return self.is_answered(key),
            Kind::Exec => {
                let spoilt = session.transaction.take().is_some_and(|transaction| transaction.is_spoilt);
                let (watches, watched_elsewhere) = session.unwatch();
                if !watched_elsewhere || spoilt {
                    self.send(key, upstream, request.list(), command, ends_watch(watches, watched_elsewhere));
                    return true;
                }
                // The keys it watched may have changed in between.
                let nil: &[u8] = if client.standing.protocol == 3 { b"_\r\n" } else { b"*-1\r\n" };
                let instead = What::Special(Box::new(Special::Instead(nil.to_vec())));
                self.send(key, upstream, b"*1\r\n$7\r\nDISCARD\r\n", command, instead);
            }
            Kind::Discard => {
                session.transaction = None;
                let (watches, watched_elsewhere) = session.unwatch();
                self.send(key, upstream, request.list(), command, ends_watch(watches, watched_elsewhere));
            }
            Kind::Quit => return self.quit(key),
            Kind::Reset => return self.reset(key, request, command),
            Kind::Multi | Kind::Watch => self.send(key, upstream, request.list(), command, What::Plain),
            Kind::Plain
            | Kind::Blocking(_)
            | Kind::Eval
            | Kind::Script
            | Kind::Function
            | Kind::Unwatch
            | Kind::Wait => {
                if let Some(transaction) = &mut session.transaction {
                    transaction.add(request.list());
                }
                match command.kind {
                    Kind::Eval if request.len() > 2 => client.keep_script(request.arg(1)),
                    Kind::Script if request.len() == 3 && request.is(1, "load") => client.keep_script(request.arg(2)),
                    _ => {}
                }
                self.send(key, upstream, request.list(), command, What::Queued);
            }
            // What would change the session once the transaction is executed: nobody follows that.
            _ if in_flight > 0 => return self.is_answered(key),
            _ if session.voice != Voice::On => self.cut(key, "nobody knows what it wants to hear of what it does"),
            Kind::Auth
            | Kind::Hello
            | Kind::Select
            | Kind::Client
            | Kind::Subscribe(_)
            | Kind::Unsubscribe(_)
            | Kind::Opaque
            | Kind::Foreign => return self.splice(key, request),
        }
        true
    }

    fn multi(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if request.len() > 1 {
            return self.pass(key, request, command, false);
        }
        if !self.pass_special(key, request.list(), command, true, Special::Begin) {
            return false;
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.session().transaction = Some(Transaction::begun());
        }
        true
    }

    fn watch(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let did =
            self.clients.get(key).and_then(|client| client.session.as_ref()).is_some_and(|session| session.watches);
        if !self.pass_special(key, request.list(), command, true, Special::Watch { did }) {
            return false;
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.session().watches = true;
        }
        true
    }

    fn unwatch(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if request.len() > 1 {
            return self.pass(key, request, command, false);
        }
        let session = self.clients.get(key).and_then(|client| client.session.as_ref());
        let (watches, elsewhere) = session.map_or((false, false), |of| (of.watches, of.watched_elsewhere));
        if !self.pass_as(key, request.list(), command, false, ends_watch(watches, elsewhere)) {
            return false;
        }
        if let Some(session) = self.clients.get_mut(key).and_then(|client| client.session.as_mut()) {
            session.unwatch();
        }
        true
    }

    fn script(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if request.is(1, "load") && request.len() == 3 {
            let body = request.arg(2).to_vec();
            return self.pass_special(key, request.list(), command, false, Special::Load(body));
        }
        if request.is(1, "flush") {
            return self.pass_special(key, request.list(), command, false, Special::FlushScripts);
        }
        if request.is(1, "debug") {
            return self.splice(key, request);
        }
        if request.is(1, "kill") {
            return self.pass_beside_a_script(key, request, command);
        }
        self.pass(key, request, command, false)
    }

    /// The script that is to be ended, or looked at, keeps the answers to others waiting, and a node that runs it lets nobody
    /// choose a database: so this goes over a fresh upstream, without one.
    fn pass_beside_a_script(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(client) = self.clients.get(key) else { return true };
        let wanted = client.standing.clone();
        let from = Standing { database: 0, ..wanted.clone() };
        let is_ready = |key| self.upstreams.get(key).is_some_and(|upstream| upstream.is_open || upstream.is_trial);
        if client.owns && (client.needs_own() || client.upstream.is_some_and(is_ready)) {
            let Some(upstream) = self.place(key, true) else { return self.is_gone(key) };
            if !self.upstreams.get(upstream).is_some_and(|upstream| upstream.is_trial) {
                self.send(key, upstream, request.list(), command, What::Plain);
                return true;
            }
            // It becomes what the client is when it is over.
            let turn = Turn { has: from.clone(), wanted, from, means: None, name: None };
            self.send(key, upstream, request.list(), command, What::Special(Box::new(Special::Turn(turn))));
            return self.await_answer(key);
        }
        // One that can't be used is not waited for.
        if client.owns
            && let Some(upstream) = client.upstream
        {
            self.remove_upstream(upstream);
        }
        self.open_trial(key, from);
        self.is_gone(key)
    }

    /// WAIT counts the replicas that have the last write of its own connection, which has made none: but after any command
    /// that connection stands where all writes are that were answered before.
    fn wait(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(upstream) = self.place(key, true) else { return self.is_gone(key) };
        let before = What::Special(Box::new(Special::Instead(Vec::new())));
        self.send(key, upstream, b"*1\r\n$4\r\nPING\r\n", command, before);
        self.send(key, upstream, request.list(), command, What::Plain);
        self.await_block(key)
    }

    fn await_block(&mut self, key: ClientKey) -> bool {
        if let Some(client) = self.clients.get_mut(key) {
            client.wait = Wait::Block;
        }
        true
    }

    fn block(&mut self, key: ClientKey, request: &Request<'_>, command: Command, timeout: Timeout) -> bool {
        let Some(timeout) = Waiting::of(request, timeout) else { return self.pass(key, request, command, false) };
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let blocked = Special::Blocked { request: request.list().to_vec(), timeout, since: self.world.now() };
        if !self.pass_special(key, request.list(), command, true, blocked) {
            return self.is_gone(key);
        }
        self.await_block(key)
    }

    fn subscribe(&mut self, key: ClientKey, request: &Request<'_>, command: Command, topic: Topic) -> bool {
        if request.len() < 2 {
            return self.pass(key, request, command, false);
        }
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let names: VecDeque<_> = request.args(1).map(|name| (topic, name.to_vec())).collect();
        let left = names.len();
        self.pass_special(key, request.list(), command, true, Special::Topics { names, left, adds: true })
            && self.await_answer(key)
    }

    fn unsubscribe(&mut self, key: ClientKey, request: &Request<'_>, command: Command, topic: Topic) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(client) = self.clients.get(key) else { return true };
        let names: VecDeque<_> = if request.len() > 1 {
            request.args(1).map(|name| (topic, name.to_vec())).collect()
        } else {
            let all = client.session.iter().flat_map(|session| &session.topics);
            all.filter(|(kind, _)| *kind == topic).cloned().collect()
        };
        let left = names.len().max(1);
        self.pass_special(key, request.list(), command, true, Special::Topics { names, left, adds: false })
            && self.await_answer(key)
    }

    fn reset(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        if request.len() > 1 {
            return self.pass(key, request, command, false);
        }
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(client) = self.clients.get(key) else { return true };
        if client.owns {
            return self.pass_special(key, request.list(), command, true, Special::Reset) && self.await_answer(key);
        }
        self.say_reset(key, b"+RESET\r\n");
        self.forget_session(key);
        true
    }

    /// Who wants to hear nothing hears this, but not who wants to skip it.
    pub(super) fn say_reset(&mut self, key: ClientKey, reply: &[u8]) {
        let Some(client) = self.clients.get(key) else { return };
        if client.session.as_ref().is_none_or(|session| session.voice != Voice::Skips) {
            self.say(key, reply);
        }
    }

    /// Makes a client what it was when it came.
    pub(super) fn forget_session(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.session = None;
        client.standing = Standing::default();
        client.guest.signs_in(None);
        if std::mem::take(&mut client.owns)
            && let Some(upstream) = client.upstream.take()
        {
            self.disown(upstream);
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.upstream = None;
        }
    }

    fn quit(&mut self, key: ClientKey) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        self.say_unless_quiet(key, b"+OK\r\n");
        self.leave(key);
        true
    }

    /// From this request on, passes everything as it comes, both ways.
    pub(super) fn splice(&mut self, key: ClientKey, request: &Request<'_>) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(key_of_upstream) = self.place(key, true) else { return self.is_gone(key) };
        let (Some(upstream), Some(client)) = (self.upstreams.get_mut(key_of_upstream), self.clients.get_mut(key))
        else {
            return true;
        };
        client.session().is_bound = true;
        client.is_spliced = true;
        upstream.is_spliced = true;
        upstream.push_bytes(request.list());
        self.unsent.push(key_of_upstream);
        true
    }

    /// What a client that blocks asks for once more, with the time that is left, at the node that leads then.
    pub(super) fn ask_again(&mut self, key: ClientKey, request: &[u8], timeout: &Waiting, waited: Duration) {
        let Some(client) = self.clients.get_mut(key) else { return };
        let mut again = timeout.shortened(request, waited);
        again.append(&mut client.input);
        client.input = again;
        client.needs = 0;
        self.hold_client(key);
    }

    /// Ends a client whose session can't be carried on.
    pub(super) fn cut(&mut self, key: ClientKey, why: &str) {
        if let Some(client) = self.clients.get(key) {
            tracing::debug!(from = %client.from, why, "reset a client");
        }
        self.drop_client(key, End::Reset, Ending::Node);
    }
}

/// What becomes of a client, and of the connection over which that is asked for, where a node allows it.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Turn {
    /// What the client becomes.
    pub(super) wanted: Standing,
    /// What a fresh connection must be before.
    pub(super) from: Standing,
    /// What a fresh connection is after.
    pub(super) has: Standing,
    pub(super) means: Option<Means>,
    /// The name that it takes with it.
    pub(super) name: Option<Vec<u8>>,
}

/// How long a blocking command waits.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Waiting {
    /// Where that stands among the arguments.
    at: usize,
    unit: Duration,
}

impl Waiting {
    /// `None` where the command does not wait.
    fn of(request: &Request<'_>, timeout: Timeout) -> Option<Waiting> {
        let (at, unit) = match timeout {
            Timeout::Last => (request.len().checked_sub(1).filter(|at| *at > 1)?, Duration::from_secs(1)),
            Timeout::First => (1, Duration::from_secs(1)),
            Timeout::Block => {
                // Behind STREAMS there are names alone.
                let word = (1..request.len()).take_while(|at| !request.is(*at, "streams"));
                let block = word.into_iter().find(|at| request.is(*at, "block"))?;
                (block + 1, Duration::from_millis(1))
            }
        };
        (at < request.len()).then_some(Waiting { at, unit })
    }

    /// The request with the time that is left of it. What waits for ever goes on doing so, and what has no time left asks
    /// for the least there is.
    fn shortened(&self, request: &[u8], waited: Duration) -> Vec<u8> {
        let mut framer = Framer::default();
        framer.read(request, false);
        let mut args: Vec<Vec<u8>> = (0..framer.len()).map(|index| framer.arg(request, index).to_vec()).collect();
        let number = std::str::from_utf8(&args[self.at]).ok().and_then(|number| number.parse::<f64>().ok());
        if let Some(number) = number.filter(|number| *number > 0.0) {
            let left = number - waited.as_secs_f64() / self.unit.as_secs_f64();
            args[self.at] = if self.unit == Duration::from_secs(1) {
                format!("{:.3}", left.max(0.001)).into_bytes()
            } else {
                format!("{:.0}", left.max(1.0).ceil()).into_bytes()
            };
        }
        let mut shortened = Vec::new();
        write_request(&args, &mut shortened);
        shortened
    }
}
