//! The table in force and its doors go to a successor, and come from a predecessor.

use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::net::UnixStream;
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tracing::{info, warn};

use super::{Gateway, Loops};
use crate::Relays;
use crate::address::Address;
use crate::commands::KNOWN;
use crate::door::Door;
use crate::event_loop::Order;
use crate::exchange::{Bytes, Moved};
use crate::folder::Folder;
use crate::instance::Instance;
use crate::socket::Socket;
use crate::succession::{
    Begin, Channel, Departure, Estate, MOST_SOCKETS, MovedAddress, MovedInstance, Part, let_go_ahead,
};

/// What the process listens on besides the addresses.
pub(crate) struct Sockets {
    pub(crate) control: OwnedFd,
    pub(crate) metrics: Option<OwnedFd>,
}

impl Gateway {
    /// What goes to a successor besides the addresses.
    pub(crate) fn has_sockets(&mut self, sockets: Sockets) {
        self.sockets = Some(sockets);
    }

    /// Whether all is a successor's: nothing may be done here any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_over
    }

    /// What is left to be done when all is a successor's.
    pub(crate) fn relays(&self) -> Relays {
        Relays(Some(self.loops.clone()))
    }

    /// Tells when [that](Self::is_over) is so.
    pub(crate) fn over(&self) -> Arc<Notify> {
        self.over.clone()
    }

    /// Hands everything over to whoever has asked for it, or goes on as if nobody had.
    pub(crate) async fn hand_over(&mut self, stream: UnixStream, release: &str) {
        self.doors.values_mut().for_each(Door::pause);
        for door in self.doors.values_mut() {
            door.paused().await;
        }
        match self.try_to_hand_over(stream).await {
            Ok(()) => {
                info!(release, "a successor has everything");
                self.is_over = true;
                self.over.notify_one();
                self.is_saved = true;
                self.doors.values_mut().for_each(Door::let_go);
                self.doors.clear();
            }
            Err(error) => {
                warn!(%error, release, "a successor did not take over, and this gateway goes on");
                self.doors.values_mut().for_each(Door::resume);
            }
        }
    }

    async fn try_to_hand_over(&mut self, stream: UnixStream) -> io::Result<()> {
        let channel = Arc::new(Mutex::new(Channel::new(stream.into_std()?)?));
        let sockets = self.sockets.as_ref().ok_or_else(|| io::Error::other("it has not begun itself"))?;
        let begin =
            Begin { release: env!("CARGO_PKG_VERSION").into(), table: self.table.clone(), is_saved: self.is_saved };
        let with = [self.folder.lock(), sockets.control.as_fd()].into_iter();
        let with = with.chain(sockets.metrics.as_ref().map(OwnedFd::as_fd));
        send(&channel, Part::Begin(begin), with).await?;
        let addresses = self.doors.values().filter_map(|door| Some((door.vip(), door.address()?)));
        for some in addresses.collect::<Vec<_>>().chunks(MOST_SOCKETS) {
            let of = |(vip, address): &(_, &Address)| MovedAddress { vip: *vip, is_closed: address.is_closed() };
            let part = Part::Addresses(some.iter().map(of).collect());
            send(&channel, part, some.iter().map(|(_, address)| address.socket())).await?;
        }
        let (mut sent, mut verdicts) = (Vec::new(), Vec::new());
        for (of, event_loop) in self.loops.0.iter().enumerate() {
            let (send, is_sent) = oneshot::channel();
            let (verdict, is_over) = mpsc::channel();
            event_loop.send(Order::Depart(Departure { of, channel: channel.clone(), sent: send, is_over }));
            sent.push(is_sent);
            verdicts.push(verdict);
        }
        for is_sent in sent {
            is_sent.await.map_err(|_| io::Error::other("a loop has ended"))??;
        }
        // After the loops stand still, which add to this.
        for instance in self.instances.values() {
            send(&channel, Part::Instance(tell_instance(instance)), []).await?;
        }
        let going = spawn_blocking(move || let_go_ahead(&mut channel.lock().unwrap_or_else(PoisonError::into_inner)));
        going.await.map_err(io::Error::other)??;
        for verdict in verdicts {
            // It fails for a loop that has ended, which is what it is to do.
            let _ = verdict.send(());
        }
        Ok(())
    }

    /// Goes on with what a predecessor has handed over.
    pub(crate) async fn take_over(folder: Arc<Folder>, loops: Loops, estate: Estate) -> Gateway {
        let mut gateway = Gateway::empty(folder, loops);
        gateway.is_saved = estate.is_saved;
        let Some(table) = estate.table else { return gateway };
        for (MovedAddress { vip, is_closed }, socket) in estate.addresses {
            let Some(route) = table.routes.iter().find(|route| route.vip == vip) else { continue };
            let id = &route.instance;
            let instance = gateway.instance(id);
            let mut door = Door::new(vip, instance.clone(), gateway.loops.clone());
            door.inherit(Address::inherit(socket, is_closed));
            gateway.doors.insert(vip, door);
        }
        gateway.enforce(table, Some((estate.instances, estate.moved))).await;
        info!(release = estate.release, "took over from a predecessor");
        gateway
    }

    /// Takes in who came along, under routes that are in force, before anybody else comes.
    pub(super) async fn let_in(&self, (instances, moved): Arrivals) {
        let now = std::time::Instant::now();
        for moved in instances {
            let Some(instance) = self.instances.get(&moved.instance) else { continue };
            moved.scripts.iter().for_each(|script| instance.keep_script(&script.0));
            if let Some((node, learned)) = moved.commands {
                instance.know_commands(node, KNOWN.learn_again(learned));
            }
            instance.inbound.owe(moved.owes.0, now);
            instance.outbound.owe(moved.owes.1, now);
        }
        let loops = &self.loops.0;
        let mut by_loop: Vec<Vec<_>> = loops.iter().map(|_| Vec::new()).collect();
        for (of, moved, socket) in moved {
            // All of an instance is with one loop, whichever had it before; what is of none any more ends here.
            if let Some(instance) = self.instances.get(moved.instance()) {
                let terms = if moved.is_unspoken() { instance.terms() } else { None };
                let socket = socket.map(|socket| Socket::of_client(TcpStream::from(socket), terms));
                by_loop[instance.number % loops.len()].push((of, moved, socket));
            }
        }
        let taking = loops.iter().zip(by_loop).map(|(event_loop, all)| {
            let (done, is_done) = oneshot::channel();
            event_loop.send(Order::TakeOver(all, done));
            is_done
        });
        for is_done in taking.collect::<Vec<_>>() {
            // A loop that has ended has none.
            let _ = is_done.await;
        }
    }
}

/// What comes along besides addresses.
pub(super) type Arrivals = (Vec<MovedInstance>, Vec<(usize, Moved, Option<OwnedFd>)>);

fn tell_instance(instance: &Instance) -> MovedInstance {
    let now = std::time::Instant::now();
    MovedInstance {
        instance: instance.id.clone(),
        scripts: instance.kept_scripts().into_iter().map(Bytes).collect(),
        commands: instance.known_commands().map(|(node, commands)| (node, commands.learned())),
        owes: (instance.inbound.owes(now), instance.outbound.owes(now)),
    }
}

async fn send<'a>(
    channel: &Arc<Mutex<Channel>>,
    part: Part,
    sockets: impl IntoIterator<Item = BorrowedFd<'a>>,
) -> io::Result<()> {
    let owned: io::Result<Vec<OwnedFd>> = sockets.into_iter().map(|socket| socket.try_clone_to_owned()).collect();
    let (channel, owned) = (channel.clone(), owned?);
    let sending = spawn_blocking(move || {
        let sockets: Vec<_> = owned.iter().map(OwnedFd::as_fd).collect();
        channel.lock().unwrap_or_else(PoisonError::into_inner).send(&part, &sockets)
    });
    sending.await.map_err(io::Error::other)?
}
