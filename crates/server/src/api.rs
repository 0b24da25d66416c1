//! Takes HTTP requests to actions, and their answers back. It knows no action by name.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use control::{ActionEntry, Answered, Call, Caller, Fault, FlowCx, RateLimits};
use flow::{Clock, SystemClock};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use model::{ApiError, code};
use tokio::sync::watch;

use crate::events;
use crate::wire::{self, Catalogue, Key, Keys, Reply, Rules, Target, Verified};

/// What requests are answered from.
pub(crate) struct Api {
    /// The product.
    pub cx: Arc<FlowCx>,
    /// How requests may be signed.
    pub rules: Rules,
    /// Who may sign them.
    pub keys: RootKeys,
    /// How many a second.
    pub rate_limits: RateLimits,
    /// True once the server is to end: answers that go on end then.
    pub draining: watch::Receiver<bool>,
}

/// The root key pair, which is all there is.
pub(crate) struct RootKeys {
    /// Its public half.
    pub secret_id: String,
    /// Its secret half.
    pub key: Arc<Key>,
}

impl Keys for RootKeys {
    fn find(&self, secret_id: &str) -> Option<Arc<Key>> {
        (secret_id == self.secret_id).then(|| self.key.clone())
    }
}

/// Actions of the reference that are not built yet, as `product:version:action`.
const UNBUILT: &str = include_str!("../../../api/unimplemented.txt");

/// The products that have actions. The service itself is called as the first one is.
pub(crate) const PRODUCTS: &[&str] = &[
    control::OPENCRS.product,
    control::REDIS.product,
    control::REGION.product,
    control::TAG.product,
    control::VPC.product,
];

struct Actions;

impl Catalogue for Actions {
    fn products(&self) -> &[&'static str] {
        PRODUCTS
    }

    fn own_name(&self) -> &'static str {
        control::OPENCRS.product
    }

    fn has_version(&self, product: &str, version: &str) -> bool {
        control::ACTIONS.iter().any(|entry| (entry.api.product, entry.api.version) == (product, version))
    }

    fn has_action(&self, product: &str, version: &str, action: &str) -> bool {
        let is_built = built(product, version, action).is_some();
        is_built || UNBUILT.lines().any(|line| line.split(':').eq([product, version, action]))
    }
}

fn built(product: &str, version: &str, action: &str) -> Option<&'static ActionEntry> {
    control::ACTIONS
        .iter()
        .find(|entry| (entry.name, entry.api.product, entry.api.version) == (action, product, version))
}

/// Answers an API request, whatever its path.
pub(crate) async fn handle(State(api): State<Arc<Api>>, request: axum::extract::Request) -> Response {
    let request_id = uuid::Uuid::new_v4().to_string();
    let (head, body) = request.into_parts();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let Some(body) = read_body(body).await else {
        let request = wire::Request { method: &head.method, target, headers: &head.headers, body: &Bytes::new() };
        return Reply::of(&request).failure(&broken_off(), &request_id).map(Body::from);
    };
    let request = wire::Request { method: &head.method, target, headers: &head.headers, body: &body };
    // The host's clock, whatever the service's own shows: clients sign by theirs.
    let verified = match wire::verify(&request, SystemClock.now(), &api.rules, &api.keys) {
        Ok(verified) => verified,
        Err(refusal) => return refusal.reply.failure(&refusal.error, &request_id).map(Body::from),
    };
    let reply = verified.reply.clone();
    // A panic is the answer to one request, and of no other.
    let answered = AssertUnwindSafe(answer(&api, verified)).catch_unwind().await;
    match answered.unwrap_or_else(|_| Err(panicked())) {
        Ok(Answered::Fields(fields)) => reply.success(&fields, &request_id).map(Body::from),
        Ok(Answered::Events(events)) => {
            reply.stream(events::body(events, api.draining.clone()), &request_id).map(Body::from_stream)
        }
        Err(error) => reply.failure(&error, &request_id).map(Body::from),
    }
}

/// Reads a body up to what can be judged by its length. More is read on and thrown away, so that the client hears the
/// answer: it would not while it is still sending. `None` where the body breaks off.
async fn read_body(mut body: Body) -> Option<Bytes> {
    const MOST_THROWN_AWAY: usize = 64 << 20;
    let (mut kept, mut seen) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        let room = (wire::MAX_BODY + 1).saturating_sub(kept.len());
        kept.extend_from_slice(&data[..data.len().min(room)]);
        if seen > MOST_THROWN_AWAY {
            break;
        }
    }
    Some(kept.freeze())
}

async fn answer(api: &Api, verified: Verified) -> Result<Answered, ApiError> {
    let Target { product, version, action } = verified.resolve(&Actions)?;
    let settings = &api.cx.settings;
    let entry = built(product, &version, &action);
    let is_elsewhere = verified.region.as_ref().is_some_and(|region| *region != settings.region.name);
    if is_elsewhere && !entry.is_some_and(|entry| entry.is_of_any_region) {
        return Err(unsupported_region(&settings.region.name));
    }
    let Some(entry) = entry else { return Err(unbuilt(&action)) };
    let owner = settings.owner;
    if settings.rate_limits {
        api.rate_limits.check(owner.uin, entry.name)?;
    }
    let call = Call {
        cx: api.cx.clone(),
        caller: Caller { account: owner.uin, uin: owner.uin.to_string() },
        language: verified.reply.language,
        now: api.cx.clock.now(),
    };
    let params = verified.payload.params()?;
    entry.call(&call, &params).await.map_err(|fault| match fault {
        Fault::Api(error) => error,
        Fault::Ledger(error) => {
            let passes = matches!(error, ledger::Error::Unavailable(_));
            // A store may say its whole query in an error.
            let error: String = error.to_string().chars().take(300).collect();
            if passes {
                tracing::warn!(action = entry.name, error, "the ledger can't be asked");
            } else {
                tracing::error!(action = entry.name, error, "the ledger can't be asked");
            }
            store_failed()
        }
    })
}

fn broken_off() -> ApiError {
    ApiError::new(
        code::InvalidRequest,
        "The request's body broke off, or is not well formed.",
        "请求体不完整或格式错误。",
    )
}

fn unbuilt(action: &str) -> ApiError {
    let en = format!("The action `{action}` is not supported yet.");
    ApiError::new(code::UnsupportedOperation, en, format!("暂不支持接口 `{action}`。"))
}

fn unsupported_region(ours: &str) -> ApiError {
    let en = format!("The action is not offered in this region; this service is the region `{ours}`.");
    ApiError::new(code::UnsupportedRegion, en, format!("该地域不支持此接口，本服务的地域为 `{ours}`。"))
}

fn store_failed() -> ApiError {
    let en = "The service's store can't be used now. Nothing was changed; try again in a while.";
    ApiError::new(code::InternalErrorDbOperationFailed, en, "服务存储暂不可用，未做任何变更，请稍后重试。")
}

fn panicked() -> ApiError {
    let en = "The service failed on this request; the operator's log says where.";
    ApiError::new(code::InternalError, en, "服务内部错误，请联系运维人员。")
}
