//! Processes of this host that outlive whoever started them: starting them detached, telling one from another that
//! gets its number later, finding them again, and ending them.
//!
//! What is started here gets an empty environment and a working folder of the service's. That pair is how it is found
//! again without any record ([`processes_below`]); a person's shell that happens to stand in such a folder has an
//! environment, and is never touched.

use crate::local::recorded_below;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, pidfd_open, pidfd_send_signal, waitid};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long the kernel gets to take down a process after SIGKILL; longer only in the face of failing disks.
const KILL_WITHIN: Duration = Duration::from_secs(10);

/// How often a process is asked to end. Once is not enough: a replica that has just been synced refuses while it writes
/// its first append-only file, and forgets that it was asked.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// One process, told apart from every other that ever had its number on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// Which boot of the host: numbers and start times begin anew with each.
    pub boot: String,
    /// Its number.
    pub pid: i32,
    /// When it started, in clock ticks since that boot.
    pub start_time: u64,
}

impl ProcessRef {
    /// The process that has this number now, even where it has ended and nobody has taken note; `None`: nobody has it.
    pub fn of(pid: i32) -> io::Result<Option<ProcessRef>> {
        let stat = Stat::of(pid)?;
        Ok(stat.map(|stat| ProcessRef { boot: BOOT.clone(), pid, start_time: stat.start_time }))
    }

    /// Whether it runs. One that has ended counts as ended even where nobody has taken note (a zombie).
    pub fn is_alive(&self) -> io::Result<bool> {
        if self.boot != *BOOT {
            return Ok(false);
        }
        let stat = Stat::of(self.pid)?;
        Ok(stat.is_some_and(|stat| stat.start_time == self.start_time && !stat.has_ended()))
    }

    /// Whether its working folder is this one, which is named without symbolic links, or was before it was deleted.
    pub(crate) fn works_in(&self, folder: &Path) -> io::Result<bool> {
        let cwd = unless_gone(fs::read_link(format!("/proc/{}/cwd", self.pid)))?;
        Ok(cwd.is_some_and(|cwd| without_deleted(cwd) == folder))
    }

    /// Asks it to end (SIGTERM), waits for as long as `grace`, then ends it (SIGKILL). Zero grace: SIGKILL at once.
    /// It is gone when this returns. Ended already: success. Blocks.
    pub fn terminate(&self, grace: Duration) -> io::Result<()> {
        end(std::slice::from_ref(self), grace)
    }

    /// Waits until it has ended, and takes note of it where it is a child of this process: one that nobody waits for
    /// stays as a zombie for as long as its parent lives.
    pub async fn ended(&self) -> io::Result<()> {
        let Some(handle) = self.open()? else { return Ok(()) };
        #[allow(
            deprecated,
            reason = "for whoever's fd may be closed early; an OwnedFd's is not, and the new name is unsafe"
        )]
        let fd = AsyncFd::with_interest(handle.0, Interest::READABLE)?;
        fd.readable().await?.retain_ready();
        Handle(fd.into_inner()).reap();
        Ok(())
    }

    /// A hold on the process, through which nothing can reach another one; `None` where it has gone.
    pub(crate) fn open(&self) -> io::Result<Option<Handle>> {
        let Some(pid) = Pid::from_raw(self.pid) else { return Ok(None) };
        let handle = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Handle(fd),
            // The latter two: the number is by now that of another process's thread.
            Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Only after the fd is open: from here on it can't be mistaken, whoever gets the number next.
        Ok((ProcessRef::of(self.pid)?.as_ref() == Some(self)).then_some(handle))
    }
}

/// A pidfd.
pub(crate) struct Handle(OwnedFd);

