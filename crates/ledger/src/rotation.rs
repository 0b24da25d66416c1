use model::{InstanceId, Millis, TaskId};

use crate::{Reader, Result, Row, Tx, args, holder};

/// A task that has let its instance go while two passwords of it are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The task.
    pub task: TaskId,
    /// When the old password goes.
    pub due_at: Millis,
}

/// The task that waits until an instance's old password may go.
pub fn rotation(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<Rotation>> {
    let row = reader.row("select task, due_at from rotation where instance = $1", args![instance])?;
    let read = |row: Row| Ok(Rotation { task: TaskId(row.int(0)?), due_at: Millis(row.int(1)?) });
    row.map(read).transpose()
}

/// Lets an instance go that a task has, until its old password goes. Said again, it changes nothing.
pub fn begin_overlap(tx: &mut dyn Tx, instance: &InstanceId, due_at: Millis) -> Result<()> {
    tx.exec(
        "insert into rotation (instance, task, due_at) select instance, task, $2 from hold where instance = $1",
        args![instance, due_at],
    )?;
    tx.exec("delete from hold where instance = $1", args![instance])?;
    Ok(())
}

/// Gives an instance back to the task that waits for its old password; answers whether that has it now: another may have
/// it at the moment.
pub fn end_overlap(tx: &mut dyn Tx, instance: &InstanceId) -> Result<bool> {
    let Some(rotation) = rotation(tx.reader(), instance)? else { return Ok(true) };
    if holder(tx.reader(), instance)?.is_some() {
        return Ok(false);
    }
    tx.exec("insert into hold (instance, task) values ($1, $2)", args![instance, rotation.task])?;
    tx.exec("delete from rotation where instance = $1", args![instance])?;
    Ok(true)
}

/// Sets when an instance's old password goes.
pub fn set_overlap_end(tx: &mut dyn Tx, instance: &InstanceId, due_at: Millis) -> Result<()> {
    tx.exec("update rotation set due_at = $2 where instance = $1", args![instance, due_at])?;
    Ok(())
}
