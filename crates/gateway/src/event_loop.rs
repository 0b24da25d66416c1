//! A thread that waits for sockets to be ready and has its [`Exchange`] do what follows. There is one a core; a client stays
//! with the one that took it in.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::{InstanceId, Millis, NodeAddr, Sight, Vip};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use tokio::sync::oneshot;
use tracing::error;

use crate::connection::ClientAddr;
use crate::exchange::{Exchange, Held, LoopRoute, Moved};
use crate::instance::{Guest, Instance};
use crate::relay;
use crate::socket::Socket;
use crate::succession::Departure;
use crate::world::{Interest, Passage, Ready, Token, Wire as _, World};

/// How many sockets are looked at before the next question which are ready.
pub(crate) const EVENTS: usize = 512;
/// The token of orders; no wire has it, since the keys of wires are never zero.
pub(crate) const ORDERS: u64 = 0;
/// What tells a node's token from a client's: no exchange has so many of either.
const IS_NODE: u64 = 1 << 31;

/// What a loop is told to do.
pub(crate) enum Order {
    Admit {
        socket: Socket,
        vip: Vip,
        from: ClientAddr,
        guest: Guest,
    },
    /// It is said when they are in force.
    SetRoutes(Arc<Vec<LoopRoute>>, oneshot::Sender<()>),
    Hold {
        instance: Arc<Instance>,
        at_most: Duration,
        quiet: oneshot::Sender<Held>,
    },
    Unhold(Arc<Instance>),
    /// To tell what was seen of an instance, or of each of which something was seen after that moment.
    Tell(Of, oneshot::Sender<BTreeMap<InstanceId, Sight>>),
    /// To tell a successor everything.
    Depart(Departure),
    /// To go on with what a predecessor's loop of that number has told.
    TakeOver(Vec<(usize, Moved, Option<Socket>)>, oneshot::Sender<()>),
    End,
}

/// Of what a loop is to tell.
#[derive(Clone)]
pub(crate) enum Of {
    Instance(InstanceId),
    SeenAfter(Millis),
}

/// Where a loop gets its orders.
struct Inbox {
    orders: Mutex<Vec<Order>>,
    wake: OwnedFd,
}

/// A running loop. Dropping it ends it, with all its connections.
pub(crate) struct EventLoop {
    inbox: Arc<Inbox>,
    thread: Option<JoinHandle<()>>,
}

impl EventLoop {
    pub(crate) fn start(number: usize) -> io::Result<EventLoop> {
        let wake = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?;
        let inbox = Arc::new(Inbox { orders: Mutex::default(), wake });
        let world = Epoll::new(&inbox)?;
        let of_thread = inbox.clone();
        let run = move || run(Exchange::new(world, number as u16), &of_thread);
        let thread = std::thread::Builder::new().name(format!("loop-{number}")).spawn(run)?;
        Ok(EventLoop { inbox, thread: Some(thread) })
    }

    pub(crate) fn send(&self, order: Order) {
        self.inbox.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        // It fails only where it has been woken very often and has not yet looked.
        let _ = rustix::io::write(&self.inbox.wake, &1_u64.to_ne_bytes());
    }

