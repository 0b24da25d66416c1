use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::Repo;

const REFERENCE: &str = "api/reference.json";
const CATALOGUE: &str = "api/catalogue.json";
const UNBUILT: &str = "api/unimplemented.txt";

pub(super) fn unbuilt_actions_are_known(repo: &Repo) -> Result<Vec<String>> {
    let reference = read_json(repo, REFERENCE)?;
    let text = repo.read(UNBUILT)?;
    let names: Vec<_> = text.lines().collect();
    let unsorted = names.windows(2).filter(|pair| pair[0] >= pair[1]);
    let mut faults: Vec<_> = unsorted.map(|pair| format!("{UNBUILT}: {} stands before {}", pair[0], pair[1])).collect();
    let known = actions(&reference);
    faults.extend(
        names
            .iter()
            .filter(|name| !known.contains(**name))
            .map(|name| format!("{UNBUILT}: {name} is not in {REFERENCE}")),
    );
    Ok(faults)
}

/// What the binary offers (`opencrs catalogue`, kept in `api/catalogue.json`) is what the reference has, field by
/// field, but for the actions that are not built yet. A product of our own may offer anything.
pub(super) fn the_catalogue_conforms(repo: &Repo) -> Result<Vec<String>> {
    if !repo.has(CATALOGUE) {
        return Ok(Vec::new());
    }
    let unbuilt = repo.read(UNBUILT)?;
    Ok(compare(&read_json(repo, REFERENCE)?, &read_json(repo, CATALOGUE)?, &unbuilt.lines().collect()))
}

fn compare(reference: &Map<String, Value>, catalogue: &Map<String, Value>, unbuilt: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let built = actions(catalogue);
    for name in actions(reference) {
        match (built.contains(&name), unbuilt.contains(name.as_str())) {
            (false, false) => faults.push(format!("{name} is neither built nor listed as unbuilt")),
            (true, true) => faults.push(format!("{name} is built: take it off {UNBUILT}")),
            _ => {}
        }
    }
    for (product, wanted) in reference {
        let Some(offered) = catalogue.get(product) else { continue };
        for (action, sides) in offered["actions"].as_object().into_iter().flatten() {
            for side in ["request", "response"] {
                compare_fields(
                    &format!("{action}.{side}"),
                    &wanted["actions"][action][side],
                    &sides[side],
                    &mut faults,
                );
            }
        }
        for (object, fields) in offered["objects"].as_object().into_iter().flatten() {
            compare_fields(object, &wanted["objects"][object], fields, &mut faults);
        }
    }
    faults
}

fn compare_fields(path: &str, wanted: &Value, offered: &Value, faults: &mut Vec<String>) {
    let (Some(wanted), Some(offered)) = (wanted.as_object(), offered.as_object()) else {
        faults.push(format!("{path} is not in {REFERENCE}"));
        return;
    };
    for name in wanted.keys().chain(offered.keys()).collect::<BTreeSet<_>>() {
        let (wanted, offered) = (wanted.get(name).map(kind), offered.get(name).map(kind));
        if wanted != offered {
            let show = |kind: Option<(&str, bool)>| match kind {
                None => "absent".to_owned(),
                Some((kind, required)) => format!("{kind}{}", if required { ", required" } else { "" }),
            };
            faults.push(format!("{path}.{name} is {}, not {}", show(offered), show(wanted)));
        }
    }
}

/// A field's type, and whether a request must have it: what else the reference notes binds no one here.
fn kind(field: &Value) -> (&str, bool) {
    let mut words = field.as_str().unwrap_or_default().split(", ");
    (words.next().unwrap_or_default(), words.any(|word| word == "required"))
}

/// `product:version:Action` of every action.
fn actions(of: &Map<String, Value>) -> BTreeSet<String> {
    let products = of.iter().map(|(product, offer)| (product, offer["actions"].as_object()));
    products
        .flat_map(|(product, actions)| {
            actions.into_iter().flat_map(Map::keys).map(move |name| format!("{product}:{name}"))
        })
        .collect()
}

fn read_json(repo: &Repo, path: &str) -> Result<Map<String, Value>> {
    serde_json::from_str(&repo.read(path)?).with_context(|| format!("parse {path}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::assert_tidy;
    use super::*;

    #[test]
    fn unbuilt_actions_are_known() {
        assert_tidy(super::unbuilt_actions_are_known);
    }

    #[test]
    fn the_catalogue_conforms() {
        assert_tidy(super::the_catalogue_conforms);
    }

    fn offer(limit: &str) -> Map<String, Value> {
        let actions = json!({ "List": { "request": { "Limit": limit }, "response": { "Rows": "list of Row" } } });
        let offer =
            json!({ "shop:2020-01-01": { "actions": actions, "objects": { "Row": { "Id": "string, nullable" } } } });
        offer.as_object().expect("an object").clone()
    }

    #[test]
    fn the_same_fields_conform_whatever_else_is_noted_of_them() {
        assert_eq!(compare(&offer("int64, deprecated"), &offer("int64"), &BTreeSet::new()), [""; 0]);
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let faults = compare(&offer("int64, required"), &offer("uint64"), &BTreeSet::from(["shop:2020-01-01:List"]));
        assert_eq!(
            faults,
            [
                "shop:2020-01-01:List is built: take it off api/unimplemented.txt",
                "List.request.Limit is uint64, not int64, required",
            ]
        );
    }

    #[test]
    fn an_action_is_built_or_listed() {
        let faults = compare(&offer("int64"), &Map::new(), &BTreeSet::new());
        assert_eq!(faults, ["shop:2020-01-01:List is neither built nor listed as unbuilt"]);
    }
}
