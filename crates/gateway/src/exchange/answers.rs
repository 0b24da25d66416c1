//! What comes from nodes: whose each reply is, and what it says about a session.

use std::collections::VecDeque;
use std::time::Instant;

use serde::{Deserialize, Serialize};
use tracing::debug;

use super::branches::Branch;
use super::clients::{Client, Wait};
use super::requests::{Turn, Waiting};
use super::upstreams::Phase;
use super::{ClientKey, Exchange, UpstreamKey};
use crate::commands::Topic;
use crate::login::Means;
use crate::replies::Reach;
use crate::session::Voice;
use crate::world::World;

/// No beginning of a message that must be seen to know what it is is longer.
const LONGEST_KIND: usize = 48;

/// What is to be answered.
pub(super) struct Pending {
    /// Who asked; nobody where the gateway did.
    pub(super) client: ClientKey,
    pub(super) command: u16,
    /// When it was asked for.
    pub(super) at: Instant,
    /// How many bytes the request has.
    pub(super) length: u32,
    pub(super) what: What,
}

/// What a reply is good for.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum What {
    /// For the client.
    Plain,
    /// For the client, who is in a transaction.
    Queued,
    Special(Box<Special>),
}

/// What a reply says besides.
#[derive(Clone, Serialize, Deserialize)]
pub(super) enum Special {
    /// Whether the upstream has become what it is to be; without that it is of no use where that is a must.
    Preamble {
        must: bool,
    },
    /// Which commands there are.
    Commands,
    /// How far a node is in the stream of writes.
    HowFar,
    /// Whether the client is another.
    Turn(Turn),
    Name(Vec<u8>),
    Library(Vec<u8>, Vec<u8>),
    GetName,
    Voice(Voice),
    /// What came of waiting.
    Blocked {
        request: Vec<u8>,
        timeout: Waiting,
        /// It means nothing in another process, which is told how long that is ago.
        #[serde(skip, default = "Instant::now")]
        since: Instant,
    },
    Begin,
    /// Whether it watches keys; and whether it did before.
    Watch {
        did: bool,
    },
    /// It ends what the client watches, unless it is refused: then that is so again.
    Unwatch {
        watches: bool,
        watched_elsewhere: bool,
    },
    /// It has set something that is not known here, and can't be set again.
    Binds,
    /// Nothing: the client is told this.
    Instead(Vec<u8>),
    /// To be said once a topic: the client is subscribed to it, or no longer.
    Topics {
        names: VecDeque<(Topic, Vec<u8>)>,
        left: usize,
        adds: bool,
    },
    Tracking(Option<Vec<u8>>, bool),
    Setting(Vec<u8>, Option<Vec<u8>>),
    Reset,
    Load(Vec<u8>),
    FlushScripts,
}

/// What a value is that a subscriber gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Unasked for.
    Message,
    /// It is subscribed, or no longer.
    Confirmation,
    Reply,
    /// Too little is there to tell.
    Unclear,
}

