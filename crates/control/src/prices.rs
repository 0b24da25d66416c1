//! What instances cost: by the memory of all their nodes, for a month in advance or for an hour of use.

use std::collections::HashMap;
use std::ops::Mul;

use ledger::Instance;
use model::TypeId;

use crate::when::Months;

/// What a GiB of a node's memory costs, in millionths of a cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// For a month, paid in advance.
    pub month: i64,
    /// For an hour, paid by use.
    pub hour: i64,
}

/// What everything costs. By default nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceList {
    /// For the types that have no rate of their own.
    pub default: Rate,
    /// For one type.
    pub types: HashMap<TypeId, Rate>,
}

/// What of an instance is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) type_id: TypeId,
    /// Of a shard, in MiB.
    pub(crate) memory_mb: i64,
    pub(crate) shards: i64,
    /// Of a shard.
    pub(crate) replicas: i64,
}

impl From<&Instance> for Size {
    fn from(it: &Instance) -> Self {
        Size { type_id: it.type_id, memory_mb: it.memory_mb, shards: it.shards, replicas: it.replicas }
    }
}

impl PriceList {
    fn of(&self, size: &Size, rate: impl Fn(&Rate) -> i64) -> Amount {
        let rate = rate(self.types.get(&size.type_id).unwrap_or(&self.default));
        let nodes = size.shards * (size.replicas + 1);
        Amount(i128::from(rate) * i128::from(size.memory_mb) * i128::from(nodes) / 1024)
    }

    /// For a month, in advance.
    pub(crate) fn month(&self, size: &Size) -> Amount {
        self.of(size, |rate| rate.month)
    }

    /// For an hour of use.
    pub(crate) fn hour(&self, size: &Size) -> Amount {
        self.of(size, |rate| rate.hour)
    }

    /// For having one size in place of another during the months that are paid for already. Nothing is paid back.
    pub(crate) fn upgrade(&self, from: &Size, to: &Size, left: Months) -> Amount {
        let more = (self.month(to).0 - self.month(from).0).max(0);
        let (whole, part, of) = (i128::from(left.whole), i128::from(left.part), i128::from(left.of));
        Amount(more * whole + more * part / of)
    }
}

/// Money, in millionths of a cent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Amount(i128);

const CENT: i128 = 1_000_000;

impl Mul<i64> for Amount {
    type Output = Amount;
    fn mul(self, by: i64) -> Amount {
        Amount(self.0 * i128::from(by))
    }
}

impl Amount {
    /// In whole cents, half a cent up.
    pub(crate) fn cents(self) -> i64 {
        i64::try_from((self.0 + CENT / 2).div_euclid(CENT)).unwrap_or(i64::MAX)
    }

    /// In cents, with all that is behind the point.
    pub(crate) fn exact_cents(self) -> f64 {
        self.0 as f64 / CENT as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YUAN: i64 = 100_000_000;

    fn size(type_id: i64, memory_mb: i64, replicas: i64) -> Size {
        Size { type_id: TypeId::parse(type_id).unwrap(), memory_mb, shards: 1, replicas }
    }

    fn list() -> PriceList {
        let types = [(TypeId::parse(19).unwrap(), Rate { month: 10 * YUAN, hour: 0 })];
        PriceList { default: Rate { month: 25 * YUAN, hour: 3_456_789 }, types: types.into() }
    }

    #[test]
    fn a_size_costs_its_memory_on_each_node_at_the_rate_of_its_type() {
        assert_eq!(list().month(&size(17, 4096, 1)).cents(), 4 * 2 * 2500);
        assert_eq!(list().month(&size(19, 4096, 0)).cents(), 4 * 1000);
        assert_eq!(PriceList::default().month(&size(17, 4096, 1)), Amount(0));
        let hour = list().hour(&size(17, 1024, 0));
        assert_eq!((hour.cents(), hour.exact_cents()), (3, 3.456_789));
    }

    #[test]
    fn an_upgrade_costs_the_difference_for_what_is_left_and_never_less_than_nothing() {
        let (small, large) = (size(17, 1024, 1), size(17, 2048, 1));
        let left = |whole, part| Months { whole, part, of: 4 };
        assert_eq!(list().upgrade(&small, &large, left(2, 0)).cents(), 2 * 5000);
        assert_eq!(list().upgrade(&small, &large, left(0, 1)).cents(), 1250);
        assert_eq!(list().upgrade(&large, &small, left(2, 0)).cents(), 0);
        assert_eq!(list().upgrade(&small, &large, left(0, 0)).cents(), 0);
    }
}
