//! The sets of tasks by a value that these have.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use super::set::Set;

/// For each value the positions of the tasks that have it. A value keeps its place for ever.
#[derive(Debug)]
pub(super) struct Values<K> {
    places: HashMap<K, usize>,
    sets: Vec<(K, Set)>,
}

impl<K> Default for Values<K> {
    fn default() -> Self {
        Values { places: HashMap::new(), sets: Vec::new() }
    }
}

impl<K: Hash + Eq + Clone> Values<K> {
    pub(super) fn insert<Q>(&mut self, value: &Q, position: u32)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned: Into<K>> + ?Sized,
    {
        let place = self.places.get(value).copied().unwrap_or_else(|| {
            let value: K = value.to_owned().into();
            self.places.insert(value.clone(), self.sets.len());
            self.sets.push((value, Set::default()));
            self.sets.len() - 1
        });
        self.sets[place].1.insert(position);
    }

    /// Takes a position from a value; answers whether that had it.
    pub(super) fn remove<Q>(&mut self, value: &Q, position: u32) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.places.get(value).is_some_and(|place| self.sets[*place].1.remove(position))
    }

    /// Adds a value that isn't there yet.
    pub(super) fn put(&mut self, value: K, set: Set) {
        self.places.insert(value.clone(), self.sets.len());
        self.sets.push((value, set));
    }

    /// All values by their places.
    pub(super) fn sets(&self) -> &[(K, Set)] {
        &self.sets
    }

    /// The sets of values, each once.
    pub(super) fn of<'a, Q>(&self, values: impl IntoIterator<Item = &'a Q>) -> Vec<&Set>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized + 'a,
    {
        let mut places: Vec<_> = values.into_iter().filter_map(|value| self.places.get(value)).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| &self.sets[*place].1).collect()
    }

    pub(super) fn sets_mut(&mut self) -> impl Iterator<Item = &mut Set> {
        self.sets.iter_mut().map(|(_, set)| set)
    }

    /// The memory that it takes, but for what its keys hold by pointers.
    pub(super) fn bytes(&self) -> usize {
        let sets: usize = self.sets.iter().map(|(_, set)| set.bytes()).sum();
        // A table keeps a byte beside each entry, and one in eight is free at least.
        let places = self.places.capacity() * (size_of::<(K, usize)>() + 1) * 8 / 7;
        sets + places + self.sets.capacity() * size_of::<(K, Set)>()
    }
}
