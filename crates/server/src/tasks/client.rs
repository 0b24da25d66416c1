//! Asks a server, as any client does: signed requests, and answers that go on.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use bytes::{Bytes, BytesMut};
use clap::ArgMatches;
use control::Api;
use hmac::{Hmac, Mac};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use jiff::tz::Offset;
use memchr::memmem;
use model::Secret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;

use crate::data_folder::{API_ADDRESS, read_root_key};

/// Where a server listens, and a key pair that it knows.
pub(super) struct Client {
    /// `host:port`
    address: String,
    secret_id: String,
    secret_key: Secret,
}

/// Where `serve` listens by default.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8800";

impl Client {
    /// As flags, the environment, and the data folder of a server on this host say.
    pub(super) fn of(matches: &ArgMatches) -> anyhow::Result<Client> {
        let flag = |name: &str| matches.get_one::<String>(name).cloned();
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let named = flag("data").map(PathBuf::from);
        let folder = named.clone().or_else(|| variable("OPENCRS_DATA").map(PathBuf::from)).unwrap_or("data".into());

        let endpoint = flag("endpoint").or_else(|| variable("OPENCRS_ENDPOINT").filter(|_| named.is_none()));
        let address = match endpoint {
            Some(endpoint) => read_endpoint(&endpoint)?,
            None => match std::fs::read_to_string(folder.join(API_ADDRESS)) {
                Ok(address) => address.trim().to_owned(),
                Err(error) if named.is_some() => return Err(error).with_context(|| no_server(&folder)),
                Err(_) => DEFAULT_ADDRESS.to_owned(),
            },
        };

        let of_environment = |prefix: &str| {
            let of = |half| variable(&format!("{prefix}_{half}"));
            of("SECRET_ID").zip(of("SECRET_KEY")).map(|(id, key)| (id, Secret::new(key)))
        };
        let of_folder = || Ok::<_, anyhow::Error>(read_root_key(&folder)?.map(|root| (root.id, root.key)));
        let kept = if named.is_some() { of_folder()? } else { None };
        let pair = kept.or_else(|| of_environment("TENCENTCLOUD")).or_else(|| of_environment("OPENCRS"));
        let pair = match pair {
            None if named.is_none() => of_folder()?,
            pair => pair,
        };
        let (secret_id, secret_key) = pair.context(
            "there is no key pair: set TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or name the data folder of the \
             server by --data",
        )?;
        Ok(Client { address, secret_id, secret_key })
    }

    /// Calls an action; answers its fields.
    pub(super) async fn call(&self, api: Api, action: &str, params: &Value) -> anyhow::Result<Value> {
        let body = self.ask(api, action, params).await?.into_body();
        let body = body.collect().await.context("the server broke its answer off; ask again")?.to_bytes();
        read_answer(&body)
    }

    /// Calls an action that answers events.
    pub(super) async fn events(&self, api: Api, action: &str, params: &Value) -> anyhow::Result<EventStream> {
        let answer = self.ask(api, action, params).await?;
        let kind = answer.headers().get(CONTENT_TYPE).map_or(&b""[..], |kind| kind.as_bytes());
        if !kind.starts_with(b"text/event-stream") {
            let body = answer.into_body().collect().await.context("read the server's answer")?.to_bytes();
            read_answer(&body)?;
            bail!("the server answered {action} with something else than events");
        }
        Ok(EventStream { body: answer.into_body(), read: BytesMut::new() })
    }

    async fn ask(&self, api: Api, action: &str, params: &Value) -> anyhow::Result<Response<Incoming>> {
        let unreached = || {
            format!(
                "nothing answers at http://{}: start `opencrs serve`, or say where it listens by --endpoint or --data",
                self.address
            )
        };
        let stream = TcpStream::connect(&self.address).await.with_context(unreached)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(unreached)?;
        // What ends it is told by the answer.
        drop(tokio::spawn(connection));
        let request = self.sign(api, action, params.to_string(), Timestamp::now())?;
        sender.send_request(request).await.with_context(unreached)
    }

