//! What the wire refuses, in both languages. Common parameters are named as the client gave them, or would have.

use model::{ApiError, code};

pub(super) fn unsupported_method() -> ApiError {
    ApiError::new(
        code::UnsupportedProtocol,
        "Only the methods GET and POST are supported.",
        "仅支持 GET 和 POST 方法。",
    )
}

pub(super) fn query_too_long() -> ApiError {
    ApiError::new(
        code::RequestSizeLimitExceeded,
        "A GET request may have 32 KB of parameters at most; use POST.",
        "GET 请求的参数不能超过 32 KB，请改用 POST。",
    )
}

pub(super) fn body_too_large() -> ApiError {
    ApiError::new(code::RequestSizeLimitExceeded, "The request body may have 10 MB at most.", "请求体不能超过 10 MB。")
}

pub(super) fn legacy_body_too_large() -> ApiError {
    ApiError::new(
        code::AuthFailureSignatureFailure,
        "A request above 1 MB can't be signed with HmacSHA1 or HmacSHA256; sign it with TC3-HMAC-SHA256.",
        "超过 1 MB 的请求不能使用 HmacSHA1 或 HmacSHA256 签名，请使用 TC3-HMAC-SHA256。",
    )
}

fn invalid(en: String, zh: String) -> ApiError {
    ApiError::new(code::InvalidParameter, en, zh)
}

pub(super) fn malformed_pair(pair: &[u8]) -> ApiError {
    let pair: String = String::from_utf8_lossy(pair).chars().take(64).collect();
    invalid(
        format!("`{pair}` in the query or form is not an encoded `name=value` pair."),
        format!("查询串或表单中的 `{pair}` 不是编码后的 `name=value` 形式。"),
    )
}

pub(super) fn too_many_parameters(most: usize) -> ApiError {
    invalid(format!("The request has more than {most} parameters."), format!("请求参数超过 {most} 个。"))
}

pub(super) fn missing(name: &str) -> ApiError {
    ApiError::new(
        code::MissingParameter,
        format!("The request is missing the required parameter `{name}`."),
        format!("缺少必填参数 `{name}`。"),
    )
}

/// A common parameter that is a header: both of its names help.
pub(super) fn missing_header(name: &str, header: &str) -> ApiError {
    ApiError::new(
        code::MissingParameter,
        format!("The request is missing the required parameter `{name}` (header `{header}`)."),
        format!("缺少必填参数 `{name}`（请求头 `{header}`）。"),
    )
}

pub(super) fn not_a_number(name: &str) -> ApiError {
    invalid(
        format!("The parameter `{name}` has the wrong type: a whole number, zero or above, is wanted."),
        format!("参数 `{name}` 类型错误，应为非负整数。"),
    )
}

pub(super) fn twice(name: &str) -> ApiError {
    invalid(format!("The parameter `{name}` is given more than once."), format!("参数 `{name}` 重复。"))
}

pub(super) fn unknown_signature_method() -> ApiError {
    ApiError::new(
        code::InvalidParameterValue,
        "The parameter `SignatureMethod` must be HmacSHA1 or HmacSHA256.",
        "参数 `SignatureMethod` 只能为 HmacSHA1 或 HmacSHA256。",
    )
}

pub(super) fn invalid_authorization(en: &str, zh: &str) -> ApiError {
    ApiError::new(
        code::AuthFailureInvalidAuthorization,
        format!("The header `Authorization` is malformed: {en}."),
        format!("请求头 `Authorization` 格式错误：{zh}。"),
    )
}

pub(super) fn skip_refused(action: &str) -> ApiError {
    ApiError::new(
        code::AuthFailureInvalidAuthorization,
        format!("The action `{action}` must be signed: `Authorization` can't be SKIP."),
        format!("接口 `{action}` 必须签名，`Authorization` 不能为 SKIP。"),
    )
}

pub(super) fn unknown_secret_id() -> ApiError {
    ApiError::new(
        code::AuthFailureSecretIdNotFound,
        "The SecretId is not found: check that it is right and not deleted or disabled.",
        "SecretId 不存在，请检查其是否正确、是否已被删除或禁用。",
    )
}

pub(super) fn expired(timestamp: i64, now: i64) -> ApiError {
    ApiError::new(
        code::AuthFailureSignatureExpire,
        format!(
            "The signature is expired: its timestamp is {timestamp} and the time here is {now}; \
             they may differ by 300 seconds at most."
        ),
        format!("签名已过期：请求时间戳为 {timestamp}，服务器时间为 {now}，二者相差不得超过 300 秒。"),
    )
}

fn signature(en: String, zh: String) -> ApiError {
    ApiError::new(code::AuthFailureSignatureFailure, en, zh)
}

