use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::service::{SECRET_ID, SECRET_KEY};
use crate::{Service, conformance, target_dir};

/// How requests are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sign {
    /// The current scheme.
    #[serde(rename = "TC3-HMAC-SHA256")]
    Tc3,
    /// The older scheme with its default hash.
    HmacSHA1,
    /// The older scheme with the other hash.
    HmacSHA256,
}

/// How parameters travel: as JSON or a form in the body, or in the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// In the query.
    Get,
    /// In the body.
    Post,
}

/// What a client is told before it calls. tccli takes the address, the key pair, the region and the clock alone.
#[derive(Clone, Debug, Serialize)]
pub struct Settings {
    /// `host:port` of the API.
    pub address: String,
    /// Half of the key pair.
    pub secret_id: String,
    /// The other half.
    pub secret_key: String,
    /// The region that is called.
    pub region: String,
    /// `zh-CN`, the SDKs' default, or `en-US`.
    pub language: String,
    /// How requests are signed.
    pub sign: Sign,
    /// How parameters travel.
    pub method: Method,
    /// Leaves the body out of the signature (Python, TC3).
    pub unsigned_payload: bool,
    /// Goes around the models of the SDK, which know no unknown action, nor a wrong type (Python; Node has no models).
    pub untyped: bool,
    /// Seconds by which the client's clock is ahead.
    pub clock_skew: i64,
}

/// What the service refused, as the client's own kind of error shows it.
#[derive(Clone, Debug, Deserialize)]
pub struct Refusal {
    /// The API's code, or one of the client's own.
    pub code: String,
    /// For people.
    pub message: String,
    /// The request's id; none where no answer came.
    pub request_id: Option<String>,
}

/// A public client.
pub struct Client {
    /// Read by each call.
    pub settings: Settings,
    kind: Kind,
}

/// An answer that goes on.
#[derive(Debug)]
pub struct Stream(Value);

enum Kind {
    Python(Driver),
    Node(Driver),
    Tccli { home: TempDir },
}

impl Client {
    /// The SDK for Python, and redis-py.
    pub fn python(service: &Service) -> Self {
        let mut command = Command::new(installed("venv/bin/python"));
        command.arg(script("sdk.py"));
        Client { settings: Settings::of(service), kind: Kind::Python(Driver::start(command)) }
    }

    /// The SDK for Node: its common client.
    pub fn node(service: &Service) -> Self {
        let mut command = Command::new("node");
        command.arg(script("sdk.js")).env("NODE_PATH", installed("node/node_modules"));
        Client { settings: Settings::of(service), kind: Kind::Node(Driver::start(command)) }
    }

    /// The command line tool.
    pub fn tccli(service: &Service) -> Self {
        let home = tempfile::Builder::new().prefix("opencrs-e2e-").tempdir().expect("a temporary folder");
        Client { settings: Settings::of(service), kind: Kind::Tccli { home } }
    }

    /// Calls an action of the redis product.
    pub fn call(&mut self, action: &str, params: Value) -> Result<Value, Refusal> {
        self.call_product("redis", "2018-04-12", action, params)
    }

    /// Calls an action that has to succeed.
    pub fn done(&mut self, action: &str, params: Value) -> Value {
        self.call(action, params).unwrap_or_else(|refusal| panic!("{action} was refused: {refusal:?}"))
    }

    /// Calls an action that has to be refused.
    pub fn refused(&mut self, action: &str, params: Value) -> Refusal {
        match self.call(action, params.clone()) {
            Ok(answer) => panic!("{action} {params} was not refused: {answer}"),
            Err(refusal) => refusal,
        }
    }

    /// Calls an action of any product. An answer that comes as it was sent is held against `api/reference.json`.
    pub fn call_product(
        &mut self,
        product: &str,
        version: &str,
        action: &str,
        params: Value,
    ) -> Result<Value, Refusal> {
        let settings = &self.settings;
        let call = json!({ "call": { "settings": settings, "product": product, "version": version, "action": action, "params": params } });
        let (answer, as_sent) = match &mut self.kind {
            Kind::Python(driver) => (driver.ask(&call), settings.untyped),
            Kind::Node(driver) => (driver.ask(&call), true),
            Kind::Tccli { home } => (tccli(home.path(), settings, product, action, &params), true),
        };
        let answer = answer?;
        assert!(answer["RequestId"].is_string(), "{action} answered no RequestId: {answer}");
        if as_sent {
            conformance::check(product, version, action, &answer);
        }
        Ok(answer)
    }

    /// Calls an action that answers a stream, by the common client (Python, which has to be untyped, and Node). On return
    /// the stream has begun.
    ///
    /// # Errors
    /// What the service refuses.
    pub fn watch(&mut self, product: &str, version: &str, action: &str, params: Value) -> Result<Stream, Refusal> {
        let call = json!({ "settings": self.settings, "product": product, "version": version, "action": action, "params": params });
        Ok(Stream(self.driver().ask(&json!({ "watch": call }))?))
    }

