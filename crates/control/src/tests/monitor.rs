//! What was seen of instances: kept by minutes and hours, told over spans, and slow commands of gateway and nodes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use flow::Clock;
use flow::harness::NoProbe;
use ledger::SightKind;
use model::{CommandCounts, Counts, HotKey, HotMinute, InstanceId, Millis, NodeRole, Sight, SlowCommand};
use serde_json::{Value, json};

use super::site::Site;
use crate::keepers::sight::look;
use crate::sight::{HOUR, MINUTE, begin_of};
use crate::when;

const GONE: &str = "ResourceNotFound.InstanceNotExists";
const VALUE: &str = "InvalidParameterValue";
const MISSING: &str = "MissingParameter";
const STATUS: &str = "ResourceUnavailable.InstanceStatusError";
const NO_ANSWER: &str = "FailedOperation.RedoFlowFailed";

/// Commands that were answered so far, half a millisecond each but for one, which took 20.
fn counts(gets: u64, sets: u64) -> Counts {
    let of = |count: u64, micros| CommandCounts { count, failed: 0, micros: count * micros, max_micros: micros };
    let mut latency = vec![0; model::LATENCY_STEPS.len() + 1];
    latency[3] = gets;
    latency[8] = sets;
    let commands = BTreeMap::from([("get".into(), of(gets, 500)), ("set".into(), of(sets, 20_000))]);
    Counts { commands, latency, ..Counts::default() }
}

fn hot(key: &str, count: u64) -> HotKey {
    HotKey { database: 0, key: key.into(), count, error: 0 }
}

impl Site {
    /// The gateway's clock, which is the host's.
    fn host_now(&self) -> Millis {
        self.clock.now() - self.cx.ahead()
    }

    fn sees(&self, id: &InstanceId, change: impl FnOnce(&mut Sight)) {
        let now = self.host_now();
        let mut all = self.gateway.sights.lock().unwrap();
        let sight = all.entry(id.clone()).or_default();
        (sight.taken_at, sight.seen_at) = (now, now);
        change(sight);
    }

    fn advance(&self, span: Duration) {
        self.cx.dev.as_ref().unwrap().clock.advance(span);
    }

    async fn look(&self) {
        look(&self.cx, Millis(0)).await.unwrap();
    }

    async fn told(&self, action: &str, id: &InstanceId, span: i64) -> Value {
        self.call(action, json!({"InstanceId": id.as_str(), "SpanType": span})).await.unwrap()["Data"].take()
    }

    fn kept(&self, id: &InstanceId, kind: SightKind) -> Vec<(Millis, String)> {
        let read = self.cx.ledger.read(|reader| ledger::sights(reader, id, kind, Millis(0), Millis(i64::MAX)));
        read.unwrap()
    }

    fn written(&self, at: Millis) -> String {
        when::write(at, self.cx.settings.utc_offset_seconds)
    }

