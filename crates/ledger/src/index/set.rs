//! A set of positions, in the form that takes the least room for how many there are.

/// The positions of one chunk as bits.
pub(super) type Bits = [u64; WORDS];

/// The words of a chunk's bits.
pub(super) const WORDS: usize = 1024;
/// The positions of a chunk.
pub(super) const CHUNK: u64 = 1 << 16;

/// Up to so many positions are one list.
const FEW: usize = 2048;
/// Up to so many positions of a chunk are a list. Lists of twice the length would take no more room than bits do, but are
/// many times slower to intersect.
const LISTED: usize = 1024;

/// Positions, each once.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Set {
    /// In their order.
    Few(Vec<u32>),
    /// By chunk, in the order of these. No chunk is empty.
    Many(Vec<(u16, Chunk)>),
}

/// Positions that have their upper 16 bits in common: the lower ones.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Chunk {
    /// In their order.
    List(Vec<u16>),
    /// As bits, and how many are set.
    Bits(Box<Bits>, u32),
}

/// What a set has in one chunk.
#[derive(Clone, Copy)]
pub(super) enum Part<'a> {
    Few(&'a [u32]),
    List(&'a [u16]),
    Bits(&'a Bits, u32),
}

impl Default for Set {
    fn default() -> Self {
        Set::Few(Vec::new())
    }
}

impl Set {
    pub(super) fn insert(&mut self, position: u32) {
        match self {
            Set::Few(list) => {
                put(list, position);
                if list.len() > FEW {
                    *self = Set::Many(chunks_of(list));
                }
            }
            Set::Many(chunks) => {
                let (number, low) = split(position);
                let last = chunks.last().is_some_and(|(last, _)| *last == number).then(|| chunks.len() - 1);
                let place = last.map_or_else(|| chunks.binary_search_by_key(&number, |chunk| chunk.0), Ok);
                let place = place.unwrap_or_else(|place| {
                    chunks.insert(place, (number, Chunk::List(Vec::new())));
                    place
                });
                chunks[place].1.insert(low);
            }
        }
    }

    /// Answers whether it was there.
    pub(super) fn remove(&mut self, position: u32) -> bool {
        match self {
            Set::Few(list) => take(list, position),
            Set::Many(chunks) => {
                let (number, low) = split(position);
                let Ok(place) = chunks.binary_search_by_key(&number, |chunk| chunk.0) else { return false };
                let was_there = chunks[place].1.remove(low);
                if was_there && chunks[place].1.len() == 0 {
                    chunks.remove(place);
                }
                was_there
            }
        }
    }

    /// Keeps of what is before a position what is wanted, and all else.
    pub(super) fn retain_before(&mut self, end: u32, is_wanted: impl Fn(u32) -> bool) {
        let is_kept = |position: u32| position >= end || is_wanted(position);
        match self {
            Set::Few(list) => {
                if list.first().is_some_and(|first| *first < end) {
                    list.retain(|position| is_kept(*position));
                }
            }
            Set::Many(chunks) => {
                for (number, chunk) in chunks.iter_mut() {
                    let first = u32::from(*number) << 16;
                    if first >= end {
                        break;
                    }
                    chunk.retain(|low| is_kept(first | u32::from(low)));
                }
                chunks.retain(|(_, chunk)| chunk.len() > 0);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Set::Few(list) => list.is_empty(),
            Set::Many(chunks) => chunks.is_empty(),
        }
    }

    pub(super) fn contains(&self, position: u32) -> bool {
        match self {
            Set::Few(list) => list.binary_search(&position).is_ok(),
            Set::Many(_) => {
                let (number, low) = split(position);
                match self.part(number) {
                    Some(Part::List(list)) => list.binary_search(&low).is_ok(),
                    Some(Part::Bits(bits, _)) => bits[usize::from(low) / 64] >> (low % 64) & 1 == 1,
                    _ => false,
                }
            }
        }
    }

    /// Its positions where these are one list.
    pub(super) fn few(&self) -> Option<&[u32]> {
        if let Set::Few(list) = self { Some(list) } else { None }
    }

    /// What it has in a chunk; `None` where that is nothing.
    pub(super) fn part(&self, number: u16) -> Option<Part<'_>> {
        match self {
            Set::Few(list) => {
                let from = list.partition_point(|position| split(*position).0 < number);
                let length = list[from..].partition_point(|position| split(*position).0 == number);
                (length > 0).then(|| Part::Few(&list[from..from + length]))
            }
            Set::Many(chunks) => {
                let place = chunks.binary_search_by_key(&number, |chunk| chunk.0).ok()?;
                Some(match &chunks[place].1 {
                    Chunk::List(list) => Part::List(list),
                    Chunk::Bits(bits, count) => Part::Bits(bits, *count),
                })
            }
        }
    }

    /// All positions, in their order.
    pub(super) fn positions(&self) -> Vec<u32> {
        match self {
            Set::Few(list) => list.clone(),
            Set::Many(chunks) => {
                let mut all = Vec::new();
                for (number, chunk) in chunks {
                    let first = u32::from(*number) << 16;
                    match chunk {
                        Chunk::List(list) => all.extend(list.iter().map(|low| first | u32::from(*low))),
                        Chunk::Bits(bits, _) => {
                            let set = (0..CHUNK as u32).filter(|low| bits[*low as usize / 64] >> (low % 64) & 1 == 1);
                            all.extend(set.map(|low| first | low));
                        }
                    }
                }
                all
            }
        }
    }

    /// The memory that it takes besides itself.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Set::Few(list) => list.capacity() * size_of::<u32>(),
            Set::Many(chunks) => {
                let of_chunks = chunks.iter().map(|(_, chunk)| match chunk {
                    Chunk::List(list) => list.capacity() * size_of::<u16>(),
                    Chunk::Bits(..) => size_of::<Bits>(),
                });
                chunks.capacity() * size_of::<(u16, Chunk)>() + of_chunks.sum::<usize>()
            }
        }
    }
}

