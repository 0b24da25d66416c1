//! What a client has made of its connection, by an unmodified client library, goes along when another node takes over.

use e2e::{Client, Instance, Service, wait_for, wait_for_task};
use serde_json::{Value, json};

#[test]
fn a_session_goes_on_with_another_primary() {
    let service = Service::start();
    let mut client = Client::python(&service);
    let instance = Instance::create_with(&mut client, json!({ "RedisReplicasNum": 1 }));
    let connect = json!({ "host": instance.host, "port": instance.port, "password": instance.password });
    let run = |client: &mut Client, name: &str, command: Value| {
        let said = client.redis_py(name, connect.clone(), command.clone());
        said.unwrap_or_else(|refusal| panic!("{name}: {command}: {refusal:?}"))
    };
    run(&mut client, "named", json!(["SELECT", 3]));
    run(&mut client, "named", json!(["CLIENT", "SETNAME", "ann"]));
    run(&mut client, "named", json!(["SET", "k", "in 3"]));
    run(&mut client, "transaction", json!(["MULTI"]));
    run(&mut client, "transaction", json!(["INCR", "n"]));
    run(&mut client, "watches", json!(["SET", "w", "1"]));
    run(&mut client, "watches", json!(["WATCH", "w"]));
    let sha = run(&mut client, "script", json!(["SCRIPT", "LOAD", "return 'here'"]));

    for _ in 0..2 {
        let groups = client.done("DescribeInstanceZoneInfo", json!({ "InstanceId": instance.id }));
        let all = groups["ReplicaGroups"].as_array().expect("groups").clone();
        let replica = all.into_iter().find(|group| group["Role"] == "replica").expect("a replica");
        let params = json!({ "InstanceId": instance.id, "GroupId": replica["GroupId"] });
        let answer = client.done("ChangeReplicaToMaster", params);
        assert_eq!(wait_for_task(&mut client, &answer)["Status"], "succeed");
        instance.wait_for_status(&mut client, 2);
    }

    assert_eq!(run(&mut client, "named", json!(["GET", "k"])), "in 3");
    assert_eq!(run(&mut client, "named", json!(["CLIENT", "GETNAME"])), "ann");
    assert_eq!(run(&mut client, "transaction", json!(["EXEC"])), json!([1]));
    run(&mut client, "watches", json!(["MULTI"]));
    run(&mut client, "watches", json!(["INCR", "w"]));
    assert_eq!(run(&mut client, "watches", json!(["EXEC"])), Value::Null, "as if the key had changed");
    assert_eq!(run(&mut client, "script", json!(["EVALSHA", sha, 0])), "here");
    wait_for("the key to be as it was", || instance.run::<String>(&["GET", "w"]).ok().filter(|value| value == "1"));
}
