//! Tells what an order of instances would cost.

use model::{BillingMode, code};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::lifecycle::create_request::{
    DEFAULT_REPLICAS, check_shards, is_other_version, read_billing, read_count, read_memory, read_period,
    read_replicas, read_type, read_zone,
};
use crate::errors::{Answer, not_built};
use crate::prices::Size;

pub(crate) use super::quote::Response;

/// What would be ordered, as in CreateInstances.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// Engine, version and architecture.
    type_id: u64,
    /// Memory in MB, a multiple of 1024.
    mem_size: u64,
    /// How many instances, 1 to 100.
    goods_num: u64,
    /// Months to pay for in advance: 1 to 12, 24 or 36. Without meaning when paid by use.
    period: u64,
    /// 0 paid by use: the price is that of an hour. 1 paid in advance: it is that of all months.
    billing_mode: i64,
    /// The zone, by number. All cost the same.
    zone_id: Option<u64>,
    /// Shards: 1 for the standard architecture.
    redis_shard_num: Option<i64>,
    /// Replicas, 0 to 5; 1 where it is left out.
    redis_replicas_num: Option<i64>,
    /// Whether replicas serve reads.
    replicas_readonly: Option<bool>,
    /// The zone, by name.
    zone_name: Option<String>,
    /// local or localv2. Both cost the same.
    product_version: Option<String>,
}

pub(crate) struct InquiryPriceCreateInstance;

impl Action for InquiryPriceCreateInstance {
    const NAME: &'static str = "InquiryPriceCreateInstance";
    const ACCESS: Access = Access::read(Resource::Catalogue);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        if request.replicas_readonly == Some(true) {
            return Err(not_built("ReplicasReadonly"));
        }
        if is_other_version(request.product_version.as_deref()) {
            return Err(not_built("ProductVersion"));
        }
        let (cx, settings) = (&*call.cx, &call.cx.settings);
        check_shards("RedisShardNum", request.redis_shard_num)?;
        let size = Size {
            type_id: read_type(cx, "TypeId", request.type_id)?,
            memory_mb: read_memory("MemSize", request.mem_size, code::InvalidParameterValueSpecNotExist)?,
            shards: 1,
            replicas: read_replicas("RedisReplicasNum", request.redis_replicas_num.unwrap_or(DEFAULT_REPLICAS))?,
        };
        let count = read_count(request.goods_num)?;
        read_zone(&settings.region, "ZoneId", request.zone_id, "ZoneName", request.zone_name.as_deref())?;
        let one = match read_billing(request.billing_mode)? {
            BillingMode::Postpaid => settings.prices.hour(&size),
            BillingMode::Prepaid => settings.prices.month(&size) * read_period(request.period)?,
        };
        Ok((one * count).into())
    }
}
