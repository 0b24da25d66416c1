//! The scripts that clients have brought along: a primary that takes another's place must have them too.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};

use crate::framing::write_request;

/// More than this is not kept of an instance's scripts; the oldest go first.
const MOST_KEPT: usize = 8 << 20;

/// As the module says.
#[derive(Default)]
pub(crate) struct Scripts {
    /// By a hash, which says in most cases that a script is known without its being compared.
    bodies: HashMap<u64, Box<[u8]>>,
    order: VecDeque<u64>,
    bytes: usize,
    hasher: RandomState,
}

impl Scripts {
    pub(crate) fn keep(&mut self, body: &[u8]) {
        let hash = self.hasher.hash_one(body);
        if body.len() > MOST_KEPT || self.bodies.contains_key(&hash) {
            return;
        }
        self.bodies.insert(hash, body.into());
        self.order.push_back(hash);
        self.bytes += body.len();
        while self.bytes > MOST_KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.bodies.remove(&oldest).map_or(0, |body| body.len());
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }

    /// The requests that load them, the oldest first.
    pub(crate) fn to_load(&self) -> Vec<Vec<u8>> {
        let request = |body: &[u8]| {
            let mut request = Vec::new();
            write_request(&[&b"SCRIPT"[..], b"LOAD", body], &mut request);
            request
        };
        self.bodies().map(request).collect()
    }

    /// The oldest first.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        self.order.iter().filter_map(|hash| self.bodies.get(hash).map(|body| &body[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_kept_once_and_the_oldest_go_when_there_are_too_many() {
        let mut scripts = Scripts::default();
        scripts.keep(b"return 1");
        scripts.keep(b"return 1");
        assert_eq!(scripts.to_load(), [b"*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 1\r\n"]);
        for number in 0..9_u8 {
            scripts.keep(&vec![number; 1 << 20]);
        }
        assert_eq!(scripts.to_load().len(), 8);
        assert!(scripts.bytes <= MOST_KEPT);
    }
}
