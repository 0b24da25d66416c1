use crate::{Reader, Result, Tx, args};

/// A fact of the service that is kept as a text.
pub fn meta_text(reader: &mut dyn Reader, name: &str) -> Result<Option<String>> {
    match reader.row("select text from meta where name = $1", args![name])? {
        Some(mut row) => row.text(0).map(Some),
        None => Ok(None),
    }
}

/// Keeps a fact of the service.
pub fn set_meta_text(tx: &mut dyn Tx, name: &str, text: &str) -> Result<()> {
    tx.exec(
        "insert into meta (name, text) values ($1, $2) on conflict (name) do update set text = excluded.text",
        args![name, text],
    )?;
    Ok(())
}

/// The value of a counter; 0 where nothing was counted yet.
pub fn counter(reader: &mut dyn Reader, name: &str) -> Result<i64> {
    let row = reader.row("select coalesce(number, 0) from meta where name = $1", args![name])?;
    row.map_or(Ok(0), |row| row.int(0))
}

/// Counts on, by `by`; answers the new value.
pub fn count_on(tx: &mut dyn Tx, name: &str, by: i64) -> Result<i64> {
    let row = tx.row(
        "insert into meta (name, number) values ($1, $2)
         on conflict (name) do update set number = coalesce(meta.number, 0) + $2 returning number",
        args![name, by],
    )?;
    row.map_or(Ok(by), |row| row.int(0))
}