impl<W: World> Exchange<W> {
    /// Gives replies to whom they are for; answers how many bytes were used up.
    pub(super) fn take_answers(&mut self, key: UpstreamKey, bytes: &[u8]) -> usize {
        let mut at = 0;
        // Replies to the same client that stand side by side are written at once.
        let mut run: Option<(ClientKey, usize)> = None;
        while at < bytes.len() {
            let Some(upstream) = self.upstreams.get_mut(key) else { return bytes.len() };
            if upstream.is_spliced {
                let owner = upstream.owner.unwrap_or_default();
                self.say(owner, &bytes[at..]);
                self.keep_pace(key, owner);
                return bytes.len();
            }
            let is_plain = matches!(upstream.pending.front(), Some(Pending { what: What::Plain, .. }));
            if is_plain && upstream.owner.is_none() {
                // What nearly all replies are.
                let client_key = upstream.pending.front().map_or_else(ClientKey::default, |pending| pending.client);
                if run.is_some_and(|(of, _)| of != client_key) {
                    self.flush_run(&mut run, bytes, at, key);
                }
                let Some(upstream) = self.upstreams.get_mut(key) else { return bytes.len() };
                let has_failed = bytes[at] == b'-' && !upstream.replies.is_inside();
                match upstream.replies.follow(bytes, at) {
                    Reach::Ends(end) => {
                        self.note(key, has_failed);
                        if let Some(client) = self.clients.get_mut(client_key) {
                            let is_quiet = client.session.as_ref().is_some_and(|session| session.voice != Voice::On);
                            if is_quiet {
                                self.say_unless_quiet(client_key, &bytes[at..end]);
                            } else {
                                run.get_or_insert((client_key, at));
                            }
                            self.answered(client_key);
                        }
                        at = end;
                        if run.is_none() {
                            continue;
                        }
                    }
                    Reach::GoesOn(to) => {
                        let is_heard = self.is_heard(client_key);
                        if to > at && is_heard {
                            run.get_or_insert((client_key, at));
                        }
                        self.flush_run(&mut run, bytes, if is_heard { to } else { at }, key);
                        return to;
                    }
                    Reach::Lost => {
                        self.flush_run(&mut run, bytes, at, key);
                        self.lose_sense(key);
                        return bytes.len();
                    }
                }
                continue;
            }
            self.flush_run(&mut run, bytes, at, key);
            match self.take_answer(key, &bytes[at..]) {
                0 => return at,
                taken => at += taken,
            }
        }
        self.flush_run(&mut run, bytes, at, key);
        self.settle_upstream(key);
        self.parted(key);
        at
    }

    fn flush_run(&mut self, run: &mut Option<(ClientKey, usize)>, bytes: &[u8], to: usize, from: UpstreamKey) {
        if let Some((client, start)) = run.take() {
            self.say(client, &bytes[start..to]);
            self.keep_pace(from, client);
        }
    }

    /// A node says what is not its protocol.
    fn lose_sense(&mut self, key: UpstreamKey) {
        debug!("a node says what is no reply; the connection is of no use any more");
        self.lose(key);
    }

    fn answered(&mut self, key: ClientKey) {
        let Some(client) = self.clients.get_mut(key) else { return };
        client.in_flight = client.in_flight.saturating_sub(1);
        client.active_at = self.world.now();
        // Not at once: what it is told may be written with what follows.
        let is_done = client.in_flight == u32::from(client.upload.is_some()) && client.has_ended;
        if is_done || client.in_flight == 0 && matches!(client.wait, Wait::Answers | Wait::Block) {
            self.todo.push_back(key);
        }
    }

    /// Whether the client is there and wants to hear what is said to it next.
    fn is_heard(&self, key: ClientKey) -> bool {
        let client = self.clients.get(key);
        client.is_some_and(|client| client.session.as_ref().is_none_or(|session| session.voice == Voice::On))
    }

    /// Says something unless the client wants to hear nothing.
    pub(super) fn say_unless_quiet(&mut self, key: ClientKey, reply: &[u8]) {
        let Some(client) = self.clients.get_mut(key) else { return };
        match client.session.as_ref().map_or(Voice::On, |session| session.voice) {
            Voice::On => self.say(key, reply),
            Voice::Off => {}
            Voice::Skips => client.session().voice = Voice::On,
        }
    }

