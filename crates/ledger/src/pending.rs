use model::{InstanceId, Millis, TaskId};

use crate::{Reader, Result, Row, Tx, args, holder};

/// A task that has let its instance go until its moment has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The task.
    pub task: TaskId,
    /// Its moment.
    pub due_at: Millis,
    /// The event that announces it.
    pub event: i64,
}

/// The task that waits for its moment to change an instance.
pub fn pending(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<Pending>> {
    let row = reader.row("select task, due_at, event from pending where instance = $1", args![instance])?;
    let read = |row: Row| Ok(Pending { task: TaskId(row.int(0)?), due_at: Millis(row.int(1)?), event: row.int(2)? });
    row.map(read).transpose()
}

/// Lets an instance go that a task has, until the task's moment. Said again, it changes nothing.
pub fn let_go(tx: &mut dyn Tx, instance: &InstanceId, due_at: Millis, event: i64) -> Result<()> {
    tx.exec(
        "insert into pending (instance, task, due_at, event) select instance, task, $2, $3 from hold where instance = $1",
        args![instance, due_at, event],
    )?;
    tx.exec("delete from hold where instance = $1", args![instance])?;
    Ok(())
}

/// Gives an instance back to the task that let it go; answers whether that has it now: another may have it at the moment.
pub fn take_again(tx: &mut dyn Tx, instance: &InstanceId) -> Result<bool> {
    let Some(waiting) = pending(tx.reader(), instance)? else { return Ok(true) };
    if holder(tx.reader(), instance)?.is_some() {
        return Ok(false);
    }
    tx.exec("insert into hold (instance, task) values ($1, $2)", args![instance, waiting.task])?;
    tx.exec("delete from pending where instance = $1", args![instance])?;
    Ok(true)
}

/// Sets the moment for which an instance's task waits.
pub fn set_due(tx: &mut dyn Tx, instance: &InstanceId, due_at: Millis) -> Result<()> {
    tx.exec("update pending set due_at = $2 where instance = $1", args![instance, due_at])?;
    Ok(())
}
