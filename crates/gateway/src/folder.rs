use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use model::RoutingTable;
use tokio::net::UnixListener;

use crate::Error;

const NAME: &str = "gateway";
const SOCKET: &str = "control.sock";
const TABLE: &str = "routes.json";
const METRICS: &str = "metrics.addr";

/// What the gateway has on disk, below the data folder: a lock, the table last in force and the control socket.
/// Whoever holds this value is the only gateway of the data folder.
pub(crate) struct Folder {
    path: PathBuf,
    handle: File,
    lock: File,
}

impl Folder {
    pub(crate) fn open(dir: &Path) -> Result<Folder, Error> {
        let path = dir.join(NAME);
        let fail = |doing, source| Error::Folder { doing, path: path.clone(), source };

        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| fail("create", error))?;
        let handle = File::open(&path).map_err(|error| fail("open", error))?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.join("lock"));
        let lock = lock.map_err(|error| fail("open the lock of", error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Folder { path, handle, lock }),
            Err(TryLockError::WouldBlock) => Err(Error::AlreadyRunning(dir.to_owned())),
            Err(TryLockError::Error(error)) => Err(fail("lock", error)),
        }
    }

    /// The folder of a predecessor, whose lock this is: it was never free in between.
    pub(crate) fn inherit(dir: &Path, lock: OwnedFd) -> Result<Folder, Error> {
        let path = dir.join(NAME);
        let handle = File::open(&path);
        let handle = handle.map_err(|source| Error::Folder { doing: "open", path: path.clone(), source })?;
        Ok(Folder { path, handle, lock: lock.into() })
    }

    /// The data folder that it is in.
    pub(crate) fn data(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    pub(crate) fn lock(&self) -> BorrowedFd<'_> {
        self.lock.as_fd()
    }

    /// Listens on the control socket, which only this user may connect to.
    pub(crate) fn listen(&self) -> Result<UnixListener, Error> {
        let fail = |doing, source| Error::Folder { doing, path: self.path.join(SOCKET), source };
        let path = socket_below(&self.handle);
        // The lock is ours, so a socket that is there was left behind by a gateway that was killed.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail("replace", error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(|error| fail("listen on", error))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|error| fail("restrict", error))?;
        Ok(listener)
    }

    /// Takes the control socket away, so that a client learns at once that nobody is there.
    pub(crate) fn stop_listening(&self) {
        // The next gateway replaces it where this fails.
        let _ = fs::remove_file(socket_below(&self.handle));
    }

    /// Notes where Prometheus is answered; `None`: nowhere.
    pub(crate) fn note_metrics(&self, addr: Option<SocketAddr>) -> io::Result<()> {
        let path = self.path.join(METRICS);
        match addr {
            Some(addr) => fs::write(path, format!("{addr}\n")),
            None => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }

    /// The table last in force; `None` where there never was one.
    pub(crate) fn load(&self) -> io::Result<Option<RoutingTable>> {
        match fs::read(self.path.join(TABLE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps a table for the next start. After a crash at any moment there is the old one or the new one, whole.
    pub(crate) fn save(&self, table: &RoutingTable) -> io::Result<()> {
        let fresh = self.path.join("routes.json.new");
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&fresh)?;
        file.write_all(&serde_json::to_vec(table)?)?;
        file.sync_all()?;
        fs::rename(&fresh, self.path.join(TABLE))?;
        self.handle.sync_all()
    }
}

/// Opens the folder in which the gateway of `dir` listens, to be given to [`socket_below`].
pub(crate) fn open_for_client(dir: &Path) -> io::Result<File> {
    File::open(dir.join(NAME))
}

/// Where the control socket is. A socket's path has at most 108 bytes, while a data folder's may have any length:
/// so it is named by way of the open folder.
pub(crate) fn socket_below(folder: &File) -> PathBuf {
    format!("/proc/self/fd/{}/{SOCKET}", folder.as_raw_fd()).into()
}
