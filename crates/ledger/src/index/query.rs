//! What fits a filter: the intersection of sets, counted whole and listed as far as a page needs it.

use std::ops::Range;

use super::set::{Bits, CHUNK, Part, Set, WORDS, split};

/// What fits.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Found {
    /// How many.
    pub(super) total: u64,
    /// The page: from the end, so the newest first.
    pub(super) page: Vec<u32>,
}

/// Which part of what fits is listed.
#[derive(Clone, Copy)]
pub(super) struct Page {
    pub(super) offset: u64,
    pub(super) limit: u64,
}

/// The positions of a range that are, for each condition, in one of its sets. The sets of a condition have nothing in
/// common. Without a condition nothing fits.
pub(super) fn find(conditions: &[Vec<&Set>], range: Range<u32>, page: Page) -> Found {
    if conditions.iter().any(Vec::is_empty) || range.is_empty() {
        return Found::default();
    }
    let few = conditions.iter().enumerate().filter_map(|(nth, sets)| {
        let lists: Option<Vec<_>> = sets.iter().map(|set| set.few()).collect();
        lists.map(|lists| (lists.iter().map(|list| list.len()).sum::<usize>(), nth, lists))
    });
    match few.min_by_key(|(length, ..)| *length) {
        Some((_, nth, lists)) => {
            let others: Vec<_> = conditions.iter().enumerate().filter(|(other, _)| *other != nth).collect();
            find_among(
                &lists,
                |position| {
                    let is_in = |sets: &Vec<&Set>| sets.iter().any(|set| set.contains(position));
                    range.contains(&position) && others.iter().all(|(_, sets)| is_in(sets))
                },
                page,
            )
        }
        None => find_by_chunks(conditions, range, page),
    }
}

/// One condition leaves few: they are looked at one by one.
fn find_among(lists: &[&[u32]], fits: impl Fn(u32) -> bool, page: Page) -> Found {
    let mut all: Vec<u32> = lists.iter().flat_map(|list| list.iter().copied()).filter(|it| fits(*it)).collect();
    if lists.len() > 1 {
        all.sort_unstable();
    }
    let (skip, take) = (usize::try_from(page.offset).unwrap_or(usize::MAX), page.limit as usize);
    Found { total: all.len() as u64, page: all.iter().rev().skip(skip).take(take).copied().collect() }
}

fn find_by_chunks(conditions: &[Vec<&Set>], range: Range<u32>, page: Page) -> Found {
    let (first, last) = (split(range.start).0, split(range.end - 1).0);
    let mut found = Found::default();
    let mut work = Work { fits: [0; WORDS], other: [0; WORDS] };
    for number in (first..=last).rev() {
        let begin = u64::from(number) * CHUNK;
        let within = (u64::from(range.start).max(begin) - begin)..(u64::from(range.end).min(begin + CHUNK) - begin);
        let is_listed = |count: u64, before: u64| before + count > page.offset && before < page.offset + page.limit;
        let Some(parts) = parts_of(conditions, number) else { continue };
        if let ([only], true) = (&parts[..], within == (0..CHUNK)) {
            let count = only.iter().map(|part| part.len() as u64).sum();
            if !is_listed(count, found.total) {
                found.total += count;
                continue;
            }
        }
        let count = work.intersect(&parts, within);
        if count > 0 && is_listed(count, found.total) {
            let skip = page.offset.saturating_sub(found.total);
            let take = page.limit - found.page.len() as u64;
            list_from_end(&work.fits, skip, take, |low| found.page.push(u32::from(number) << 16 | low));
        }
        found.total += count;
    }
    found
}

/// What each condition has in a chunk; `None` where one has nothing.
fn parts_of<'a>(conditions: &[Vec<&'a Set>], number: u16) -> Option<Vec<Vec<Part<'a>>>> {
    let of_condition = |sets: &Vec<&'a Set>| {
        let parts: Vec<_> = sets.iter().filter_map(|set| set.part(number)).collect();
        (!parts.is_empty()).then_some(parts)
    };
    conditions.iter().map(of_condition).collect()
}

struct Work {
    fits: Bits,
    other: Bits,
}