    /// Takes one value, or what there is of it; answers how many bytes were used up, none if more must be there.
    fn take_answer(&mut self, key: UpstreamKey, bytes: &[u8]) -> usize {
        let Some(upstream) = self.upstreams.get_mut(key) else { return bytes.len() };
        let begins = !upstream.replies.is_inside() && upstream.partial.is_empty();
        let owner = upstream.owner.unwrap_or_default();
        if begins {
            let is_subscriber = upstream.has.protocol == 2
                && (matches!(upstream.pending.front(), Some(Pending { what: What::Special(what), .. }) if matches!(**what, Special::Topics { .. }))
                    || self.clients.get(owner).is_some_and(|client| {
                        client.session.as_ref().is_some_and(|session| !session.topics.is_empty())
                    }));
            let kind = match bytes[0] {
                b'>' => kind_of(bytes),
                b'*' if is_subscriber => kind_of(bytes),
                _ => Kind::Reply,
            };
            match kind {
                Kind::Unclear => return 0,
                Kind::Message => upstream.in_message = true,
                Kind::Reply if bytes[0] == b'>' => upstream.in_message = true,
                Kind::Confirmation | Kind::Reply => {}
            }
        }
        if upstream.in_message {
            let (to, is_whole) = match upstream.replies.follow(bytes, 0) {
                Reach::Ends(end) => (end, true),
                Reach::GoesOn(to) => (to, false),
                Reach::Lost => {
                    self.lose_sense(key);
                    return bytes.len();
                }
            };
            upstream.in_message = !is_whole;
            self.say(owner, &bytes[..to]);
            self.keep_pace(key, owner);
            let awaits_end = |client: &Client<_>| client.wait == Wait::Answers || client.has_ended;
            if is_whole && self.clients.get(owner).is_some_and(awaits_end) {
                self.todo.push_back(owner);
            }
            return to;
        }
        let Some(front) = upstream.pending.front() else {
            // The last words of a node that ends the connection.
            debug!("a node says what nobody has asked for");
            self.lose(key);
            return bytes.len();
        };
        let client_key = front.client;
        // What may be long and says nothing but to the client passes as it comes.
        let passes = upstream.partial.is_empty()
            && match &front.what {
                What::Plain => true,
                What::Queued => !begins || bytes[0] != b'-',
                What::Special(what) => {
                    let may_be_long = matches!(**what, Special::Blocked { .. } | Special::Unwatch { .. });
                    may_be_long && (!begins || bytes[0] != b'-')
                }
            };
        match upstream.replies.follow(bytes, 0) {
            Reach::GoesOn(to) if passes => {
                if self.is_heard(client_key) {
                    self.say(client_key, &bytes[..to]);
                    self.keep_pace(key, client_key);
                }
                to
            }
            Reach::GoesOn(to) => {
                upstream.partial.extend_from_slice(&bytes[..to]);
                to
            }
            Reach::Ends(end) => {
                let has_failed = begins && matches!(bytes[0], b'-' | b'!');
                if passes {
                    self.note(key, has_failed);
                    self.say_unless_quiet(client_key, &bytes[..end]);
                    self.keep_pace(key, client_key);
                    self.answered(client_key);
                    return end;
                }
                let mut whole = std::mem::take(&mut upstream.partial);
                let reply = if whole.is_empty() {
                    &bytes[..end]
                } else {
                    whole.extend_from_slice(&bytes[..end]);
                    &whole
                };
                self.take_special(key, reply);
                end
            }
            Reach::Lost => {
                self.lose_sense(key);
                bytes.len()
            }
        }
    }

