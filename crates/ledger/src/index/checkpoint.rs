//! The index in a file, so that a start need not read all rows. A checkpoint may be older than the store: the index then
//! follows. It may be lost, or damaged, which its sum shows: the index is then made from the rows.
//!
//! It is written beside whoever changes the index, piece by piece: what is newer than its beginning is left out of each
//! piece, and of an older task nothing changes but its result. The results are taken at the beginning, all at once.

use std::fs::{File, TryLockError};
use std::hash::Hash;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::content::Content;
use super::set::{Bits, Chunk, Set, WORDS};
use super::values::Values;
use super::{State, TaskIndex, Version, version};
use crate::{Reader, Result, args};

/// With the format's number: another one is not read.
const MAGIC: &[u8; 8] = b"ocrs-ti2";
/// How much is copied while the writer is kept waiting.
const PIECE: usize = 1 << 18;

/// Writes the index as it is now. Of several servers that do so at once one does it for all.
pub(super) fn save(index: &TaskIndex, path: &Path) -> io::Result<()> {
    let lock = File::create(path.with_extension("index-lock"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(()),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let beside = path.with_extension("index-new");
    let mut out =
        Summed { inner: BufWriter::with_capacity(PIECE, File::create(&beside)?), sum: crc32fast::Hasher::new() };
    let (piece, end) = {
        let state = index.read();
        let mut piece = Vec::new();
        let numbers = [state.version.number, state.reopened, state.content.base, i64::from(state.content.end())];
        numbers.iter().for_each(|number| piece.extend(number.to_le_bytes()));
        encode_text(&mut piece, &index.store);
        encode_text(&mut piece, &state.version.mark);
        encode_values(&mut piece, &state.content.results, 0, u32::MAX, usize::MAX);
        (piece, state.content.end())
    };
    out.write_all(MAGIC)?;
    out.write_all(&piece)?;
    for from in (0..end).step_by(PIECE / 4) {
        let to = end.min(from + (PIECE / 4) as u32);
        let piece: Vec<u8> = {
            let state = index.read();
            state.content.seconds[from as usize..to as usize].iter().flat_map(|second| second.to_le_bytes()).collect()
        };
        out.write_all(&piece)?;
    }
    save_values(index, &mut out, end, |content| &content.accounts)?;
    save_values(index, &mut out, end, |content| &content.projects)?;
    save_values(index, &mut out, end, |content| &content.instances)?;
    save_values(index, &mut out, end, |content| &content.names)?;
    save_values(index, &mut out, end, |content| &content.kinds)?;
    save_values(index, &mut out, end, |content| &content.callers)?;
    let sum = out.sum.finalize();
    out.inner.write_all(&sum.to_le_bytes())?;
    out.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Not forced to the disk: one that a power failure tore is made anew.
    std::fs::rename(&beside, path)
}

fn save_values<K: Key>(
    index: &TaskIndex,
    out: &mut impl Write,
    end: u32,
    pick: impl Fn(&Content) -> &Values<K>,
) -> io::Result<()> {
    let mut next = Some(0);
    while let Some(place) = next {
        let mut piece = Vec::with_capacity(2 * PIECE);
        next = encode_values(&mut piece, pick(&index.read().content), place, end, PIECE);
        out.write_all(&piece)?;
    }
    Ok(())
}

/// Writes values with their sets from a place on, until a piece is full; answers from where it goes on.
fn encode_values<K: Key>(piece: &mut Vec<u8>, values: &Values<K>, from: usize, end: u32, most: usize) -> Option<usize> {
    for (place, (value, set)) in values.sets().iter().enumerate().skip(from) {
        if piece.len() >= most {
            return Some(place);
        }
        piece.push(1);
        value.encode(piece);
        encode_set(piece, set, end);
    }
    piece.push(0);
    None
}

fn encode_set(piece: &mut Vec<u8>, set: &Set, end: u32) {
    match set {
        Set::Few(list) => {
            let list = &list[..list.partition_point(|position| *position < end)];
            piece.push(0);
            piece.extend((list.len() as u32).to_le_bytes());
            list.iter().for_each(|position| piece.extend(position.to_le_bytes()));
        }
        Set::Many(chunks) => {
            piece.push(1);
            let begin = |number: u16| u32::from(number) << 16;
            let chunks = &chunks[..chunks.partition_point(|(number, _)| begin(*number) < end)];
            piece.extend((chunks.len() as u32).to_le_bytes());
            for (number, chunk) in chunks {
                piece.extend(number.to_le_bytes());
                let is_cut = end - begin(*number) <= u32::from(u16::MAX);
                let cut = is_cut.then(|| chunk.below((end - begin(*number)) as u16));
                match cut.as_ref().unwrap_or(chunk) {
                    Chunk::List(list) => {
                        piece.extend((list.len() as u16).to_le_bytes());
                        list.iter().for_each(|low| piece.extend(low.to_le_bytes()));
                    }
                    Chunk::Bits(bits, _) => {
                        piece.extend(u16::MAX.to_le_bytes());
                        bits.iter().for_each(|word| piece.extend(word.to_le_bytes()));
                    }
                }
            }
        }
    }
}

/// The index of a checkpoint; `None` where there is none, or none of this store, which is called so.
pub(super) fn load(reader: &mut dyn Reader, path: &Path, store: &str) -> Result<Option<State>> {
    let read = read(path).and_then(|()| decode(path));
    let (state, of) = match read {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            tracing::warn!(%error, "the task index is made anew: its checkpoint can't be read");
            return Ok(forget(path));
        }
    };
    // A store that was put back from a copy is behind, or has gone another way since.
    let last = reader.row("select started_at from task where id = $1", args![state.content.next_id() - 1])?;
    let last = last.map(|row| row.int(0)).transpose()?.map(|at| model::Millis(at).seconds().max(0));
    let is_of_store = last == state.content.seconds.last().map(|second| i64::from(*second));
    let now = version(reader)?;
    if of == store && is_of_store && (state.version.number < now.number || state.version == now) {
        return Ok(Some(state));
    }
    tracing::warn!("the task index is made anew: its checkpoint is of another ledger, or of long ago");
    Ok(forget(path))
}

/// One that was refused once must not fit by chance later.
fn forget(path: &Path) -> Option<State> {
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, "a checkpoint can't be removed");
    }
    None
}

