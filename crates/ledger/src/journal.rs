use std::sync::Arc;

use flow::{Claim, Context, End, Entry, Journal, JournalError};
use futures_util::future::BoxFuture;
use model::{Millis, TaskResult};

use crate::task::to_json;
use crate::{Error, Ledger, Result, TaskChange, Tx, args, is_cancelled, renew_claim};

/// How long a worker has a task without a sign of life. Renewed with every record, and every few seconds.
pub const LEASE: std::time::Duration = std::time::Duration::from_secs(15);

/// What a step writes into the ledger along with the record that it is done.
pub type Write = Arc<dyn Fn(&mut dyn Tx) -> Result<()> + Send + Sync>;

/// Makes a [`Write`].
pub fn write(body: impl Fn(&mut dyn Tx) -> Result<()> + Send + Sync + 'static) -> Write {
    Arc::new(body)
}

impl<C: Context<Write = Write>> Journal<C> for Ledger {
    fn append(
        &self,
        claim: Claim,
        entry: Entry,
        writes: Vec<Write>,
    ) -> BoxFuture<'_, std::result::Result<(), JournalError>> {
        let done = self.write(move |tx| record(tx, claim, &entry, &writes));
        Box::pin(async move { done.await.map_err(refused) })
    }

    fn is_cancelled(&self, claim: Claim) -> bool {
        // What can't be asked now is asked again soon.
        self.read(|reader| is_cancelled(reader, claim.task)).unwrap_or(false)
    }

    fn renew(&self, claim: Claim, now: Millis) -> BoxFuture<'_, std::result::Result<(), JournalError>> {
        Box::pin(async move { self.write(move |tx| renew_claim(tx, claim, now + LEASE)).await.map_err(refused) })
    }
}

fn refused(error: Error) -> JournalError {
    match error {
        Error::Fenced => JournalError::Fenced,
        Error::Cancelled => JournalError::Cancelled,
        other if other.is_final() => JournalError::Rejected(other.to_string()),
        other => JournalError::Unavailable(other.to_string()),
    }
}

fn record(tx: &mut dyn Tx, claim: Claim, entry: &Entry, writes: &[Write]) -> Result<()> {
    let until = entry.parked_until.unwrap_or(entry.at + LEASE);
    // Of what ended well only the last step is told.
    let cursor = match entry.end {
        Some(End::Done) => entry.cursor.step.clone(),
        _ => to_json(&entry.cursor)?,
    };
    let changed = tx.exec(
        "update task set state = $3, cursor = $4, progress = case when progress < $5 then $5 else progress end,
            lease_until = case when $7 = 1 and woken = 1 then 0 else $6 end, parked = $7
         where id = $1 and fence = $2 and result < 2 and ($8 = 0 or cancel_asked = 0)",
        args![
            claim.task,
            claim.fence,
            entry.state.as_str(),
            cursor,
            entry.progress,
            until,
            entry.parked_until.is_some(),
            entry.can_be_cancelled,
        ],
    )?;
    if changed != 1 {
        let is_cancelled = entry.can_be_cancelled && is_cancelled(tx.reader(), claim.task)?;
        return Err(if is_cancelled { Error::Cancelled } else { Error::Fenced });
    }
    if let Some(passed) = &entry.passed {
        tx.later(
            "insert into step (task, seq, name, phase, started_at, ended_at, tries, message, attempt)
             values ($1, (select coalesce(max(seq), 0) + 1 from step where task = $1), $2, $3, $4, $5, $6, $7,
                (select attempt from task where id = $1))",
            args![
                claim.task,
                passed.step.as_str(),
                match passed.phase {
                    flow::Phase::Run => "run",
                    flow::Phase::Undo => "undo",
                },
                passed.started_at,
                passed.ended_at,
                i64::from(passed.tries),
                passed.message.as_str(),
            ],
        )?;
    }
    for write in writes {
        write(tx)?;
    }
    match &entry.end {
        Some(end) => finish(tx, claim, end, entry.at),
        None => Ok(()),
    }
}

fn finish(tx: &mut dyn Tx, claim: Claim, end: &End, now: Millis) -> Result<()> {
    let (result, code, message) = match end {
        End::Done => (TaskResult::Done, "", ""),
        End::Undone { code, message } | End::Stuck { code, message } => {
            (TaskResult::Failed, code.as_str(), message.as_str())
        }
    };
    // What ended well is never tried again, and needs no state.
    tx.later(
        "update task set result = $2, code = $3, message = $4, stuck = $6,
            state = case when $2 = 2 then '' else state end, first_state = case when $2 = 2 then '' else first_state end,
            ended_at = case when $5 > started_at then $5 else started_at end where id = $1",
        args![claim.task, result.number(), code, message, now, matches!(end, End::Stuck { .. })],
    )?;
    tx.note(TaskChange::Moved(claim.task, result));
    tx.later("delete from pending where task = $1", args![claim.task])?;
    tx.later("delete from rotation where task = $1", args![claim.task])?;
    // Only of what it has. Whatever the flow wrote of it, or could not: an instance that no task has is not busy.
    tx.later(
        "update instance set status = case when status = 1 then 2 else -3 end,
            closed_at = case when status = 0 then $2 else closed_at end,
            offline_at = case when status = 0 then $2 else offline_at end
         where status in (0, 1) and id in (select instance from hold where task = $1)",
        args![claim.task, now],
    )?;
    tx.later("delete from hold where task = $1", args![claim.task])
}
