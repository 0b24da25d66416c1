//! Pays for an instance that is paid in advance for some months more, or turns one that is paid by use into one.

use ledger::{Deal, Instance, Reader, Tx};
use model::{ApiError, BillingMode, DealStatus, InstanceId, Millis, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Caller, Resource};
use crate::action::{Action, Call, find};
use crate::actions::lifecycle::clean_up_instance::ISOLATED;
use crate::actions::lifecycle::create_request::{paid_until, read_period};
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value};
use crate::prices::Size;

/// What to renew.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// For how many months: 1 to 12, 24 or 36. They follow those that are paid for already.
    period: u64,
    /// The instance; it must not be isolated.
    instance_id: String,
    /// prepaid: an instance that is paid by use is paid in advance from now on. Not needed for one that is already.
    modify_pay_mode: Option<String>,
}

/// The order. It is delivered at once.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The order's id.
    deal_id: String,
    /// The order's name; the same as its id.
    deal_name: String,
}

pub(crate) struct RenewInstance;

impl Action for RenewInstance {
    const NAME: &'static str = "RenewInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let months = read_period(request.period)?;
        let to_prepaid = match request.modify_pay_mode.as_deref() {
            None | Some("") => false,
            Some(mode) if mode.eq_ignore_ascii_case("prepaid") => true,
            Some(_) => return Err(bad_value("ModifyPayMode", "it is prepaid, or left out", "只能为 prepaid 或不填")),
        };
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        call.write(move |tx| {
            let instance = renewable(tx.reader(), caller.account, &request.instance_id)?;
            let from = match instance.billing {
                BillingMode::Prepaid => instance.deadline_at.unwrap_or(now),
                BillingMode::Postpaid if to_prepaid => now,
                BillingMode::Postpaid => return Err(paid_by_use(&instance.id)),
            };
            let name = renew(&cx, tx, &caller, &instance, from, months, now)?;
            Ok(Response { deal_id: name.clone(), deal_name: name })
        })
        .await
    }
}

/// Pays for an instance in advance, for some months from a moment on; answers the order's name. It is delivered at once.
pub(crate) fn renew(
    cx: &FlowCx,
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    from: Millis,
    months: i64,
    now: Millis,
) -> Answer<String> {
    let deadline = paid_until(cx, from, months)?;
    ledger::set_billing(tx, &instance.id, BillingMode::Prepaid, Some(deadline))?;
    let name = crate::deals::new_name(cx, now);
    let deal = Deal {
        name: name.clone(),
        account: caller.account,
        creator: caller.uin.clone(),
        description: "RenewInstance".into(),
        zone: instance.zone,
        goods: 1,
        instances: vec![instance.id.clone()],
        price: (cx.settings.prices.month(&Size::from(instance)) * months).cents(),
        status: DealStatus::Delivered,
        created_at: now,
        ended_at: Some(now),
    };
    ledger::insert_deal(tx, &deal, 0)?;
    Ok(name)
}

/// The account's instance of this id, for a change of how it is paid for.
pub(crate) fn renewable(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<Instance> {
    let instance = find(reader, account, id)?;
    if ledger::holder(reader, &instance.id)?.is_some() {
        return Err(ApiError::new(
            code::ResourceInUseInstanceBeenLocked,
            format!("The instance `{id}` is being changed by a task. Wait until that has ended (DescribeTaskList)."),
            format!("实例 `{id}` 正在被任务变更，请等待任务结束（DescribeTaskList）后重试。"),
        )
        .into());
    }
    if ISOLATED.contains(&instance.status) {
        return Err(ApiError::new(
            code::ResourceUnavailableInstanceDeleted,
            format!("The instance `{id}` is isolated, to be deleted. Start it up first (StartupInstance)."),
            format!("实例 `{id}` 已隔离待删除，请先恢复（StartupInstance）。"),
        )
        .into());
    }
    Ok(instance)
}

/// The instance is paid by use: there is nothing to renew.
pub(crate) fn paid_by_use(id: &InstanceId) -> Fault {
    ApiError::new(
        code::FailedOperationUnSupportError,
        format!(
            "The instance `{id}` is paid by use: there is nothing to renew. RenewInstance with ModifyPayMode prepaid, or \
             ModifyInstanceChargeType, has it paid in advance."
        ),
        format!(
            "实例 `{id}` 为按量计费实例，无需续费；可通过 RenewInstance（ModifyPayMode 为 prepaid）或 ModifyInstanceChargeType \
             转为包年包月。"
        ),
    )
    .into()
}
