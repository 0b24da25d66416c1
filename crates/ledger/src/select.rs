use std::fmt::Write as _;

use crate::{Reader, Result, Row, Value};

/// A query whose conditions depend on what was asked. Only fixed texts become SQL; values are always arguments.
#[derive(Clone, Debug, Default)]
pub struct Select {
    conditions: String,
    args: Vec<Value>,
}

impl Select {
    /// No condition yet.
    pub fn new() -> Self {
        Select::default()
    }

    /// Adds a condition, ANDed; each `$` in it stands for `value`.
    pub fn and(&mut self, condition: &'static str, value: impl Into<Value>) {
        self.args.push(value.into());
        let place = format!("${}", self.args.len());
        self.join();
        self.conditions.push_str(&condition.replace('$', &place));
    }

    /// Adds a condition, ANDed: the column has one of the values. No values: no row fits.
    pub fn and_in<V: Into<Value>>(&mut self, column: &'static str, values: impl IntoIterator<Item = V>) {
        self.join();
        let first = self.args.len();
        self.args.extend(values.into_iter().map(Into::into));
        if self.args.len() == first {
            // An empty list is not SQL.
            self.conditions.push_str("1 = 0");
            return;
        }
        let places: Vec<String> = (first + 1..=self.args.len()).map(|place| format!("${place}")).collect();
        // Writing to a String does not fail.
        let _ = write!(self.conditions, "{column} in ({})", places.join(", "));
    }

    /// Adds a condition, ANDed, which holds where `condition` does for one of the values. For a few values: the
    /// condition is written out for each.
    pub fn and_any<V: Into<Value>>(&mut self, condition: &'static str, values: impl IntoIterator<Item = V>) {
        self.join();
        self.conditions.push_str("(1 = 0");
        for value in values {
            self.args.push(value.into());
            let place = format!("${}", self.args.len());
            self.conditions.push_str(" or ");
            self.conditions.push_str(&condition.replace('$', &place));
        }
        self.conditions.push(')');
    }

    fn join(&mut self) {
        self.conditions.push_str(if self.conditions.is_empty() { " where " } else { " and " });
    }

    /// How many rows of `table` fit.
    pub fn count(&self, reader: &mut dyn Reader, table: &'static str) -> Result<i64> {
        let sql = format!("select count(*) from {table}{}", self.conditions);
        reader.row(&sql, &self.args)?.map_or(Ok(0), |row| row.int(0))
    }

    /// A page of the rows that fit, in an order that the caller names in SQL.
    pub fn page(
        &self,
        reader: &mut dyn Reader,
        columns_from: &'static str,
        order: &'static str,
        limit: i64,
        offset: i64,
    ) -> Result<Vec<Row>> {
        let mut sql = format!("select {columns_from}{} order by {order}", self.conditions);
        let mut args = self.args.clone();
        args.extend([Value::Int(limit), Value::Int(offset)]);
        // Writing to a String does not fail.
        let _ = write!(sql, " limit ${} offset ${}", args.len() - 1, args.len());
        reader.rows(&sql, &args)
    }
}