    /// A request of slow commands from an hour ago to an hour from now.
    fn slow_request(&self, id: &InstanceId, extra: Value) -> Value {
        let now = self.clock.now();
        let (begin, end) = (self.written(now - HOUR), self.written(now + HOUR));
        let mut request = json!({"InstanceId": id.as_str(), "BeginTime": begin, "EndTime": end});
        request.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        request
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_with_its_own_code_and_changes_nothing() {
    let site = Site::new();
    let id = site.create().await;
    let isolated = site.create().await;
    site.run("DestroyPostpaidInstance", &isolated).await;
    let times = |begin: &str, end: &str| json!({"InstanceId": id.as_str(), "BeginTime": begin, "EndTime": end});
    let mut cases = Vec::new();
    for action in
        ["DescribeInstanceMonitorHotKey", "DescribeInstanceMonitorTopNCmd", "DescribeInstanceMonitorTopNCmdTook"]
    {
        cases.push((action, json!({"InstanceId": "crs-nowhere1", "SpanType": 1}), GONE));
        cases.push((action, json!({"InstanceId": id.as_str()}), MISSING));
        cases.push((action, json!({"InstanceId": id.as_str(), "SpanType": 0}), VALUE));
        cases.push((action, json!({"InstanceId": id.as_str(), "SpanType": 5}), VALUE));
    }
    for date in ["2019-02-30", "20190230", "yesterday", "", "2019/02/19", "2999-01-01"] {
        let request = json!({"InstanceId": id.as_str(), "SpanType": 1, "Date": date});
        cases.push(("DescribeInstanceMonitorTookDist", request, VALUE));
    }
    cases.push(("DescribeInstanceMonitorSIP", json!({"InstanceId": "crs-nowhere1"}), GONE));
    let date = json!({"InstanceId": id.as_str(), "ReqType": 1, "Date": "2019-11-07"});
    for action in [
        "DescribeInstanceMonitorBigKey",
        "DescribeInstanceMonitorBigKeySizeDist",
        "DescribeInstanceMonitorBigKeyTypeDist",
    ] {
        let mut date = date.clone();
        if action != "DescribeInstanceMonitorBigKey" {
            date.as_object_mut().unwrap().remove("ReqType");
        }
        cases.push((action, date, "ActionOffline"));
    }
    for action in ["DescribeSlowLog", "DescribeProxySlowLog", "DescribeTendisSlowLog"] {
        cases.push((action, json!({"InstanceId": id.as_str()}), MISSING));
        cases.push((action, times("2019-01-01", "2019-01-01 00:00:00"), VALUE));
        cases.push((action, times("2019-01-01 00:00:01", "2019-01-01 00:00:00"), VALUE));
        cases.push((action, times("2019-01-01 00:00:00", "2019-01-31 00:00:01"), VALUE));
        for extra in [json!({"Limit": 0}), json!({"Limit": 101}), json!({"Offset": -1}), json!({"MinQueryTime": -1})] {
            cases.push((action, site.slow_request(&id, extra), VALUE));
        }
        let nowhere = InstanceId::parse("crs-nowhere1").unwrap();
        cases.push((action, site.slow_request(&nowhere, json!({})), GONE));
        if action != "DescribeTendisSlowLog" {
            cases.push((action, site.slow_request(&isolated, json!({})), STATUS));
        }
    }
    cases.push(("DescribeSlowLog", site.slow_request(&id, json!({"Role": "primary"})), VALUE));
    let version = site.cx.ledger.version();
    for (action, request, code) in cases {
        let error = site.call(action, request.clone()).await.expect_err(&format!("{action} {request}"));
        assert_eq!(error.code, code, "{action} {request}: {error}");
        assert!(!error.message.en.is_empty() && !error.message.zh.is_empty(), "{action} {request}");
    }
    site.gateway.is_blind.store(true, Ordering::SeqCst);
    for (action, request) in [
        ("DescribeInstanceMonitorHotKey", json!({"InstanceId": id.as_str(), "SpanType": 1})),
        ("DescribeInstanceMonitorTopNCmd", json!({"InstanceId": id.as_str(), "SpanType": 4})),
        ("DescribeInstanceMonitorSIP", json!({"InstanceId": id.as_str()})),
        ("DescribeProxySlowLog", site.slow_request(&id, json!({}))),
    ] {
        assert_eq!(site.call(action, request).await.unwrap_err().code, NO_ANSWER, "{action}");
    }
    assert_eq!(site.cx.ledger.version(), version, "nothing was written");
}

#[tokio::test]
async fn commands_are_told_over_each_span_whoever_was_restarted() {
    let site = Site::new();
    let id = site.create().await;
    assert_eq!(site.told("DescribeInstanceMonitorTopNCmd", &id, 1).await, json!([]));
    // Five hours ago, and again after the gateway was started anew.
    site.sees(&id, |sight| (sight.since, sight.counts) = (Millis(1), counts(100, 10)));
    site.look().await;
    site.advance(5 * HOUR);
    site.sees(&id, |sight| (sight.since, sight.counts) = (Millis(2), counts(20, 0)));
    site.look().await;
    site.advance(MINUTE);
    // Told now, and not yet kept.
    site.sees(&id, |sight| sight.counts = counts(50, 1));
    let count = |get: i64, set: i64| {
        let all = [json!({"Cmd": "get", "Count": get}), json!({"Cmd": "set", "Count": set})];
        Value::from(all.into_iter().filter(|row| row["Count"] != 0).collect::<Vec<_>>())
    };
    let action = "DescribeInstanceMonitorTopNCmd";
    assert_eq!(site.told(action, &id, 2).await, count(50, 1));
    assert_eq!(site.told(action, &id, 3).await, count(150, 11));
    assert_eq!(site.told(action, &id, 4).await, count(150, 11));
    let took = site.told("DescribeInstanceMonitorTopNCmdTook", &id, 3).await;
    assert_eq!(took, json!([{"Cmd": "set", "Took": 220_000}, {"Cmd": "get", "Took": 75_000}]));
    site.advance(2 * HOUR);
    assert_eq!(site.told(action, &id, 1).await, count(30, 1), "what was not kept yet");
    assert_eq!(site.told(action, &id, 3).await, count(50, 1));

    let dist = |span: i64, date: String| json!({"InstanceId": id.as_str(), "SpanType": span, "Date": date});
    let today = site.written(site.clock.now())[..10].to_owned();
    for date in [today.clone(), today.replace('-', "")] {
        let told = site.call("DescribeInstanceMonitorTookDist", dist(4, date)).await.unwrap();
        let rows: Vec<(i64, i64)> = told["Data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| {
                assert_eq!(row["Updatetime"], site.clock.now().seconds());
                (row["Ladder"].as_i64().unwrap(), row["Size"].as_i64().unwrap())
            })
            .collect();
        assert_eq!(rows, [(1, 150), (5, 0), (10, 0), (50, 11), (200, 0), (-1, 0)]);
    }
    // Days later there are the hours left.
    let midnight = when::midnight(site.clock.now(), site.cx.settings.utc_offset_seconds) + 24 * HOUR;
    site.advance(72 * HOUR);
    site.look().await;
    assert!(site.kept(&id, SightKind::Minute).len() <= 1, "minutes are kept for a day");
    let told = site.call("DescribeInstanceMonitorTookDist", dist(4, today)).await.unwrap();
    let sum: i64 = told["Data"].as_array().unwrap().iter().map(|row| row["Size"].as_i64().unwrap()).sum();
    let of_day: u64 = site
        .kept(&id, SightKind::Hour)
        .iter()
        .filter(|(at, _)| *at < midnight && *at >= midnight - 24 * HOUR)
        .map(|(_, body)| crate::sight::read_body::<crate::sight::Seen>(body).unwrap())
        .map(|seen| seen.counts.latency.iter().sum::<u64>())
        .sum();
    assert_eq!(sum, of_day as i64);
    site.advance(31 * 24 * HOUR);
    site.look().await;
    assert!(site.kept(&id, SightKind::Hour).is_empty(), "hours are kept for 30 days");
}

#[tokio::test]
async fn an_instance_that_nothing_was_asked_of_costs_nothing() {
    let site = Site::new();
    let (busy, idle) = (site.create().await, site.create().await);
    site.sees(&busy, |sight| sight.counts = counts(1, 0));
    site.sees(&idle, |_| ());
    site.look().await;
    site.look().await;
    assert_eq!(site.kept(&busy, SightKind::Minute).len(), 1);
    assert_eq!(site.kept(&busy, SightKind::Last).len(), 1);
    for kind in [SightKind::Minute, SightKind::Hour, SightKind::Last] {
        assert!(site.kept(&idle, kind).is_empty());
    }
    site.run("DestroyPostpaidInstance", &busy).await;
    site.run("CleanUpInstance", &busy).await;
    site.look().await;
    for kind in [SightKind::Minute, SightKind::Hour, SightKind::Last] {
        assert!(site.kept(&busy, kind).is_empty(), "what is gone is forgotten");
    }
}

#[tokio::test]
async fn hot_keys_are_told_with_their_types_now_and_over_each_span() {
    let site = Site::new();
    let id = site.create().await;
    site.world.write_key(&site.primary(&id), "there").unwrap();
    let minute = begin_of(site.host_now(), MINUTE).0 / 60_000;
    let minute_of = |minute, keys| HotMinute { minute, keys };
    site.sees(&id, |sight| {
        sight.hot = vec![hot("there", 70)];
        sight.hot_minutes =
            vec![minute_of(minute - 2, vec![hot("there", 5)]), minute_of(minute - 1, vec![hot("a", 9)])];
    });
    site.look().await;
    // The same minutes are told again, and one more.
    site.sees(&id, |sight| sight.hot_minutes.push(minute_of(minute, vec![hot("a", 2)])));
    site.look().await;
    let now = site.told("DescribeInstanceMonitorHotKey", &id, 1).await;
    assert_eq!(now, json!([{"Key": "there", "Type": "string", "Count": 70}]));
    let half_an_hour = site.told("DescribeInstanceMonitorHotKey", &id, 2).await;
    let there = json!({"Key": "there", "Type": "string", "Count": 75});
    assert_eq!(half_an_hour, json!([there, {"Key": "a", "Type": "", "Count": 11}]));
    site.world.set_silent(&site.primary(&id), true);
    let now = site.told("DescribeInstanceMonitorHotKey", &id, 1).await;
    assert_eq!(now, json!([{"Key": "there", "Type": "", "Count": 70}]));
}

#[tokio::test]
async fn sources_are_told_by_how_many_connections_they_have() {
    let site = Site::new();
    let id = site.create().await;
    let source = |last| IpAddr::from([10, 0, 0, last]);
    site.sees(&id, |sight| sight.sources = BTreeMap::from([(source(1), 2), (source(2), 5)]));
    let told = site.call("DescribeInstanceMonitorSIP", json!({"InstanceId": id.as_str()})).await.unwrap();
    let rows = json!([{"Ip": "10.0.0.2", "Conn": 5, "Cmd": 0}, {"Ip": "10.0.0.1", "Conn": 2, "Cmd": 0}]);
    assert_eq!(told["Data"], rows);
}

#[tokio::test]
async fn slow_commands_of_the_gateway_are_told_and_kept() {
    let site = Site::new();
    let id = site.create().await;
    let now = site.host_now();
    let slow = |number: u64, ago: u64, millis: u64| SlowCommand {
        id: number,
        at: now - Duration::from_secs(ago),
        micros: millis * 1000 + 999,
        client: "10.0.0.1:5000".into(),
        account: "app".into(),
        database: 0,
        arguments: vec!["HGETALL".into(), format!("key-{number}")],
    };
    site.sees(&id, |sight| sight.slow = vec![slow(1, 600, 700), slow(2, 60, 800)]);
    site.look().await;
    site.sees(&id, |sight| sight.slow = vec![slow(2, 60, 800), slow(3, 1, 900)]);
    let ask = |extra: Value| site.call("DescribeProxySlowLog", site.slow_request(&id, extra));
    let told = ask(json!({})).await.unwrap();
    assert_eq!(told["TotalCount"], 3, "{told}");
    let nodes = site.call("DescribeInstanceNodeInfo", json!({"InstanceId": id.as_str()})).await.unwrap();
    let newest = json!({
        "Duration": 900, "Client": "10.0.0.1:5000", "Command": "HGETALL", "CommandLine": "HGETALL key-3",
        "ExecuteTime": site.written(now - Duration::from_secs(1)), "RecvClientEnd": 0, "SendClientEnd": 900,
        "Node": nodes["Proxy"][0]["NodeId"],
    });
    assert_eq!(told["InstanceProxySlowLogDetail"][0], newest);
    let told = ask(json!({"MinQueryTime": 800, "Limit": 1, "Offset": 1})).await.unwrap();
    assert_eq!(told["TotalCount"], 2);
    let page = told["InstanceProxySlowLogDetail"].as_array().unwrap();
    assert_eq!(page.iter().map(|row| row["CommandLine"].as_str().unwrap()).collect::<Vec<_>>(), ["HGETALL key-2"]);
    let early = json!({"EndTime": site.written(now - Duration::from_secs(300))});
    assert_eq!(ask(early).await.unwrap()["TotalCount"], 1);
}

#[tokio::test]
async fn more_than_ten_thousand_slow_commands_are_counted_and_not_shown() {
    let site = Site::new();
    let id = site.create().await;
    let now = site.host_now();
    let slow = |number: u64| SlowCommand {
        id: number,
        at: now,
        micros: 1_000_000,
        client: String::new(),
        account: String::new(),
        database: 0,
        arguments: vec!["GET".into()],
    };
    for (many, shown) in [(10_000, 20), (10_001, 0)] {
        site.sees(&id, |sight| sight.slow = (0..many).map(slow).collect());
        let told = site.call("DescribeProxySlowLog", site.slow_request(&id, json!({}))).await.unwrap();
        assert_eq!(told["TotalCount"], many);
        assert_eq!(told["InstanceProxySlowLogDetail"].as_array().unwrap().len(), shown);
    }
}

#[tokio::test]
async fn slow_commands_of_nodes_are_told_without_those_of_the_service_and_outlive_the_node() {
    let site = Site::new();
    let id = site.create().await;
    let nodes = site.cx.ledger.read(|reader| ledger::nodes_of(reader, &id)).unwrap();
    let node = |role| nodes.iter().find(|node| node.role == role).unwrap().id.clone();
    let (primary, replica) = (node(NodeRole::Primary), node(NodeRole::Replica));
    let second = site.host_now().seconds();
    site.world.log_slow(&primary, second - 9, 1_500_999, "EVAL return 0");
    site.world.log_slow(&primary, second - 8, 30_000, "CONFIG SET maxmemory 1");
    site.world.log_slow(&primary, second - 7, 40_000, "AUTH hunter2");
    site.world.log_slow(&primary, second - 7, 40_000, "GET a");
    site.world.log_slow(&primary, second - 6, 20_000, "slowlog GET");
    site.world.log_slow(&replica, second - 5, 50_000, "DEL a");
    let ask = |extra: Value| site.call("DescribeSlowLog", site.slow_request(&id, extra));
    let lines = |told: &Value| -> Vec<String> {
        let rows = told["InstanceSlowLogDetail"].as_array().unwrap().iter();
        rows.map(|row| row["CommandLine"].as_str().unwrap().to_owned()).collect()
    };
    let told = ask(json!({})).await.unwrap();
    assert_eq!(lines(&told), ["DEL a", "GET a", "EVAL return 0"]);
    assert_eq!(told["TotalCount"], 3);
    assert_eq!(told["InstanceSlowlogDetail"], told["InstanceSlowLogDetail"]);
    let oldest = &told["InstanceSlowLogDetail"][2];
    let expected = json!({
        "Duration": 1500, "Client": "127.0.0.1:5", "Command": "EVAL", "CommandLine": "EVAL return 0",
        "ExecuteTime": site.written(Millis::from_seconds(second - 9)), "Node": primary.as_str(),
    });
    assert_eq!(*oldest, expected);
    for (extra, found) in [
        (json!({"Role": "master"}), vec!["GET a", "EVAL return 0"]),
        (json!({"Role": "slave"}), vec!["DEL a"]),
        (json!({"Role": "Replica"}), vec!["DEL a"]),
        (json!({"MinQueryTime": 50}), vec!["DEL a", "EVAL return 0"]),
        (json!({"Limit": 1, "Offset": 1}), vec!["GET a"]),
        (json!({"EndTime": site.written(Millis::from_seconds(second - 7))}), vec!["GET a", "EVAL return 0"]),
    ] {
        assert_eq!(lines(&ask(extra.clone()).await.unwrap()), found, "{extra}");
    }
    // Somebody has asked for something, so that the keeper looks at the nodes' logs too.
    site.sees(&id, |sight| sight.counts = counts(1, 0));
    site.look().await;
    site.world.set_silent(&replica, true);
    site.world.set_silent(&primary, true);
    assert_eq!(lines(&ask(json!({})).await.unwrap()), ["DEL a", "GET a", "EVAL return 0"]);
    site.settle(&NoProbe).await;
}

#[tokio::test]
async fn what_is_slow_to_the_gateway_is_a_parameter() {
    let site = Site::new();
    let id = site.create().await;
    let mark = || site.gateway.table.lock().unwrap().routes[0].limits.slow_after_ms;
    assert_eq!(mark(), Some(500));
    for (value, expected) in [("20", Some(20)), ("-1", None), ("0", Some(0)), ("500", Some(500))] {
        let params = json!([{"Key": "proxy-slowlog-log-slower-than", "Value": value}]);
        let request = json!({"InstanceId": id.as_str(), "InstanceParams": params});
        site.call("ModifyInstanceParams", request).await.unwrap();
        site.settle(&NoProbe).await;
        assert_eq!(mark(), expected, "{value}");
    }
    site.assert_settled("after all");
}
