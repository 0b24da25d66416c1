//! Orders that change an instance: each is delivered by one task.

use ledger::{Deal, Instance, Tx};
use model::{DealStatus, Millis};

use crate::access::Caller;
use crate::cx::FlowCx;
use crate::errors::Answer;
use crate::when;

/// The date and fourteen digits.
pub(crate) fn new_name(cx: &FlowCx, now: Millis) -> String {
    let date = when::write_date(now, cx.settings.utc_offset_seconds);
    format!("{date}{:014}", cx.random.bits() % 100_000_000_000_000)
}

/// Places the order of an action that changes an instance, and answers its name.
pub(crate) fn open(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    action: &'static str,
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
        created_at: now,
        ended_at: None,
    };
    ledger::insert_deal(tx, &deal, 1)?;
    Ok(deal.name)
}
