//! Orders that change an instance: each is delivered by one task.

use ledger::{Deal, Instance, Tx};
use model::{DealStatus, Millis};

use crate::access::Caller;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::prices::Size;
use crate::when;

/// The date and fourteen digits.
pub(crate) fn new_name(cx: &FlowCx, now: Millis) -> String {
    let date = when::write_date(now, cx.settings.utc_offset_seconds);
    format!("{date}{:014}", cx.random.bits() % 100_000_000_000_000)
}

/// What it costs, in cents, to make an instance that is paid in advance larger for the time that is left; one that is paid
/// by use costs more from then on, and nothing now.
pub(crate) fn upgrade_price(cx: &FlowCx, instance: &Instance, wanted: &Size, now: Millis) -> i64 {
    let Some(until) = instance.deadline_at else { return 0 };
    let months = when::months_between(now, until, cx.settings.utc_offset_seconds);
    cx.settings.prices.upgrade(&Size::from(instance), wanted, months).cents()
}

/// Places the order of an action that changes an instance, and answers its name. The price is in cents.
pub(crate) fn open(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    action: &'static str,
    price: i64,
    now: Millis,
) -> Answer<String> {
    let deal = Deal {
        name: new_name(cx, now),
        account: caller.account,
        creator: caller.uin.clone(),
        description: action.into(),
        zone: instance.zone,
        goods: 1,
        instances: vec![instance.id.clone()],
        status: DealStatus::Delivering,
        price,
        created_at: now,
        ended_at: None,
    };
    ledger::insert_deal(tx, &deal, 1)?;
    Ok(deal.name)
}