/// Whether the sum is right; nothing is believed before.
fn read(path: &Path) -> io::Result<()> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut rest = length.checked_sub(4).filter(|rest| *rest >= 40).ok_or_else(|| damaged("it is too short"))?;
    let (mut sum, mut piece) = (crc32fast::Hasher::new(), vec![0; PIECE]);
    while rest > 0 {
        let now = rest.min(PIECE as u64) as usize;
        file.read_exact(&mut piece[..now])?;
        sum.update(&piece[..now]);
        rest -= now as u64;
    }
    let mut wanted = [0; 4];
    file.read_exact(&mut wanted)?;
    if sum.finalize() == u32::from_le_bytes(wanted) { Ok(()) } else { Err(damaged("its sum is wrong")) }
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The index, and the name of its store.
fn decode(path: &Path) -> io::Result<(State, String)> {
    let mut file = Decoder(BufReader::with_capacity(PIECE, File::open(path)?));
    if file.array()? != *MAGIC {
        return Err(damaged("it is of another release"));
    }
    let mut number = || file.array().map(i64::from_le_bytes);
    let (number, reopened, base, end) = (number()?, number()?, number()?, number()?);
    let (store, mark) = (file.text()?, file.text()?);
    let mut content = Content::new(base);
    content.results = file.values()?;
    content.seconds = file.list(end as usize, u32::from_le_bytes)?;
    content.accounts = file.values()?;
    content.projects = file.values()?;
    content.instances = file.values()?;
    content.names = file.values()?;
    content.kinds = file.values()?;
    content.callers = file.values()?;
    Ok((State { content, version: Version { number, mark }, reopened }, store))
}

struct Decoder<R>(R);

