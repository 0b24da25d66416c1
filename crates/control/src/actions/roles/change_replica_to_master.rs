//! Makes a replica the primary (049). Writes are held for some milliseconds, and none that was acknowledged is lost. It
//! asks both nodes how far they are, for two seconds at the most.

use std::time::Duration;

use flow::{End, Flow, Outcome, Step, StepResult, steps};
use futures_util::future::try_join;
use ledger::{Instance, Node, Reader, set_busy_if_idle, write};
use model::{ApiError, InstanceId, InstanceStatus, Millis, NodeId, NodeRole, Text, code};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, changeable, open_task};
use crate::cx::FlowCx;
use crate::errors::{Answer, Fault, bad_value, missing};
use crate::{fleet, spec};

/// Which replica.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
    /// The replica's group, as DescribeInstanceZoneInfo shows it; not needed where there is one replica alone. That of
    /// the primary: nothing is done.
    group_id: Option<i64>,
    /// Whether it takes over whatever it costs: a primary that gives no answer is killed, and writes that the replica has
    /// not got are lost.
    emergency: Option<bool>,
}

/// The task.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The task that promotes it.
    task_id: i64,
}

pub(crate) struct ChangeReplicaToMaster;

const STATUS: model::Code = code::ResourceUnavailableInstanceStatusError;
/// How long the nodes may take to tell how far they are.
const ASKED_FOR: Duration = Duration::from_secs(2);

impl Action for ChangeReplicaToMaster {
    const NAME: &'static str = "ChangeReplicaToMaster";
    const ACCESS: Access = Access::write(Resource::Instance);
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, caller, now) = (call.cx.clone(), call.caller.clone(), call.now);
        let emergency = request.emergency == Some(true);
        let account = call.caller.account;
        let check = |reader: &mut dyn Reader| {
            Ok(changeable(reader, account, &request.instance_id, &[InstanceStatus::Idle], STATUS))
        };
        let before = call.read(check)??;
        let nodes = call.read(|reader| ledger::nodes_of(reader, &before.id))?;
        let to = choose(&before, &nodes, request.group_id)?;
        let trouble = if emergency { None } else { tell_lag(&cx, &before, &nodes, to).await };
        let to = to.id.clone();
        call.write(move |tx| {
            let instance =
                changeable(tx.reader(), caller.account, &request.instance_id, &[InstanceStatus::Idle], STATUS)?;
            if let Some(why) = &trouble {
                return Err(not_now(&instance.id, why));
            }
            let nodes = ledger::nodes_of(tx.reader(), &instance.id)?;
            let previous = fleet::primary_of(&nodes).map(|node| node.id.clone());
            let flow = PromoteReplica { instance: instance.id.clone(), to: to.clone(), previous, emergency };
            let task = open_task(tx, &caller, &instance, "049", &flow, now)?;
            Ok(Response { task_id: task.0 })
        })
        .await
    }
}

fn choose<'a>(instance: &Instance, nodes: &'a [Node], group: Option<i64>) -> Answer<&'a Node> {
    let mut members = nodes.iter().filter(|node| !node.joins);
    let Some(group) = group else {
        let mut replicas = members.filter(|node| node.role == NodeRole::Replica);
        return match (replicas.next(), replicas.next()) {
            (Some(replica), None) => Ok(replica),
            (None, _) => Err(no_replica(&instance.id)),
            _ => Err(missing("GroupId")),
        };
    };
    members.find(|node| node.group == group).ok_or_else(|| {
        let (en, zh) = (
            "the instance has no such group; DescribeInstanceZoneInfo lists those it has",
            "实例没有该节点组，可通过 DescribeInstanceZoneInfo 查询",
        );
        bad_value("GroupId", en, zh)
    })
}

