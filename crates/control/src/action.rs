//! An action is one type with a request, a response and one function. It is listed by [`entry`], and called by name.

use std::sync::{Arc, OnceLock};

use flow::Flow;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use ledger::{Instance, NewTask, Reader, Tx};
use model::{ApiError, InstanceId, InstanceStatus, Millis, TaskId, code};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::{self, Access, Caller};
use crate::answers::{Moment, Question};
use crate::cx::FlowCx;
use crate::errors::{Answer, instance_locked, no_such_instance, wrong_status};
use crate::params::{Params, Shape};

/// An API: a product in a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Api {
    /// `redis`
    pub product: &'static str,
    /// `2018-04-12`
    pub version: &'static str,
}

/// TencentDB for Redis.
pub const REDIS: Api = Api { product: "redis", version: "2018-04-12" };
/// The regions and zones of a product.
pub const REGION: Api = Api { product: "region", version: "2022-06-27" };

/// Networks and security groups, as far as instances are concerned.
pub const VPC: Api = Api { product: "vpc", version: "2017-03-12" };
/// Tags and projects.
pub const TAG: Api = Api { product: "tag", version: "2018-08-13" };

/// What goes beyond those: tasks are looked into, steered and watched.
pub const OPENCRS: Api = Api { product: "opencrs", version: "2026-11-24" };

/// The language of messages and titles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

/// One request of a verified caller, on its way through an action.
pub struct Call {
    /// The service.
    pub cx: Arc<FlowCx>,
    /// Who calls.
    pub caller: Caller,
    /// For whom it is to be readable.
    pub language: Language,
    /// The moment that the request is judged by.
    pub now: Millis,
}

/// An action of an API.
pub(crate) trait Action: 'static {
    /// As clients name it.
    const NAME: &'static str;
    /// The API that has it.
    const API: Api = REDIS;
    /// What a caller must be allowed.
    const ACCESS: Access;
    /// Whether it is answered whatever region a client names.
    const IS_OF_ANY_REGION: bool = false;
    /// Whether its answer depends on nothing but the request, the ledger, the settings and the whole second: then it is
    /// given again, as long as those are the same.
    const IS_OF_LEDGER: bool = false;
    /// Its parameters. The doc comments are what users read.
    type Request: DeserializeOwned + JsonSchema + Send;
    /// The fields of its answer.
    type Response: Serialize + JsonSchema + Send;

    /// Answers a request. An action that changes something does it in one ledger transaction ([`Call::write`]), so that
    /// what it answers is durable, and never touches the world itself.
    fn call(call: &Call, request: Self::Request) -> impl Future<Output = Answer<Self::Response>> + Send;
}

/// An action whose answer goes on: events, until the caller has enough of them.
pub(crate) trait StreamAction: 'static {
    /// As clients name it.
    const NAME: &'static str;
    /// The API that has it.
    const API: Api;
    /// What a caller must be allowed.
    const ACCESS: Access;
    /// Its parameters. The doc comments are what users read.
    type Request: DeserializeOwned + JsonSchema + Send;
    /// The fields of an event's data.
    type Event: Serialize + JsonSchema + Send;

    /// Begins to answer. What is refused is refused here; events that began only end.
    fn open(call: &Call, request: Self::Request) -> impl Future<Output = Answer<Events>> + Send;
}

/// Something that a stream tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What happened: a word.
    pub name: &'static str,
    /// A JSON object, in one line.
    pub data: String,
}

impl Event {
    pub(crate) fn new<T: Serialize>(name: &'static str, data: &T) -> Answer<Self> {
        Ok(Event { name, data: serde_json::to_string(data).map_err(unwritable)? })
    }
}

/// Events, as they happen.
pub type Events = BoxStream<'static, Event>;

/// What an action answers.
pub enum Answered {
    /// The JSON text of the response's fields.
    Fields(Arc<str>),
    /// Events that go on.
    Events(Events),
}