    /// A request that is signed with TC3-HMAC-SHA256.
    fn sign(&self, api: Api, action: &str, body: String, now: Timestamp) -> anyhow::Result<Request<Full<Bytes>>> {
        const KIND: &str = "application/json";
        let seconds = now.as_second();
        let date = Offset::UTC.to_datetime(now).date();
        let scope = format!("{date}/{}/tc3_request", api.product);
        let canonical = format!(
            "POST\n/\n\ncontent-type:{KIND}\nhost:{}\n\ncontent-type;host\n{}",
            self.address,
            hex::encode(Sha256::digest(&body))
        );
        let text = format!("TC3-HMAC-SHA256\n{seconds}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let seed = ["TC3", self.secret_key.expose()].concat().into_bytes();
        let parts = [date.to_string(), api.product.to_owned(), "tc3_request".to_owned(), text];
        let signature = parts.iter().try_fold(seed, |key, part| mac(&key, part))?;
        let authorization = format!(
            "TC3-HMAC-SHA256 Credential={}/{scope}, SignedHeaders=content-type;host, Signature={}",
            self.secret_id,
            hex::encode(signature)
        );
        Request::post("/")
            .header(HOST, &self.address)
            .header(CONTENT_TYPE, KIND)
            .header(AUTHORIZATION, authorization)
            .header("X-TC-Action", action)
            .header("X-TC-Version", api.version)
            .header("X-TC-Timestamp", seconds)
            .header("X-TC-Language", "en-US")
            .body(Full::new(body.into()))
            .context("make a request of the key pair and the address")
    }
}

fn mac(key: &[u8], text: &str) -> anyhow::Result<Vec<u8>> {
    let mac: Hmac<Sha256> = Hmac::new_from_slice(key).context("sign a request")?;
    Ok(mac.chain_update(text).finalize().into_bytes().to_vec())
}

fn no_server(folder: &Path) -> String {
    format!(
        "{} does not say where its server listens: `opencrs serve --data` writes that at its start",
        folder.display()
    )
}

fn read_endpoint(endpoint: &str) -> anyhow::Result<String> {
    let rest = endpoint.strip_prefix("http://").unwrap_or(endpoint).trim_end_matches('/');
    if rest.starts_with("https:") {
        bail!(
            "the endpoint {endpoint} is not plain HTTP, which alone this command speaks: ask the server behind the proxy"
        );
    }
    if rest.is_empty() || rest.contains('/') {
        bail!("the endpoint {endpoint:?} is no address: it is written as http://127.0.0.1:8800");
    }
    let has_port = rest.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { rest.to_owned() } else { format!("{rest}:80") })
}

/// The fields of an answer, or what was refused.
fn read_answer(body: &[u8]) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_slice(body).context("what answers there is no opencrs server")?;
    let fields = answer.get_mut("Response").context("what answers there is no opencrs server")?.take();
    let Some(error) = fields.get("Error") else { return Ok(fields) };
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let hint = if text("Code").starts_with("AuthFailure") {
        "\nThe key pair is that of TENCENTCLOUD_SECRET_ID and TENCENTCLOUD_SECRET_KEY, or of the folder that --data names."
    } else {
        ""
    };
    Err(anyhow!("{} ({}){hint}", text("Message"), text("Code")))
}

/// Events as they come.
pub(super) struct EventStream {
    body: Incoming,
    read: BytesMut,
}

impl EventStream {
    /// The next one: its name, and its data, a JSON object in one line. `None` where the server ended.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<(String, String)>> {
        loop {
            if let Some(end) = memmem::find(&self.read, b"\n\n") {
                let event = self.read.split_to(end + 2);
                let (mut name, mut data) = (String::new(), String::new());
                for line in String::from_utf8_lossy(&event).lines() {
                    match line.split_once(": ") {
                        Some(("event", text)) => name = text.to_owned(),
                        Some(("data", text)) => data = text.to_owned(),
                        _ => {}
                    }
                }
                return Ok(Some((name, data)));
            }
            match self.body.frame().await {
                // A connection that breaks is a server that ended in another way.
                None | Some(Err(_)) => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.read.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::Millis;

    use super::*;
    use crate::wire;

    #[test]
    fn what_it_signs_the_server_takes() {
        struct One(Arc<wire::Key>);
        impl wire::Keys for One {
            fn find(&self, secret_id: &str) -> Option<Arc<wire::Key>> {
                (secret_id == "AKIDx").then(|| self.0.clone())
            }
        }
        let client = |key: &str| Client {
            address: "127.0.0.1:8800".into(),
            secret_id: "AKIDx".into(),
            secret_key: Secret::new(key),
        };
        let now: Timestamp = "2026-11-24T23:59:59Z".parse().unwrap();
        let check = |key: &str| {
            let body = r#"{"Limit":1}"#;
            let request = client(key).sign(control::REDIS, "DescribeTaskList", body.into(), now).unwrap();
            let body = Bytes::from(body);
            let (head, _) = request.into_parts();
            let request = wire::Request { method: &head.method, target: "/", headers: &head.headers, body: &body };
            let keys = One(Arc::new(wire::Key::new(Secret::new("secret"))));
            let verified =
                wire::verify(&request, Millis(now.as_millisecond()), &wire::Rules::default(), &keys).map_err(drop);
            verified.map(|verified| verified.action)
        };
        assert_eq!(check("secret"), Ok("DescribeTaskList".to_owned()));
        assert_eq!(check("another"), Err(()));
    }

    #[test]
    fn an_endpoint_is_read_with_its_port_or_refused_with_what_to_write() {
        let check = |endpoint: &str, address: &str| assert_eq!(read_endpoint(endpoint).unwrap(), address);
        check("http://127.0.0.1:8800/", "127.0.0.1:8800");
        check("crs.example:9000", "crs.example:9000");
        check("http://crs.example", "crs.example:80");
        for wrong in ["https://crs.example", "", "http://crs.example/api"] {
            assert!(read_endpoint(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_refusal_is_told_with_its_code_and_what_to_do() {
        let body = br#"{"Response":{"Error":{"Code":"AuthFailure.SecretIdNotFound","Message":"No such key."},"RequestId":"r"}}"#;
        let said = read_answer(body).unwrap_err().to_string();
        assert!(said.contains("No such key.") && said.contains("TENCENTCLOUD_SECRET_ID"), "{said}");
        assert!(read_answer(b"<html>").unwrap_err().to_string().contains("no opencrs server"));
    }
}
