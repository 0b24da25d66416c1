//! `opencrs serve`: puts everything together, serves, and ends without touching a customer's Redis or connection.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::http::StatusCode;
use axum::routing::{any, get};
use control::{
    Answers, Archive, Certificates, Dev, FlowCx, Random, RateLimits, RedisNodes, Roles, Sealer, Settings, Wake, keepers,
};
use flow::harness::{NoProbe, Probe};
use flow::{Clock, SystemClock};
use ledger::{Ledger, PostgresAddress};
use runtime::{EngineSearch, LocalRuntime};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::{Api, PRODUCTS, RootKeys, handle};
use crate::config::Config;
use crate::crash::CrashPoint;
use crate::data_folder::{API_ADDRESS, DataFolder, ROOT_KEY, RootKey};
use crate::gateway_process::GatewayProcess;
use crate::listener::ApiListener;
use crate::wire;

/// How long requests that are being answered may take when the server ends.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);
/// How long a start waits for the store.
const STORE_STARTS_WITHIN: Duration = Duration::from_secs(60);
const ROTATE_LOGS_EVERY: Duration = Duration::from_secs(60);

/// Serves until SIGTERM or SIGINT. `crash_at` kills the process at a point of a flow, for tests.
pub fn run(config: &Config, crash_at: Option<&str>) -> anyhow::Result<()> {
    raise_file_limit();
    // Given back only when nothing of this process acts on nodes any more.
    let data = DataFolder::take(&config.data(), config.store()?.is_some())?;
    let settings = config.settings()?;
    let greet = |addr, key: &RootKey, is_new| greeting(data.path(), &settings, addr, key, is_new);
    on_tokio(async {
        let stop = stop_signal()?;
        serve(config, &data, crash_at, None, greet, stop).await
    })?;
    say(&format!(
        "The server has ended. Gateway, instances and connections live on; `opencrs stop --data {}` ends them too.",
        data.path().display()
    ));
    Ok(())
}

/// A node takes a descriptor to be watched, and a connection takes one.
fn raise_file_limit() {
    let maximum = getrlimit(Resource::Nofile).maximum;
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open files can't be raised");
    }
}

/// Runs to the end, and answers when its threads have ended too. Two workers serve a machine well: work is short, and
/// what is not is given to threads of its own.
pub fn on_tokio<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let workers = std::thread::available_parallelism().map_or(2, usize::from).max(2);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build();
    runtime.context("start the runtime")?.block_on(work)
}

