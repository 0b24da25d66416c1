//! Holds answers against `api/reference.json`: every field that it has is there with its type, and no other is.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static REFERENCE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../api/reference.json")).expect("api/reference.json is JSON")
});

/// Fields that clients expect to be left out where they hold nothing, though the reference does not say so: NodeSet is
/// that of instances whose zones were asked for.
const MAY_BE_LEFT_OUT: &[&str] = &["NodeSet"];

/// # Panics
/// When the answer is not one that the reference allows. What the reference does not know is not checked.
pub(crate) fn check(product: &str, version: &str, action: &str, answer: &Value) {
    let reference = &REFERENCE[format!("{product}:{version}")];
    let Some(fields) = reference["actions"][action]["response"].as_object() else { return };
    let mut fields = fields.clone();
    fields.insert("RequestId".to_owned(), "string".into());
    let mut faults = Vec::new();
    check_fields(reference, action, &fields, answer, &mut faults);
    assert!(faults.is_empty(), "{action} answers what the reference does not have:\n{}", faults.join("\n"));
}

fn check_fields(reference: &Value, path: &str, fields: &Map<String, Value>, value: &Value, faults: &mut Vec<String>) {
    let Some(members) = value.as_object() else {
        faults.push(format!("{path} is no object: {value}"));
        return;
    };
    for name in members.keys().filter(|name| !fields.contains_key(*name)) {
        faults.push(format!("{path}.{name} is no field"));
    }
    for (name, kind) in fields {
        let mut words = kind.as_str().expect("a field's kind is text").split(", ");
        let kind = words.next().expect("a split has a first part");
        let may_lack =
            MAY_BE_LEFT_OUT.contains(&name.as_str()) || words.any(|word| word == "nullable" || word == "deprecated");
        let path = format!("{path}.{name}");
        match members.get(name) {
            None | Some(Value::Null) if may_lack => {}
            None | Some(Value::Null) => faults.push(format!("{path} is missing")),
            Some(value) => check_value(reference, &path, kind, value, faults),
        }
    }
}

fn check_value(reference: &Value, path: &str, kind: &str, value: &Value, faults: &mut Vec<String>) {
    if let Some(item_kind) = kind.strip_prefix("list of ") {
        match value.as_array() {
            Some(items) => items.iter().for_each(|item| check_value(reference, path, item_kind, item, faults)),
            None => faults.push(format!("{path} is no list: {value}")),
        }
        return;
    }
    let fits = match kind {
        "string" => value.is_string(),
        "bool" => value.is_boolean(),
        "int64" => value.is_i64(),
        "uint64" => value.is_u64(),
        "float" => value.is_number(),
        object => {
            let fields = reference["objects"][object].as_object().expect("the reference knows its own objects");
            return check_fields(reference, path, fields, value, faults);
        }
    };
    if !fits {
        faults.push(format!("{path} is no {kind}: {value}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults(answer: &Value) -> Vec<String> {
        let fields = json!({ "Zones": "list of Zone", "Total": "uint64", "Note": "string, nullable" });
        let reference = json!({ "objects": { "Zone": { "Id": "string" } } });
        let mut faults = Vec::new();
        check_fields(&reference, "A", fields.as_object().expect("an object"), answer, &mut faults);
        faults
    }

    #[test]
    fn an_answer_with_each_field_and_its_type_has_no_fault() {
        assert_eq!(faults(&json!({ "Zones": [{ "Id": "1" }], "Total": 1, "Note": null })), [""; 0]);
    }

    #[test]
    fn every_fault_is_named_by_its_path() {
        assert_eq!(
            faults(&json!({ "Zones": [{ "Id": 1 }, {}], "Total": -1, "More": 1 })),
            ["A.More is no field", "A.Total is no uint64: -1", "A.Zones.Id is no string: 1", "A.Zones.Id is missing",]
        );
        assert_eq!(
            faults(&json!({ "Zones": {}, "Total": "1" })),
            ["A.Total is no uint64: \"1\"", "A.Zones is no list: {}"]
        );
    }
}
