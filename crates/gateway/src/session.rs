//! What of a client's connection must be carried over when another connection to a node takes its place.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::commands::Topic;
use crate::framing::write_request;

/// More than this of an open transaction is not kept, and so can't be made again elsewhere.
const LONGEST_TRANSACTION: usize = 1 << 20;

/// By what a client has signed in. It is written out for a successor alone, over a socket that only this user has.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Credential {
    /// `None`: with a password alone, as the default user.
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) password: Vec<u8>,
}

/// What every command depends on. Connections that agree on it can stand in for each other.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Standing {
    #[serde(with = "login")]
    pub(crate) login: Option<Arc<Credential>>,
    /// Of the protocol: 2 or 3.
    pub(crate) protocol: u8,
    pub(crate) database: u32,
}

impl Default for Standing {
    /// Whoever has just connected.
    fn default() -> Self {
        Standing { login: None, protocol: 2, database: 0 }
    }
}

impl Standing {
    /// The requests by which a connection of this standing becomes one of another.
    pub(crate) fn towards(&self, other: &Standing) -> Vec<Vec<u8>> {
        let mut requests = Vec::new();
        let mut push = |args: &[&[u8]]| {
            let mut request = Vec::new();
            write_request(args, &mut request);
            requests.push(request);
        };
        if self.login != other.login
            && let Some(login) = &other.login
        {
            match &login.user {
                Some(user) => push(&[b"AUTH", user, &login.password]),
                None => push(&[b"AUTH", &login.password]),
            }
        }
        if self.protocol != other.protocol {
            push(&[b"HELLO", if other.protocol == 3 { b"3" } else { b"2" }]);
        }
        if self.database != other.database {
            push(&[b"SELECT", other.database.to_string().as_bytes()]);
        }
        requests
    }
}

/// Whether replies reach the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Voice {
    #[default]
    On,
    Off,
    /// Not the next one.
    Skips,
}

/// A transaction that was begun.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(crate) struct Transaction {
    /// What was asked for, to be made again elsewhere; `None` where that was too much to keep.
    pub(crate) requests: Option<Vec<u8>>,
    pub(crate) count: usize,
    /// Whether one of them was refused, so that none will be executed.
    pub(crate) is_spoilt: bool,
}

impl Transaction {
    pub(crate) fn begun() -> Transaction {
        Transaction { requests: Some(Vec::new()), ..Transaction::default() }
    }

    pub(crate) fn add(&mut self, request: &[u8]) {
        self.count += 1;
        let fits = |requests: &&mut Vec<u8>| requests.len() + request.len() <= LONGEST_TRANSACTION;
        match self.requests.as_mut().filter(fits) {
            Some(requests) => requests.extend_from_slice(request),
            None => self.requests = None,
        }
    }
}

/// What a client has made of its connection beyond its [`Standing`].
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Session {
    pub(crate) name: Vec<u8>,
    /// What it says of its library: attribute and value.
    pub(crate) library: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) voice: Voice,
    pub(crate) transaction: Option<Transaction>,
    pub(crate) watches: bool,
    /// It watched keys in a connection that is no more; what it executes then is as if they had changed.
    pub(crate) watched_elsewhere: bool,
    pub(crate) topics: BTreeSet<(Topic, Vec<u8>)>,
    /// The request by which it has the engine track the keys it reads.
    pub(crate) tracking: Option<Vec<u8>>,
    /// Other requests that have set something, by their second word.
    pub(crate) settings: Vec<(Vec<u8>, Vec<u8>)>,
    /// It knows its connection by what only this one has, such as its id.
    pub(crate) clings: bool,
    /// Its connection can't be made again.
    pub(crate) is_bound: bool,
}

impl Session {
    /// Whether it needs a connection of its own.
    pub(crate) fn needs_own(&self) -> bool {
        self.transaction.is_some()
            || self.watches
            || self.tracking.is_some()
            || self.clings
            || self.is_bound
            || !self.topics.is_empty()
            || !self.settings.is_empty()
    }

    /// It watches nothing any more; answers whether it did, here and elsewhere.
    pub(crate) fn unwatch(&mut self) -> (bool, bool) {
        (std::mem::take(&mut self.watches), std::mem::take(&mut self.watched_elsewhere))
    }

    /// Whether there is something that ends unseen when a node chooses to end a connection.
    pub(crate) fn waits_for_messages(&self) -> bool {
        !self.topics.is_empty() || self.tracking.is_some()
    }

    /// Whether another connection can take the place of its own.
    pub(crate) fn can_move(&self) -> bool {
        let whole = |transaction: &Transaction| transaction.requests.is_some();
        !self.is_bound && self.transaction.as_ref().is_none_or(whole)
    }

    /// The requests by which a new connection becomes this session's, in order. Subscriptions and what follows from
    /// [`Self::transaction`] are apart, since they have other replies.
    pub(crate) fn settings(&self) -> Vec<Vec<u8>> {
        let mut requests = Vec::new();
        let mut push = |args: &[&[u8]]| {
            let mut request = Vec::new();
            write_request(args, &mut request);
            requests.push(request);
        };
        if !self.name.is_empty() {
            push(&[b"CLIENT", b"SETNAME", &self.name]);
        }
        for (attribute, value) in &self.library {
            push(&[b"CLIENT", b"SETINFO", attribute, value]);
        }
        requests.extend(self.settings.iter().map(|(_, request)| request.clone()));
        requests.extend(self.tracking.clone());
        requests
    }

    /// The requests by which it is subscribed again, each with the number of its topics.
    pub(crate) fn subscriptions(&self) -> Vec<(Vec<u8>, usize)> {
        let verbs: [(Topic, &[u8]); 3] =
            [(Topic::Channel, b"SUBSCRIBE"), (Topic::Pattern, b"PSUBSCRIBE"), (Topic::Shard, b"SSUBSCRIBE")];
        let mut requests = Vec::new();
        for (topic, verb) in verbs {
            let mut args = vec![verb];
            args.extend(self.topics.iter().filter(|(kind, _)| *kind == topic).map(|(_, name)| name.as_slice()));
            if args.len() > 1 {
                let mut request = Vec::new();
                write_request(&args, &mut request);
                requests.push((request, args.len() - 1));
            }
        }
        requests
    }
}

/// A login that many have is written out with each.
mod login {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    use super::Credential;

    pub(super) fn serialize<S: Serializer>(login: &Option<Arc<Credential>>, to: S) -> Result<S::Ok, S::Error> {
        login.as_deref().serialize(to)
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<Option<Arc<Credential>>, D::Error> {
        Ok(Option::<Credential>::deserialize(from)?.map(Arc::new))
    }
}
