use model::{DealStatus, InstanceId, Millis};

use crate::{Error, Reader, Result, Row, Tx, args};

/// An order: what it buys is delivered by tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// More than twenty digits that begin with the date; the API's DealId and DealName both.
    pub name: String,
    /// Who owns it.
    pub account: i64,
    /// Who ordered: the caller's uin.
    pub creator: String,
    /// What was ordered, for people.
    pub description: String,
    /// The zone of the first instance.
    pub zone: i64,
    /// How many instances.
    pub goods: i64,
    /// Which instances.
    pub instances: Vec<InstanceId>,
    /// What is paid with it, in cents.
    pub price: i64,
    /// Where the order is.
    pub status: DealStatus,
    /// When it was placed.
    pub created_at: Millis,
    /// When it was delivered or failed.
    pub ended_at: Option<Millis>,
}

const COLUMNS: &str =
    "name, account, creator, description, zone, goods, instances, status, created_at, ended_at, price from deal";

/// Adds an order that so many tasks deliver.
pub fn insert_deal(tx: &mut dyn Tx, deal: &Deal, tasks: i64) -> Result<()> {
    let instances: Vec<&str> = deal.instances.iter().map(InstanceId::as_str).collect();
    tx.exec(
        "insert into deal (name, account, creator, description, zone, goods, instances, open_tasks, status, created_at,
            ended_at, price) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        args![
            deal.name.as_str(),
            deal.account,
            deal.creator.as_str(),
            deal.description.as_str(),
            deal.zone,
            deal.goods,
            instances.join(" "),
            tasks,
            deal.status.number(),
            deal.created_at,
            deal.ended_at,
            deal.price,
        ],
    )?;
    Ok(())
}

/// Notes that one of a deal's tasks has ended. The deal is delivered with the last of them, unless one failed; or when the
/// one that failed went on and has ended well.
pub fn settle_deal(tx: &mut dyn Tx, name: &str, delivered: bool, now: Millis) -> Result<()> {
    let again = if delivered { DealStatus::Delivered } else { DealStatus::Failed };
    let sql = "update deal set status = $2, ended_at = $3 where name = $1 and open_tasks = 0";
    if tx.exec(sql, args![name, again.number(), now])? > 0 {
        return Ok(());
    }
    if !delivered {
        tx.exec("update deal set status = $2 where name = $1", args![name, DealStatus::Failed.number()])?;
    }
    tx.exec("update deal set open_tasks = open_tasks - 1 where name = $1", args![name])?;
    tx.exec("update deal set ended_at = $2 where name = $1 and open_tasks = 0", args![name, now])?;
    tx.exec(
        "update deal set status = $2 where name = $1 and open_tasks = 0 and status = $3",
        args![name, DealStatus::Delivered.number(), DealStatus::Delivering.number()],
    )?;
    Ok(())
}

/// Notes that a deal is being delivered, where it had failed and is tried again.
pub fn deliver_again(tx: &mut dyn Tx, name: &str) -> Result<()> {
    let sql = "update deal set status = $2, ended_at = null, open_tasks = 1 where name = $1 and open_tasks = 0";
    tx.exec(sql, args![name, DealStatus::Delivering.number()])?;
    Ok(())
}

/// The deal of this name.
pub fn deal_by_name(reader: &mut dyn Reader, account: i64, name: &str) -> Result<Option<Deal>> {
    let sql = format!("select {COLUMNS} where name = $1 and account = $2");
    reader.row(&sql, args![name, account])?.map(read).transpose()
}

fn read(mut row: Row) -> Result<Deal> {
    let instances = row.text(6)?;
    Ok(Deal {
        name: row.text(0)?,
        account: row.int(1)?,
        creator: row.text(2)?,
        description: row.text(3)?,
        zone: row.int(4)?,
        goods: row.int(5)?,
        instances: instances
            .split_whitespace()
            .map(|id| InstanceId::parse(id).ok_or_else(|| Error::Corrupt(format!("a deal names {id:?}"))))
            .collect::<Result<_>>()?,
        status: row.numbered(7, DealStatus::parse)?,
        created_at: Millis(row.int(8)?),
        ended_at: row.int_opt(9)?.map(Millis),
        price: row.int(10)?,
    })
}
