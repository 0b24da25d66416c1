//! How a client becomes another: by AUTH, HELLO and SELECT, and what it says of itself with CLIENT.

use std::sync::Arc;

use super::answers::{Special, What};
use super::requests::{Request, Turn};
use super::{ClientKey, Exchange};
use crate::commands::Command;
use crate::framing::write_request;
use crate::login;
use crate::session::{Standing, Voice};
use crate::world::World;

impl<W: World> Exchange<W> {
    pub(super) fn auth(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let (user, password) = match request.len() {
            2 => (None, request.arg(1)),
            3 => (Some(request.arg(1)), request.arg(2)),
            _ => return self.pass(key, request, command, false),
        };
        let Some(client) = self.clients.get(key) else { return true };
        let instance = &client.guest.instance;
        let (credential, means) = login::read(user, password, &instance.id, &instance.rules().logins);
        let mut args: Vec<&[u8]> = vec![b"AUTH"];
        args.extend(credential.user.as_deref());
        args.push(&credential.password);
        let mut list = Vec::new();
        write_request(&args, &mut list);
        let wanted = Standing { login: Some(Arc::new(credential)), ..client.standing.clone() };
        let has = Standing { login: wanted.login.clone(), ..Standing::default() };
        self.identify(
            key,
            &list,
            command,
            Turn { wanted, from: Standing::default(), has, means: Some(means), name: None },
        )
    }

    pub(super) fn hello(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let Some(client) = self.clients.get(key) else { return true };
        let protocol = match request.arg(1) {
            b"2" => 2,
            b"3" => 3,
            // It changes nothing.
            _ => return self.pass(key, request, command, false),
        };
        let mut args: Vec<Vec<u8>> = request.args(0).map(<[u8]>::to_vec).collect();
        let (mut login, mut means, mut name) = (None, None, None);
        let mut at = 2;
        while at < args.len() {
            if request.is(at, "auth") && at + 2 < args.len() {
                let instance = &client.guest.instance;
                let logins = &instance.rules().logins;
                let (credential, meant) = login::read(Some(&args[at + 1]), &args[at + 2], &instance.id, logins);
                args[at + 1] = credential.user.clone().unwrap_or_else(|| b"default".to_vec());
                args[at + 2].clone_from(&credential.password);
                (login, means) = (Some(Arc::new(credential)), Some(meant));
                at += 3;
            } else if request.is(at, "setname") && at + 1 < args.len() {
                name = Some(args[at + 1].clone());
                at += 2;
            } else {
                // It is wrong, and the node says so.
                return self.pass(key, request, command, false);
            }
        }
        let mut list = Vec::new();
        write_request(&args, &mut list);
        let from = match &login {
            Some(_) => Standing::default(),
            None => Standing { login: client.standing.login.clone(), ..Standing::default() },
        };
        let login = login.or_else(|| client.standing.login.clone());
        let has = Standing { login: login.clone(), protocol, database: 0 };
        let wanted = Standing { login, protocol, database: client.standing.database };
        self.identify(key, &list, command, Turn { wanted, from, has, means, name })
    }

    pub(super) fn select(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let Some(client) = self.clients.get(key) else { return true };
        let number = std::str::from_utf8(request.arg(1)).ok().and_then(|number| number.parse().ok());
        let Some(database) = number.filter(|_| request.len() == 2) else {
            return self.pass(key, request, command, false);
        };
        let wanted = Standing { database, ..client.standing.clone() };
        let from = Standing { database: 0, ..client.standing.clone() };
        self.identify(key, request.list(), command, Turn { has: wanted.clone(), wanted, from, means: None, name: None })
    }

    /// Has a node judge a request by which the client becomes another: over an upstream for which it changes nothing,
    /// because that is what the client is to become; else over a fresh one, which becomes that if it may.
    pub(super) fn identify(&mut self, key: ClientKey, request: &[u8], command: Command, turn: Turn) -> bool {
        if !self.is_answered(key) {
            return self.is_gone(key);
        }
        let Some(client) = self.clients.get_mut(key) else { return true };
        if client.owns || client.needs_own() {
            let Some(upstream) = self.place(key, true) else { return self.is_gone(key) };
            let is_trial = self.upstreams.get(upstream).is_some_and(|upstream| upstream.is_trial);
            // Only a fresh one is as the request leaves it; else it stays what it is in all that is not asked for.
            let turn = if is_trial { turn } else { Turn { has: turn.wanted.clone(), ..turn } };
            self.send(key, upstream, request, command, What::Special(Box::new(Special::Turn(turn))));
            return self.await_answer(key);
        }
        if let Some(upstream) = self.pooled(key, &turn.wanted) {
            let turn = Turn { has: turn.wanted.clone(), ..turn };
            self.clients[key].upstream = Some(upstream);
            self.send(key, upstream, request, command, What::Special(Box::new(Special::Turn(turn))));
            return self.await_answer(key);
        }
        self.open_trial(key, turn.from);
        self.is_gone(key)
    }

    pub(super) fn client_command(&mut self, key: ClientKey, request: &Request<'_>, command: Command) -> bool {
        let list = request.list();
        let length = request.len();
        if request.is(1, "setname") && length == 3 {
            return self.pass_special(key, list, command, false, Special::Name(request.arg(2).to_vec()));
        }
        if request.is(1, "setinfo") && length == 4 {
            let attribute = request.arg(2).to_ascii_lowercase();
            return self.pass_special(key, list, command, false, Special::Library(attribute, request.arg(3).to_vec()));
        }
        if request.is(1, "getname") && length == 2 {
            return self.pass_special(key, list, command, false, Special::GetName);
        }
        if request.is(1, "reply") && length == 3 {
            let voice = match () {
                () if request.is(2, "on") => Voice::On,
                () if request.is(2, "off") => Voice::Off,
                () if request.is(2, "skip") => Voice::Skips,
                () => return self.pass(key, request, command, false),
            };
            // The node answers them all, and is only asked whether this client may ask for it.
            let asks = b"*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n";
            return self.pass_special(key, asks, command, false, Special::Voice(voice));
        }
        if request.is(1, "tracking") && length >= 3 {
            if !self.is_answered(key) {
                return self.is_gone(key);
            }
            let request_to_keep = request.is(2, "on").then(|| list.to_vec());
            // Another connection's id means nothing once that is another one.
            let is_bound = request.args(3).any(|word| word.eq_ignore_ascii_case(b"redirect"));
            return self.pass_special(key, list, command, true, Special::Tracking(request_to_keep, is_bound))
                && self.await_answer(key);
        }
        if (request.is(1, "no-evict") || request.is(1, "no-touch")) && length == 3 {
            let keep = request.is(2, "on").then(|| list.to_vec());
            let word = request.arg(1).to_ascii_lowercase();
            return self.pass_special(key, list, command, true, Special::Setting(word, keep));
        }
        let of_all = ["getredir", "help", "pause", "trackinginfo", "unblock", "unpause", "caching", "list"];
        if of_all.iter().any(|word| request.is(1, word)) {
            return self.pass(key, request, command, false);
        }
        if !["id", "info", "kill"].iter().any(|word| request.is(1, word)) {
            return self.pass_special(key, list, command, true, Special::Binds);
        }
        if !self.pass(key, request, command, true) {
            return false;
        }
        if let Some(client) = self.clients.get_mut(key) {
            client.session().clings = true;
        }
        true
    }
}
