use std::io;
use std::sync::Arc;

use model::{Route, RouteFailure, SourceRule, Vip};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::ACCEPT_PAUSE;
use crate::address::{Address, explain};
use crate::connection::{ClientAddr, prepare};
use crate::event_loop::Order;
use crate::exchange::accepts;
use crate::instance::Instance;
use crate::sight::Refusal;
use crate::socket::Socket;
use crate::table::Loops;

/// What Redis itself tells a client for whom it has no place.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// A customer's address in force: its socket, and who admits connections to it. Where they go is for the loops to know.
///
/// When it is dropped the address is given back; [`Door::close`] waits for that.
pub(crate) struct Door {
    vip: Vip,
    instance: Arc<Instance>,
    loops: Loops,
    sources: watch::Sender<Option<Arc<Vec<SourceRule>>>>,
    is_open: bool,
    /// `None` as long as it could not be bound.
    address: Option<Address>,
    admission: Option<JoinHandle<()>>,
    failure: Option<String>,
}

impl Door {
    /// A door that is not in force until it is [`set`](Self::set).
    pub(crate) fn new(vip: Vip, instance: Arc<Instance>, loops: Loops) -> Door {
        let sources = watch::Sender::default();
        Door { vip, instance, loops, sources, is_open: false, address: None, admission: None, failure: None }
    }

    /// Lets nobody in any more whom a route would not: before the loops know of it.
    pub(crate) fn narrow(&mut self, route: &Route, instance: &Arc<Instance>) {
        if self.instance.id != instance.id {
            self.stop_admitting();
            self.instance = instance.clone();
        }
        if route.target.is_none() {
            self.is_open = false;
            self.arrange();
        }
    }

    /// Brings a route into force that the loops know. Where that fails the door says so, and can be
    /// [healed](Self::heal).
    pub(crate) fn set(&mut self, route: &Route, sources: Option<Arc<Vec<SourceRule>>>) {
        self.sources.send_replace(sources);
        self.is_open = route.target.is_some();
        self.arrange();
    }

    /// Has an address that another process had.
    pub(crate) fn inherit(&mut self, address: Address) {
        self.address = Some(address);
    }

    pub(crate) fn vip(&self) -> Vip {
        self.vip
    }

    pub(crate) fn address(&self) -> Option<&Address> {
        self.address.as_ref()
    }

    /// Lets nobody in for a moment: whoever comes waits.
    pub(crate) fn pause(&mut self) {
        self.admission.iter().for_each(JoinHandle::abort);
    }

    /// Resolves once nobody is let in any more.
    pub(crate) async fn paused(&mut self) {
        if let Some(admission) = self.admission.take() {
            // It was aborted, between two whom it let in.
            let _ = admission.await;
        }
    }

    /// Goes on after a [pause](Self::pause).
    pub(crate) fn resume(&mut self) {
        self.arrange();
    }

    /// Leaves the address to another process.
    pub(crate) fn let_go(&mut self) {
        self.address = None;
    }

    /// Tries again what failed before.
    pub(crate) fn heal(&mut self) {
        if self.failure.is_some() {
            self.arrange();
        }
    }

    /// Why the door is not in force, if so.
    pub(crate) fn failure(&self) -> Option<RouteFailure> {
        let reason = self.failure.clone().or_else(|| self.instance.failure())?;
        Some(RouteFailure { instance: self.instance.id.clone(), vip: self.vip, reason })
    }

    /// Gives the address back; others can have it once this resolves.
    pub(crate) async fn close(mut self) {
        let admission = self.admission.take();
        admission.iter().for_each(JoinHandle::abort);
        drop(self);
        if let Some(admission) = admission {
            // It was aborted, and holds the listener until it has ended.
            let _ = admission.await;
        }
    }

    fn arrange(&mut self) {
        let vip = self.vip;
        match self.try_arrange() {
            Ok(()) => {
                if self.failure.take().is_some() {
                    info!(%vip, instance = %self.instance.id, "the address is in force after all");
                }
            }
            Err(error) => {
                let reason = explain(vip, &error);
                if self.failure.as_ref() != Some(&reason) {
                    warn!(%vip, instance = %self.instance.id, reason, "could not bring the address into force");
                }
                self.failure = Some(reason);
            }
        }
    }

    fn try_arrange(&mut self) -> io::Result<()> {
        let address = match &mut self.address {
            Some(address) => address,
            None => self.address.insert(Address::bind(self.vip)?),
        };
        if !self.is_open {
            address.close()?;
            self.stop_admitting();
        } else if self.admission.is_none() {
            let guard = Guard {
                vip: self.vip,
                instance: self.instance.clone(),
                loops: self.loops.clone(),
                sources: self.sources.subscribe(),
            };
            let listener = address.listen()?;
            self.admission = Some(tokio::spawn(admit(listener, guard)));
        }
        Ok(())
    }

    fn stop_admitting(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission.abort();
        }
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if let Some(admission) = &self.admission {
            admission.abort();
        }
        if let Some(address) = &mut self.address {
            // The listener may outlive this for a moment; it must not take anyone in.
            let _ = address.close();
        }
    }
}

/// Takes in the connections to an address. It ends with its listener.
async fn admit(listener: TcpListener, guard: Guard) {
    let mut refuses = false;
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                refuses = false;
                guard.let_in(client, ClientAddr(from));
            }
            // The address was closed.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) if is_of_one_connection(&error) => debug!(%error, "a client was gone before it was accepted"),
            Err(error) => {
                // Out of file descriptors or memory. They come back when connections end, and this one waits.
                if !refuses {
                    warn!(%error, "could not accept a connection");
                }
                refuses = true;
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Decides who comes in.
struct Guard {
    vip: Vip,
    instance: Arc<Instance>,
    loops: Loops,
    sources: watch::Receiver<Option<Arc<Vec<SourceRule>>>>,
}

impl Guard {
    fn let_in(&self, client: TcpStream, from: ClientAddr) {
        if !accepts(self.sources.borrow().as_deref().map(Vec::as_slice), from) {
            debug!(%from, "reset a client: no rule accepts where it comes from");
            // It fails only for what is no socket.
            let _ = client.set_zero_linger();
            self.instance.refused(Refusal::Source);
            return;
        }
        let Some(guest) = self.instance.admit() else {
            debug!(%from, instance = %self.instance.id, "refused a client: there are as many as there may be");
            // There is room for so little in what the kernel holds for a new connection.
            let _ = client.try_write(TOO_MANY);
            self.instance.refused(Refusal::Full);
            return;
        };
        match client.into_std().and_then(|client| prepare(&client).map(|()| client)) {
            Ok(socket) => {
                let socket = Socket::of_client(socket, self.instance.terms());
                self.loops.of(&self.instance).send(Order::Admit { socket, vip: self.vip, from, guest });
            }
            Err(error) => debug!(%from, %error, "the client was gone before it was served"),
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
