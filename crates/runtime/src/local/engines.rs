//! Which engines are installed: found by name in a list of folders, or at paths that the operator gives; their kinds
//! and versions are what they say of themselves.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::{env, fs, thread};

use model::{EngineKind, EngineVersion};

use crate::Engine;

/// The oldest engine that can run a node: before it there is no failover.
const OLDEST: EngineVersion = EngineVersion::new(6, 2, 0);

const NAMES: [&str; 2] = ["redis-server", "valkey-server"];

/// Where to look for engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EngineSearch {
    /// Folders that may hold a `redis-server` or a `valkey-server`.
    pub folders: Vec<PathBuf>,
    /// Further programs, whatever their names.
    pub programs: Vec<PathBuf>,
}

impl EngineSearch {
    /// The folders of `PATH`, and these programs.
    pub fn path_and(programs: Vec<PathBuf>) -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        // A relative folder would mean another one for each process that looks.
        let folders = env::split_paths(&path).filter(|folder| folder.is_absolute()).collect();
        EngineSearch { folders, programs }
    }

    fn candidates(&self) -> impl Iterator<Item = PathBuf> {
        let named = self.folders.iter().flat_map(|folder| NAMES.map(|name| folder.join(name)));
        self.programs.iter().cloned().chain(named)
    }
}

/// An engine and the program to start it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) engine: Engine,
}

/// The engines installed at this moment. A program is asked for its version when it is first seen, and again when it
/// has been replaced, so one that is installed or upgraded later needs no restart of the service.
pub(super) struct Engines {
    search: EngineSearch,
    asked: Mutex<HashMap<PathBuf, (Stamp, Option<Engine>)>>,
}

/// Differs where a program has been replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified_at: (i64, i64),
}

impl Engines {
    pub(super) fn new(search: EngineSearch) -> Self {
        Engines { search, asked: Mutex::default() }
    }

    /// Each installed engine once, in the order of the search. Blocks for some milliseconds where there are new ones.
    pub(super) fn programs(&self) -> Vec<Program> {
        let mut seen = Vec::new();
        let mut candidates = Vec::new();
        for path in self.search.candidates() {
            // By another path it may be another program: one file can be several, depending on its name. But what
            // leads to the same file from two folders of PATH is one.
            let Some(stamp) = Stamp::of(&path) else { continue };
            let name = path.file_name().map(ToOwned::to_owned);
            if !seen.contains(&(stamp, name.clone())) {
                seen.push((stamp, name));
                candidates.push((path, stamp));
            }
        }
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |(path, stamp): &&(PathBuf, Stamp)| asked.get(path).is_none_or(|(known, _)| known != stamp);
        let new: Vec<_> = candidates.iter().filter(is_new).collect();
        let answers: Vec<_> = thread::scope(|scope| {
            let asking: Vec<_> = new.iter().map(|(path, _)| scope.spawn(|| ask(path))).collect();
            asking.into_iter().map(|answer| answer.join().unwrap_or_default()).collect()
        });
        for ((path, stamp), engine) in new.into_iter().zip(answers) {
            asked.insert(path.clone(), (*stamp, engine));
        }
        let engine_of = |path: &PathBuf| asked.get(path).and_then(|(_, engine)| *engine);
        candidates.into_iter().filter_map(|(path, _)| engine_of(&path).map(|engine| Program { path, engine })).collect()
    }

    /// The nearest engine of the kind that is not older than asked for.
    pub(super) fn nearest(&self, kind: EngineKind, version: EngineVersion) -> Option<Program> {
        let programs = self.programs().into_iter().filter(|program| program.engine.serves(kind, version));
        programs.min_by_key(|program| program.engine.version)
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let file = fs::metadata(path).ok().filter(|file| file.is_file() && file.mode() & 0o111 != 0)?;
        let modified_at = (file.mtime(), file.mtime_nsec());
        Some(Stamp { device: file.dev(), inode: file.ino(), size: file.size(), modified_at })
    }
}

