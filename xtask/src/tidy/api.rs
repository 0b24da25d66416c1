use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::Repo;

const REFERENCE: &str = "api/reference.json";
const CATALOGUE: &str = "api/catalogue.json";
const UNBUILT: &str = "api/unimplemented.txt";
pub(super) const TABLE: &str = "docs/actions.md";

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
///
/// The catalogue has the form of the reference, but knows no objects by name: what is in an object or in a list of
/// objects stands beside it, as `InstanceTags.TagKey`.
pub(super) fn the_catalogue_conforms(repo: &Repo) -> Result<Vec<String>> {
    if !repo.has(CATALOGUE) {
        return Ok(Vec::new());
    }
    let unbuilt = repo.read(UNBUILT)?;
    Ok(compare(&read_json(repo, REFERENCE)?, &read_json(repo, CATALOGUE)?, &unbuilt.lines().collect()))
}

fn compare(reference: &Map<String, Value>, catalogue: &Map<String, Value>, unbuilt: &BTreeSet<&str>) -> Vec<String> {
    let mut faults = Vec::new();
    let (known, built) = (actions(reference), actions(catalogue));
    for name in &known {
        match (built.contains(name), unbuilt.contains(name.as_str())) {
            (false, false) => faults.push(format!("{name} is neither built nor listed as unbuilt")),
            (true, true) => faults.push(format!("{name} is built: take it off {UNBUILT}")),
            _ => {}
        }
    }
    let ours = |name: &&String| reference.keys().any(|product| name.starts_with(&format!("{product}:")));
    faults.extend(built.difference(&known).filter(ours).map(|name| format!("{name} is not in {REFERENCE}")));
    for (product, wanted) in reference {
        for (action, offered) in
            catalogue.get(product).and_then(|offer| offer["actions"].as_object()).into_iter().flatten()
        {
            for side in ["request", "response"] {
                let mut fields = BTreeMap::new();
                spell_out(&wanted["objects"], "", &wanted["actions"][action][side], &mut fields);
                compare_fields(&format!("{action}.{side}"), &fields, &offered[side], &mut faults);
            }
        }
    }
    faults
}

/// What is written for people about every action is what `cargo xtask codegen` would write now.
pub(super) fn the_table_of_actions_is_fresh(repo: &Repo) -> Result<Vec<String>> {
    let is_fresh = repo.has(TABLE) && repo.read(TABLE)? == table_of_actions(repo)?;
    Ok(if is_fresh { Vec::new() } else { vec![format!("{TABLE} is old: run `cargo xtask codegen`")] })
}

/// Every action of the reference, and whether the binary offers it, as Markdown; then what the binary offers beyond that.
pub(super) fn table_of_actions(repo: &Repo) -> Result<String> {
    let (reference, catalogue) = (read_json(repo, REFERENCE)?, read_json(repo, CATALOGUE)?);
    let built = actions(&catalogue);
    let mut text = "# Actions\n\nWritten by `cargo xtask codegen`. What does not work yet answers \
                    `UnsupportedOperation`.\n"
        .to_owned();
    for (product, wanted) in &reference {
        let names: Vec<_> = wanted["actions"].as_object().into_iter().flat_map(Map::keys).collect();
        let works = |name: &str| built.contains(&format!("{product}:{name}"));
        let count = names.iter().filter(|name| works(name)).count();
        text += &format!("\n## {product}\n\n{count} of {} work.\n\n| action | works |\n|---|---|\n", names.len());
        for name in names {
            text += &format!("| {name} | {} |\n", if works(name) { "yes" } else { "not yet" });
        }
    }
    for (product, offered) in catalogue.iter().filter(|(product, _)| !reference.contains_key(*product)) {
        text += &format!("\n## {product}\n\nBeyond that interface, by the same door, signatures and tools.\n\n");
        text += "| action | parameters |\n|---|---|\n";
        for (name, action) in offered["actions"].as_object().into_iter().flatten() {
            let parameters: Vec<_> = action["request"].as_object().into_iter().flat_map(Map::keys).cloned().collect();
            text += &format!("| {name} | {} |\n", parameters.join(", "));
        }
    }
    Ok(text)
}