impl<R: Read> Decoder<R> {
    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn list<T, const N: usize>(&mut self, length: usize, read: fn([u8; N]) -> T) -> io::Result<Vec<T>> {
        let mut bytes = vec![0; length * N];
        self.0.read_exact(&mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|bytes| read(*bytes)).collect())
    }

    fn text(&mut self) -> io::Result<String> {
        let length = u32::from_le_bytes(self.array()?) as usize;
        String::from_utf8(self.list(length, u8::from_le_bytes)?).map_err(io::Error::other)
    }

    fn values<K: Key>(&mut self) -> io::Result<Values<K>> {
        let mut values = Values::default();
        while self.array()? == [1] {
            let (value, set) = (K::decode(self)?, self.set()?);
            // One whose tasks have all been removed.
            if !set.is_empty() {
                values.put(value, set);
            }
        }
        Ok(values)
    }

    fn set(&mut self) -> io::Result<Set> {
        let is_many = self.array()? == [1];
        let length = u32::from_le_bytes(self.array()?) as usize;
        if !is_many {
            return Ok(Set::Few(self.list(length, u32::from_le_bytes)?));
        }
        let chunks = (0..length).map(|_| {
            let number = u16::from_le_bytes(self.array()?);
            Ok((
                number,
                match u16::from_le_bytes(self.array()?) {
                    u16::MAX => {
                        let mut bits: Box<Bits> = Box::new([0; WORDS]);
                        bits.iter_mut().zip(self.list(WORDS, u64::from_le_bytes)?).for_each(|(to, word)| *to = word);
                        let count = bits.iter().map(|word| word.count_ones()).sum();
                        Chunk::Bits(bits, count)
                    }
                    length => Chunk::List(self.list(usize::from(length), u16::from_le_bytes)?),
                },
            ))
        });
        let mut chunks = chunks.collect::<io::Result<Vec<_>>>()?;
        // One of which nothing was old enough.
        chunks.retain(|(_, chunk)| chunk.len() > 0);
        Ok(Set::Many(chunks))
    }
}

fn encode_text(piece: &mut Vec<u8>, text: &str) {
    piece.extend((text.len() as u32).to_le_bytes());
    piece.extend(text.as_bytes());
}

/// A value as the file has it.
trait Key: Hash + Eq + Clone {
    fn encode(&self, piece: &mut Vec<u8>);
    fn decode<R: Read>(from: &mut Decoder<R>) -> io::Result<Self>;
}

impl Key for i64 {
    fn encode(&self, piece: &mut Vec<u8>) {
        piece.extend(self.to_le_bytes());
    }

    fn decode<R: Read>(from: &mut Decoder<R>) -> io::Result<Self> {
        from.array().map(i64::from_le_bytes)
    }
}

impl Key for Arc<str> {
    fn encode(&self, piece: &mut Vec<u8>) {
        encode_text(piece, self);
    }

    fn decode<R: Read>(from: &mut Decoder<R>) -> io::Result<Self> {
        from.text().map(Into::into)
    }
}

/// Sums what is written.
struct Summed<W> {
    inner: W,
    sum: crc32fast::Hasher,
}

impl<W: Write> Write for Summed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In each form that a set has, and whatever is newer than the checkpoint.
    #[test]
    fn a_set_is_read_as_it_was_when_the_checkpoint_began() {
        for (step, count) in [(1, 100), (70_000, 500), (97, 5_000), (3, 60_000), (1, 200_000)] {
            let mut set = Set::default();
            (0..count).for_each(|nth| set.insert(nth * step));
            for end in [0, 1, 65_535, 65_536, 65_537, 131_072, 150_000, u32::MAX] {
                let mut piece = Vec::new();
                encode_set(&mut piece, &set, end);
                let read = Decoder(&piece[..]).set().unwrap();
                let wanted: Vec<u32> = set.positions().into_iter().filter(|position| *position < end).collect();
                assert_eq!(read.positions(), wanted);
                assert!((0..4).all(|number| read.part(number).is_none_or(|part| part.len() > 0)));
            }
        }
    }
}