pub(super) fn wrong_scope_date(date: &str, wanted: &str) -> ApiError {
    signature(
        format!(
            "The date in Credential is {date}, but must be the UTC date of the timestamp, {wanted} (not the local date)."
        ),
        format!("Credential 中的日期为 {date}，应为时间戳对应的 UTC 日期 {wanted}（而非本地日期）。"),
    )
}

/// Says what the client should have signed, as far as it is no secret.
pub(super) fn wrong_tc3_signature(host: &[u8], content_type: &[u8]) -> ApiError {
    let (host, content_type) = (excerpt(host), excerpt(content_type));
    signature(
        format!(
            "The credentials could not be validated: the signature does not match. Check the SecretKey, and that the \
             canonical request has host `{host}`, content-type `{content_type}` and the hash of the body that was sent."
        ),
        format!(
            "签名校验失败。请检查 SecretKey，并确认规范请求中的 host 为 `{host}`、content-type 为 `{content_type}`，\
             且请求体哈希与实际发送内容一致。"
        ),
    )
}

pub(super) fn wrong_legacy_signature(method: &str, host: &[u8], path: &str) -> ApiError {
    let (host, path) = (excerpt(host), excerpt(path.as_bytes()));
    signature(
        format!(
            "The credentials could not be validated: the signature does not match. Check the SecretKey, and that the \
             text that is signed begins with `{method}{host}{path}?` and has all parameters sorted and not encoded."
        ),
        format!(
            "签名校验失败。请检查 SecretKey，并确认签名原文以 `{method}{host}{path}?` 开头，\
             且全部参数已排序、未经 URL 编码。"
        ),
    )
}

fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(128).collect()
}

pub(super) fn wrong_token() -> ApiError {
    ApiError::new(
        code::AuthFailureTokenFailure,
        "The token does not belong to the SecretId; a permanent key is used without a token.",
        "Token 与 SecretId 不匹配；永久密钥无需 Token。",
    )
}

pub(super) fn no_such_product(product: &str) -> ApiError {
    let product = excerpt(product.as_bytes());
    ApiError::new(
        code::NoSuchProduct,
        format!("The product `{product}` does not exist."),
        format!("产品 `{product}` 不存在。"),
    )
}

pub(super) fn no_such_version(version: &str, product: Option<&str>) -> ApiError {
    let version = excerpt(version.as_bytes());
    let (en, zh) = match product {
        Some(product) => (format!("The product `{product}` has no"), format!("产品 `{product}` 没有")),
        None => ("No product has an".to_owned(), "没有任何产品提供".to_owned()),
    };
    ApiError::new(code::NoSuchVersion, format!("{en} API version `{version}`."), format!("{zh} API 版本 `{version}`。"))
}

pub(super) fn invalid_action(action: &str, product: &str, version: &str) -> ApiError {
    let action = excerpt(action.as_bytes());
    ApiError::new(
        code::InvalidAction,
        format!("The request `Action` is invalid or not found: `{action}` in version {version} of `{product}`."),
        format!("请求的 `Action` 无效或不存在：产品 `{product}` 版本 {version} 没有 `{action}`。"),
    )
}

pub(super) fn malformed_region(name: &str, region: &str) -> ApiError {
    let region = excerpt(region.as_bytes());
    ApiError::new(
        code::InvalidParameterValue,
        format!("The value `{region}` of the parameter `{name}` is not a region."),
        format!("参数 `{name}` 的值 `{region}` 不是合法的地域。"),
    )
}

pub(super) fn unsupported_content_type(content_type: &str) -> ApiError {
    let content_type = excerpt(content_type.as_bytes());
    invalid(
        format!(
            "The `Content-Type` of a POST request must be application/json, application/x-www-form-urlencoded or \
             multipart/form-data, and is `{content_type}`."
        ),
        format!(
            "POST 请求的 `Content-Type` 须为 application/json、application/x-www-form-urlencoded 或 \
             multipart/form-data，当前为 `{content_type}`。"
        ),
    )
}

pub(super) fn octet_stream() -> ApiError {
    invalid(
        "No action here takes an application/octet-stream body: send the parameters as application/json.".to_owned(),
        "没有接口接受 application/octet-stream 请求体，请以 application/json 发送参数。".to_owned(),
    )
}

pub(super) fn malformed_multipart(en: &str, zh: &str) -> ApiError {
    ApiError::new(
        code::InvalidRequest,
        format!("The multipart body is malformed: {en}."),
        format!("multipart 请求体格式错误：{zh}。"),
    )
}

pub(super) fn part_not_text(name: &str) -> ApiError {
    let name = excerpt(name.as_bytes());
    invalid(
        format!("The parameter `{name}` has the wrong type: `string` is wanted, in UTF-8."),
        format!("参数 `{name}` 类型错误，应为 UTF-8 编码的 `string`。"),
    )
}