impl Work {
    /// Leaves in `fits` what all conditions have in common, of a range of the chunk; answers how many that are.
    fn intersect(&mut self, parts: &[Vec<Part<'_>>], within: Range<u64>) -> u64 {
        // Those that have to be made come first: what is bits already is then held against them where it is.
        let is_made = |parts: &&Vec<Part<'_>>| !matches!(parts[..], [Part::Bits(..)]);
        let (made, ready): (Vec<_>, Vec<_>) = parts.iter().partition(is_made);
        let mut is_first = true;
        for parts in made.into_iter().chain(ready) {
            if let [Part::Bits(bits, count)] = parts[..] {
                match (is_first, u64::from(count) == CHUNK) {
                    (true, _) => self.fits = *bits,
                    (false, true) => {}
                    (false, false) => intersect(&mut self.fits, bits),
                }
            } else {
                let into = if is_first { &mut self.fits } else { &mut self.other };
                into.fill(0);
                parts.iter().for_each(|part| part.add_to(into));
                if !is_first {
                    intersect(&mut self.fits, &self.other);
                }
            }
            is_first = false;
        }
        if within != (0..CHUNK) {
            clip(&mut self.fits, within);
        }
        self.fits.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

fn intersect(into: &mut Bits, with: &Bits) {
    into.iter_mut().zip(with).for_each(|(into, word)| *into &= word);
}

fn clip(bits: &mut Bits, within: Range<u64>) {
    for (nth, word) in bits.iter_mut().enumerate() {
        let first = nth as u64 * 64;
        let below = |end: u64| match end.saturating_sub(first) {
            64.. => u64::MAX,
            bits => (1 << bits) - 1,
        };
        *word &= below(within.end) & !below(within.start);
    }
}

/// Tells of the bits from the last one on, without the `skip` last, at most `take`.
fn list_from_end(bits: &Bits, mut skip: u64, take: u64, mut tell: impl FnMut(u32)) {
    let mut left = take;
    for (nth, word) in bits.iter().enumerate().rev() {
        let mut word = *word;
        let count = u64::from(word.count_ones());
        if skip >= count {
            skip -= count;
            continue;
        }
        while word != 0 {
            let bit = 63 - word.leading_zeros();
            word &= !(1 << bit);
            if skip > 0 {
                skip -= 1;
                continue;
            }
            if left == 0 {
                return;
            }
            left -= 1;
            tell(nth as u32 * 64 + bit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(fits: impl Fn(u32) -> bool) -> Set {
        let mut set = Set::default();
        (0..200_000).filter(|position| fits(*position)).for_each(|position| set.insert(position));
        set
    }

    #[test]
    fn an_intersection_is_counted_whole_and_listed_from_its_end() {
        let (even, odd) = (set(|n| n % 2 == 0), set(|n| n % 2 == 1));
        let (third, rare, rarer) = (set(|n| n % 3 == 0), set(|n| n % 97 == 0), set(|n| n % 9_973 == 0));
        type Condition<'a> = (Vec<&'a Set>, fn(u32) -> bool);
        let all: [Condition<'_>; 6] = [
            (vec![&even], |n| n % 2 == 0),
            (vec![&even, &odd], |_| true),
            (vec![&third], |n| n % 3 == 0),
            (vec![&rare], |n| n % 97 == 0),
            (vec![&rarer], |n| n % 9_973 == 0),
            (vec![], |_| false),
        ];
        for (first, fits_first) in &all {
            for (second, fits_second) in &all {
                for range in [0..200_000, 0..65_536, 70_001..70_100, 65_530..131_080, 5..5] {
                    let fit = |n: &u32| fits_first(*n) && fits_second(*n);
                    let plain: Vec<u32> = range.clone().filter(fit).collect();
                    for (offset, limit) in [(0, 20), (3, 100), (1_000, 50), (65_000, 1_000), (150_000, 7)] {
                        let page = plain.iter().rev().skip(offset as usize).take(limit as usize).copied().collect();
                        let conditions = [first.clone(), second.clone()];
                        let found = find(&conditions, range.clone(), Page { offset, limit });
                        assert_eq!(found, Found { total: plain.len() as u64, page });
                    }
                }
            }
        }
    }
}
