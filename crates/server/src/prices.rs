//! The price list: a TOML file with a table `default`, and one for each TypeId that costs something else.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use control::{PriceList, Rate};
use model::TypeId;
use serde::Deserialize;

/// A table of the file: CNY for a GiB of each node.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// For a month, paid in advance.
    month: f64,
    /// For an hour, paid by use.
    hour: f64,
}

/// Reads the file of that name; without a name everything costs nothing.
pub(crate) fn read(file: &str) -> anyhow::Result<PriceList> {
    if file.is_empty() {
        return Ok(PriceList::default());
    }
    let text = std::fs::read_to_string(Path::new(file)).with_context(|| format!("read prices from {file}"))?;
    parse(&text).with_context(|| format!("read prices from {file}"))
}

fn parse(text: &str) -> anyhow::Result<PriceList> {
    let rows: BTreeMap<String, Row> = toml::from_str(text)?;
    let mut list = PriceList { default: Rate::default(), types: HashMap::new() };
    for (name, row) in rows {
        let amount = |column: &str, yuan: f64| read_amount(yuan).with_context(|| format!("[{name}] {column}"));
        let rate = Rate { month: amount("month", row.month)?, hour: amount("hour", row.hour)? };
        if name == "default" {
            list.default = rate;
        } else if let Some(type_id) = name.parse().ok().and_then(TypeId::parse) {
            list.types.insert(type_id, rate);
        } else {
            bail!("[{name}]: a table is called default, or by a TypeId of Redis or Valkey");
        }
    }
    Ok(list)
}

/// CNY in millionths of a cent.
fn read_amount(yuan: f64) -> anyhow::Result<i64> {
    ensure!((0.0..=1e6).contains(&yuan), "a price is 0 to 1000000 CNY");
    Ok((yuan * 1e8).round() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_without_a_table_costs_what_the_default_says() {
        let list = parse("[default]\nmonth = 25\nhour = 0.0345\n[17]\nmonth = 30.5\nhour = 0\n").unwrap();
        assert_eq!(list.default, Rate { month: 2_500_000_000, hour: 3_450_000 });
        let types = [(TypeId::parse(17).unwrap(), Rate { month: 3_050_000_000, hour: 0 })];
        assert_eq!(list.types, types.into());
        assert_eq!(parse("").unwrap(), PriceList::default());
        assert_eq!(read("").unwrap(), PriceList::default());
    }

    #[test]
    fn a_wrong_list_is_refused_and_the_fault_is_named() {
        for (text, named) in [
            ("[99]\nmonth = 1\nhour = 1", "99"),
            ("[default]\nmonth = -1\nhour = 1", "[default] month"),
            ("[17]\nmonth = 1\nhour = nan", "[17] hour"),
            ("[17]\nmonth = 1\nhour = 1e9", "[17] hour"),
            ("[default]\nmonth = 1", "hour"),
            ("[default]\nmonth = 1\nhour = 1\nyear = 1", "year"),
            ("default = 5", "default"),
            ("[default", "default"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(named), "{text:?}: {error}");
        }
    }
}
