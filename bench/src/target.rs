//! The instance that is changed under load.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use e2e::{Account, Instance, Writers};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::http::{Api, Connection, OPENCRS};
use crate::service::Service;

pub(crate) const PASSWORD: &str = "Bench-Passw0rd";
/// What it holds already: keys of a KiB each.
pub(crate) const KEYS: usize = 64 << 10;
/// The pause between two looks at a task.
const LOOK: Duration = Duration::from_millis(5);
/// How long replicas may take to be seen online by their primary, once a task has said so.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

/// How long there is load before and after a change.
const MARGIN: Duration = Duration::from_millis(300);

/// What a change did.
pub(crate) struct Outcome {
    /// From the request to the end of the task.
    pub(crate) took: Duration,
    pub(crate) account: Account,
}

/// A type that can be ordered.
pub(crate) struct Product {
    pub(crate) type_id: i64,
    pub(crate) engine: String,
    version: (u32, u32),
}

impl Product {
    /// Whether the type promises more than a version of its engine is.
    pub(crate) fn is_newer_than(&self, runs: &str) -> bool {
        self.version > numbers(runs)
    }
}

/// Major and minor number of `Redis-7.0` or `7.0.15`.
fn numbers(text: &str) -> (u32, u32) {
    let version = text.rsplit('-').next().unwrap_or_default();
    let mut numbers = version.split('.').map(|number| number.parse().unwrap_or_default());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default())
}

pub(crate) struct Target<'a> {
    service: &'a Service,
    connection: Connection,
    pub(crate) instance: Instance,
    /// Who writes while it is changed.
    pub(crate) load: fn(&Instance) -> Writers,
}

impl<'a> Target<'a> {
    /// No instance yet: for what is asked of the service.
    pub(crate) async fn open(service: &'a Service) -> anyhow::Result<Self> {
        let connection = Connection::open(service.addr).await?;
        let instance = Instance { id: String::new(), password: PASSWORD.into(), host: String::new(), port: 0 };
        Ok(Target { service, connection, instance, load: Writers::start })
    }

    /// An instance with two replicas and some data.
    pub(crate) async fn create(service: &'a Service, type_id: i64) -> anyhow::Result<Self> {
        let target = Target::order(service, type_id, 2).await?;
        let instance = target.instance.clone();
        spawn_blocking(move || fill(&instance)).await??;
        Ok(target)
    }

    /// An empty instance.
    pub(crate) async fn order(service: &'a Service, type_id: i64, replicas: usize) -> anyhow::Result<Self> {
        let mut target = Target::open(service).await?;
        let node = |kind: i64| json!({ "NodeType": kind, "ZoneId": 100_003 });
        let mut nodes = vec![node(0)];
        nodes.resize(1 + replicas, node(1));
        let order = json!({
            "TypeId": type_id, "MemSize": 1024, "GoodsNum": 1, "Period": 1, "BillingMode": 0, "Password": PASSWORD,
            "RedisReplicasNum": replicas, "NodeSet": nodes,
        });
        let answer = target.call("CreateInstances", &order).await?;
        target.instance.id = answer["InstanceIds"][0].as_str().context("an id")?.to_owned();
        let row = target.await_status(2).await?;
        target.instance = Instance::of_row(&row, PASSWORD);
        Ok(target)
    }

    /// Changes it while nobody uses it.
    pub(crate) async fn set(&mut self, action: &str, request: &Value) -> anyhow::Result<()> {
        self.call(action, request).await?;
        self.settled().await.with_context(|| action.to_owned())
    }

    /// Waits for the end of its newest task, which has to succeed.
    pub(crate) async fn settled(&mut self) -> anyhow::Result<()> {
        let task = self.await_task().await?;
        ensure!(task["Result"] == 2, "it ended with {task}");
        Ok(())
    }

    /// Removes it, so that the next one has the machine for itself.
    pub(crate) async fn destroy(mut self) -> anyhow::Result<()> {
        let id = json!({ "InstanceId": self.instance.id });
        self.call("DestroyPostpaidInstance", &id).await?;
        self.await_status(-3).await?;
        self.call("CleanUpInstance", &id).await?;
        self.await_task().await.map(drop)
    }

