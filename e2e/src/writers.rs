use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use redis::RedisResult;

use crate::{Instance, pause};

/// How many write side by side.
const WRITERS: usize = 8;
/// The pause of each between an answer and its next write.
const PAUSE: Duration = Duration::from_millis(1);
/// How long each waits for an answer before it takes its connection for dead.
const PATIENCE: Duration = Duration::from_secs(10);

/// Customers who write without pause, each on a connection of its own: each appends the next number to a list of its
/// own, and never the same one twice. Whatever goes wrong, it connects again at once and goes on with the next number.
pub struct Writers {
    instance: Instance,
    is_over: Arc<AtomicBool>,
    customers: Vec<JoinHandle<Written>>,
}

/// What one of them has seen.
struct Written {
    list: String,
    /// The numbers whose write was answered, and when.
    acknowledged: Vec<(u64, Instant)>,
    errors: BTreeMap<String, usize>,
}

/// What they have seen, held against what is there in the end.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// How many writes were acknowledged.
    pub acknowledged: usize,
    /// How many of those are not there.
    pub missing: usize,
    /// How many are there more than once.
    pub repeated: usize,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, usize>,
    /// The longest time that one of them had no write acknowledged.
    pub longest_gap: Duration,
    /// The longest time that none of them had a write acknowledged.
    pub longest_silence: Duration,
}

impl Writers {
    /// Starts to write to an instance.
    ///
    /// # Panics
    /// When its host is not an IP address.
    pub fn start(instance: &Instance) -> Self {
        Self::start_many(instance, WRITERS, PAUSE)
    }

    /// Starts so many writers, each of whom pauses so long between an answer and its next write.
    ///
    /// # Panics
    /// When the instance's host is not an IP address.
    pub fn start_many(instance: &Instance, writers: usize, pause: Duration) -> Self {
        let addr = SocketAddr::new(instance.host.parse().expect("an IP address"), instance.port);
        let is_over = Arc::new(AtomicBool::new(false));
        let customers = (0..writers).map(|number| {
            let (password, is_over) = (instance.password.clone(), is_over.clone());
            thread::spawn(move || write_on(addr, &password, format!("writer-{number}"), pause, &is_over))
        });
        Writers { instance: instance.clone(), customers: customers.collect(), is_over }
    }

    /// Stops, reads everything back and deletes it.
    ///
    /// # Errors
    /// What Redis or the network says to who reads back.
    ///
    /// # Panics
    /// When a writer has.
    pub fn finish(self) -> RedisResult<Account> {
        let instance = self.instance.clone();
        self.finish_at(&[&instance])
    }

    /// As [`Writers::finish`], where what was written is at one of several addresses.
    ///
    /// # Errors
    /// What Redis or the network says to who reads back.
    ///
    /// # Panics
    /// When a writer has.
    pub fn finish_at(self, instances: &[&Instance]) -> RedisResult<Account> {
        self.is_over.store(true, Ordering::Relaxed);
        let all: Vec<Written> = self.customers.into_iter().map(|customer| customer.join().expect("a writer")).collect();
        let mut connections = instances.iter().map(|instance| instance.connect()).collect::<RedisResult<Vec<_>>>()?;
        let mut account = Account::default();
        for written in &all {
            let mut there: Vec<u64> = Vec::new();
            for connection in &mut connections {
                let part: Vec<u64> = redis::cmd("LRANGE").arg(&written.list).arg(0).arg(-1).query(connection)?;
                redis::cmd("UNLINK").arg(&written.list).exec(connection)?;
                there.extend(part);
            }
            account.add(written, &there);
        }
        let mut moments: Vec<Instant> =
            all.iter().flat_map(|written| written.acknowledged.iter().map(|(_, at)| *at)).collect();
        moments.sort_unstable();
        account.longest_silence = longest_gap(moments.into_iter());
        Ok(account)
    }
}

