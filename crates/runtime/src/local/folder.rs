//! A node's folder: what stands in it, what runs in it, and its end.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Epoch, NodeAddr, NodeId};
use serde::{Deserialize, Serialize};

use crate::process::{ProcessRef, end_all};
use crate::{Engine, NodeState};

const RECORD: &str = "node.json";
/// Follows the id in the name of a folder that is being deleted, so that it is no node's any more.
const REMOVED: &str = "removed";

/// The process that runs a node, as `node.json` in the node's folder names it. The file is there from when the process
/// has been started until before it is asked to end, so a process that ends while it is named has died by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) epoch: Epoch,
    pub(super) process: ProcessRef,
    pub(super) addr: NodeAddr,
    pub(super) engine: Engine,
}

impl Record {
    pub(super) fn state(&self, node: NodeId) -> NodeState {
        NodeState { node, epoch: self.epoch, addr: self.addr, engine: self.engine }
    }
}

#[derive(Clone)]
pub(super) struct NodeFolder {
    path: PathBuf,
}

impl NodeFolder {
    pub(super) fn of(nodes: &Path, node: &NodeId) -> Self {
        NodeFolder { path: nodes.join(node.as_str()) }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder. Answers whether it was missing.
    pub(super) fn create(&self) -> io::Result<bool> {
        match private_folder(&self.path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The record, where there is one that can be read: a power cut may leave a torn one, but no process either.
    pub(super) fn record(&self) -> io::Result<Option<Record>> {
        match fs::read(self.file(RECORD)) {
            Ok(text) => Ok(serde_json::from_slice(&text).ok()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The record of a process that is alive, and works here: a copy of a data folder names the processes of the
    /// original, which are none of its own.
    pub(super) fn running(&self) -> io::Result<Option<Record>> {
        let Some(record) = self.record()? else { return Ok(None) };
        let is_here = record.process.works_in(&self.path)? && record.process.is_alive()?;
        Ok(is_here.then_some(record))
    }

    pub(super) fn write_record(&self, record: &Record) -> io::Result<()> {
        self.write(RECORD, &serde_json::to_vec(record)?)
    }

    /// Replaces a file of the folder as a whole. It is not synced: what is written here is about a process or written
    /// anew with each start, and no process outlives a power cut.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let draft = self.file(&format!("{name}.new"));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        let written = file.write_all(content).and_then(|()| fs::rename(&draft, self.file(name)));
        if written.is_err() {
            // It would only take more of the space that was missing.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    /// Ends all that runs in the folder, recorded or not: also the process of a start that was interrupted before it
    /// was recorded, and a child that rewrites the data of a process that has died. From here on nothing is recorded.
    ///
    /// This needs no space on the disk, so that removing a node frees some.
    pub(super) fn end(&self, grace: Duration) -> io::Result<()> {
        let running = self.running()?;
        missing_is_fine(fs::remove_file(self.file(RECORD)))?;
        end_all(&self.path, grace)?;
        match running {
            // It is found by its folder, too, unless somebody made it change that.
            Some(record) => record.process.terminate(grace),
            None => Ok(()),
        }
    }

    /// Deletes the folder and all that is in it. Nothing may run in it. Interrupted, it leaves what is no node's folder.
    pub(super) fn delete(&self) -> io::Result<()> {
        let removed = self.path.with_extension(REMOVED);
        missing_is_fine(fs::remove_dir_all(&removed))?;
        missing_is_fine(fs::rename(&self.path, &removed))?;
        missing_is_fine(fs::remove_dir_all(&removed))
    }

    /// Bytes on disk.
    pub(super) fn size(&self) -> io::Result<u64> {
        size_below(&self.path)
    }
}

/// The nodes that have a folder.
pub(super) fn nodes_in(nodes: &Path) -> io::Result<Vec<NodeId>> {
    let names = fs::read_dir(nodes)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    Ok(names.iter().filter_map(|name| NodeId::parse(name.to_str()?)).collect())
}

/// Goes on with the deletions that were interrupted.
pub(super) fn delete_removed(nodes: &Path) -> io::Result<()> {
    for entry in fs::read_dir(nodes)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == REMOVED) {
            missing_is_fine(fs::remove_dir_all(path))?;
        }
    }
    Ok(())
}

/// Makes a folder that nobody else can look into.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn size_below(folder: &Path) -> io::Result<u64> {
    let mut size = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Files come and go while their engine works.
        let Some(file) = found(entry.metadata())? else { continue };
        size += file.blocks() * 512;
        if file.is_dir() {
            size += found(size_below(&entry.path()))?.unwrap_or_default();
        }
    }
    Ok(size)
}

fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn missing_is_fine(result: io::Result<()>) -> io::Result<()> {
    found(result).map(|_| ())
}
