//! Tells of orders: what they ordered, and whether it was delivered.

use ledger::{Deal, deal_by_name};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::errors::{Answer, bad_value, missing};
use crate::when;

/// Which orders.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Their ids.
    deal_ids: Option<Vec<String>>,
    /// The name of one.
    deal_name: Option<String>,
}

/// The orders that there are.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// In the order of the request.
    deal_details: Vec<TradeDealDetail>,
}

/// An order.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TradeDealDetail {
    /// Its id.
    deal_id: String,
    /// Its name; the same as its id.
    deal_name: String,
    /// The zone, by number.
    zone_id: i64,
    /// How many instances.
    goods_num: i64,
    /// Who ordered.
    creater: String,
    /// When.
    creat_time: String,
    /// When the order would lapse; orders here are paid when they are placed.
    overdue_time: String,
    /// When it was delivered or failed; zeros before.
    end_time: String,
    /// 3 being delivered, 4 delivered, 5 failed.
    status: i64,
    /// What was ordered.
    description: String,
    /// What was paid with it, in cents; 0 where it is paid by use.
    price: i64,
    /// The instances.
    instance_ids: Vec<String>,
}

pub(crate) struct DescribeInstanceDealDetail;

/// The most orders that are told of at once.
const MOST_DEALS: usize = 100;

impl Action for DescribeInstanceDealDetail {
    const NAME: &'static str = "DescribeInstanceDealDetail";
    const ACCESS: Access = Access::read(Resource::Deal);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let mut names = request.deal_ids.unwrap_or_default();
        names.extend(request.deal_name.filter(|name| !name.is_empty() && !names.contains(name)));
        if names.is_empty() {
            return Err(missing("DealName"));
        }
        if names.len() > MOST_DEALS {
            return Err(bad_value("DealIds", "100 orders at the most", "最多100个"));
        }
        let found = call.read(|reader| {
            let one = |name: &String| deal_by_name(reader, call.caller.account, name).transpose();
            names.iter().filter_map(one).collect::<ledger::Result<Vec<_>>>()
        })?;
        Ok(Response { deal_details: found.into_iter().map(|deal| show(call, deal)).collect() })
    }
}

fn show(call: &Call, deal: Deal) -> TradeDealDetail {
    let zone = call.cx.settings.utc_offset_seconds;
    TradeDealDetail {
        deal_id: deal.name.clone(),
        deal_name: deal.name,
        zone_id: deal.zone,
        goods_num: deal.goods,
        creater: deal.creator,
        creat_time: when::write(deal.created_at, zone),
        overdue_time: when::NEVER.to_owned(),
        end_time: deal.ended_at.map_or_else(|| when::NEVER.to_owned(), |at| when::write(at, zone)),
        status: deal.status.number(),
        description: deal.description,
        price: deal.price,
        instance_ids: deal.instances.iter().map(ToString::to_string).collect(),
    }
}