    /// Whether it has ended, which none does before its gateway but one that has departed.
    pub(crate) fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl Drop for EventLoop {
    fn drop(&mut self) {
        self.send(Order::End);
        if let Some(thread) = self.thread.take() {
            // It only fails if it panicked, and its connections are gone then too.
            let _ = thread.join();
        }
    }
}

fn run(mut exchange: Exchange<Epoll>, inbox: &Inbox) {
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        let timeout = exchange.next_timer().map(|at| timespec(at.saturating_duration_since(Instant::now())));
        match epoll::wait(&exchange.world().epoll, spare_capacity(&mut events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return error!(%error, "an event loop can't go on, and its connections end"),
        }
        exchange.world().now = Instant::now();
        let mut has_orders = false;
        for event in &events {
            // Copied, since the kernel packs them.
            let Event { flags, data } = *event;
            match data.u64() {
                ORDERS => has_orders = true,
                token => exchange.ready(token_of(token), ready_of(flags)),
            }
        }
        if has_orders {
            // Taken before they are looked at, so that what comes afterwards wakes it again.
            let _ = rustix::io::read(&inbox.wake, &mut [0; 8]);
            let orders = std::mem::take(&mut *inbox.orders.lock().unwrap_or_else(PoisonError::into_inner));
            for order in orders {
                match order {
                    Order::Admit { socket, vip, from, guest } => {
                        exchange.admit(socket, vip, from, guest);
                    }
                    Order::SetRoutes(routes, done) => {
                        exchange.set_routes(&routes);
                        // Whoever ordered it may not wait any more.
                        let _ = done.send(());
                    }
                    Order::Hold { instance, at_most, quiet } => exchange.hold(&instance, at_most, quiet),
                    Order::Unhold(instance) => exchange.unhold(&instance),
                    Order::Tell(of, told) => {
                        let _ = told.send(exchange.tell(&of));
                    }
                    Order::Depart(departure) => {
                        exchange.settle();
                        if let Some(relayed) = depart(&mut exchange, departure) {
                            // What is closed here lives on there.
                            drop(exchange);
                            if let Err(error) = relay::run(relayed, &inbox.wake) {
                                error!(%error, "clients by TLS can't be relayed any more, and are reset");
                            }
                            return;
                        }
                        exchange.world().now = Instant::now();
                    }
                    Order::TakeOver(all, done) => {
                        exchange.take_over(all);
                        let _ = done.send(());
                    }
                    Order::End => return exchange.reset_all(),
                }
            }
        }
        exchange.settle();
    }
}

/// Sends all there is to a successor; where that has it, who is still to be relayed to it.
fn depart(exchange: &mut Exchange<Epoll>, departure: Departure) -> Option<Vec<(Socket, TcpStream)>> {
    let mut relayed = Vec::new();
    let is_over = departure.take(|parcel| {
        exchange.tell_all(|moved, wire| match (wire, moved.client()) {
            (Some(wire), Some(client)) if wire.passage() == Passage::Relayed => {
                let (near, far) = relay::ends()?;
                relayed.push((client, near));
                parcel.add(moved, Some(far.as_fd()))
            }
            (wire, _) => parcel.add(moved, wire.map(AsFd::as_fd)),
        })
    });
    let relayed = relayed.into_iter();
    is_over.then(|| relayed.filter_map(|(client, near)| Some((exchange.give_out(client)?, near))).collect())
}

pub(crate) fn timespec(span: Duration) -> Timespec {
    // Rounded up: what is to be done at a time is not looked for before it.
    let millis = span.as_millis() as i64 + i64::from(!span.subsec_nanos().is_multiple_of(1_000_000));
    Timespec { tv_sec: millis / 1000, tv_nsec: (millis % 1000) * 1_000_000 }
}

fn token_of(data: u64) -> Token {
    if data & IS_NODE == 0 { Token::Client(data) } else { Token::Node(data & !IS_NODE) }
}

fn ready_of(flags: EventFlags) -> Ready {
    Ready {
        reads: flags.contains(EventFlags::IN),
        writes: flags.contains(EventFlags::OUT),
        ended: flags.intersects(EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP),
    }
}

/// The time of day.
#[expect(clippy::disallowed_methods, reason = "what is seen is told with the time of the host that saw it")]
pub(crate) fn wall_time() -> Millis {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// The world of a loop.
struct Epoll {
    epoll: OwnedFd,
    now: Instant,
}

impl Epoll {
    fn new(inbox: &Inbox) -> io::Result<Epoll> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, &inbox.wake, EventData::new_u64(ORDERS), EventFlags::IN)?;
        Ok(Epoll { epoll, now: Instant::now() })
    }
}

impl World for Epoll {
    type Wire = Socket;

    fn connect(&mut self, to: NodeAddr) -> io::Result<Socket> {
        let family = if to.0.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        match connect(&socket, &to.0) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(Socket::plain(TcpStream::from(socket))),
            Err(error) => Err(error.into()),
        }
    }

    fn watch(&mut self, wire: &Socket, token: Token, interest: Interest, is_new: bool) -> io::Result<()> {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, interest.reads);
        flags.set(EventFlags::OUT, interest.writes);
        flags.set(EventFlags::RDHUP, interest.end);
        let data = EventData::new_u64(match token {
            Token::Client(key) => key,
            Token::Node(key) => key | IS_NODE,
        });
        if is_new {
            epoll::add(&self.epoll, wire, data, flags)?;
        } else {
            epoll::modify(&self.epoll, wire, data, flags)?;
        }
        Ok(())
    }

    fn now(&self) -> Instant {
        self.now
    }

    fn time(&self) -> Millis {
        wall_time()
    }
}
