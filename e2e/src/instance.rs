use std::time::Duration;

use redis::{ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, RedisResult};
use serde_json::{Value, json};

use crate::{Client, wait_for};

/// A connection to Redis that stays what it is: it is not opened again when it breaks.
pub type Connection = redis::Connection;

/// An instance that a test created.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `crs-...`
    pub id: String,
    /// The password that it was created with, or the one set by the test since.
    pub password: String,
    /// The address that its customer connects to.
    pub host: String,
    /// The port there.
    pub port: u16,
}

impl Instance {
    /// Creates one of the smallest size, and waits until it runs.
    pub fn create(client: &mut Client) -> Self {
        Self::create_with(client, json!({}))
    }

    /// Creates one with other parameters than the smallest, and waits until it runs.
    pub fn create_with(client: &mut Client, parameters: Value) -> Self {
        let mut request = json!({
            "TypeId": 17,
            "MemSize": 1024,
            "GoodsNum": 1,
            "Period": 1,
            "BillingMode": 0,
            "ZoneId": 100_003,
            "RedisShardNum": 1,
            "RedisReplicasNum": 0,
            "Password": "Correct-horse-1",
        });
        let more = parameters.as_object().expect("parameters are an object");
        request.as_object_mut().expect("an object").extend(more.clone());
        let password = request["Password"].as_str().unwrap_or_default().to_owned();
        let answer = client.done("CreateInstances", request);
        let id = answer["InstanceIds"][0].as_str().expect("an instance id");
        Instance::of_row(&wait_for_status(client, id, 2), &password)
    }

    /// The instance of a row of DescribeInstances.
    pub fn of_row(row: &Value, password: &str) -> Self {
        Instance {
            id: row["InstanceId"].as_str().expect("an id").to_owned(),
            password: password.to_owned(),
            host: row["WanIp"].as_str().expect("an address").to_owned(),
            port: row["Port"].as_u64().and_then(|port| port.try_into().ok()).expect("a port"),
        }
    }

    /// Connects as its customer does.
    ///
    /// # Errors
    /// What Redis or the network says.
    pub fn connect(&self) -> RedisResult<Connection> {
        self.connect_with(&self.password)
    }

    /// Connects with another password.
    ///
    /// # Errors
    /// What Redis or the network says.
    pub fn connect_with(&self, password: &str) -> RedisResult<Connection> {
        let mut info = ConnectionAddr::Tcp(self.host.clone(), self.port).into_connection_info()?;
        if !password.is_empty() {
            info = info.set_redis_settings(RedisConnectionInfo::default().set_password(password));
        }
        let connection = redis::Client::open(info)?.get_connection_with_timeout(Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(connection)
    }

    /// Runs one command on a connection of its own.
    ///
    /// # Errors
    /// What Redis or the network says.
    pub fn run<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        run(&mut self.connect()?, command)
    }

    /// Its row in DescribeInstances.
    pub fn describe(&self, client: &mut Client) -> Option<Value> {
        describe(client, &self.id)
    }

    /// Waits until its row shows the status, and returns the row.
    pub fn wait_for_status(&self, client: &mut Client, status: i64) -> Value {
        wait_for_status(client, &self.id, status)
    }
}

/// Runs one command on an open connection.
///
/// # Errors
/// What Redis or the network says.
pub fn run<T: FromRedisValue>(connection: &mut Connection, command: &[&str]) -> RedisResult<T> {
    let mut request = redis::cmd(command[0]);
    request.arg(&command[1..]);
    request.query(connection)
}

/// Waits until a task has ended, and returns what DescribeTaskInfo says of it.
pub fn wait_for_task(client: &mut Client, answer: &Value) -> Value {
    let id = &answer["TaskId"];
    wait_for(&format!("task {id} to end"), || {
        let task = client.done("DescribeTaskInfo", json!({ "TaskId": id }));
        matches!(task["Status"].as_str(), Some("succeed" | "failed" | "error")).then_some(task)
    })
}

fn describe(client: &mut Client, id: &str) -> Option<Value> {
    let answer = client.done("DescribeInstances", json!({ "InstanceId": id }));
    Some(answer["InstanceSet"].get(0)?.clone())
}

fn wait_for_status(client: &mut Client, id: &str, status: i64) -> Value {
    wait_for(&format!("{id} to have status {status}"), || describe(client, id).filter(|row| row["Status"] == status))
}