    fn take_special(&mut self, key: UpstreamKey, reply: &[u8]) {
        let is_error = matches!(reply.first(), Some(b'-' | b'!'));
        let Some(mut pending) = self.note(key, is_error) else { return };
        let client_key = pending.client;
        let special = match &mut pending.what {
            What::Special(special) => special,
            What::Queued => {
                if let Some(client) = self.clients.get_mut(client_key).filter(|_| is_error)
                    && let Some(transaction) = &mut client.session().transaction
                {
                    transaction.is_spoilt = true;
                }
                self.say_unless_quiet(client_key, reply);
                return self.answered(client_key);
            }
            What::Plain => {
                self.say_unless_quiet(client_key, reply);
                return self.answered(client_key);
            }
        };
        match &mut **special {
            Special::Preamble { must } => {
                if is_error && *must {
                    return self.refused(key, reply);
                }
                return self.settle_upstream(key);
            }
            Special::Commands => return self.take_commands(key, reply),
            Special::HowFar => {
                self.take_how_far(key, reply);
                return self.settle_upstream(key);
            }
            Special::Topics { names, left, adds } if !is_error => {
                *left -= 1;
                if let Some(topic) = names.pop_front()
                    && let Some(client) = self.clients.get_mut(client_key)
                {
                    if *adds {
                        client.session().topics.insert(topic);
                    } else {
                        client.session().topics.remove(&topic);
                    }
                }
                let is_over = *left == 0;
                if !is_over && let Some(upstream) = self.upstreams.get_mut(key) {
                    pending.length = 0;
                    upstream.pending.push_front(pending);
                }
                self.say(client_key, reply);
                if is_over {
                    // It is told although the next reply was to be skipped, and that was this one.
                    if let Some(session) = self.clients.get_mut(client_key).and_then(|client| client.session.as_mut())
                        && session.voice == Voice::Skips
                    {
                        session.voice = Voice::On;
                    }
                    self.answered(client_key);
                    self.settle_upstream(key);
                }
                return;
            }
            Special::Blocked { request, timeout, since }
                // Not what a client was unblocked by, or a key that is gone. It may reach a node late that leads no more.
                if reply.starts_with(b"-UNBLOCKED force unblock")
                    || reply.starts_with(b"-READONLY") && self.is_left_or_held(key) =>
            {
                let waited = self.world.now().saturating_duration_since(*since);
                if let Some(client) = self.clients.get_mut(client_key) {
                    client.in_flight = client.in_flight.saturating_sub(1);
                    client.wait = Wait::Nothing;
                    self.ask_again(client_key, request, timeout, waited);
                    // The node ends this connection next because it leads no more, not to be rid of the client.
                    self.remove_upstream(key);
                    self.carry(client_key, false);
                }
                return;
            }
            _ => {}
        }
        let is_begin = |of: &Pending| {
            of.client == client_key && matches!(&of.what, What::Special(special) if matches!(**special, Special::Begin))
        };
        let begins_again = matches!(**special, Special::Begin)
            && self.upstreams.get(key).is_some_and(|upstream| upstream.pending.iter().any(is_begin));
        let Some(client) = self.clients.get_mut(client_key) else { return };
        match &mut **special {
            Special::Turn(turn) => {
                // Before it is told: whoever hears that it is so finds it so.
                self.turned(key, client_key, turn, is_error);
                self.say_unless_quiet(client_key, reply);
                return self.answered(client_key);
            }
            Special::Name(name) if !is_error => client.session().name = std::mem::take(name),
            Special::Library(attribute, value) if !is_error => {
                let library = &mut client.session().library;
                library.retain(|(known, _)| known != attribute);
                library.push((std::mem::take(attribute), std::mem::take(value)));
            }
            Special::GetName if !is_error => {
                let name = client.session.as_ref().map(|session| session.name.clone()).unwrap_or_default();
                let reply = match (name.is_empty(), client.standing.protocol) {
                    (true, 3) => b"_\r\n".to_vec(),
                    (true, _) => b"$-1\r\n".to_vec(),
                    (false, _) => [format!("${}\r\n", name.len()).as_bytes(), &name, b"\r\n"].concat(),
                };
                self.say_unless_quiet(client_key, &reply);
                return self.answered(client_key);
            }
            Special::Voice(voice) if !is_error => {
                let current = client.session().voice;
                client.session().voice = match *voice {
                    Voice::Skips if current == Voice::Off => Voice::Off,
                    voice => voice,
                };
                if *voice == Voice::On {
                    self.say(client_key, reply);
                }
                return self.answered(client_key);
            }
            // What it executes later is not as if something had changed that it was not let watch.
            Special::Watch { did: false } if is_error => client.session().watches = false,
            // As a subscriber's is who speaks RESP2.
            Special::Unwatch { watches, watched_elsewhere } if is_error && !reply.starts_with(b"-EXECABORT") => {
                client.session().watches |= *watches;
                client.session().watched_elsewhere |= *watched_elsewhere;
            }
            Special::Binds if !is_error => client.session().is_bound = true,
            // The transaction that is open may be of a later one, sent before this was refused.
            Special::Begin if is_error && !begins_again => client.session().transaction = None,
            Special::Begin => {
                // What was refused before was of a former one, though this had been begun when that was said.
                if let Some(transaction) = &mut client.session().transaction {
                    transaction.is_spoilt = false;
                }
            }
            Special::Instead(words) => {
                let words = std::mem::take(words);
                if !words.is_empty() {
                    self.say_unless_quiet(client_key, &words);
                }
                return self.answered(client_key);
            }
            Special::Tracking(request, is_bound) if !is_error => {
                client.session().is_bound |= *is_bound && request.is_some();
                client.session().tracking = request.take();
            }
            Special::Setting(word, request) if !is_error => {
                client.session().settings.retain(|(known, _)| known != word);
                if let Some(request) = request.take() {
                    client.session().settings.push((std::mem::take(word), request));
                }
            }
            Special::Reset if !is_error => {
                self.say_reset(client_key, reply);
                self.answered(client_key);
                return self.forget_session(client_key);
            }
            Special::Load(body) if !is_error => client.keep_script(body),
            Special::FlushScripts if !is_error => client.guest.instance.forget_scripts(),
            _ => {}
        }
        self.say_unless_quiet(client_key, reply);
        self.answered(client_key);
    }

