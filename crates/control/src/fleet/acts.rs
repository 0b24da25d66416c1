//! Who acts on an instance's roles: one at a time, of all servers; and how far its primary has been seen to be.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use model::{Epoch, InstanceId, NodeId};
use tokio::sync::OwnedMutexGuard;

use super::roles::LAG_LIMIT;

/// How often it is looked whether another server has ended its act, and how many times before nobody waits for it any more.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const LOOKS: u32 = 1500;

/// One act on an instance's roles at a time, and how far its primary has been seen to be.
#[derive(Default)]
pub struct Roles {
    /// Where several servers lock what they act on; `None` where there is one.
    folder: Option<PathBuf>,
    acts: Mutex<HashMap<InstanceId, Arc<tokio::sync::Mutex<()>>>>,
    seen: Mutex<HashMap<InstanceId, VecDeque<Sighting>>>,
}

/// A primary's offset at a moment of the clock that only passes.
struct Sighting {
    at: Duration,
    start: Start,
    offset: i64,
}

/// One start of a node: another one counts its offsets anew.
pub(super) type Start = (NodeId, Epoch);

/// That nobody else acts on an instance's roles.
pub(crate) struct Alone {
    _here: OwnedMutexGuard<()>,
    _among_servers: Option<File>,
}

impl Roles {
    /// For one of several servers that share a folder.
    pub fn shared(folder: PathBuf) -> std::io::Result<Roles> {
        std::fs::create_dir_all(&folder)?;
        Ok(Roles { folder: Some(folder), ..Roles::default() })
    }

    pub(crate) async fn alone(&self, id: &InstanceId) -> Alone {
        let place = self.acts.lock().unwrap_or_else(PoisonError::into_inner).entry(id.clone()).or_default().clone();
        let here = place.lock_owned().await;
        let Some(file) = self.folder.as_ref().map(|folder| folder.join(id.as_str())) else {
            return Alone { _here: here, _among_servers: None };
        };
        let locked = tokio::task::spawn_blocking(move || {
            let lock = File::options().create(true).truncate(false).write(true).open(file)?;
            for _ in 0..LOOKS {
                match lock.try_lock() {
                    Ok(()) => return Ok(lock),
                    Err(TryLockError::WouldBlock) => std::thread::park_timeout(LOOK_EVERY),
                    Err(TryLockError::Error(error)) => return Err(error),
                }
            }
            // One that hangs must keep nobody from what an instance needs.
            Err(std::io::ErrorKind::TimedOut.into())
        });
        let among_servers = locked.await.map_err(std::io::Error::other).flatten();
        // What the ledger says decides all the same who was right.
        let among_servers =
            among_servers.inspect_err(|error| tracing::warn!(%error, "an instance can't be locked")).ok();
        Alone { _here: here, _among_servers: among_servers }
    }

    /// Notes how far a primary is.
    pub(crate) fn saw(&self, id: &InstanceId, start: &Start, offset: i64, at: Duration) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let sightings = seen.entry(id.clone()).or_default();
        sightings.retain(|sighting| sighting.start == *start);
        sightings.push_back(Sighting { at, start: start.clone(), offset });
        // One that is old enough must stay.
        while sightings.get(1).is_some_and(|next| next.at + LAG_LIMIT < at) {
            sightings.pop_front();
        }
    }

    /// How far a successor of this primary must be: as far as that was when the limit of the lag began.
    pub(super) fn least(&self, id: &InstanceId, start: &Start, now: Duration) -> i64 {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let of_start = seen.get(id).into_iter().flatten().filter(|sighting| sighting.start == *start);
        of_start
            .filter(|sighting| sighting.at + LAG_LIMIT <= now)
            .map(|sighting| sighting.offset)
            .next_back()
            .unwrap_or(0)
    }

    /// Forgets an instance that is gone.
    pub(crate) fn forget(&self, known: &dyn Fn(&InstanceId) -> bool) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| known(id));
        let mut acts = self.acts.lock().unwrap_or_else(PoisonError::into_inner);
        acts.retain(|id, place| known(id) || Arc::strong_count(place) > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn servers_act_one_at_a_time_and_one_that_hangs_keeps_the_others_for_seconds_alone() {
        let folder = tempfile::tempdir().unwrap();
        let servers = [(); 2].map(|()| Roles::shared(folder.path().to_owned()).unwrap());
        let id = InstanceId::from_random(1);
        let first = servers[0].alone(&id).await;
        let second = tokio::time::timeout(Duration::from_millis(200), servers[1].alone(&id));
        assert!(second.await.is_err(), "it waits");
        drop(first);
        let again = servers[1].alone(&id).await;
        assert!(again._among_servers.is_some());
        assert!(servers[0].alone(&id).await._among_servers.is_none(), "one that hangs has it for ever");
    }

    #[test]
    fn a_successor_must_be_as_far_as_the_primary_was_when_the_limit_of_the_lag_began() {
        let (roles, id) = (Roles::default(), InstanceId::from_random(1));
        let start = |node, epoch| (NodeId::from_random([node; 20]), Epoch(epoch));
        let (node, other) = (start(1, 1), start(1, 2));
        let at = Duration::from_secs;
        for second in 0..60 {
            roles.saw(&id, &node, 1000 * second as i64, at(second));
        }
        assert_eq!(roles.least(&id, &node, at(60)), 50_000);
        assert_eq!(roles.least(&id, &other, at(60)), 0, "another start counts anew");
        roles.saw(&id, &other, 7, at(61));
        assert_eq!(roles.least(&id, &other, at(62)), 0, "not seen for long enough");
        assert_eq!(roles.least(&id, &other, at(80)), 7);
    }
}