impl Chunk {
    /// What it has below a place.
    pub(super) fn below(&self, end: u16) -> Chunk {
        let mut below = Chunk::List(Vec::new());
        match self {
            Chunk::List(list) => list.iter().filter(|low| **low < end).for_each(|low| below.insert(*low)),
            Chunk::Bits(bits, _) => {
                let set = (0..end).filter(|low| bits[usize::from(*low) / 64] >> (low % 64) & 1 == 1);
                set.for_each(|low| below.insert(low));
            }
        }
        below
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Chunk::List(list) => list.len(),
            Chunk::Bits(_, count) => *count as usize,
        }
    }

    fn insert(&mut self, low: u16) {
        match self {
            Chunk::List(list) => {
                put(list, low);
                if list.len() > LISTED {
                    let mut bits = Box::new([0; WORDS]);
                    Part::List(list).add_to(&mut bits);
                    *self = Chunk::Bits(bits, list.len() as u32);
                }
            }
            Chunk::Bits(bits, count) => {
                let word = &mut bits[usize::from(low) / 64];
                *count += u32::from(*word >> (low % 64) & 1 == 0);
                *word |= 1 << (low % 64);
            }
        }
    }

    fn retain(&mut self, is_kept: impl Fn(u16) -> bool) {
        match self {
            Chunk::List(list) => list.retain(|low| is_kept(*low)),
            Chunk::Bits(bits, count) => {
                for (nth, word) in bits.iter_mut().enumerate() {
                    let mut left = *word;
                    while left != 0 {
                        let bit = left.trailing_zeros();
                        left &= left - 1;
                        if !is_kept((nth as u32 * 64 + bit) as u16) {
                            *word &= !(1 << bit);
                            *count -= 1;
                        }
                    }
                }
            }
        }
    }

    fn remove(&mut self, low: u16) -> bool {
        match self {
            Chunk::List(list) => take(list, low),
            Chunk::Bits(bits, count) => {
                let word = &mut bits[usize::from(low) / 64];
                let was_there = *word >> (low % 64) & 1 == 1;
                *count -= u32::from(was_there);
                *word &= !(1 << (low % 64));
                was_there
            }
        }
    }
}

