//! How a gateway hands all that it has to its successor, another process of maybe another release, so that neither
//! clients nor nodes can tell.
//!
//! The successor asks for it by the control socket ([`Request::Succeed`](crate::control::Request)). The gateway that runs
//! lets nobody in any more, which has newcomers wait in the kernel, and its loops stand still. What each of them knows
//! goes over the same socket as [`Part`]s, with the sockets themselves: the lock of the folder, the control socket, the
//! addresses, the clients, the connections to nodes. Then
//!
//! 1. the successor says [`READY`]: it has everything, and has touched none of it;
//! 2. the other says [`GO`], and never touches any of it again, unless it learns that the successor is gone without
//! 3. [`SERVING`], which is the last thing that the successor says before it begins.
//!
//! So two never serve, and one that fails before it has said the last word has changed nothing: the other goes on as if
//! it had not been asked. A socket is closed for whoever is at its other end when the last process that has it closes it,
//! so the end of the predecessor is not seen from outside.

use std::io::{self, IoSlice, IoSliceMut, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use model::{InstanceId, NodeId, RoutingTable, Vip};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::commands::Learned;
use crate::control::Request;
use crate::exchange::{Bytes, Moved};
use crate::folder;

/// How long clients wait for a successor that does not take what it gets, or says nothing.
const WITHIN: Duration = Duration::from_secs(5);
/// How long one write or read of it may take.
const STEP_WITHIN: Duration = Duration::from_secs(2);
/// More sockets than this do not go with one part; the kernel takes 253.
pub(crate) const MOST_SOCKETS: usize = 128;
/// No part is longer: a value that was cut off twice by what has no room for it, as digits.
const LONGEST_PART: usize = 512 << 20;
/// How much a part has before the next is begun.
const FULL_PART: usize = 1 << 20;

const READY: u8 = b'r';
const GO: u8 = b'g';
const SERVING: u8 = b's';

/// Something that goes to the successor. A newer release adds fields that have a default, and parts that an older one
/// need not have sent.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Part {
    /// First. With it go the folder's lock, the control socket and, where it has one, that for metrics.
    Begin(Begin),
    /// With each goes its socket.
    Addresses(Vec<MovedAddress>),
    Instance(MovedInstance),
    /// Of the loop of this number; with each that [has one](Moved::has_socket) goes its socket.
    Moved {
        of: usize,
        all: Vec<Moved>,
    },
    /// Last.
    End,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) release: String,
    pub(crate) table: Option<RoutingTable>,
    /// Whether that is on the disk.
    pub(crate) is_saved: bool,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct MovedAddress {
    pub(crate) vip: Vip,
    pub(crate) is_closed: bool,
}

/// What the connections of an instance share, beyond what the table says.
#[derive(Serialize, Deserialize)]
pub(crate) struct MovedInstance {
    pub(crate) instance: InstanceId,
    #[serde(default)]
    pub(crate) scripts: Vec<Bytes>,
    /// The commands of this node.
    #[serde(default)]
    pub(crate) commands: Option<(NodeId, Vec<Learned>)>,
    /// How far it is ahead of its rates, in and out.
    #[serde(default)]
    pub(crate) owes: (Duration, Duration),
}

/// A control connection by which parts go. It blocks, but never for long.
pub(crate) struct Channel {
    stream: UnixStream,
    until: Instant,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> io::Result<Channel> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(STEP_WITHIN))?;
        stream.set_write_timeout(Some(STEP_WITHIN))?;
        Ok(Channel { stream, until: Instant::now() + WITHIN })
    }

    pub(crate) fn send(&mut self, part: &Part, sockets: &[BorrowedFd<'_>]) -> io::Result<()> {
        let body = serde_json::to_vec(part)?;
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let count = u32::try_from(sockets.len()).map_err(io::Error::other)?;
        let head = [length.to_be_bytes(), count.to_be_bytes()].concat();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !sockets.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(sockets)) {
            return Err(io::Error::other("so many sockets do not go at once"));
        }
        self.check_time()?;
        let sent = sendmsg(&self.stream, &[IoSlice::new(&head)], &mut ancillary, SendFlags::NOSIGNAL)?;
        self.write(&head[sent..])?;
        self.write(&body)
    }

    fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.check_time()?;
            match self.stream.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<(Part, Vec<OwnedFd>)> {
        self.check_time()?;
        let mut head = [0; 8];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = recvmsg(&self.stream, &mut [IoSliceMut::new(&mut head)], &mut ancillary, flags)?;
        let mut sockets = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(with) = message {
                sockets.extend(with);
            }
        }
        if received.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.read_exact(&mut head[received.bytes..])?;
        let number = |bytes: [u8; 4]| u32::from_be_bytes(bytes) as usize;
        let [a, b, c, d, e, f, g, h] = head;
        let (length, count) = (number([a, b, c, d]), number([e, f, g, h]));
        if length > LONGEST_PART || count != sockets.len() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "sockets were lost, as where too many are open"));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((serde_json::from_slice(&body)?, sockets))
    }

    fn say(&mut self, word: u8) -> io::Result<()> {
        self.write(&[word])
    }

    fn hear(&mut self, word: u8) -> io::Result<()> {
        let mut heard = [0];
        self.stream.read_exact(&mut heard)?;
        if heard == [word] { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidData, "it said something else")) }
    }

    fn check_time(&self) -> io::Result<()> {
        if Instant::now() < self.until { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
    }
}

