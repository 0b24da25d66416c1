//! Says whether an instance takes connections by TLS, and by what clients can tell that it is the one they mean.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flow::Flow as _;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access::{Access, Resource};
use crate::action::{Action, Call, find};
use crate::errors::Answer;
use crate::flows::set_tls::SetTls;
use crate::{tls, when};

/// Which instance.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Request {
    /// The instance.
    instance_id: String,
}

/// How it takes connections.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    /// The certificate, in PEM, that clients must trust, in the URL itself (`data:`, in base64). Empty where there is no TLS.
    cert_download_url: String,
    /// Until when that certificate is good. Empty where there is no TLS.
    url_expired_time: String,
    /// Whether it takes connections by TLS.
    #[serde(rename = "SSLConfig")]
    ssl_config: bool,
    /// Always true.
    feature_support: bool,
    /// 1 it is being changed, 2 it is as it is wanted.
    status: i64,
    /// 0: all its addresses take TLS, -1: none does.
    address_type: i64,
    /// The address that takes TLS, its public one besides. Empty where there is no TLS.
    encrypt_address: String,
}

pub(crate) struct DescribeSSLStatus;

impl Action for DescribeSSLStatus {
    const NAME: &'static str = "DescribeSSLStatus";
    const ACCESS: Access = Access::read(Resource::Instance);
    const IS_OF_LEDGER: bool = true;
    type Request = Request;
    type Response = Response;

    async fn call(call: &Call, request: Request) -> Answer<Response> {
        let (cx, account) = (&call.cx, call.caller.account);
        let (instance, is_on, is_changing, authority) =
            call.read(|reader| match find(reader, account, &request.instance_id) {
                Ok(instance) => {
                    let is_on = ledger::tls_of(reader, &instance.id)?.is_some();
                    let is_changing = is_changing(reader, &instance)?;
                    Ok(Ok((instance, is_on, is_changing, tls::authority_certificate(cx, reader)?)))
                }
                Err(fault) => Ok(Err(fault)),
            })??;
        let authority = authority.filter(|_| is_on);
        let expires_at = authority.as_deref().and_then(tls::end_of);
        Ok(Response {
            cert_download_url: authority.as_deref().map(in_url).unwrap_or_default(),
            url_expired_time: expires_at.map(|at| when::write(at, cx.settings.utc_offset_seconds)).unwrap_or_default(),
            ssl_config: is_on,
            feature_support: true,
            status: if is_changing { 1 } else { 2 },
            address_type: if is_on { 0 } else { -1 },
            encrypt_address: if is_on { instance.vip.0.ip().to_string() } else { String::new() },
        })
    }
}

/// A client needs nothing but the API to get at it, and nobody between can change it.
fn in_url(certificates: &str) -> String {
    format!("data:application/x-pem-file;base64,{}", STANDARD.encode(certificates))
}

/// Whether the task that has the instance opens or closes TLS.
fn is_changing(reader: &mut dyn ledger::Reader, instance: &ledger::Instance) -> ledger::Result<bool> {
    let Some(task) = ledger::holder(reader, &instance.id)? else { return Ok(false) };
    Ok(ledger::task_flow(reader, task)?.is_some_and(|flow| flow.flow == SetTls::NAME))
}
