//! What the exchange does to the world, so that tests can be one.

use std::io;
use std::time::Instant;

use model::{Millis, NodeAddr};

/// One end of a connection. It never blocks.
pub(crate) trait Wire {
    /// As of a socket that does not block; zero once the other side has ended.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// As of a socket that does not block.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether a connection that was begun has come about.
    fn connected(&mut self) -> io::Result<()>;

    /// Sends what was written and is kept, as far as that can be done now.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Whether something that was written is kept.
    fn has_unsent(&self) -> bool {
        false
    }

    /// Since when the other side is to agree on how they speak, where it has yet to.
    fn greets_since(&self) -> Option<Instant> {
        None
    }

    /// Whether there is more to be read that has come already: nobody tells of that again.
    fn has_more(&self) -> bool {
        false
    }

    /// How another process gets it.
    fn passage(&self) -> Passage {
        Passage::AsItIs
    }

    /// Has a client's connection end in order when it is dropped, with all that was written to it delivered. Without that it
    /// is reset, also by the death of this process: nobody is to take that for an orderly end.
    fn end_in_order(&mut self);
}

/// How another process gets a wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Passage {
    AsItIs,
    /// As it is, and there is yet to be seen how it is spoken.
    Unspoken,
    /// By way of a plain one: how it is spoken is known in this process alone.
    Relayed,
}

/// Of what a wire is to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Interest {
    /// Bytes to be read.
    pub(crate) reads: bool,
    /// Room to write.
    pub(crate) writes: bool,
    /// That the other side has ended, though nothing is read.
    pub(crate) end: bool,
}

/// Where wires come from, and who says which of them are ready.
pub(crate) trait World {
    type Wire: Wire;

    /// Begins a connection to a node.
    fn connect(&mut self, to: NodeAddr) -> io::Result<Self::Wire>;

    /// From now on, has the exchange told of this.
    fn watch(&mut self, wire: &Self::Wire, token: Token, interest: Interest, is_new: bool) -> io::Result<()>;

    fn now(&self) -> Instant;

    /// The time of day, for what is shown to people.
    fn time(&self) -> Millis;
}

/// By what a wire is named when it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Client(u64),
    Node(u64),
}

/// What became ready.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ready {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    /// The other side has ended, or the connection is broken.
    pub(crate) ended: bool,
}
