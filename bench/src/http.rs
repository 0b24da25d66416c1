//! Signed requests, and a load of them: closed loops over connections that are kept.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use flow::Clock;
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::service::{SECRET_ID, SECRET_KEY};

/// A product and its version.
pub(crate) type Api = (&'static str, &'static str);
pub(crate) const REDIS: Api = ("redis", "2018-04-12");
pub(crate) const VPC: Api = ("vpc", "2017-03-12");
pub(crate) const OPENCRS: Api = ("opencrs", "2026-11-24");

/// The bytes of a request that is signed for now, as the SDKs sign it.
pub(crate) fn signed(addr: SocketAddr, action: &str, body: &Value) -> Vec<u8> {
    signed_of(REDIS, addr, action, body)
}

fn signed_of((product, version): Api, addr: SocketAddr, action: &str, body: &Value) -> Vec<u8> {
    let (body, now) = (body.to_string(), flow::SystemClock.now().seconds());
    let date = jiff::Timestamp::from_second(now).unwrap_or_default().to_string()[..10].to_owned();
    let hash = |text: &str| hex::encode(Sha256::digest(text.as_bytes()));
    let mac = |key: &[u8], text: &str| {
        let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.chain_update(text).finalize().into_bytes()
    };
    let canonical =
        format!("POST\n/\n\ncontent-type:application/json\nhost:{addr}\n\ncontent-type;host\n{}", hash(&body));
    let scope = format!("{date}/{product}/tc3_request");
    let text = format!("TC3-HMAC-SHA256\n{now}\n{scope}\n{}", hash(&canonical));
    let key = mac(&mac(&mac(format!("TC3{SECRET_KEY}").as_bytes(), &date), product), "tc3_request");
    let signature = hex::encode(mac(&key, &text));
    format!(
        "POST / HTTP/1.1\r\nHost: {addr}\r\nContent-Type: application/json\r\nX-TC-Action: {action}\r\n\
         X-TC-Version: {version}\r\nX-TC-Timestamp: {now}\r\nX-TC-Region: ap-guangzhou\r\n\
         Authorization: TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, SignedHeaders=content-type;host, \
         Signature={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(addr).await.context("connect")?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 << 10) })
    }

    /// Sends a request and reads the whole answer; answers where its body begins in `answer()`.
    async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<usize> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut whole = None;
        loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            if whole.is_none()
                && let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
                let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length: "));
                whole = Some((end + 4, end + 4 + length.context("no length")?.parse::<usize>()?));
            }
            if let Some((body, end)) = whole
                && self.buffer.len() >= end
            {
                return Ok(body);
            }
        }
    }

    /// The body of the answer.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> anyhow::Result<&[u8]> {
        let body = self.exchange(request).await?;
        Ok(&self.buffer[body..])
    }

    /// Calls an action; an error of the API is an error.
    pub(crate) async fn call(&mut self, addr: SocketAddr, action: &str, body: &Value) -> anyhow::Result<Value> {
        self.call_of(REDIS, addr, action, body).await
    }

    /// As [`call`](Self::call), of another product.
    pub(crate) async fn call_of(
        &mut self,
        api: Api,
        addr: SocketAddr,
        action: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let answer = self.answer_of(api, addr, action, body).await?;
        ensure!(answer["Error"].is_null(), "{action}: {answer}");
        Ok(answer)
    }

    /// As [`call_of`](Self::call_of), where an error of the API is an answer too.
    pub(crate) async fn answer_of(
        &mut self,
        api: Api,
        addr: SocketAddr,
        action: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let request = signed_of(api, addr, action, body);
        let mut answer: Value = serde_json::from_slice(self.ask(&request).await?)?;
        Ok(answer["Response"].take())
    }
}

/// What a load saw.
pub(crate) struct Seen {
    pub(crate) per_second: f64,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

/// Sends requests in turn over so many connections, each as soon as it has its answer. An answer that is not one with
/// rows, or whose body is not `length` bytes long where that is given, is not what was to be measured, and an error.
pub(crate) async fn load(
    addr: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    connections: usize,
    span: Duration,
    length: Option<usize>,
) -> anyhow::Result<Seen> {
    let mut loops = JoinSet::new();
    let turn = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    for _ in 0..connections {
        let (requests, turn) = (requests.clone(), turn.clone());
        loops.spawn(async move {
            let mut connection = Connection::open(addr).await?;
            let mut times = Vec::new();
            while begin.elapsed() < span {
                let request = &requests[turn.fetch_add(1, Ordering::Relaxed) % requests.len()];
                let sent = Instant::now();
                let body = connection.exchange(request).await?;
                let body = &connection.buffer[body..];
                let fits = body.starts_with(b"{\"Response\":{\"TotalCount\"")
                    && length.is_none_or(|length| body.len() == length);
                ensure!(fits, "another answer came than was to be measured: {}", String::from_utf8_lossy(body));
                times.push(sent.elapsed());
            }
            anyhow::Ok(times)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = loops.join_next().await {
        times.extend(done??);
    }
    let took = begin.elapsed();
    times.sort_unstable();
    ensure!(!times.is_empty(), "nothing was answered");
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Seen { per_second: times.len() as f64 / took.as_secs_f64(), p50: at(0.5), p99: at(0.99) })
}