type CallFn = for<'a> fn(&'a Call, &'a Shape, &'a Params) -> BoxFuture<'a, Answer<Answered>>;

/// An action without its type, as a row of the table of actions.
pub struct ActionEntry {
    /// As clients name it.
    pub name: &'static str,
    /// The API that has it.
    pub api: Api,
    /// What a caller must be allowed.
    pub access: Access,
    /// Whether it is answered whatever region a client names.
    pub is_of_any_region: bool,
    request: fn() -> Shape,
    response: fn() -> Shape,
    is_of_ledger: bool,
    shape: OnceLock<Shape>,
    call: CallFn,
}

/// The row of an action.
pub(crate) const fn entry<A: Action>() -> ActionEntry {
    ActionEntry {
        name: A::NAME,
        api: A::API,
        access: A::ACCESS,
        is_of_any_region: A::IS_OF_ANY_REGION,
        request: Shape::of::<A::Request>,
        response: Shape::of_answer::<A::Response>,
        is_of_ledger: A::IS_OF_LEDGER,
        shape: OnceLock::new(),
        call: |call, shape, params| {
            Box::pin(async move {
                let value = shape.read(params)?;
                let request = serde_json::from_value(value).map_err(unreadable)?;
                let response = A::call(call, request).await?;
                Ok(Answered::Fields(serde_json::to_string(&response).map_err(unwritable)?.into()))
            })
        },
    }
}

/// The row of an action that answers events.
pub(crate) const fn stream_entry<A: StreamAction>() -> ActionEntry {
    ActionEntry {
        name: A::NAME,
        api: A::API,
        access: A::ACCESS,
        is_of_any_region: false,
        request: Shape::of::<A::Request>,
        response: Shape::of_answer::<A::Event>,
        is_of_ledger: false,
        shape: OnceLock::new(),
        call: |call, shape, params| {
            Box::pin(async move {
                let request = serde_json::from_value(shape.read(params)?).map_err(unreadable)?;
                Ok(Answered::Events(A::open(call, request).await?))
            })
        },
    }
}

impl ActionEntry {
    /// Answers a request.
    ///
    /// # Errors
    /// The API's refusal, or a ledger that can't be asked.
    pub async fn call(&self, call: &Call, params: &Params) -> Answer<Answered> {
        access::decide(&call.caller, self.access)?;
        let question = if self.is_of_ledger { Question::of(self.name, call, params) } else { None };
        let Some(question) = question else { return self.answer(call, params).await };
        let moment = Moment { ledger: call.cx.ledger.version(), second: call.now.seconds() };
        if let Some(answer) = call.cx.answers.find(moment, &question) {
            return Ok(Answered::Fields(answer));
        }
        let answer = self.answer(call, params).await?;
        if let Answered::Fields(answer) = &answer {
            call.cx.answers.keep(moment, question, answer.clone());
        }
        Ok(answer)
    }

    async fn answer(&self, call: &Call, params: &Params) -> Answer<Answered> {
        let shape = self.shape.get_or_init(self.request);
        (self.call)(call, shape, params).await
    }

    /// The declared parameters.
    pub fn request(&self) -> Shape {
        (self.request)()
    }

    /// The declared fields of the answer, or of an event's data.
    pub fn response(&self) -> Shape {
        (self.response)()
    }
}

fn unreadable(error: serde_json::Error) -> ApiError {
    ApiError::new(
        code::InvalidParameter,
        format!("A parameter can't be read: {error}."),
        format!("参数无法解析：{error}。"),
    )
}

fn unwritable(error: serde_json::Error) -> ApiError {
    tracing::error!(%error, "an answer can't be written as JSON");
    ApiError::new(code::InternalError, "The answer can't be written.", "无法生成应答。")
}

impl Call {
    /// Reads one state of the ledger.
    pub fn read<T>(&self, body: impl FnOnce(&mut dyn Reader) -> ledger::Result<T>) -> Answer<T> {
        Ok(self.cx.ledger.read(body)?)
    }