impl Account {
    fn add(&mut self, written: &Written, there: &[u64]) {
        let mut times: HashMap<u64, usize> = HashMap::with_capacity(there.len());
        for number in there {
            *times.entry(*number).or_default() += 1;
        }
        self.acknowledged += written.acknowledged.len();
        self.missing += written.acknowledged.iter().filter(|(number, _)| !times.contains_key(number)).count();
        self.repeated += times.values().filter(|times| **times > 1).count();
        for (kind, count) in &written.errors {
            *self.errors.entry(kind.clone()).or_default() += count;
        }
        self.longest_gap = self.longest_gap.max(longest_gap(written.acknowledged.iter().map(|(_, at)| *at)));
    }
}

fn longest_gap(moments: impl Iterator<Item = Instant> + Clone) -> Duration {
    let later = moments.clone().skip(1);
    moments.zip(later).map(|(before, after)| after.duration_since(before)).max().unwrap_or_default()
}

fn write_on(addr: SocketAddr, password: &str, list: String, pause_for: Duration, is_over: &AtomicBool) -> Written {
    let mut written = Written { list, acknowledged: Vec::new(), errors: BTreeMap::new() };
    let mut numbers = 1..;
    let mut connection = None;
    while !is_over.load(Ordering::Relaxed) {
        if let Err(kind) = write_next(&mut connection, addr, password, &mut numbers, &mut written) {
            connection = None;
            *written.errors.entry(kind).or_default() += 1;
            continue;
        }
        pause(pause_for);
    }
    written
}

fn write_next(
    connection: &mut Option<Connection>,
    addr: SocketAddr,
    password: &str,
    numbers: &mut impl Iterator<Item = u64>,
    written: &mut Written,
) -> Result<(), String> {
    let connection = match connection {
        Some(connection) => connection,
        None => connection.insert(Connection::open(addr, password)?),
    };
    let number = numbers.next().unwrap_or_default();
    connection.ask(&["RPUSH", &written.list, &number.to_string()])?;
    written.acknowledged.push((number, Instant::now()));
    Ok(())
}

/// A connection whose every fault has a name: a client library would hide some, and mend others by itself.
struct Connection(BufReader<TcpStream>);

impl Connection {
    fn open(addr: SocketAddr, password: &str) -> Result<Self, String> {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE).map_err(|error| name(&error))?;
        let prepared = stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE)));
        prepared.map_err(|error| name(&error))?;
        let mut connection = Connection(BufReader::new(stream));
        connection.ask(&["AUTH", password])?;
        Ok(connection)
    }

    /// Says a command whose answer is one line.
    fn ask(&mut self, command: &[&str]) -> Result<(), String> {
        let words: String = command.iter().map(|word| format!("${}\r\n{word}\r\n", word.len())).collect();
        let mut line = String::new();
        let said = self.0.get_mut().write_all(format!("*{}\r\n{words}", command.len()).as_bytes());
        said.and_then(|()| self.0.read_line(&mut line)).map_err(|error| name(&error))?;
        match line.strip_prefix('-') {
            Some(refusal) => Err(refusal.split_whitespace().next().unwrap_or_default().to_owned()),
            None if line.ends_with('\n') => Ok(()),
            None => Err("connection closed".into()),
        }
    }
}

fn name(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => "connection reset".into(),
        ErrorKind::ConnectionRefused => "connection refused".into(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "no answer".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_is_held_against_what_is_there() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let acknowledged = vec![(1, at(0)), (2, at(5)), (4, at(50)), (5, at(51))];
        let errors = BTreeMap::from([("connection reset".to_owned(), 1)]);
        let mut account = Account::default();
        // The third was not acknowledged, and is there all the same.
        account.add(&Written { list: String::new(), acknowledged, errors: errors.clone() }, &[1, 3, 4, 4]);
        assert_eq!((account.acknowledged, account.missing, account.repeated), (4, 2, 1));
        assert_eq!((account.longest_gap, account.errors), (Duration::from_millis(45), errors));
    }
}