impl Handle {
    fn signal(&self, signal: Signal) -> io::Result<()> {
        match pidfd_send_signal(&self.0, signal) {
            Ok(()) | Err(Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the process has ended, for as long as `limit`. Answers whether it has.
    pub(crate) fn wait(&self, limit: Duration) -> io::Result<bool> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
            let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) => return Ok(false),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.reap();
        Ok(true)
    }

    fn reap(&self) {
        // ECHILD says that it is another's child, or that somebody was faster: either way there is nothing to do.
        let _ = waitid(WaitId::PidFd(self.0.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG);
    }
}

/// Starts a program that goes on whatever becomes of this process: in a session of its own, so that no terminal's
/// Ctrl-C or hang-up reaches it; with an empty environment; with nothing open but `stdin`, which it finds written
/// completely, and `log`, to which its output is appended (made with mode 0600 where it is missing).
///
/// A caller that outlives the process must see to [`ProcessRef::ended`] or [`ProcessRef::terminate`].
///
/// A program that can't be executed is not an error here: it says so in its log, and has ended.
pub fn spawn_detached(
    program: &Path,
    args: &[impl AsRef<OsStr>],
    cwd: &Path,
    stdin: &[u8],
    log: &Path,
) -> io::Result<ProcessRef> {
    let (input, mut writer) = io::pipe()?;
    // Written before there is a reader: were we to die halfway, the process would act on half of its input.
    // What doesn't fit a pipe is an error and not a wait for ever.
    fcntl_setfl(&writer, OFlags::NONBLOCK)?;
    writer.write_all(stdin)?;
    drop(writer);
    let output = OpenOptions::new().append(true).create(true).mode(0o600).open(log)?;

    // Through setsid(1), which becomes the program in place. The other way, a hook between fork and exec, makes the
    // standard library fork instead of posix_spawn, and a fork copies our page tables: 40 us for each MiB in use.
    let child = Command::new(&*SETSID)
        .arg(program)
        .args(args)
        .env_clear()
        .current_dir(cwd)
        .stdin(input)
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .map_err(|error| {
            io::Error::new(error.kind(), format!("execute {} in {}: {error}", SETSID.display(), cwd.display()))
        })?;
    // As our child it keeps its number until we take note of its end, so this finds it even where it has ended.
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    ProcessRef::of(pid)?.ok_or_else(|| io::Error::other(format!("process {pid} is not in /proc")))
}

/// All processes that the service started, and theirs, whose working folder is `dir` or below it, even where it has
/// been deleted since. Never this process itself.
pub fn processes_below(dir: &Path) -> io::Result<Vec<ProcessRef>> {
    let dir = match fs::canonicalize(dir) {
        Ok(dir) => dir,
        Err(error) if error.kind() == ErrorKind::NotFound => std::path::absolute(dir)?,
        Err(error) => return Err(error),
    };
    let own = i32::try_from(std::process::id()).unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        if pid == own {
            continue;
        }
        let Some(cwd) = unless_gone(fs::read_link(format!("/proc/{pid}/cwd")))? else { continue };
        if !without_deleted(cwd).starts_with(&dir) || !has_empty_environment(pid)? {
            continue;
        }
        if let Some(process) = ProcessRef::of(pid)?
            && process.is_alive()?
        {
            found.push(process);
        }
    }
    Ok(found)
}

/// Ends all [`processes_below`] `dir`: SIGTERM to all at once, and SIGKILL to those that are still there after
/// `grace`. Answers how many there were. None is left when it returns; that somebody goes on starting new ones is an
/// error. Blocks.
pub fn end_all(dir: &Path, grace: Duration) -> io::Result<usize> {
    let mut ended = 0;
    let mut grace = grace;
    for _ in 0..10 {
        let mut processes = processes_below(dir)?;
        // An engine that is a script may have an environment by now; its record names it all the same.
        processes.extend(
            recorded_below(dir)?.into_iter().filter(|process| !processes.contains(process)).collect::<Vec<_>>(),
        );
        if processes.is_empty() {
            return Ok(ended);
        }
        end(&processes, grace)?;
        ended += processes.len();
        // What is found from now on was started by those that have ended, and has nobody to work for.
        grace = Duration::ZERO;
    }
    Err(io::Error::other(format!("processes are still being started below {}", dir.display())))
}

fn end(processes: &[ProcessRef], grace: Duration) -> io::Result<()> {
    let handles = processes.iter().filter_map(|process| process.open().transpose()).collect::<io::Result<Vec<_>>>()?;
    let deadline = Instant::now() + grace;
    let mut left = handles;
    while !left.is_empty() && Instant::now() < deadline {
        left.iter().try_for_each(|handle| handle.signal(Signal::TERM))?;
        left = still_there(left, ASK_EVERY.min(deadline.saturating_duration_since(Instant::now())))?;
    }
    left.iter().try_for_each(|handle| handle.signal(Signal::KILL))?;
    if still_there(left, KILL_WITHIN)?.is_empty() {
        return Ok(());
    }
    Err(io::Error::new(ErrorKind::TimedOut, format!("a process survived SIGKILL for {} s", KILL_WITHIN.as_secs())))
}

fn still_there(handles: Vec<Handle>, limit: Duration) -> io::Result<Vec<Handle>> {
    let deadline = Instant::now() + limit;
    let mut left = Vec::new();
    for handle in handles {
        if !handle.wait(deadline.saturating_duration_since(Instant::now()))? {
            left.push(handle);
        }
    }
    Ok(left)
}

/// What `/proc/PID/stat` says.
struct Stat {
    state: char,
    start_time: u64,
}

impl Stat {
    fn of(pid: i32) -> io::Result<Option<Stat>> {
        let Some(text) = unless_gone(fs::read(format!("/proc/{pid}/stat")))? else { return Ok(None) };
        let stat = Stat::parse(&String::from_utf8_lossy(&text));
        stat.map(Some).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat is not understood")))
    }

    fn parse(text: &str) -> Option<Stat> {
        // The second field is the program's name in brackets, and may itself hold brackets and spaces.
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // The state is field 3 of proc(5), the start time field 22.
        let start_time = fields.nth(18)?.parse().ok()?;
        Some(Stat { state, start_time })
    }

    fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

static BOOT: LazyLock<String> = LazyLock::new(|| {
    // Where there is no /proc no process is ever found either, so an empty name can do no harm.
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
});

static SETSID: LazyLock<PathBuf> = LazyLock::new(|| {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join("setsid")).find(|program| program.is_file());
    found.unwrap_or_else(|| PathBuf::from("/usr/bin/setsid"))
});

fn has_empty_environment(pid: i32) -> io::Result<bool> {
    let is_empty = |name: &str| {
        let file = fs::File::open(format!("/proc/{pid}/{name}"));
        unless_gone(file.and_then(|mut file| file.read(&mut [0]))).map(|read| read == Some(0))
    };
    for _ in 0..LOOKS {
        if !is_empty("environ")? {
            return Ok(false);
        }
        // A process that becomes another program has neither arguments nor environment for a moment, whoever's it is.
        if !is_empty("cmdline")? {
            return is_empty("environ");
        }
        std::thread::yield_now();
    }
    Ok(false)
}

/// How often a process without arguments is looked at again; one that keeps having none is a zombie, or none of ours.
const LOOKS: usize = 1_000;

/// What is read of a process in /proc: it may go while it is looked at, and another user's is none of ours.
pub(crate) fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A link in /proc to a folder that has been deleted says so at its end.
fn without_deleted(link: PathBuf) -> PathBuf {
    match link.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
        Some(path) => PathBuf::from(std::ffi::OsString::from_vec(path.to_vec())),
        None => link,
    }
}
