//! The data folder: one server at a time, or several that share a ledger, and the two secrets that it keeps.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use control::Random;
use model::Secret;
use rustix::fs::{FlockOperation, flock};

use crate::config::Config;

/// A data folder that is this server's, alone or with others of the same host.
pub(crate) struct DataFolder {
    path: PathBuf,
    /// Locked for as long as this lives.
    lock: File,
    /// Whether no other server had it when it was taken.
    is_alone: bool,
    /// Of several servers one starts at a time; the next when this is gone.
    starting: Mutex<Option<File>>,
}

/// The file that servers lock; it holds their process numbers for `opencrs stop`, one a line.
const LOCK: &str = "server.lock";
/// The file that servers which may be several lock while they start.
const START_LOCK: &str = "start.lock";
/// The file of the root key pair.
pub(crate) const ROOT_KEY: &str = "root-key.toml";
/// The file that says where the server listens; of several, the one that started last.
pub(crate) const API_ADDRESS: &str = "api.addr";
const SEALING_KEY: &str = "sealing.key";

impl DataFolder {
    /// Makes the folder where it is missing, and takes it: alone, or, where the ledger can be shared, beside others. Then it
    /// waits until no other server is starting, and none starts before [`DataFolder::has_started`].
    ///
    /// # Errors
    /// Where a server has it that can't share it.
    pub(crate) fn take(path: &Path, is_shared: bool) -> anyhow::Result<DataFolder> {
        if !path.is_dir() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(path).with_context(|| format!("make {}", path.display()))?;
        }
        let path = path.canonicalize().with_context(|| format!("find {}", path.display()))?;
        let starting = is_shared.then(|| open_lock(&path, START_LOCK)).transpose()?;
        if let Some(starting) = &starting {
            flock(starting, FlockOperation::LockExclusive).context("wait for a server that starts")?;
        }
        let mut lock = open_lock(&path, LOCK)?;
        let is_alone = flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok();
        let is_taken = is_alone || (is_shared && flock(&lock, FlockOperation::NonBlockingLockShared).is_ok());
        if !is_taken {
            bail!(
                "another opencrs server (process {}) has the data folder {}; with SQLite there can be one",
                holders(&path)?.first().map_or_else(|| "unknown".to_owned(), i32::to_string),
                path.display(),
            );
        }
        if is_alone {
            lock.set_len(0).context("write the lock")?;
        }
        writeln!(lock, "{}", std::process::id()).context("write the lock")?;
        Ok(DataFolder { path, lock, is_alone, starting: Mutex::new(starting) })
    }

    /// Whether no other server had it when it was taken: whatever one had begun, it is gone.
    pub(crate) fn is_alone(&self) -> bool {
        self.is_alone
    }

    /// Lets the next server start, if this one shares the folder.
    pub(crate) fn has_started(&self) -> anyhow::Result<()> {
        let starting = self.starting.lock().unwrap_or_else(PoisonError::into_inner).take();
        if starting.is_some() {
            // Nobody else tries for it before the other lock is given back.
            flock(&self.lock, FlockOperation::NonBlockingLockShared).context("share the data folder")?;
        }
        Ok(())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The root key pair: the operator's, or the one made at the first start. The flag says whether it is new.
    pub(crate) fn root_key(&self, config: &Config, random: &Random) -> anyhow::Result<(RootKey, bool)> {
        let (id, key) = (config.get("secret_id"), config.get("secret_key"));
        ensure!(id.is_empty() == key.is_empty(), "OPENCRS_SECRET_ID and OPENCRS_SECRET_KEY go together");
        if !id.is_empty() {
            return Ok((RootKey { id: id.to_owned(), key: Secret::new(key) }, false));
        }
        if let Some(key) = read_root_key(&self.path)? {
            return Ok((key, false));
        }
        let letters = |count: usize| -> String {
            const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
            (0..count).map(|_| char::from(LETTERS[(random.bits() % 62) as usize])).collect()
        };
        let made = RootKey { id: format!("AKID{}", letters(32)), key: Secret::new(letters(32)) };
        let text = format!("secret_id = \"{}\"\nsecret_key = \"{}\"\n", made.id, made.key.expose());
        write_private(&self.path.join(ROOT_KEY), &text)?;
        Ok((made, true))
    }

    /// The key that seals secrets in the ledger: the operator's, or the one made at the first start.
    pub(crate) fn sealing_key(&self, config: &Config, random: &Random) -> anyhow::Result<[u8; 32]> {
        let read = |text: &str| -> anyhow::Result<[u8; 32]> {
            let bytes = hex::decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
            bytes.context("a sealing key is 64 hexadecimal digits")
        };
        let given = config.get("sealing_key");
        if !given.is_empty() {
            return read(given);
        }
        let file = self.path.join(SEALING_KEY);
        if let Some(text) = read_if_there(&file)? {
            return read(&text).with_context(|| format!("read {}", file.display()));
        }
        let made: [u8; 32] = random.bytes();
        write_private(&file, &hex::encode(made))?;
        Ok(made)
    }
}