impl Part<'_> {
    pub(super) fn len(self) -> usize {
        match self {
            Part::Few(list) => list.len(),
            Part::List(list) => list.len(),
            Part::Bits(_, count) => count as usize,
        }
    }

    /// Sets the bits of what is in it.
    pub(super) fn add_to(self, into: &mut Bits) {
        match self {
            Part::Few(list) => list.iter().for_each(|position| set_bit(into, split(*position).1)),
            Part::List(list) => list.iter().for_each(|low| set_bit(into, *low)),
            Part::Bits(bits, _) => into.iter_mut().zip(bits).for_each(|(into, word)| *into |= word),
        }
    }
}

/// The chunk of a position, and where it is in that.
pub(super) fn split(position: u32) -> (u16, u16) {
    ((position >> 16) as u16, position as u16)
}

fn set_bit(bits: &mut Bits, low: u16) {
    bits[usize::from(low) / 64] |= 1 << (low % 64);
}

fn put<T: Ord + Copy>(list: &mut Vec<T>, value: T) {
    if list.last().is_none_or(|last| *last < value) {
        list.push(value);
    } else if let Err(place) = list.binary_search(&value) {
        list.insert(place, value);
    }
}

fn take<T: Ord>(list: &mut Vec<T>, value: T) -> bool {
    match list.binary_search(&value) {
        Ok(place) => {
            list.remove(place);
            true
        }
        Err(_) => false,
    }
}

fn chunks_of(list: &[u32]) -> Vec<(u16, Chunk)> {
    let mut chunks: Vec<(u16, Chunk)> = Vec::new();
    for (number, low) in list.iter().map(|position| split(*position)) {
        if chunks.last().is_none_or(|(last, _)| *last != number) {
            chunks.push((number, Chunk::List(Vec::new())));
        }
        if let Some((_, chunk)) = chunks.last_mut() {
            chunk.insert(low);
        }
    }
    chunks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_set_holds_what_was_put_into_it_in_every_form() {
        // Steps that give lists, chunks of lists, and bits.
        for (step, count) in [(1, 100), (70_000, 500), (97, 5_000), (3, 60_000), (1, 140_000)] {
            let (mut set, mut plain) = (Set::default(), BTreeSet::new());
            for position in (0..count).map(|nth| nth * step) {
                set.insert(position);
                plain.insert(position);
            }
            for position in (0..count).map(|nth| nth * step).filter(|position| position % 7 == 3) {
                assert_eq!(set.remove(position), plain.remove(&position));
                assert!(!set.remove(position) && !set.contains(position));
            }
            for position in [0, 5, 77_777] {
                set.insert(position);
                plain.insert(position);
            }
            assert_eq!(set.positions(), plain.iter().copied().collect::<Vec<_>>());
            for end in [0, 5, 70_000, 131_072, u32::MAX] {
                let (mut some, mut of_plain) = (set.clone(), plain.clone());
                some.retain_before(end, |position| position % 1_000 == 0);
                of_plain.retain(|position| *position >= end || position % 1_000 == 0);
                assert_eq!(some.positions(), of_plain.iter().copied().collect::<Vec<_>>());
                let length: usize = (0..4).filter_map(|number| some.part(number)).map(Part::len).sum();
                assert_eq!(length, of_plain.range(..4 << 16).count());
                some.retain_before(u32::MAX, |_| false);
                assert!(some.is_empty() && !set.is_empty());
            }
            assert!((0..100_000).all(|position| set.contains(position) == plain.contains(&position)));
            for number in 0..4 {
                let wanted = plain.range(u32::from(number) << 16..(u32::from(number) + 1) << 16);
                let mut bits = [0; WORDS];
                let part = set.part(number);
                part.inspect(|part| part.add_to(&mut bits));
                let length = bits.iter().map(|word| word.count_ones() as usize).sum::<usize>();
                assert_eq!((length, part.map_or(0, Part::len)), (wanted.clone().count(), wanted.count()));
            }
        }
    }
}
