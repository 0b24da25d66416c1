use model::Millis;

use crate::{Result, Tx, args};

/// Takes or keeps a lease until a moment, for one of several servers; answers whether it is this one's now.
pub fn take_lease(tx: &mut dyn Tx, name: &str, server: &str, now: Millis, until: Millis) -> Result<bool> {
    let taken = tx.exec(
        "insert into meta (name, text, number) values ($1, $2, $3)
         on conflict (name) do update set text = excluded.text, number = excluded.number
         where meta.text = $2 or meta.number <= $4",
        args![format!("lease of {name}"), server, until, now],
    )?;
    Ok(taken == 1)
}

pub(crate) fn end_all(tx: &mut dyn Tx) -> Result<()> {
    tx.exec("delete from meta where name like 'lease of %'", &[])?;
    Ok(())
}
