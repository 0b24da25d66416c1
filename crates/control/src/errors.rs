//! The refusals that several actions share, each with its code and a message that says what to do.

use model::{ApiError, InstanceId, code};

/// Why an action did not answer its result: the API's own refusal, or a ledger that can't be asked.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// For the caller.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// For the operator; the caller is told that the store failed.
    #[error(transparent)]
    Ledger(#[from] ledger::Error),
}

impl From<crate::seal::NotOurs> for Fault {
    fn from(error: crate::seal::NotOurs) -> Self {
        tracing::error!(%error, "a secret in the ledger can't be read");
        let (en, zh) =
            ("A stored secret can't be read; the operator's log says more.", "存储的密钥无法读取，请联系运维人员。");
        ApiError::new(code::InternalError, en, zh).into()
    }
}

/// What actions answer.
pub(crate) type Answer<T> = Result<T, Fault>;

/// No instance of the account has this id.
pub(crate) fn no_such_instance(id: &str) -> Fault {
    let id = excerpt(id);
    ApiError::new(
        code::ResourceNotFoundInstanceNotExists,
        format!("The instance `{id}` does not exist. DescribeInstances lists those that do."),
        format!("实例 `{id}` 不存在，可通过 DescribeInstances 查询现有实例。"),
    )
    .into()
}

/// No task of the account has this id.
pub(crate) fn no_such_task(parameter: &str, id: u64) -> Fault {
    ApiError::new(
        code::InvalidParameterInvalidParameter,
        format!("The parameter `{parameter}` names no task of this account: {id}."),
        format!("参数 `{parameter}` 对应的任务不存在：{id}。"),
    )
    .into()
}

/// The beginning of a client's text, which may be of any length.
pub(crate) fn excerpt(text: &str) -> String {
    let mut start: String = text.chars().take(64).collect();
    if start.len() < text.len() {
        start.push('…');
    }
    start
}

/// Another task has the instance.
pub(crate) fn instance_locked(id: &InstanceId) -> Fault {
    ApiError::new(
        code::ResourceUnavailableInstanceLockedError,
        format!("The instance `{id}` is being changed by another task. Wait until that has ended (DescribeTaskList)."),
        format!("实例 `{id}` 正在被其他任务变更，请等待任务结束（DescribeTaskList）后重试。"),
    )
    .into()
}

/// The instance is in a state in which this can't be done.
pub(crate) fn wrong_status(code: model::Code, id: &InstanceId, status: i64) -> Fault {
    ApiError::new(
        code,
        format!(
            "The instance `{id}` has status {status}, in which this can't be done. 2 is running; 0 and 1 pass \
             by themselves (DescribeTaskList); -2 and -3 are isolated, until StartupInstance."
        ),
        format!(
            "实例 `{id}` 当前状态为 {status}，不支持该操作。运行中为2；0和1会自行结束（DescribeTaskList）；\
             -2和-3为已隔离，可通过 StartupInstance 恢复。"
        ),
    )
    .into()
}

/// A parameter's value is not allowed.
pub(crate) fn bad_value(parameter: &str, en: &str, zh: &str) -> Fault {
    bad_value_as(code::InvalidParameterValue, parameter, en, zh)
}

/// A parameter's value is not allowed, by a code of its own.
pub(crate) fn bad_value_as(code: model::Code, parameter: &str, en: &str, zh: &str) -> Fault {
    ApiError::new(
        code,
        format!("The value of the parameter `{parameter}` is not allowed: {en}."),
        format!("参数 `{parameter}` 的取值不合法：{zh}。"),
    )
    .into()
}

/// A parameter is needed here.
pub(crate) fn missing(parameter: &str) -> Fault {
    ApiError::new(
        code::MissingParameter,
        format!("The request lacks the parameter `{parameter}`."),
        format!("缺少参数 `{parameter}`。"),
    )
    .into()
}

/// No engine that would do for this type is installed.
pub(crate) fn not_installed(type_id: model::TypeId) -> Fault {
    let (engine, version) = (type_id.engine(), type_id.version());
    ApiError::new(
        code::ResourceUnavailableNoTypeIdRedisService,
        format!("No {engine} {}.{} is installed on this service.", version.major, version.minor),
        format!("本服务未安装 {engine} {}.{}。", version.major, version.minor),
    )
    .into()
}

/// A node that must tell something does not.
pub(crate) fn no_answer(id: &InstanceId) -> Fault {
    ApiError::new(
        code::ResourceUnavailableInstanceStatusError,
        format!("The primary of the instance `{id}` gives no answer now. Try again in a while."),
        format!("实例 `{id}` 的主节点暂时无应答，请稍后重试。"),
    )
    .into()
}

/// What a parameter asks for is not built yet.
pub(crate) fn not_built(parameter: &str) -> Fault {
    ApiError::new(
        code::UnsupportedOperation,
        format!("The parameter `{parameter}` is not supported yet with this value; leave it out."),
        format!("暂不支持参数 `{parameter}` 的该取值，请去掉该参数。"),
    )
    .into()
}