/// Asks whether the successor has everything, and lets it go ahead. Whether it has: all is its own from then on.
pub(crate) fn let_go_ahead(channel: &mut Channel) -> io::Result<()> {
    channel.send(&Part::End, &[])?;
    channel.stream.set_read_timeout(Some(WITHIN))?;
    channel.hear(READY)?;
    channel.say(GO)?;
    match channel.hear(SERVING) {
        // It is gone, and has begun nothing.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(error),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(error),
        // It may serve by now, whatever keeps it from saying so.
        _ => Ok(()),
    }
}

/// What a loop is to send, and how it learns what comes of it.
pub(crate) struct Departure {
    pub(crate) of: usize,
    pub(crate) channel: Arc<Mutex<Channel>>,
    pub(crate) sent: oneshot::Sender<io::Result<()>>,
    /// Whether all is the successor's; where nobody says so, it is not.
    pub(crate) is_over: mpsc::Receiver<()>,
}

impl Departure {
    /// Sends what `tell_all` gives, and stands still until it is known what comes of that. Whether it is the successor's.
    pub(crate) fn take(self, tell_all: impl FnOnce(&mut Parcel<'_>) -> io::Result<()>) -> bool {
        let mut parcel = Parcel { of: self.of, channel: &self.channel, all: Vec::new(), sockets: Vec::new(), bytes: 0 };
        let sent = tell_all(&mut parcel).and_then(|()| parcel.send());
        // Whoever is to know may have given up.
        let _ = self.sent.send(sent);
        self.is_over.recv().is_ok()
    }
}

/// Things of a loop that go together.
pub(crate) struct Parcel<'a> {
    of: usize,
    channel: &'a Mutex<Channel>,
    all: Vec<Moved>,
    sockets: Vec<OwnedFd>,
    bytes: usize,
}

impl Parcel<'_> {
    pub(crate) fn add(&mut self, moved: Moved, socket: Option<BorrowedFd<'_>>) -> io::Result<()> {
        self.bytes += moved.size();
        self.all.push(moved);
        // Of so many at most there are two for a moment.
        self.sockets.extend(socket.map(|socket| socket.try_clone_to_owned()).transpose()?);
        if self.sockets.len() == MOST_SOCKETS || self.bytes > FULL_PART { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let (all, owned) = (std::mem::take(&mut self.all), std::mem::take(&mut self.sockets));
        self.bytes = 0;
        let sockets: Vec<_> = owned.iter().map(|socket| socket.as_fd()).collect();
        let mut channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner);
        channel.send(&Part::Moved { of: self.of, all }, &sockets)
    }
}

/// What a successor gets.
pub(crate) struct Estate {
    pub(crate) release: String,
    pub(crate) table: Option<RoutingTable>,
    pub(crate) is_saved: bool,
    pub(crate) lock: OwnedFd,
    pub(crate) control: OwnedFd,
    pub(crate) metrics: Option<OwnedFd>,
    pub(crate) addresses: Vec<(MovedAddress, OwnedFd)>,
    pub(crate) instances: Vec<MovedInstance>,
    /// By the loop that had it.
    pub(crate) moved: Vec<(usize, Moved, Option<OwnedFd>)>,
    channel: Channel,
}

impl Estate {
    /// Has the gateway that runs in `dir` hand over what it has. Blocks.
    pub(crate) fn receive(dir: &Path) -> io::Result<Estate> {
        let mut stream = UnixStream::connect(folder::socket_below(&folder::open_for_client(dir)?))?;
        let request = Request::Succeed { release: env!("CARGO_PKG_VERSION").into() };
        let mut line = serde_json::to_vec(&request)?;
        line.push(b'\n');
        stream.write_all(&line)?;
        let mut channel = Channel::new(stream)?;
        // It may have to end what it does first.
        channel.until = Instant::now() + 3 * WITHIN;
        channel.stream.set_read_timeout(Some(2 * WITHIN))?;
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "sockets are missing");
        let (Part::Begin(begin), sockets) = channel.receive()? else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it began with something else"));
        };
        let mut sockets = sockets.into_iter();
        let (lock, control) = (sockets.next().ok_or_else(missing)?, sockets.next().ok_or_else(missing)?);
        let mut estate = Estate {
            release: begin.release,
            table: begin.table,
            is_saved: begin.is_saved,
            lock,
            control,
            metrics: sockets.next(),
            addresses: Vec::new(),
            instances: Vec::new(),
            moved: Vec::new(),
            channel,
        };
        loop {
            let (part, sockets) = estate.channel.receive()?;
            let mut sockets = sockets.into_iter();
            match part {
                Part::Addresses(addresses) => {
                    for address in addresses {
                        estate.addresses.push((address, sockets.next().ok_or_else(missing)?));
                    }
                }
                Part::Instance(instance) => estate.instances.push(instance),
                Part::Moved { of, all } => {
                    for moved in all {
                        let socket = if moved.has_socket() { Some(sockets.next().ok_or_else(missing)?) } else { None };
                        estate.moved.push((of, moved, socket));
                    }
                }
                Part::Begin(_) => {}
                Part::End => return Ok(estate),
            }
        }
    }

    /// Says that all is here and nothing was touched. Once this returns, it is this process's own, and it must begin.
    pub(crate) fn take(&mut self) -> io::Result<()> {
        self.channel.say(READY)?;
        self.channel.hear(GO)?;
        // Where that does not reach the other any more, it has ended.
        let _ = self.channel.say(SERVING);
        Ok(())
    }
}