/// The key pair that may all.
pub(crate) struct RootKey {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub key: Secret,
}

/// The key pair that a data folder has; `None` where the operator's own is used, or no server was started yet.
pub(crate) fn read_root_key(folder: &Path) -> anyhow::Result<Option<RootKey>> {
    let file = folder.join(ROOT_KEY);
    let Some(text) = read_if_there(&file)? else { return Ok(None) };
    let table: toml::Table = text.parse().with_context(|| format!("read {}", file.display()))?;
    let field = |name: &str| table.get(name).and_then(toml::Value::as_str).map(str::to_owned);
    let (id, key) = field("secret_id")
        .zip(field("secret_key"))
        .with_context(|| format!("{} needs secret_id and secret_key", file.display()))?;
    Ok(Some(RootKey { id, key: Secret::new(key) }))
}

fn open_lock(path: &Path, name: &str) -> anyhow::Result<File> {
    let mut options = OpenOptions::new();
    let lock = options.create(true).append(true).read(true).mode(0o600).open(path.join(name));
    lock.with_context(|| format!("open {name} in {}", path.display()))
}

/// The processes that have the data folder, as they say. One that is gone may be among them.
pub(crate) fn holders(path: &Path) -> anyhow::Result<Vec<i32>> {
    let text = read_if_there(&path.join(LOCK))?.unwrap_or_default();
    Ok(text.lines().filter_map(|line| line.trim().parse().ok()).filter(|pid| holds(*pid, &path.join(LOCK))).collect())
}

/// Whether a process has a file open: its number may be another process's by now.
fn holds(pid: i32, file: &Path) -> bool {
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.into_iter().any(|descriptor| fs::read_link(descriptor.path()).is_ok_and(|target| target == file))
}

/// Whether a server has the data folder now.
pub(crate) fn is_taken(path: &Path) -> anyhow::Result<bool> {
    match File::open(path.join(LOCK)) {
        Ok(lock) => Ok(flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context("open the server's lock"),
    }
}

fn read_if_there(file: &Path) -> anyhow::Result<Option<String>> {
    let mut text = String::new();
    match File::open(file).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("read {}", file.display())),
    }
}

/// Writes a file that only its owner can read; it is there whole, or not at all.
fn write_private(file: &Path, text: &str) -> anyhow::Result<()> {
    let draft = file.with_extension("draft");
    let write = || -> std::io::Result<()> {
        let mut out = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
        out.write_all(text.as_bytes())?;
        out.sync_all()?;
        fs::rename(&draft, file)?;
        File::open(file.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config() -> Config {
        let matches = clap::Command::new("serve").args(crate::config::flags()).get_matches_from(["serve"]);
        Config::read(&matches, [], &[]).unwrap()
    }

    #[test]
    fn a_second_server_is_refused_and_told_why() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::take(folder.path(), false).unwrap();
        let refused = DataFolder::take(folder.path(), false).map(drop).unwrap_err().to_string();
        assert!(refused.contains(&std::process::id().to_string()), "{refused}");
        assert!(is_taken(folder.path()).unwrap());
        drop(first);
        assert!(!is_taken(folder.path()).unwrap());
        DataFolder::take(folder.path(), false).unwrap();
    }

    #[test]
    fn servers_that_share_their_ledger_share_the_folder_too_and_know_who_was_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataFolder::take(folder.path(), true).unwrap();
        first.has_started().unwrap();
        let second = DataFolder::take(folder.path(), true).unwrap();
        second.has_started().unwrap();
        assert!(first.is_alone() && !second.is_alone());
        assert!(DataFolder::take(folder.path(), false).is_err(), "one that can't share is refused");
        drop(first);
        assert!(is_taken(folder.path()).unwrap());
        let third = DataFolder::take(folder.path(), true).unwrap();
        assert!(!third.is_alone());
        drop((second, third));
        let last = DataFolder::take(folder.path(), true).unwrap();
        assert!(last.is_alone());
        assert_eq!(holders(folder.path()).unwrap(), [i32::try_from(std::process::id()).unwrap()]);
    }

    #[test]
    fn secrets_are_made_once_and_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataFolder::take(folder.path(), false).unwrap();
        let random = Random::from_system();
        let (made, is_new) = data.root_key(&config(), &random).unwrap();
        assert!(is_new);
        let (again, is_new) = data.root_key(&config(), &random).unwrap();
        assert!(!is_new && again.id == made.id && again.key == made.key);
        assert_eq!(data.sealing_key(&config(), &random).unwrap(), data.sealing_key(&config(), &random).unwrap());
        for file in [ROOT_KEY, SEALING_KEY] {
            let mode = fs::metadata(folder.path().join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
}