fn ask(program: &Path) -> Option<Engine> {
    let answer = Command::new(program).arg("--version").env_clear().stdin(Stdio::null()).output();
    let text = match answer {
        Ok(answer) => String::from_utf8_lossy(&answer.stdout).into_owned(),
        Err(error) => {
            tracing::warn!(program = %program.display(), %error, "ask an engine for its version");
            return None;
        }
    };
    let engine = parse(&text).filter(|engine| engine.version >= OLDEST);
    if engine.is_none() {
        tracing::warn!(program = %program.display(), said = text.trim(), "not an engine that can run a node");
    }
    engine
}

/// Reads `Redis server v=7.0.15 sha=00000000:0 malloc=…`.
fn parse(text: &str) -> Option<Engine> {
    let kind = match text.split_ascii_whitespace().next()? {
        "Redis" => EngineKind::Redis,
        "Valkey" => EngineKind::Valkey,
        _ => return None,
    };
    let version = text.split_ascii_whitespace().find_map(|word| word.strip_prefix("v="))?;
    // Pre-releases are `8.1.0-rc1`.
    let numbers = version.split(|c: char| c != '.' && !c.is_ascii_digit()).next()?;
    Some(Engine { kind, version: EngineVersion::parse(numbers)? })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn install(dir: &Path, name: &str, says: &str) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{says}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn redis(version: &str) -> Engine {
        Engine { kind: EngineKind::Redis, version: EngineVersion::parse(version).unwrap() }
    }

    #[test]
    fn what_engines_say_of_themselves_is_understood() {
        let valkey = Engine { kind: EngineKind::Valkey, version: EngineVersion::new(8, 1, 1) };
        for (text, engine) in [
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=a", Some(redis("7.0.15"))),
            ("Valkey server v=8.1.1 sha=00000000:1 malloc=jemalloc-5.3.0 bits=64 build=a", Some(valkey)),
            ("Redis server v=8.2.0-rc1 sha=00000000:1 malloc=libc", Some(redis("8.2.0"))),
            ("Memcached v=1.6.0", None),
            ("", None),
        ] {
            assert_eq!(parse(text), engine, "{text}");
        }
    }

    #[test]
    fn the_nearest_engine_that_is_not_older_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let programs = ["6.2.14", "7.2.4", "7.0.15", "5.0.1"]
            .map(|version| install(dir.path(), version, &format!("Redis server v={version} sha=0")));
        let engines = Engines::new(EngineSearch { folders: vec![], programs: programs.to_vec() });
        for (asked, taken) in [
            ("2.8", Some("6.2.14")),
            ("7.0", Some("7.0.15")),
            ("7.0.15", Some("7.0.15")),
            ("7.1", Some("7.2.4")),
            ("8.0", None),
        ] {
            let found = engines.nearest(EngineKind::Redis, EngineVersion::parse(asked).unwrap());
            assert_eq!(found.map(|program| program.engine), taken.map(redis), "{asked}");
        }
        assert_eq!(engines.nearest(EngineKind::Valkey, EngineVersion::new(6, 2, 0)), None);
    }

    #[test]
    fn an_engine_that_is_upgraded_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let engines = Engines::new(EngineSearch { folders: vec![dir.path().to_owned()], programs: vec![] });
        assert_eq!(engines.programs(), []);
        for version in ["7.0.15", "7.2.4"] {
            install(dir.path(), "redis-server", &format!("Redis server v={version} sha=0"));
            let found: Vec<_> = engines.programs().into_iter().map(|program| program.engine).collect();
            assert_eq!(found, [redis(version)]);
        }
    }

    #[test]
    fn a_program_in_two_folders_of_the_search_is_found_once() {
        let dir = tempfile::tempdir().unwrap();
        install(dir.path(), "redis-server", "Redis server v=7.0.15 sha=0");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        let engines = Engines::new(EngineSearch { folders: vec![dir.path().to_owned(), link], programs: vec![] });
        assert_eq!(engines.programs().len(), 1);
    }
}
