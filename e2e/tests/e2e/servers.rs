//! Several servers on one store, which are killed and hang; and a store that dies beneath them.

use std::time::{Duration, Instant};

use e2e::{Client, Cluster, Instance, Load, Server, Service, pause, wait_for, wait_for_task};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

const SEED: u64 = 20_261_124;

fn count(client: &mut Client, results: &[i64]) -> i64 {
    client.done("DescribeTaskList", json!({ "Result": results }))["TotalCount"].as_i64().expect("a count")
}

#[test]
fn any_of_several_servers_answers_anything_and_reads_what_the_others_wrote() {
    let cluster = Cluster::start();
    let service = Service::start_on(&cluster);
    let others = [service.start_beside(2), service.start_beside(3)];
    let addresses = [service.address(), others[0].address(), others[1].address()].map(str::to_owned);
    let mut clients = addresses.each_ref().map(|address| {
        let mut client = Client::python(&service);
        client.settings.address.clone_from(address);
        client
    });
    let instance = Instance::create(&mut clients[0]);
    for round in 0_usize..30 {
        let (writer, reader) = (round % 3, (round + 1) % 3);
        let name = format!("round-{round}");
        let rename = json!({ "InstanceId": instance.id, "Operation": "rename", "InstanceName": name });
        clients[writer].done("ModifyInstance", rename);
        let row = instance.describe(&mut clients[reader]).expect("its row");
        assert_eq!(row["InstanceName"], name.as_str());
    }
    for client in &mut clients {
        let accepted =
            client.done("ClearInstance", json!({ "InstanceId": instance.id, "Password": "Correct-horse-1" }));
        assert_eq!(wait_for_task(client, &accepted)["Status"], "succeed");
    }
    assert_eq!(count(&mut clients[1], &[2]), 4);
    let gateways =
        service.processes().into_iter().filter(|process| process.command.get(1).is_some_and(|word| word == "gateway"));
    assert_eq!(gateways.count(), 1);
    drop(others);
}

/// Submits changes at whichever server answers, while servers are killed and stand still.
#[test]
fn where_servers_are_killed_and_hang_at_random_every_accepted_change_ends_well() {
    let cluster = Cluster::start();
    let service = Service::start_on(&cluster);
    let mut servers: Vec<Server> = (2..5).map(|number| service.start_beside(number)).collect();
    let mut random = StdRng::seed_from_u64(SEED);
    let mut client = Client::python(&service);
    let instances: Vec<Instance> = (0..3).map(|_| Instance::create(&mut client)).collect();
    let load = Load::start(&Instance::create(&mut client));
    let (mut accepted, mut sizes) = (Vec::new(), [1024; 3]);
    let until = Instant::now() + Duration::from_secs(45);
    while Instant::now() < until {
        let hit = random.random_range(0..servers.len());
        let hangs = random.random_bool(0.3);
        if hangs {
            servers[hit].hold(true);
        } else {
            servers[hit].kill();
        }
        for _ in 0..3 {
            let nth = random.random_range(0..instances.len());
            let at = (hit + random.random_range(1..servers.len())) % servers.len();
            servers[at].address().clone_into(&mut client.settings.address);
            let size = if sizes[nth] == 1024 { 2048 } else { 1024 };
            let wanted = json!({ "InstanceId": instances[nth].id, "MemSize": size });
            // One that another change has is refused.
            if let Ok(answer) = client.call("UpgradeInstance", wanted) {
                sizes[nth] = size;
                let task = answer["DealId"].clone();
                accepted.push((nth, task));
            }
            pause(Duration::from_millis(random.random_range(0..700)));
        }
        if hangs {
            servers[hit].hold(false);
        } else {
            servers[hit].resume();
        }
    }
    let first = service.address().to_owned();
    client.settings.address = first;
    let began = Instant::now();
    // A lease, and some more.
    while count(&mut client, &[0, 1]) > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "a task does not end");
        pause(Duration::from_millis(200));
    }
    assert_eq!(count(&mut client, &[4]), 0, "a change failed");
    assert!(accepted.len() >= 5, "hardly anything was changed: {accepted:?}");
    assert_eq!(count(&mut client, &[2]), accepted.len() as i64 + 4, "each is done, and once");
    for (instance, size) in instances.iter().zip(sizes) {
        let row: Value = instance.describe(&mut client).expect("its row");
        assert_eq!((&row["Size"], &row["Status"]), (&json!(f64::from(size)), &json!(2)), "{row}");
        assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
    }
    assert_eq!(service.engines().len(), 4, "an engine is lost or left over");
    load.finish();
    drop(servers);
}

#[test]
fn while_the_store_is_away_requests_are_refused_in_time_and_all_goes_on_when_it_is_back() {
    let mut cluster = Cluster::start();
    let service = Service::start_on(&cluster);
    let mut client = Client::python(&service);
    let instance = Instance::create(&mut client);
    let load = Load::start(&instance);
    for _ in 0..2 {
        let accepted = client.done("UpgradeInstance", json!({ "InstanceId": instance.id, "MemSize": 2048 }));
        assert!(accepted["DealId"].is_string(), "{accepted}");
        cluster.crash();
        for (action, params) in [
            ("DescribeInstances", json!({})),
            ("ModifyInstance", json!({ "InstanceId": instance.id, "Operation": "rename", "InstanceName": "x" })),
            ("DescribeTaskList", json!({})),
        ] {
            let began = Instant::now();
            assert_eq!(client.refused(action, params).code, "InternalError.DbOperationFailed");
            assert!(began.elapsed() < Duration::from_secs(10), "{action} took {:?}", began.elapsed());
        }
        assert_eq!(instance.run::<String>(&["PING"]).expect("PING"), "PONG");
        cluster.resume();
        wait_for("the change to be done", || {
            let row = client.call("DescribeInstances", json!({ "InstanceId": instance.id })).ok()?;
            let row = &row["InstanceSet"][0];
            (row["Status"] == 2 && row["Size"] == 2048.0).then_some(())
        });
        assert_eq!(count(&mut client, &[0, 1, 4]), 0);
        let back = client.done("UpgradeInstance", json!({ "InstanceId": instance.id, "MemSize": 1024 }));
        assert!(back["DealId"].is_string(), "{back}");
        instance.wait_for_status(&mut client, 2);
    }
    load.finish();
}