/// Serves until `stop` resolves. `dev` is given where the service is for tests; `greet` makes what is said once it serves.
pub(crate) async fn serve(
    config: &Config,
    data: &DataFolder,
    crash_at: Option<&str>,
    dev: Option<Dev>,
    greet: impl FnOnce(SocketAddr, &RootKey, bool) -> String,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    // Found before anything else: where the program's file is replaced while it runs, its path is lost.
    let program = std::env::current_exe().context("find this program")?;
    let settings = Arc::new(config.settings()?);
    let probe: Arc<dyn Probe> = match crash_at {
        Some(text) => Arc::new(CrashPoint::parse(text)?),
        None => Arc::new(NoProbe),
    };
    let listen = config.listen()?;
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    let addr = listener.local_addr().context("read the address that is listened on")?;

    let random = Random::from_system();
    let (root, is_new) = data.root_key(config, &random)?;
    let sealer = Sealer::new(&data.sealing_key(config, &random)?);
    let ledger = open_ledger(config, data, &random).await?;
    let runtime = LocalRuntime::open(data.path().to_owned(), EngineSearch::path_and(config.engines()))
        .context("open the folder of nodes")?;
    let gateway = GatewayProcess::new(program, data.path(), config.gateway_metrics()?);
    let pool_offset = pool_offset(&ledger)?;
    let roles = if ledger.is_shared() {
        Roles::shared(data.path().join("roles")).context("make the folder of locks on roles")?
    } else {
        Roles::default()
    };
    let saved = ledger.clone();
    let cx = Arc::new(FlowCx {
        ledger,
        runtime: runtime.clone(),
        nodes: Arc::new(RedisNodes),
        gateway: gateway.clone(),
        clock: dev.as_ref().map_or_else(|| Arc::new(SystemClock) as Arc<dyn Clock>, |dev| dev.clock.clone()),
        random,
        sealer,
        settings: settings.clone(),
        pool_offset,
        is_bindable: |addr| std::net::TcpListener::bind(addr).is_ok(),
        wake: Wake::default(),
        answers: Answers::default(),
        certificates: Certificates::of(data.path(), settings.tls.client_ca.as_deref()),
        dev,
        archive: Archive::of(data.path()),
        roles,
    });
    let (drain, draining) = watch::channel(false);
    let api = Arc::new(Api {
        cx: cx.clone(),
        rules: rules(config, &settings),
        keys: RootKeys { secret_id: root.id.clone(), key: Arc::new(wire::Key::new(root.key.clone())) },
        rate_limits: RateLimits::default(),
        draining,
    });
    let keeping_gateway = tokio::spawn(gateway.keep());
    let rotating = tokio::spawn(rotate_logs(runtime));
    let keepers = keepers::start(cx.clone(), probe);

    // For `opencrs tasks --data`; who can't read it says where the server is.
    std::fs::write(data.path().join(API_ADDRESS), format!("{addr}\n")).context("write where the API is served")?;
    say(&greet(addr, &root, is_new));
    let served = answer_requests(listener, api, drain, stop).await;
    drop(keepers);
    keeping_gateway.abort();
    rotating.abort();
    all_let_go(&cx).await;
    saved.save_index();
    served
}

/// Waits until nobody has anything in hand any more. Whoever waits for a shared store has been set aside from the runtime,
/// and would find it gone when the store has answered.
async fn all_let_go(cx: &Arc<FlowCx>) {
    let until = SystemClock.passed() + DRAIN_WITHIN / 2;
    while Arc::strong_count(cx) > 1 && SystemClock.passed() < until {
        SystemClock.sleep(Duration::from_millis(1)).await;
    }
}

/// Opens the ledger. Tasks that a server before this one had are free to be taken at once where it is sure to be gone.
async fn open_ledger(config: &Config, data: &DataFolder, random: &Random) -> anyhow::Result<Ledger> {
    let ledger = match config.store()? {
        None => Ledger::sqlite(&data.path().join("ledger.db")).context("open the ledger")?,
        Some(address) => open_postgres(address, data.path()).await.context("open the ledger")?,
    };
    let new_id = hex::encode(random.bytes::<16>());
    let is_alone = data.is_alone();
    let prepared = ledger.write(move |tx| -> ledger::Result<()> {
        if is_alone {
            ledger::end_leases(tx)?;
        }
        if ledger::meta_text(tx.reader(), SERVICE)?.is_none() {
            ledger::set_meta_text(tx, SERVICE, &new_id)?;
        }
        Ok(())
    });
    prepared.await.context("prepare the ledger")?;
    data.has_started()?;
    Ok(ledger)
}

/// Both may be started at once, as when a machine starts.
async fn open_postgres(address: PostgresAddress, folder: &Path) -> ledger::Result<Ledger> {
    let until = SystemClock.passed() + STORE_STARTS_WITHIN;
    loop {
        match Ledger::postgres(address.clone(), folder) {
            Err(error @ ledger::Error::Unavailable(_)) if SystemClock.passed() < until => {
                tracing::warn!(%error, "waits for the store");
                SystemClock.sleep(Duration::from_secs(1)).await;
            }
            opened => return opened,
        }
    }
}

/// The name under which the ledger keeps the service's own id.
const SERVICE: &str = "service";

