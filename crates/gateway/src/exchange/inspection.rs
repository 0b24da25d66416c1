//! What a simulation sees of an exchange.

use super::Exchange;
use crate::world::World;

/// How much there is of everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inspection {
    pub(crate) clients: usize,
    pub(crate) upstreams: usize,
    pub(crate) own_upstreams: usize,
    /// The most that is kept of what one client has sent, or is to get, and of what one node is to get.
    pub(crate) input: usize,
    pub(crate) output: usize,
    pub(crate) request: usize,
}

impl<W: World> Exchange<W> {
    pub(crate) fn inspect(&self) -> Inspection {
        Inspection {
            clients: self.clients.len(),
            upstreams: self.upstreams.len(),
            own_upstreams: self.upstreams.values().filter(|upstream| upstream.owner.is_some()).count(),
            input: self.clients.values().map(|client| client.input.len()).max().unwrap_or_default(),
            output: self.clients.values().map(|client| client.output.len()).max().unwrap_or_default(),
            request: self.upstreams.values().map(|upstream| upstream.output.len()).max().unwrap_or_default(),
        }
    }
}