    /// Whether the node that an upstream leads to may lead no more.
    fn is_left_or_held(&self, key: UpstreamKey) -> bool {
        let Some(upstream) = self.upstreams.get(key) else { return false };
        upstream.phase == Phase::Parting || self.branches.get(upstream.branch).is_some_and(Branch::is_held)
    }

    /// Whether a node has made another of a client.
    fn turned(&mut self, key: UpstreamKey, client_key: ClientKey, turn: &mut Turn, is_error: bool) {
        let Some(client) = self.clients.get_mut(client_key) else { return };
        let is_trial = self.upstreams.get(key).is_some_and(|upstream| upstream.is_trial);
        if is_error {
            if is_trial {
                client.owns = false;
                client.upstream = None;
                self.remove_upstream(key);
            } else if !client.owns {
                // It was over one that is not what the client is.
                client.upstream = None;
            }
            return;
        }
        match turn.means.take() {
            Some(Means::Default(password)) => client.guest.signs_in(Some(password)),
            Some(Means::Another) => client.guest.signs_in(None),
            Some(Means::Nothing) | None => {}
        }
        client.standing = turn.wanted.clone();
        if let Some(name) = turn.name.take() {
            client.session().name = name;
        }
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        if is_trial {
            upstream.has = turn.has.clone();
            client.owns = false;
            // Where others have one already the client is put through to that.
            client.upstream = None;
            self.share(key, turn.wanted.clone());
        } else if client.owns {
            upstream.has = turn.has.clone();
            upstream.wanted = turn.wanted.clone();
            // It may be the first that may.
            if let Some(branch) = self.branches.get(upstream.branch).filter(|branch| branch.may_load(&turn.wanted)) {
                upstream.push_scripts(branch);
                self.unsent.push(key);
            }
        }
    }

    /// A new upstream was not let in, or is told to come again later.
    fn refused(&mut self, key: UpstreamKey, reply: &[u8]) {
        let later: [&[u8]; 4] = [b"-LOADING", b"-BUSY", b"-MASTERDOWN", b"-ERR max number of clients"];
        if later.iter().any(|word| reply.starts_with(word)) {
            if reply.starts_with(b"-BUSY ") && self.tell_who_waits(key, reply) {
                return;
            }
            if let Some(upstream) = self.upstreams.get_mut(key) {
                upstream.phase = Phase::Settling;
            }
            return self.lose(key);
        }
        debug!("a node refuses what it had let in before");
        self.fail(key);
    }
}

/// What a message or a list is that begins like this.
fn kind_of(bytes: &[u8]) -> Kind {
    let mut lines = bytes.splitn(4, |byte| *byte == b'\n');
    let (_, length, word) = (lines.next(), lines.next(), lines.next());
    let is_whole = lines.next().is_some();
    let (Some(length), Some(word)) = (length, word.filter(|_| is_whole)) else {
        return if bytes.len() > LONGEST_KIND { Kind::Reply } else { Kind::Unclear };
    };
    if !length.starts_with(b"$") {
        return Kind::Reply;
    }
    match word.strip_suffix(b"\r").unwrap_or(word) {
        b"message" | b"pmessage" | b"smessage" | b"invalidate" => Kind::Message,
        b"subscribe" | b"psubscribe" | b"ssubscribe" | b"unsubscribe" | b"punsubscribe" | b"sunsubscribe" => {
            Kind::Confirmation
        }
        _ => Kind::Reply,
    }
}