/// What the README says to work is what the binary offers.
pub(super) fn the_readme_lists_what_is_built(repo: &Repo) -> Result<Vec<String>> {
    const README: &str = "README.md";
    let text = repo.read(README)?;
    let section = text.split("\n## ").find(|section| section.starts_with("What works"));
    let section = section.with_context(|| format!("{README} has no section What works"))?;
    let listed: BTreeSet<&str> = section.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let name_of = |line: &str| line.rsplit(':').next().unwrap_or_default().to_owned();
    let built = actions(&read_json(repo, CATALOGUE)?);
    let missing = built.iter().map(|line| name_of(line)).filter(|name| !listed.contains(name.as_str()));
    let mut faults: Vec<String> = missing.map(|name| format!("{README}: {name} works and is not listed")).collect();
    let unbuilt = repo.read(UNBUILT)?;
    let early = unbuilt.lines().map(name_of).filter(|name| listed.contains(name.as_str()));
    faults.extend(early.map(|name| format!("{README}: {name} is listed and does not work yet")));
    Ok(faults)
}

/// Puts the fields of objects beside those that hold the objects.
fn spell_out(objects: &Value, path: &str, fields: &Value, out: &mut BTreeMap<String, String>) {
    for (name, field) in fields.as_object().into_iter().flatten() {
        let (kind, notes) =
            field.as_str().and_then(|text| text.split_once(", ").or(Some((text, "")))).unwrap_or_default();
        let item = kind.strip_prefix("list of ").unwrap_or(kind);
        let path = format!("{path}{name}");
        let kind = if objects[item].is_object() { kind.replace(item, "object") } else { kind.to_owned() };
        let required = if notes.contains("required") { ", required" } else { "" };
        spell_out(objects, &format!("{path}."), &objects[item], out);
        out.insert(path, format!("{kind}{required}"));
    }
}

fn compare_fields(path: &str, wanted: &BTreeMap<String, String>, offered: &Value, faults: &mut Vec<String>) {
    let offered: BTreeMap<_, _> = offered
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, kind)| (name, kind.as_str().unwrap_or_default()))
        .collect();
    // In an answer, the catalogue says with the same word what is always there.
    let as_written =
        |kind: &str| if path.ends_with(".response") { kind.replace(", required", "") } else { kind.to_owned() };
    for name in wanted.keys().chain(offered.keys().copied()).collect::<BTreeSet<_>>() {
        match (offered.get(name).map(|kind| as_written(kind)), wanted.get(name).map(|kind| as_written(kind))) {
            (None, _) => faults.push(format!("{path}.{name} is missing")),
            (Some(_), None) => faults.push(format!("{path}.{name} is not in {REFERENCE}")),
            (Some(offered), Some(wanted)) if offered != wanted => {
                faults.push(format!("{path}.{name} is {offered}, not {wanted}"))
            }
            _ => {}
        }
    }
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
    fn the_readme_lists_what_is_built() {
        assert_tidy(super::the_readme_lists_what_is_built);
    }

    #[test]
    fn the_table_of_actions_is_fresh() {
        assert_tidy(super::the_table_of_actions_is_fresh);
    }

    #[test]
    fn the_catalogue_conforms() {
        assert_tidy(super::the_catalogue_conforms);
    }

    fn reference() -> Map<String, Value> {
        let list = json!({
            "request": { "Limit": "int64, required, deprecated", "Tags": "list of Tag" },
            "response": { "Rows": "list of string, nullable" },
        });
        map(json!({ "shop:1": { "actions": { "List": list }, "objects": { "Tag": { "Key": "string, required" } } } }))
    }

    fn catalogue(limit: &str) -> Map<String, Value> {
        let request = json!({ "Limit": limit, "Tags": "list of object", "Tags.Key": "string, required" });
        let list = json!({ "request": request, "response": { "Rows": "list of string, required" } });
        map(json!({ "shop:1": { "actions": { "List": list } }, "ours:1": { "actions": { "Anything": {} } } }))
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    #[test]
    fn what_has_each_field_with_its_type_conforms() {
        assert_eq!(compare(&reference(), &catalogue("int64, required"), &BTreeSet::new()), [""; 0]);
    }

    #[test]
    fn a_field_of_another_type_is_named() {
        let faults = compare(&reference(), &catalogue("uint64"), &BTreeSet::new());
        assert_eq!(faults, ["List.request.Limit is uint64, not int64, required"]);
    }

    #[test]
    fn an_action_is_either_built_or_listed() {
        let listed = BTreeSet::from(["shop:1:List"]);
        assert_eq!(compare(&reference(), &Map::new(), &listed), [""; 0]);
        assert_eq!(
            compare(&reference(), &Map::new(), &BTreeSet::new()),
            ["shop:1:List is neither built nor listed as unbuilt"]
        );
        assert_eq!(
            compare(&reference(), &catalogue("int64, required"), &listed),
            ["shop:1:List is built: take it off api/unimplemented.txt"]
        );
    }
}
