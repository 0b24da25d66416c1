//! What the binary offers, as JSON: `api/catalogue.json` is made of it.

use control::params::{Field, Kind, Shape};
use serde_json::{Map, Value, json};

/// The catalogue's text, one field a line.
pub fn print() -> String {
    let mut products = Map::new();
    for entry in &control::ACTIONS {
        let product = format!("{}:{}", entry.api.product, entry.api.version);
        let actions = products.entry(product).or_insert_with(|| json!({"actions": {}}));
        let sides = json!({"request": fields(&entry.request()), "response": fields(&entry.response())});
        actions["actions"][entry.name] = sides;
    }
    let mut out = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b" ");
    let mut writer = serde_json::Serializer::with_formatter(&mut out, format);
    serde::Serialize::serialize(&Value::Object(products), &mut writer).expect("a value is written to memory");
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn fields(shape: &Shape) -> Value {
    let mut out = Map::new();
    spell_out("", shape, &mut out);
    Value::Object(out)
}

fn spell_out(path: &str, shape: &Shape, out: &mut Map<String, Value>) {
    for field in shape.fields() {
        let path = format!("{path}{}", field.name);
        out.insert(path.clone(), Value::String(describe(field)));
        if let Some(inner) = inner_shape(&field.kind) {
            spell_out(&format!("{path}."), inner, out);
        }
    }
}

fn describe(field: &Field) -> String {
    let kind = match &field.kind {
        Kind::List(item) => format!("list of {}", item.name()),
        kind => kind.name().to_owned(),
    };
    if field.required { format!("{kind}, required") } else { kind }
}

fn inner_shape(kind: &Kind) -> Option<&Shape> {
    match kind {
        Kind::Object(shape) => Some(shape),
        Kind::List(item) => inner_shape(item),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_catalogue_that_is_kept_is_what_the_binary_offers() {
        let kept = include_str!("../../../api/catalogue.json");
        assert!(super::print().trim_end() == kept.trim_end(), "run `cargo xtask codegen`");
    }
}