    /// Runs the action's one transaction. On return it is durable, and the workers know that there may be a task.
    pub async fn write<T: Send + 'static>(
        &self,
        body: impl FnMut(&mut dyn Tx) -> Answer<T> + Send + 'static,
    ) -> Answer<T> {
        let written = self.cx.ledger.write(body).await;
        self.cx.wake.tasks.notify_one();
        written
    }

    /// The account's instance of this id, as it is now.
    pub fn instance(&self, id: &str) -> Answer<Instance> {
        self.read(|reader| Ok(find(reader, self.caller.account, id)))?
    }
}

/// The account's instance of this id.
pub(crate) fn find(reader: &mut dyn Reader, account: i64, id: &str) -> Answer<Instance> {
    let Some(parsed) = InstanceId::parse(id) else { return Err(no_such_instance(id)) };
    let found = ledger::instance(reader, &parsed)?.filter(|instance| instance.account == account);
    found.ok_or_else(|| no_such_instance(id))
}

/// The account's instance of this id, for a change: free, and in one of the statuses given. `code` is what the action
/// answers in another status.
pub(crate) fn changeable(
    reader: &mut dyn Reader,
    account: i64,
    id: &str,
    statuses: &[InstanceStatus],
    code: model::Code,
) -> Answer<Instance> {
    let instance = find(reader, account, id)?;
    if ledger::holder(reader, &instance.id)?.is_some() {
        return Err(instance_locked(&instance.id));
    }
    if !statuses.contains(&instance.status) {
        return Err(wrong_status(code, &instance.id, instance.status.number()));
    }
    Ok(instance)
}

/// Accepts a task that runs a flow on an instance, takes the instance for it, and writes what the flow wants from now on.
pub(crate) fn open_task<F: Flow<Cx = FlowCx>>(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    kind: &'static str,
    flow: &F,
    now: Millis,
) -> Answer<TaskId> {
    let new = new_task(caller, instance, kind, flow)?;
    accept(tx, new, flow, now)
}

/// As [`open_task`], for a flow that changes two instances. The task is listed as the first one's.
pub(crate) fn open_task_of_two<F: Flow<Cx = FlowCx>>(
    tx: &mut dyn Tx,
    caller: &Caller,
    both: [&Instance; 2],
    kind: &'static str,
    flow: &F,
    now: Millis,
) -> Answer<TaskId> {
    let new = NewTask { partner: Some(&both[1].id), ..new_task(caller, both[0], kind, flow)? };
    accept(tx, new, flow, now)
}

/// As [`open_task`], for a flow in whose way nothing is: the instance stays as free as it was.
pub(crate) fn open_task_beside<F: Flow<Cx = FlowCx>>(
    tx: &mut dyn Tx,
    caller: &Caller,
    instance: &Instance,
    kind: &'static str,
    flow: &F,
    now: Millis,
) -> Answer<TaskId> {
    let new = NewTask { holds: false, ..new_task(caller, instance, kind, flow)? };
    accept(tx, new, flow, now)
}

fn new_task<'a, F: Flow<Cx = FlowCx>>(
    caller: &'a Caller,
    instance: &'a Instance,
    kind: &'static str,
    flow: &F,
) -> Answer<NewTask<'a>> {
    let state = serde_json::to_string(flow).map_err(|error| ledger::Error::Corrupt(error.to_string()))?;
    let first_step = F::STEPS[0].name;
    Ok(NewTask { instance, caller: &caller.uin, kind, flow: F::NAME, first_step, state, holds: true, partner: None })
}

fn accept<F: Flow<Cx = FlowCx>>(tx: &mut dyn Tx, new: NewTask<'_>, flow: &F, now: Millis) -> Answer<TaskId> {
    let instance = &new.instance.id;
    let task = match ledger::open_task(tx, new, now) {
        Err(error) if error.is_taken() => return Err(instance_locked(instance)),
        other => other?,
    };
    if let Some(write) = flow.begin() {
        write(tx)?;
    }
    Ok(task)
}
