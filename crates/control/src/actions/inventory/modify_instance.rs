//! Changes what is only noted of instances: name, project, renewal, protection from deletion. All of them, or none.

use ledger::{Instance, Tx, set_auto_renew, set_delete_protection, set_name, set_project};
use model::{ApiError, BillingMode, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::actions::lifecycle::create_request::read_project;
use crate::actions::projects::check_project;
use crate::errors::{Answer, bad_value, missing};
use crate::text;

/// What to change of which instances.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// rename, modifyProject, modifyAutoRenew or modifyDeleteProtectionSwitch.
    operation: String,
    /// The instances.
    instance_ids: Option<Vec<String>>,
    /// rename: the name of each.
    instance_names: Option<Vec<String>>,
    /// modifyProject: the project of all.
    project_id: Option<i64>,
    /// modifyAutoRenew: for each 0 by hand, 1 by itself, 2 never.
    auto_renews: Option<Vec<i64>>,
    /// modifyDeleteProtectionSwitch: for each 0 off, 1 on.
    delete_protection_switches: Option<Vec<i64>>,
    /// One instance.
    instance_id: Option<String>,
    /// Its name.
    instance_name: Option<String>,
    /// How it is renewed.
    auto_renew: Option<i64>,
}

/// Nothing to tell.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Response {}

pub(crate) struct ModifyInstance;

/// A change of one instance.
enum Change {
    Name(String),
    Project(i64),
    AutoRenew(i64),
    DeleteProtection(bool),
}

/// The most instances that are changed at once.
const MOST_INSTANCES: usize = 100;

impl Action for ModifyInstance {
    const NAME: &'static str = "ModifyInstance";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let changes = read(request)?;
        let account = call.caller.account;
        call.write(move |tx| {
            for (id, change) in &changes {
                let instance = find(tx.reader(), account, id)?;
                apply(tx, &instance, change)?;
            }
            Ok(Response {})
        })
        .await
    }
}

fn apply(tx: &mut dyn Tx, instance: &Instance, change: &Change) -> Answer<()> {
    match change {
        Change::Name(name) => set_name(tx, &instance.id, name)?,
        Change::Project(project) => {
            check_project(tx.reader(), instance.account, "ProjectId", *project)?;
            set_project(tx, &instance.id, *project)?;
        }
        Change::AutoRenew(_) if instance.billing == BillingMode::Postpaid => {
            return Err(ApiError::new(
                code::UnsupportedOperationIsAutoRenewError,
                format!("The instance `{}` is paid by use: there is nothing to renew.", instance.id),
                format!("实例 `{}` 为按量计费实例，不支持续费设置。", instance.id),
            )
            .into());
        }
        Change::AutoRenew(way) => set_auto_renew(tx, &instance.id, *way)?,
        Change::DeleteProtection(on) => set_delete_protection(tx, &instance.id, *on)?,
    }
    Ok(())
}

/// Reads the plural form, or the older singular one.
fn read(request: Request) -> Answer<Vec<(String, Change)>> {
    let plural = request.instance_ids.filter(|ids| !ids.is_empty());
    let is_plural = plural.is_some();
    let ids = match (plural, request.instance_id.filter(|id| !id.is_empty())) {
        (Some(ids), _) => ids,
        (None, Some(id)) => vec![id],
        (None, None) => return Err(missing("InstanceIds")),
    };
    if ids.len() > MOST_INSTANCES {
        return Err(bad_value("InstanceIds", "100 instances at the most", "最多100个"));
    }
    let one_or =
        |one: Option<String>, all: Option<Vec<String>>| if is_plural { all } else { one.map(|one| vec![one]).or(all) };
    let changes: Vec<Change> = match request.operation.as_str() {
        "rename" => {
            let names = one_or(request.instance_name, request.instance_names);
            let names = for_each("InstanceNames", names, ids.len())?;
            names.iter().map(|name| text::name("InstanceNames", name).map(Change::Name)).collect::<Answer<_>>()?
        }
        "modifyProject" => {
            let project = read_project(Some(request.project_id.ok_or_else(|| missing("ProjectId"))?))?;
            ids.iter().map(|_| Change::Project(project)).collect()
        }
        "modifyAutoRenew" => {
            let single = request.auto_renew.map(|way| vec![way]);
            let ways = if is_plural { request.auto_renews } else { single.or(request.auto_renews) };
            let ways = for_each("AutoRenews", ways, ids.len())?;
            if ways.iter().any(|way| !(0..=2).contains(way)) {
                return Err(bad_value("AutoRenews", "each is 0, 1 or 2", "须为0、1或2"));
            }
            ways.into_iter().map(Change::AutoRenew).collect()
        }
        "modifyDeleteProtectionSwitch" => {
            let switches = for_each("DeleteProtectionSwitches", request.delete_protection_switches, ids.len())?;
            if switches.iter().any(|switch| !(0..=1).contains(switch)) {
                return Err(bad_value("DeleteProtectionSwitches", "each is 0 or 1", "须为0或1"));
            }
            switches.into_iter().map(|switch| Change::DeleteProtection(switch == 1)).collect()
        }
        _ => {
            let known = "rename, modifyProject, modifyAutoRenew, modifyDeleteProtectionSwitch";
            return Err(bad_value("Operation", &format!("it is one of {known}"), &format!("可选值：{known}")));
        }
    };
    Ok(ids.into_iter().zip(changes).collect())
}

fn for_each<T>(parameter: &str, values: Option<Vec<T>>, count: usize) -> Answer<Vec<T>> {
    let values = values.ok_or_else(|| missing(parameter))?;
    if values.len() == count {
        return Ok(values);
    }
    Err(bad_value(parameter, "it needs one value for each instance", "数量须与实例数量一致"))
}
