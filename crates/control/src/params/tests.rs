use model::code;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::*;

/// A request with everything that one can have.
#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Request {
    /// Which instance.
    instance_id: Id,
    name: Option<String>,
    mode: Option<Mode>,
    limit: Option<u64>,
    #[schemars(range(min = 1, max = 100))]
    port: Option<i32>,
    offset: Option<i64>,
    small: Option<u8>,
    ratio: Option<f64>,
    no_auth: Option<bool>,
    zones: Option<Vec<u64>>,
    names: Option<Vec<String>>,
    policy: Option<Policy>,
    node_set: Option<Vec<Node>>,
    #[schemars(extend("x-lenient" = true))]
    task_id: Option<Number>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Id(String);

impl TryFrom<String> for Id {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Ok(Id(text))
    }
}

#[derive(Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Number(u64);

#[derive(Deserialize, JsonSchema)]
enum Mode {
    /// Documented variants have a schema of another form.
    Fast,
    /// Slow.
    Slow,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Policy {
    min_length: i64,
    hint: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(rename_all = "PascalCase")]
#[expect(dead_code, reason = "only its schema is of interest")]
struct Node {
    zone_id: u64,
    node_type: Option<i64>,
    labels: Option<Vec<String>>,
}

fn from_json(text: &str) -> Result<Value, ApiError> {
    Shape::of::<Request>().read(&Params::Json(Bytes::copy_from_slice(text.as_bytes())))
}

fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs.map(|pair| pair.split_once('=').unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn from_flat(query: &str) -> Result<Value, ApiError> {
    Shape::of::<Request>().read(&Params::Flat(pairs(query)))
}

fn from_parts(query: &str) -> Result<Value, ApiError> {
    Shape::of::<Request>().read(&Params::Parts(pairs(query)))
}

/// Expects the code, and in both messages the words.
fn refused(answer: Result<Value, ApiError>, code: &str, words: &[&str]) {
    let error = answer.expect_err("a refusal");
    assert_eq!(error.code, code, "{error}");
    for word in words {
        assert!(error.message.en.contains(word), "{word} in {}", error.message.en);
        assert!(error.message.zh.contains(word), "{word} in {}", error.message.zh);
    }
}

#[test]
fn a_shape_is_what_the_type_declares() {
    let shape = Shape::of::<Request>();
    let show = |name: &str| {
        let field = shape.field(name).unwrap();
        (field.kind.name(), field.required, field.nullable, field.lenient)
    };
    assert_eq!(show("InstanceId"), ("string", true, false, false));
    assert_eq!(shape.field("InstanceId").unwrap().description, "Which instance.");
    assert_eq!(show("Mode"), ("string", false, true, false));
    assert_eq!(show("Limit"), ("uint64", false, true, false));
    assert_eq!(show("TaskId"), ("uint64", false, true, true));
    assert_eq!(shape.field("Port").unwrap().kind, Kind::Integer { min: i32::MIN.into(), max: i32::MAX.into() });
    assert_eq!(shape.field("Small").unwrap().kind, Kind::Integer { min: 0, max: 255 });
    assert_eq!(show("Ratio").0, "float");
    assert_eq!(show("NoAuth").0, "bool");
    assert_eq!(show("NodeSet").0, "list");
    let Kind::Object(policy) = &shape.field("Policy").unwrap().kind else { panic!("an object") };
    assert_eq!(policy.fields().iter().map(|field| &*field.name).collect::<Vec<_>>(), ["Hint", "MinLength"]);
    assert!(policy.field("MinLength").unwrap().required);
    assert!(shape.field("Nothing").is_none());
}

#[test]
fn an_answer_requires_what_serde_always_writes() {
    #[derive(serde::Serialize, JsonSchema)]
    struct Answer {
        names: Option<Vec<String>>,
    }
    let shape = Shape::of_answer::<Answer>();
    let field = shape.field("names").unwrap();
    assert_eq!((field.kind.name(), field.required, field.nullable), ("list", true, true));
    let _ = Answer { names: None };
}

#[test]
fn a_type_that_is_no_request_is_noticed_when_its_shape_is_made() {
    fn check<T: JsonSchema>() {
        std::panic::catch_unwind(Shape::of::<T>).expect_err("a panic");
    }
    check::<String>();
    check::<(u8, String)>();
    check::<std::collections::BTreeMap<String, String>>();
    check::<Result<Policy, String>>();
}

#[test]
fn json_of_the_declared_types_comes_out_as_it_is() {
    let check = |text: &str| {
        let wanted: Value = serde_json::from_str(text).unwrap();
        assert_eq!(from_json(text), Ok(wanted));
    };
    check(r#"{"InstanceId": "crs-1"}"#);
    check(r#"{"InstanceId": "\u7f13\u5b58 a", "Limit": 18446744073709551615, "Offset": -9223372036854775808}"#);
    check(r#"{"InstanceId": "", "Zones": [], "Names": ["", "b"], "NoAuth": false, "Ratio": 1, "Mode": "Fast"}"#);
    check(
        r#"{"InstanceId": "a", "Ratio": -2.5e3, "Policy": {"MinLength": 8}, "NodeSet": [{"ZoneId": 1}, {"ZoneId": 2}]}"#,
    );
}

#[test]
fn null_is_absent_at_any_depth() {
    assert_eq!(
        from_json(r#"{"InstanceId": "a", "Limit": null, "Zones": null, "Policy": {"MinLength": 1, "Hint": null}}"#),
        Ok(json!({"InstanceId": "a", "Policy": {"MinLength": 1}}))
    );
    refused(from_json(r#"{"InstanceId": null}"#), code::MissingParameter, &["`InstanceId`"]);
    refused(
        from_json(r#"{"InstanceId": "a", "Policy": {"MinLength": null}}"#),
        code::MissingParameter,
        &["`Policy.MinLength`"],
    );
    refused(
        from_json(r#"{"InstanceId": "a", "Zones": [1, null]}"#),
        code::InvalidParameter,
        &["`Zones.1`", "`uint64`"],
    );
}

#[test]
fn an_unknown_member_is_named_at_any_depth() {
    let check = |text: &str, name: &str| refused(from_json(text), code::UnknownParameter, &[name]);
    check(r#"{"InstanceId": "a", "Foo": 1}"#, "`Foo`");
    check(r#"{"InstanceId": "a", "Foo": null}"#, "`Foo`");
    check(r#"{"InstanceId": "a", "limit": 1}"#, "`limit`");
    check(r#"{"InstanceId": "a", "NodeSet": [{"ZoneId": 1}, {"ZoneId": 1, "Foo": {}}]}"#, "`NodeSet.1.Foo`");
    check(r#"{"InstanceId": "a", "a\u0000b": 1}"#, "`a\0b`");
    let long = "x".repeat(100_000);
    let error = from_json(&format!(r#"{{"{long}": 1}}"#)).unwrap_err();
    assert!(error.message.en.len() < 200);
}

#[test]
fn what_is_required_is_missed_by_its_path() {
    let check = |text: &str, name: &str| refused(from_json(text), code::MissingParameter, &[name]);
    check("", "`InstanceId`");
    check(" \r\n", "`InstanceId`");
    check("{}", "`InstanceId`");
    check(r#"{"InstanceId": "a", "NodeSet": [{"ZoneId": 1}, {"NodeType": 1}]}"#, "`NodeSet.1.ZoneId`");
    refused(from_flat("Limit=1"), code::MissingParameter, &["`InstanceId`"]);
    refused(from_flat("InstanceId=a&NodeSet.3.NodeType=1"), code::MissingParameter, &["`NodeSet.3.ZoneId`"]);
}

#[test]
fn json_is_strict_about_types() {
    let check = |member: &str, path: &str, wanted: &str| {
        let text = format!(r#"{{"InstanceId": "a", {member}}}"#);
        refused(from_json(&text), code::InvalidParameter, &[path, wanted]);
    };
    check(r#""Limit": "20""#, "`Limit`", "`uint64`");
    check(r#""Limit": 1.0"#, "`Limit`", "`uint64`");
    check(r#""Limit": 1e2"#, "`Limit`", "`uint64`");
    check(r#""Limit": -1"#, "`Limit`", "`uint64`");
    check(r#""Limit": 18446744073709551616"#, "`Limit`", "`uint64`");
    check(r#""Limit": true"#, "`Limit`", "`uint64`");
    check(r#""Limit": [1]"#, "`Limit`", "`uint64`");
    check(r#""Offset": 9223372036854775808"#, "`Offset`", "`int64`");
    check(r#""Offset": {}"#, "`Offset`", "`int64`");
    check(r#""Port": 2147483648"#, "`Port`", "`int64`");
    check(r#""Small": 256"#, "`Small`", "`uint64`");
    check(r#""Name": 1"#, "`Name`", "`string`");
    check(r#""Name": {"a": 1}"#, "`Name`", "`string`");
    check(r#""Name": "a\u0000b""#, "`Name`", "NUL");
    check(r#""NoAuth": "true""#, "`NoAuth`", "`bool`");
    check(r#""NoAuth": 1"#, "`NoAuth`", "`bool`");
    check(r#""Ratio": "1.5""#, "`Ratio`", "`float`");
    check(r#""Zones": 1"#, "`Zones`", "`list`");
    check(r#""Zones": "[1]""#, "`Zones`", "`list`");
    check(r#""Zones": {"0": 1}"#, "`Zones`", "`list`");
    check(r#""Zones": [1, "2"]"#, "`Zones.1`", "`uint64`");
    check(r#""Policy": []"#, "`Policy`", "`object`");
    check(r#""NodeSet": [{"ZoneId": 1}, {"ZoneId": "2"}]"#, "`NodeSet.1.ZoneId`", "`uint64`");
    check(r#""NodeSet": [{"ZoneId": 1, "Labels": ["a", 2]}]"#, "`NodeSet.0.Labels.1`", "`string`");
    check(r#""Limit": 1, "Limit": 2"#, "`Limit`", "");
}

#[test]
fn a_lenient_integer_may_be_a_string_of_digits() {
    let check = |text: &str, wanted: u64| {
        assert_eq!(from_json(&format!(r#"{{"InstanceId": "a", "TaskId": {text}}}"#)).unwrap()["TaskId"], json!(wanted));
    };
    check("17", 17);
    check(r#""17""#, 17);
    check(r#""18446744073709551615""#, u64::MAX);
    for text in [r#""""#, r#""a""#, r#""1.0""#, r#""-1""#, r#"" 1""#, r#""18446744073709551616""#] {
        let answer = from_json(&format!(r#"{{"InstanceId": "a", "TaskId": {text}}}"#));
        refused(answer, code::InvalidParameter, &["`TaskId`", "`uint64`"]);
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in [
        "[]",
        "1",
        "null",
        "\"{}\"",
        "{",
        "{\"InstanceId\": \"a\"}x",
        "{\"InstanceId\"}",
        "{\"InstanceId\": \"\\ud800\"}",
        "{'a': 1}",
    ] {
        refused(from_json(text), code::InvalidParameter, &[]);
    }
    let not_utf8 = Params::Json(Bytes::from_static(b"{\"InstanceId\": \"\xff\"}"));
    refused(Shape::of::<Request>().read(&not_utf8), code::InvalidParameter, &[]);
    // Nothing below an undeclared name is read, so depth costs nothing.
    let deep = "[".repeat(1_000_000);
    refused(from_json(&format!("{{\"Zones\": {deep}")), code::InvalidParameter, &["`Zones.0`"]);
}

#[test]
fn a_list_is_bounded() {
    let list = |count: usize| vec!["1"; count].join(",");
    assert!(from_json(&format!(r#"{{"InstanceId": "a", "Zones": [{}]}}"#, list(MAX_ITEMS))).is_ok());
    let text = format!(r#"{{"InstanceId": "a", "Zones": [{}]}}"#, list(MAX_ITEMS + 1));
    refused(from_json(&text), code::InvalidParameter, &["`Zones`"]);
    let query: String = (0..=MAX_ITEMS).map(|place| format!("Zones.{place}=1&")).collect();
    refused(from_flat(&query), code::InvalidParameter, &["`Zones`"]);
}

#[test]
fn text_is_converted_by_the_declared_type() {
    let check = |query: &str, wanted: Value| {
        let mut wanted = wanted;
        wanted["InstanceId"] = json!("a");
        assert_eq!(from_flat(&format!("InstanceId=a&{query}")), Ok(wanted), "{query}");
    };
    check("Name=", json!({"Name": ""}));
    check("Name=[1]", json!({"Name": "[1]"}));
    check("Limit=20&Offset=-3", json!({"Limit": 20, "Offset": -3}));
    check("Limit=18446744073709551615", json!({"Limit": u64::MAX}));
    check("Ratio=1.5", json!({"Ratio": 1.5}));
    check("NoAuth=True", json!({"NoAuth": true}));
    check("NoAuth=true", json!({"NoAuth": true}));
    check("NoAuth=TRUE", json!({"NoAuth": true}));
    check("NoAuth=1", json!({"NoAuth": true}));
    check("NoAuth=False", json!({"NoAuth": false}));
    check("NoAuth=0", json!({"NoAuth": false}));
    check("Zones=&Policy=", json!({}));
    check("Zones.0=1&Zones.1=2", json!({"Zones": [1, 2]}));
    check("Zones.7=3&Zones.10=4&Zones.2=1", json!({"Zones": [1, 3, 4]}));
    check("Zones.4000000000=1", json!({"Zones": [1]}));
    check("Names.0=&Names.1=b", json!({"Names": ["", "b"]}));
    check("Policy.MinLength=8&Policy.Hint=x", json!({"Policy": {"MinLength": 8, "Hint": "x"}}));
    check(
        "NodeSet.1.ZoneId=2&NodeSet.0.ZoneId=1&NodeSet.0.Labels.0=x",
        json!({"NodeSet": [{"ZoneId": 1, "Labels": ["x"]}, {"ZoneId": 2}]}),
    );
}

#[test]
fn text_that_does_not_fit_its_type_is_refused() {
    let check = |query: &str, path: &str, wanted: &str| {
        refused(from_flat(&format!("InstanceId=a&{query}")), code::InvalidParameter, &[path, wanted]);
    };
    for number in [" 1", "+1", "1.0", "0x1", "1e2", "-", "--1", "１", "True"] {
        check(&format!("Limit={number}"), "`Limit`", "`uint64`");
    }
    check("Limit=-1", "`Limit`", "`uint64`");
    check("Limit=18446744073709551616", "`Limit`", "`uint64`");
    check("Offset=9223372036854775808", "`Offset`", "`int64`");
    check(&format!("Offset={}", "9".repeat(1000)), "`Offset`", "`int64`");
    check("Ratio=nan", "`Ratio`", "`float`");
    check("Ratio=inf", "`Ratio`", "`float`");
    check("NoAuth=yes", "`NoAuth`", "`bool`");
    check("Name=a\0b", "`Name`", "NUL");
    check("Zones=[1]", "`Zones`", "`list`");
    check("Policy={}", "`Policy`", "`object`");
    check("Name.0=a", "`Name`", "`string`");
    check("Limit.0=1", "`Limit`", "`uint64`");
    check("Zones.0=1&Zones.2=x", "`Zones.2`", "`uint64`");
    check("Zones.x=1", "`Zones.x`", "");
    check("Zones.00=1", "`Zones.00`", "");
    check("Zones.-1=1", "`Zones.-1`", "");
    check("Zones.18446744073709551616=1", "`Zones.18446744073709551616`", "");
    check("NodeSet.0=1", "`NodeSet.0`", "`object`");
}

/// A client that has no value may send the name alone.
#[test]
fn an_empty_text_for_anything_but_a_text_is_absent() {
    let read = from_flat("InstanceId=a&Limit=&Offset=&Ratio=&NoAuth=&Zones=&Zones.0=&Policy=");
    assert!(read.is_err(), "`Zones` is named twice");
    let read = from_flat("InstanceId=a&Limit=&Offset=&Ratio=&NoAuth=&Zones.0=&Zones.1=2&Policy=&Name=").unwrap();
    assert_eq!(read, serde_json::json!({"InstanceId": "a", "Zones": [2], "Name": ""}));
}

#[test]
fn names_that_contradict_each_other_are_refused() {
    let check = |query: &str, path: &str| {
        refused(from_flat(&format!("InstanceId=a&{query}")), code::InvalidParameter, &[path]);
    };
    check("Limit=1&Limit=1", "`Limit`");
    check("Zones.0=1&Zones.0=1", "`Zones.0`");
    check("Zones=1&Zones.0=1", "`Zones.0`");
    check("Zones.0=1&Zones=1", "`Zones`");
    check("NodeSet.0=&NodeSet.0.ZoneId=1", "`NodeSet.0.ZoneId`");
    for name in ["", ".", "Zones.", ".Zones", "Zones..0", &"a.".repeat(100_000)] {
        refused(from_flat(&format!("InstanceId=a&{name}=1")), code::InvalidParameter, &[]);
    }
    refused(from_flat("InstanceId=a&Foo.0.Bar=1"), code::UnknownParameter, &["`Foo`"]);
    refused(from_flat("InstanceId=a&Policy.Foo=1"), code::UnknownParameter, &["`Policy.Foo`"]);
}

#[test]
fn a_part_may_be_json_where_a_list_or_an_object_is_declared() {
    let check = |query: &str, wanted: Value| {
        let mut wanted = wanted;
        wanted["InstanceId"] = json!("a");
        assert_eq!(from_parts(&format!("InstanceId=a&{query}")), Ok(wanted), "{query}");
    };
    check("Zones=[1, 2]", json!({"Zones": [1, 2]}));
    check("Zones.0=1", json!({"Zones": [1]}));
    check("Zones=", json!({}));
    check("Zones=null", json!({}));
    check("Name=[1]&Limit=3", json!({"Name": "[1]", "Limit": 3}));
    check(r#"NodeSet=[{"ZoneId": 1}]"#, json!({"NodeSet": [{"ZoneId": 1}]}));
    let refuse = |query: &str, code: &str, name: &str| {
        refused(from_parts(&format!("InstanceId=a&{query}")), code, &[name]);
    };
    refuse(r#"NodeSet=[{"ZoneId": "1"}]"#, code::InvalidParameter, "`NodeSet.0.ZoneId`");
    refuse(r#"NodeSet=[{"Foo": 1}]"#, code::UnknownParameter, "`NodeSet.0.Foo`");
    refuse("Zones=[1", code::InvalidParameter, "`Zones`");
    refuse("Zones={}", code::InvalidParameter, "`Zones`");
    refuse(r#"Limit="1""#, code::InvalidParameter, "`Limit`");
}

/// A small generator of numbers, so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn value(&mut self, kind: &Kind) -> Value {
        match kind {
            Kind::String => ["", "a", "缓存 a+b&c", "1", "true"][self.roll(5) as usize].into(),
            Kind::Integer { min: 0, max } => (self.roll(u64::MAX) % u64::try_from(*max).unwrap()).into(),
            Kind::Integer { .. } => (i64::try_from(self.roll(2000)).unwrap() - 1000).into(),
            Kind::Float => (self.roll(1000) as f64 / 8.0).into(),
            Kind::Bool => (self.roll(2) == 0).into(),
            Kind::List(kind) => (0..=self.roll(12)).map(|_| self.value(kind)).collect(),
            Kind::Object(shape) => Value::Object(self.object(shape)),
        }
    }

    fn object(&mut self, shape: &Shape) -> Map<String, Value> {
        let fields = shape.fields().iter();
        let chosen: Vec<_> = fields.filter(|field| field.required || self.roll(2) == 0).collect();
        chosen.into_iter().map(|field| (field.name.clone(), self.value(&field.kind))).collect()
    }
}

fn flatten(name: &str, value: &Value, into: &mut Vec<(String, String)>) {
    let inner = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| flatten(&inner(key), value, into)),
        // Every third place, so that there are gaps, and 9 comes before 12.
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, value)| flatten(&inner(&(at * 3).to_string()), value, into));
        }
        Value::String(text) => into.push((name.to_owned(), text.clone())),
        other => into.push((name.to_owned(), other.to_string())),
    }
}

#[test]
fn flattening_loses_nothing() {
    let shape = Shape::of::<Request>();
    let mut dice = Dice(0x2026_1124);
    for round in 0..500 {
        let request = Value::Object(dice.object(&shape));
        let mut pairs = Vec::new();
        flatten("", &request, &mut pairs);
        for at in (1..pairs.len()).rev() {
            pairs.swap(at, dice.roll(at as u64 + 1) as usize);
        }
        assert_eq!(shape.read(&Params::Flat(pairs)), Ok(request.clone()), "round {round}");
        assert_eq!(shape.read(&Params::Json(request.to_string().into())), Ok(request), "round {round}");
    }
}

#[test]
fn no_text_makes_the_reader_panic() {
    let shape = Shape::of::<Request>();
    let whole = r#"{"InstanceId":"a","Limit":1,"NodeSet":[{"ZoneId":1,"Labels":["x"]}],"Policy":{"MinLength":1}}"#;
    for cut in 0..whole.len() {
        let _ = shape.read(&Params::Json(Bytes::copy_from_slice(&whole.as_bytes()[..cut])));
        for byte in [0, b'"', b'{', b'[', b'}', b'\\', b'-', 0xff] {
            let mut text = whole.as_bytes().to_vec();
            text[cut] = byte;
            let _ = shape.read(&Params::Json(text.into()));
        }
    }
}
