//! One file for each node, outside of its folder: the highest epoch that is known of it, and the lock under which
//! everything is done to it. It stays when the node is removed, so that a late request can't bring it back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use model::{Epoch, NodeId};

/// How long a removed node is remembered: longer than anybody could hold on to an old request.
const KEPT_FOR: Duration = Duration::from_secs(24 * 60 * 60);

/// The right to act on a node: one in a folder of nodes at a time, whichever thread or process has it. It ends with
/// the value, or with the process.
///
/// A process that was started meanwhile shares the file until it executes its program. So whoever gets the fence after
/// a crash finds that process in the node's folder, never on its way there.
pub(super) struct Fence {
    file: File,
    known: Epoch,
}

impl Fence {
    /// Waits until nobody else has the node's fence. Blocks.
    pub(super) fn take(fences: &Path, node: &NodeId) -> io::Result<Fence> {
        let path = fences.join(node.as_str());
        loop {
            let file =
                OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.lock()?;
            // It may have been swept away while we waited; then this lock keeps nobody out.
            if is_still_at(&file, &path)? {
                let known = read(&file)?;
                return Ok(Fence { file, known });
            }
        }
    }

    /// The highest epoch that was ever asked for.
    pub(super) fn known(&self) -> Epoch {
        self.known
    }

    /// Remembers a newer epoch. An older one changes nothing.
    pub(super) fn raise(&mut self, epoch: Epoch) -> io::Result<()> {
        if epoch > self.known {
            // In place and of one length: it needs no space on a disk that may be full. Not synced: what a power cut
            // undoes, it undoes to all who could have been behind.
            self.file.write_all_at(format!("{:020}\n", epoch.0).as_bytes(), 0)?;
            self.known = epoch;
        }
        Ok(())
    }
}

/// Forgets the nodes that were removed long ago.
pub(super) fn sweep(fences: &Path, nodes: &Path) -> io::Result<()> {
    #[allow(clippy::disallowed_methods, reason = "it is compared with the file system's own times")]
    let now = SystemTime::now();
    for entry in fs::read_dir(fences)? {
        let entry = entry?;
        let file = File::open(entry.path())?;
        let is_long_gone = || -> io::Result<bool> {
            let age = now.duration_since(file.metadata()?.modified()?).unwrap_or_default();
            Ok(age > KEPT_FOR && !nodes.join(entry.file_name()).exists())
        };
        // Again under the lock: somebody may just have begun to act on it.
        if is_long_gone()? && file.try_lock().is_ok() && is_long_gone()? {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_still_at(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn read(mut file: &File) -> io::Result<Epoch> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    // Empty: a node that nobody has asked for yet. (A power cut may leave that too; see `raise`.)
    Ok(Epoch(text.trim_matches(['\n', '\0']).parse().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeId {
        NodeId::from_random([7; 20])
    }

    #[test]
    fn the_highest_epoch_is_known_to_whoever_comes_next() {
        let dir = tempfile::tempdir().unwrap();
        for (asked, known) in [(3, 3), (2, 3), (12, 12), (1, 12)] {
            Fence::take(dir.path(), &node()).unwrap().raise(Epoch(asked)).unwrap();
            assert_eq!(Fence::take(dir.path(), &node()).unwrap().known(), Epoch(known));
        }
    }

    #[test]
    fn two_cannot_have_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::take(dir.path(), &node()).unwrap();
        assert!(File::open(dir.path().join(node().as_str())).unwrap().try_lock().is_err());
        drop(fence);
        assert!(File::open(dir.path().join(node().as_str())).unwrap().try_lock().is_ok());
    }

    #[test]
    fn only_nodes_removed_long_ago_are_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let (fences, nodes) = (dir.path().join("fences"), dir.path().join("nodes"));
        fs::create_dir(&fences).unwrap();
        let [removed, kept, recent] = [1, 2, 3].map(|n| NodeId::from_random([n; 20]));
        for node in [&removed, &kept, &recent] {
            let mut fence = Fence::take(&fences, node).unwrap();
            fence.raise(Epoch(1)).unwrap();
            if *node != recent {
                fence.file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
            }
        }
        fs::create_dir_all(nodes.join(kept.as_str())).unwrap();
        sweep(&fences, &nodes).unwrap();
        let left = [removed, kept, recent].map(|node| fences.join(node.as_str()).exists());
        assert_eq!(left, [false, true, true]);
    }
}
