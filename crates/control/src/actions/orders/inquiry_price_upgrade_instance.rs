//! Tells what a larger size of an instance would cost.

use model::{BillingMode, code};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::access::{Access, Resource};
use crate::action::{Action, Call};
use crate::actions::lifecycle::clean_up_instance::ISOLATED;
use crate::actions::lifecycle::create_request::{check_shards, read_memory, read_replicas};
use crate::actions::shape::upgrade_instance::check_one_dimension;
use crate::errors::{Answer, bad_value_as, wrong_status};
use crate::prices::Size;
use crate::when;

pub(crate) use super::quote::Response;

/// The size, as in UpgradeInstance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance. One that is paid in advance costs the difference for the time that is left, and nothing where there
    /// is none. For one that is paid by use, the price is that of an hour from then on.
    instance_id: String,
    /// Memory of a shard in MB, a multiple of 1024; not less than it has.
    mem_size: u64,
    /// Shards; as many as there are where it is left out.
    redis_shard_num: Option<u64>,
    /// Replicas, 0 to 5; as many as there are where it is left out.
    redis_replicas_num: Option<u64>,
}

pub(crate) struct InquiryPriceUpgradeInstance;

impl Action for InquiryPriceUpgradeInstance {
    const NAME: &'static str = "InquiryPriceUpgradeInstance";
    const ACCESS: Access = Access::read(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let memory_mb = read_memory("MemSize", request.mem_size, code::LimitExceededMemSizeNotInRange)?;
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        check_shards("RedisShardNum", request.redis_shard_num.map(whole))?;
        let replicas = request.redis_replicas_num.map(|count| read_replicas("RedisReplicasNum", whole(count)));
        let replicas = replicas.transpose()?;
        let instance = call.instance(&request.instance_id)?;
        if ISOLATED.contains(&instance.status) {
            let code = code::ResourceUnavailableInstanceStatusError;
            return Err(wrong_status(code, &instance.id, instance.status.number()));
        }
        let now = Size::from(&instance);
        if memory_mb < now.memory_mb {
            let (en, zh) = (
                format!("the instance has {} MB already, and less costs nothing more", now.memory_mb),
                format!("实例内存已为 {} MB，缩容不产生费用", now.memory_mb),
            );
            return Err(bad_value_as(code::InvalidParameterValueReduceCapacityNotAllowed, "MemSize", &en, &zh));
        }
        let wanted = Size { memory_mb, replicas: replicas.unwrap_or(now.replicas), ..now };
        check_one_dimension((memory_mb - now.memory_mb, wanted.replicas - now.replicas))?;
        if wanted.replicas < now.replicas.min(1) {
            let (en, zh) = ("the last replica can't be removed; it must be 1 to 5", "不能删除最后一个副本，须为1至5");
            return Err(bad_value_as(code::InvalidParameterValueSpecNotExist, "RedisReplicasNum", en, zh));
        }
        let (prices, offset) = (&call.cx.settings.prices, call.cx.settings.utc_offset_seconds);
        let price = match instance.billing {
            BillingMode::Postpaid => prices.hour(&wanted),
            BillingMode::Prepaid => {
                let until = instance.deadline_at.unwrap_or(call.now);
                prices.upgrade(&now, &wanted, when::months_between(call.now, until, offset))
            }
        };
        Ok(price.into())
    }
}