    /// Waits for the next event of a stream: its name, and its data. `None` is the stream's end.
    pub fn next_event(&mut self, stream: &Stream) -> Option<(String, Value)> {
        let event = self.driver().ask(&json!({ "event": stream.0 })).expect("an event, or the end");
        let text = |name: &str| event[name].as_str().unwrap_or_else(|| panic!("{name} in {event}"));
        if event.is_null() {
            return None;
        }
        Some((text("event").to_owned(), serde_json::from_str(text("data")).expect("an event's data is JSON")))
    }

    fn driver(&mut self) -> &mut Driver {
        match &mut self.kind {
            Kind::Python(driver) | Kind::Node(driver) => driver,
            Kind::Tccli { .. } => panic!("tccli reads no streams"),
        }
    }

    /// Runs a Redis command by redis-py (Python alone) on the connection of that name, opened where it is not.
    pub fn redis_py(&mut self, name: &str, connect: Value, command: Value) -> Result<Value, Refusal> {
        let Kind::Python(driver) = &mut self.kind else { panic!("redis-py is Python's") };
        driver.ask(&json!({ "redis": { "name": name, "connect": connect, "command": command } }))
    }
}

impl Settings {
    fn of(service: &Service) -> Self {
        Settings {
            address: service.address().to_owned(),
            secret_id: SECRET_ID.to_owned(),
            secret_key: SECRET_KEY.to_owned(),
            region: "ap-guangzhou".to_owned(),
            language: "en-US".to_owned(),
            sign: Sign::Tc3,
            method: Method::Post,
            unsigned_payload: false,
            untyped: false,
            clock_skew: 0,
        }
    }
}

/// A script beside the tests that takes a request a line and answers a line each.
struct Driver {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Ok(Value),
    Refused(Refusal),
}

impl Driver {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start a client");
        let requests = child.stdin.take().expect("its input was piped");
        let answers = BufReader::new(child.stdout.take().expect("its output was piped"));
        Driver { child, requests, answers }
    }

    fn ask(&mut self, request: &Value) -> Result<Value, Refusal> {
        writeln!(self.requests, "{request}").expect("ask a client");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("read a client's answer");
        match serde_json::from_str(&line) {
            Ok(Answer::Ok(answer)) => Ok(answer),
            Ok(Answer::Refused(refusal)) => Err(refusal),
            Err(_) => panic!("the client broke on {request}: {line:?}, and what it says above"),
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs tccli as its users do: a flag for each parameter, and the scheme in the endpoint for plain http.
fn tccli(home: &Path, settings: &Settings, product: &str, action: &str, params: &Value) -> Result<Value, Refusal> {
    let mut command = Command::new(installed("venv/bin/tccli"));
    command
        .args([product, action, "--endpoint"])
        .arg(format!("http://{}", settings.address))
        .args(["--language", &settings.language])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TENCENTCLOUD_SECRET_ID", &settings.secret_id)
        .env("TENCENTCLOUD_SECRET_KEY", &settings.secret_key)
        .env("TENCENTCLOUD_REGION", &settings.region)
        .stdin(Stdio::null());
    if settings.clock_skew != 0 {
        command.env("PYTHONPATH", script("skewed")).env("CLOCK_SKEW", settings.clock_skew.to_string());
    }
    for (name, value) in params.as_object().expect("parameters are an object") {
        command.arg(format!("--{name}")).arg(value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    let output = command.output().expect("run tccli");
    if output.status.success() {
        return Ok(serde_json::from_slice(&output.stdout).expect("tccli prints JSON"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    read_exception(&said).ok_or_else(|| panic!("tccli {action} broke: {said}")).and_then(Err)
}

/// Pastes lines into a shell of someone who has tccli, and returns what they print. The first that fails is the last.
///
/// # Panics
/// When a line fails.
pub fn paste(lines: &str) -> String {
    let home = tempfile::Builder::new().prefix("opencrs-e2e-").tempdir().expect("a temporary folder");
    let mut path = installed("venv/bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell.args(["-e", "-c", lines]).env_clear().env("PATH", path).env("HOME", home.path()).stdin(Stdio::null());
    let output = shell.output().expect("run bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{lines}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// Reads `[TencentCloudSDKException] code:... message:... requestId:...`.
fn read_exception(said: &str) -> Option<Refusal> {
    let rest = said.split_once("[TencentCloudSDKException] code:")?.1;
    let (code, rest) = rest.split_once(" message:")?;
    let (message, request_id) = rest.rsplit_once(" requestId:")?;
    let request_id = Some(request_id.trim().to_owned()).filter(|id| id != "None");
    Some(Refusal { code: code.to_owned(), message: message.to_owned(), request_id })
}

/// Where `./test` installs the clients.
fn installed(path: &str) -> PathBuf {
    let path = target_dir().join("e2e-clients").join(path);
    assert!(path.exists(), "{} is missing: `./test` installs the clients", path.display());
    path
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}