    /// Load alone.
    pub(crate) async fn rest(&mut self, time: Duration) -> anyhow::Result<Outcome> {
        let writers = (self.load)(&self.instance);
        sleep(time).await;
        Ok(Outcome { took: Duration::ZERO, account: finish(writers).await? })
    }

    /// A change under load that is no task: it holds as soon as it is answered.
    pub(crate) async fn change_at_once(&mut self, (action, request): (&str, Value)) -> anyhow::Result<Outcome> {
        let writers = (self.load)(&self.instance);
        sleep(MARGIN).await;
        let begin = Instant::now();
        self.call(action, &request).await?;
        let took = begin.elapsed();
        sleep(MARGIN).await;
        Ok(Outcome { took, account: finish(writers).await? })
    }

    /// Swaps the addresses of this instance and another one, under load at this one's.
    pub(crate) async fn swap_with(&mut self, other: &mut Target<'_>) -> anyhow::Result<Outcome> {
        let writers = (self.load)(&self.instance);
        sleep(MARGIN).await;
        let begin = Instant::now();
        let both = json!({ "SrcInstanceId": self.instance.id, "DstInstanceId": other.instance.id });
        self.call("SwitchInstanceVip", &both).await?;
        let task = self.await_task().await?;
        let took = begin.elapsed();
        sleep(MARGIN).await;
        ensure!(task["Result"] == 2, "SwitchInstanceVip ended with {task}");
        self.read_address().await?;
        other.read_address().await?;
        let (one, two) = (self.instance.clone(), other.instance.clone());
        let account = spawn_blocking(move || writers.finish_at(&[&one, &two])).await??;
        Ok(Outcome { took, account })
    }

    /// Learns where the instance is reached now.
    pub(crate) async fn read_address(&mut self) -> anyhow::Result<()> {
        let row = self.row().await?;
        self.instance = Instance::of_row(&row, &self.instance.password);
        Ok(())
    }

    /// Gives it another password under load, for a second of which both work.
    pub(crate) async fn rotate(&mut self, password: &str) -> anyhow::Result<Outcome> {
        let writers = (self.load)(&self.instance);
        sleep(MARGIN).await;
        let begin = Instant::now();
        let rotation = json!({ "InstanceId": self.instance.id, "Password": password, "OverlapSeconds": 1 });
        self.call_of(OPENCRS, "RotatePassword", &rotation).await?;
        let task = self.await_task().await?;
        let took = begin.elapsed();
        sleep(MARGIN).await;
        ensure!(task["Result"] == 2, "RotatePassword ended with {task}");
        self.instance.password = password.to_owned();
        let instance = self.instance.clone();
        let account = spawn_blocking(move || writers.finish_at(&[&instance])).await??;
        Ok(Outcome { took, account })
    }

    /// A change under load. It has to succeed, and to leave as many nodes as the instance is to have, each in its role.
    pub(crate) async fn change(&mut self, (action, request): (&str, Value)) -> anyhow::Result<Outcome> {
        let writers = (self.load)(&self.instance);
        sleep(MARGIN).await;
        let begin = Instant::now();
        self.call(action, &request).await?;
        let task = self.await_task().await?;
        let took = begin.elapsed();
        sleep(MARGIN).await;
        let account = finish(writers).await?;
        ensure!(task["Result"] == 2, "{action} ended with {task}");
        self.check_roles().await.with_context(|| format!("after {action}"))?;
        Ok(Outcome { took, account })
    }

    async fn check_roles(&mut self) -> anyhow::Result<()> {
        let row = self.row().await?;
        ensure!(row["Status"] == 2, "it has status {}", row["Status"]);
        let replicas = row["RedisReplicasNum"].as_u64().context("a number of replicas")? as usize;
        let until = Instant::now() + SETTLES_WITHIN;
        loop {
            let instance = self.instance.clone();
            let info: String = spawn_blocking(move || instance.run(&["INFO", "replication"])).await??;
            let online = info.lines().filter(|line| line.contains("state=online")).count();
            if info.contains("role:master")
                && info.contains(&format!("connected_slaves:{replicas}"))
                && online == replicas
            {
                return Ok(());
            }
            ensure!(Instant::now() < until, "it should have {replicas} replicas online: {info}");
            sleep(LOOK).await;
        }
    }