/// Why the replica can't take over now without loss; `None` where it can.
async fn tell_lag(cx: &FlowCx, instance: &Instance, nodes: &[Node], to: &Node) -> Option<Text> {
    let from = fleet::primary_of(nodes)?;
    if from.id == to.id {
        return None;
    }
    let (Ok(old), Ok(new)) = (spec::peer(&cx.sealer, instance, from), spec::peer(&cx.sealer, instance, to)) else {
        return None;
    };
    let asked = try_join(cx.nodes.replication(&old), cx.nodes.replication(&new));
    let (primary, replica) = tokio::select! {
        asked = asked => match asked {
            Ok(seen) => seen,
            Err(error) => {
                tracing::info!(instance = %instance.id, %error, "nodes can't be asked how far they are");
                return Some(no_answer());
            }
        },
        () = cx.clock.sleep(ASKED_FOR) => return Some(no_answer()),
    };
    let behind = primary.offset.saturating_sub(replica.applied);
    if !replica.is_synced || replica.upstream != Some(from.addr) {
        return Some(Text::new(
            "the replica is not connected to the primary, or does not have all the data yet",
            "副本未连接主节点或尚未同步全部数据",
        ));
    }
    let near = fleet::NEAR;
    (behind > near).then(|| {
        Text::new(
            format!("the replica is {behind} bytes behind, {near} are allowed"),
            format!("副本落后 {behind} 字节，最多允许 {near} 字节"),
        )
    })
}

fn no_answer() -> Text {
    Text::new("one of both nodes gives no answer", "主节点或副本无应答")
}

fn no_replica(id: &InstanceId) -> Fault {
    ApiError::new(
        STATUS,
        format!("The instance `{id}` has no replica. Add one first (UpgradeInstance)."),
        format!("实例 `{id}` 没有副本，请先通过 UpgradeInstance 增加副本。"),
    )
    .into()
}

fn not_now(id: &InstanceId, why: &Text) -> Fault {
    let Text { en, zh } = why;
    ApiError::new(
        STATUS,
        format!("The replica of the instance `{id}` can't take over now: {en}. Try again later, or set Emergency."),
        format!("实例 `{id}` 的副本当前无法提升为主节点：{zh}。请稍后重试，或设置 Emergency。"),
    )
    .into()
}

/// What the flow remembers.
#[derive(Serialize, Deserialize)]
pub(crate) struct PromoteReplica {
    instance: InstanceId,
    to: NodeId,
    /// The primary when it was accepted.
    previous: Option<NodeId>,
    emergency: bool,
}

impl Flow for PromoteReplica {
    type Cx = FlowCx;
    const NAME: &'static str = "promote-replica";
    const STEPS: &'static [Step<FlowCx, Self>] = steps![
        hand_over undo hand_back as pivot within 30 "the replica to have all the data",
        attach_replicas within 3600 "the others to follow the new primary",
    ];

    fn begin(&self) -> Outcome<FlowCx> {
        let id = self.instance.clone();
        Some(write(move |tx| set_busy_if_idle(tx, &id)))
    }

    fn settle(&self, _: &End, _: Millis) -> Outcome<FlowCx> {
        None
    }
}

async fn hand_over(cx: &FlowCx, flow: &mut PromoteReplica) -> StepResult<FlowCx> {
    if flow.emergency {
        fleet::take_over(cx, &flow.instance, &flow.to).await?;
    } else {
        fleet::hand_over(cx, &flow.instance, &flow.to).await?;
    }
    Ok(None)
}

async fn hand_back(cx: &FlowCx, flow: &mut PromoteReplica) -> StepResult<FlowCx> {
    let (_, nodes) = fleet::load(&cx.ledger, &flow.instance)?;
    let Some(primary) = fleet::primary_of(&nodes) else { return Ok(None) };
    // Where a third one has taken over meanwhile it keeps the part.
    let to = flow.previous.as_ref().filter(|_| primary.id == flow.to).unwrap_or(&primary.id);
    fleet::hand_over(cx, &flow.instance, to).await?;
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(None)
}

async fn attach_replicas(cx: &FlowCx, flow: &mut PromoteReplica) -> StepResult<FlowCx> {
    fleet::attach_replicas(cx, &flow.instance).await?;
    Ok(None)
}