/// Hashed from the service's id: two services on one machine begin at different places of the same pools.
fn pool_offset(ledger: &Ledger) -> anyhow::Result<u64> {
    let id = ledger.read(|reader| ledger::meta_text(reader, SERVICE)).context("read the service's id")?;
    let digest = Sha256::digest(id.unwrap_or_default().as_bytes());
    Ok(digest[..8].iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

fn rules(config: &Config, settings: &Settings) -> wire::Rules {
    let mut host_aliases = wire::official_hosts(PRODUCTS, &settings.region.name);
    host_aliases.extend(config.host_aliases());
    wire::Rules { host_aliases, unsigned_actions: &[] }
}

async fn rotate_logs(runtime: Arc<LocalRuntime>) {
    loop {
        SystemClock.sleep(ROTATE_LOGS_EVERY).await;
        if let Err(error) = runtime.rotate_logs().await {
            tracing::warn!(%error, "the nodes' logs can't be rotated");
        }
    }
}

async fn answer_requests(
    listener: TcpListener,
    api: Arc<Api>,
    drain: watch::Sender<bool>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        // These belong to the service itself; nothing is there yet.
        .route("/metrics", any(|| async { (StatusCode::NOT_FOUND, "there are no metrics yet\n") }))
        .route("/console", any(|| async { (StatusCode::NOT_FOUND, "there is no console yet\n") }))
        .fallback(handle)
        .with_state(api);
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = axum::serve(ApiListener(listener), router).with_graceful_shutdown(async move {
        stop.await;
        drain.send_replace(true);
        // Nobody listens any more only where serving has failed.
        let _ = stopping.send(());
    });
    let give_up = async {
        let asked = stopped.await;
        SystemClock.sleep(if asked.is_ok() { DRAIN_WITHIN } else { Duration::MAX }).await;
    };
    tokio::select! {
        served = serving => served.context("serve requests"),
        () = give_up => Ok(()),
    }
}

/// Resolves at the first SIGTERM or SIGINT.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut term = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
    })
}

/// Says something to whoever started the program: a person at a terminal, or a script that waits for it.
pub fn say(text: &str) {
    use std::io::Write;
    // Nobody listens any more: that is no reason to end.
    let _ = writeln!(std::io::stdout(), "{text}");
}

fn greeting(data: &Path, settings: &Settings, addr: SocketAddr, key: &RootKey, is_new: bool) -> String {
    let id = format!("  export TENCENTCLOUD_SECRET_ID={}\n", key.id);
    // Shown once. Later a line to paste would only overwrite a key that is right.
    let secret = if is_new {
        format!("  export TENCENTCLOUD_SECRET_KEY={}", key.key.expose())
    } else {
        format!("  # the SecretKey is OPENCRS_SECRET_KEY, or stands in {}", data.join(ROOT_KEY).display())
    };
    let what = format!("opencrs serve, owner {}, data in {}", settings.owner.uin, data.display());
    let end = format!("Ctrl-C ends the server alone; `opencrs stop --data {}` ends the instances too.", data.display());
    lines_to_paste(settings, addr, &(id + &secret), &what, &end)
}

/// What is said at the start: the address in a line of its own first, then lines to paste.
pub(crate) fn lines_to_paste(settings: &Settings, addr: SocketAddr, keys: &str, what: &str, end: &str) -> String {
    let region = &settings.region.name;
    format!(
        "listening on http://{addr}\n\n\
         {what}\n\
         {keys}\n  \
           export TENCENTCLOUD_REGION={region}\n  \
           tccli redis CreateInstances --endpoint http://{addr} --TypeId 17 --MemSize 1024 --GoodsNum 1 --Period 1 \\\n    \
             --BillingMode 0 --RedisReplicasNum 1 --Password Passw0rd-1\n  \
           tccli redis DescribeInstances --endpoint http://{addr}   # then: redis-cli -h WanIp -a Passw0rd-1\n  \
           tccli redis DescribeTaskList --endpoint http://{addr}\n\
         {end}\n"
    )
}