    /// What can be ordered, the oldest first.
    pub(crate) async fn products(&mut self) -> anyhow::Result<Vec<Product>> {
        let answer = self.call("DescribeProductInfo", &json!({})).await?;
        let listed = answer["RegionSet"][0]["ZoneSet"][0]["ProductSet"].as_array().context("a list of products")?;
        let mut products = Vec::new();
        for product in listed.iter().filter(|product| product["PayMode"] == "0") {
            products.push(Product {
                type_id: product["Type"].as_i64().context("a type")?,
                engine: product["Engine"].as_str().context("an engine")?.to_owned(),
                version: numbers(product["Version"].as_str().context("a version")?),
            });
        }
        Ok(products)
    }

    /// What it runs, and the newest build of that.
    pub(crate) async fn versions(&mut self) -> anyhow::Result<(String, String)> {
        let row = self.row().await?;
        let text = |field: &str| row[field].as_str().map(str::to_owned).with_context(|| format!("{field} is no text"));
        Ok((text("CurrentRedisVersion")?, text("UpgradeRedisVersion")?))
    }

    /// Its nodes, as requests name them.
    pub(crate) async fn nodes(&mut self) -> anyhow::Result<Vec<Value>> {
        let row = self.row().await?;
        let nodes = row["NodeSet"].as_array().context("a list of nodes")?.iter();
        Ok(nodes.map(|node| json!({ "NodeType": node["NodeType"], "NodeId": node["NodeId"] })).collect())
    }

    pub(crate) async fn nodes_of_type(&mut self, kind: i64) -> anyhow::Result<Vec<Value>> {
        let mut nodes = self.nodes().await?;
        nodes.retain(|node| node["NodeType"] == kind);
        Ok(nodes)
    }

    pub(crate) async fn group_of_a_replica(&mut self) -> anyhow::Result<Value> {
        let id = json!({ "InstanceId": self.instance.id });
        let answer = self.call("DescribeInstanceZoneInfo", &id).await?;
        let groups = answer["ReplicaGroups"].as_array().context("a list of groups")?;
        let replica = groups.iter().find(|group| group["Role"] == "replica").context("a replica")?;
        Ok(replica["GroupId"].clone())
    }

    async fn call(&mut self, action: &str, request: &Value) -> anyhow::Result<Value> {
        self.connection.call(self.service.addr, action, request).await
    }

    /// Calls an action of another product.
    pub(crate) async fn call_of(&mut self, api: Api, action: &str, request: &Value) -> anyhow::Result<Value> {
        self.connection.call_of(api, self.service.addr, action, request).await
    }

    async fn row(&mut self) -> anyhow::Result<Value> {
        let id = json!({ "InstanceId": self.instance.id });
        Ok(self.call("DescribeInstances", &id).await?["InstanceSet"][0].take())
    }

    async fn await_status(&mut self, status: i64) -> anyhow::Result<Value> {
        loop {
            let row = self.row().await?;
            if row["Status"] == status {
                return Ok(row);
            }
            sleep(LOOK).await;
        }
    }

    /// Its newest task, once that has ended.
    async fn await_task(&mut self) -> anyhow::Result<Value> {
        let newest = json!({ "InstanceId": self.instance.id, "Limit": 1 });
        loop {
            let task = self.call("DescribeTaskList", &newest).await?["Tasks"][0].take();
            if task["Result"] != 0 && task["Result"] != 1 {
                return Ok(task);
            }
            sleep(LOOK).await;
        }
    }
}

async fn finish(writers: Writers) -> anyhow::Result<Account> {
    Ok(spawn_blocking(move || writers.finish()).await??)
}

fn fill(instance: &Instance) -> anyhow::Result<()> {
    let mut connection = instance.connect()?;
    let value = "x".repeat(1 << 10);
    for batch in (0..KEYS).collect::<Vec<_>>().chunks(512) {
        let mut sets = redis::pipe();
        for key in batch {
            sets.set(format!("filler-{key}"), &value).ignore();
        }
        sets.query::<()>(&mut connection)?;
    }
    Ok(())
}
