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
use crate::connection::{ClientAddr, serve};
use crate::destination::Destination;
use crate::instance::Instance;

/// What Redis itself tells a client for whom it has no place.
const TOO_MANY: &[u8] = b"-ERR max number of clients reached\r\n";

/// A customer's address in force: its socket, who admits connections to it and where they go.
///
/// When it is dropped the address is given back and its connections are reset; [`Door::close`] waits for that.
pub(crate) struct Door {
    vip: Vip,
    instance: Arc<Instance>,
    sources: watch::Sender<Option<Vec<SourceRule>>>,
    /// `None` as long as it could not be bound.
    address: Option<Address>,
    admission: Option<JoinHandle<()>>,
    destination: Arc<Destination>,
    failure: Option<String>,
}

impl Door {
    /// A door that is not in force until it is [`set`](Self::set).
    pub(crate) fn new(vip: Vip, instance: Arc<Instance>) -> Door {
        let destination = Arc::new(Destination::closed());
        let sources = watch::Sender::default();
        Door { vip, instance, sources, address: None, admission: None, destination, failure: None }
    }

    /// Brings a route into force. Where that fails the door says so, and can be [healed](Self::heal).
    pub(crate) fn set(&mut self, route: &Route, instance: &Arc<Instance>) {
        if self.instance.id != instance.id {
            self.destination.lead_to(None);
            self.stop_admitting();
            self.instance = instance.clone();
        }
        self.sources.send_if_modified(|sources| {
            let differs = *sources != route.sources;
            sources.clone_from(&route.sources);
            differs
        });
        self.destination.lead_to(route.target.clone());
        self.arrange();
    }

    /// Tries again what failed before.
    pub(crate) fn heal(&mut self) {
        if self.failure.is_some() {
            self.arrange();
        }
    }

    /// Why the door is not in force, if so.
    pub(crate) fn failure(&self) -> Option<RouteFailure> {
        let reason = self.failure.clone()?;
        Some(RouteFailure { instance: self.instance.id.clone(), vip: self.vip, reason })
    }

    /// How many clients' connections are open.
    pub(crate) fn connections(&self) -> u64 {
        self.destination.connections()
    }

    /// Resolves when the connections that are to be reset are gone.
    pub(crate) async fn settled(&self) {
        self.destination.settled().await;
    }

    /// Gives the address back and resets its connections; others can have it once this resolves.
    pub(crate) async fn close(mut self) {
        let admission = self.admission.take();
        let destination = self.destination.clone();
        admission.iter().for_each(JoinHandle::abort);
        drop(self);
        if let Some(admission) = admission {
            // It was aborted, and holds the listener until it has ended.
            let _ = admission.await;
        }
        destination.settled().await;
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
        if self.destination.is_closed() {
            address.close()?;
            self.stop_admitting();
        } else if self.admission.is_none() {
            let guard = Guard { instance: self.instance.clone(), sources: self.sources.subscribe() };
            let listener = address.listen()?;
            self.admission = Some(tokio::spawn(admit(listener, self.destination.clone(), guard)));
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
        self.destination.lead_to(None);
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
async fn admit(listener: TcpListener, destination: Arc<Destination>, guard: Guard) {
    let mut refuses = false;
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                refuses = false;
                guard.let_in(client, ClientAddr(from), &destination);
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
    instance: Arc<Instance>,
    sources: watch::Receiver<Option<Vec<SourceRule>>>,
}

impl Guard {
    fn let_in(&self, client: TcpStream, from: ClientAddr, destination: &Arc<Destination>) {
        if !accepts(&self.sources.borrow(), from) {
            debug!(%from, "reset a client: no rule accepts where it comes from");
            // It fails only for what is no socket.
            let _ = client.set_zero_linger();
            return;
        }
        let Some(guest) = self.instance.admit() else {
            debug!(%from, instance = %self.instance.id, "refused a client: there are as many as there may be");
            // There is room for so little in what the kernel holds for a new connection.
            let _ = client.try_write(TOO_MANY);
            return;
        };
        let (visit, mut sources) = (destination.enter(), self.sources.clone());
        tokio::spawn(async move {
            let refused = async move {
                // Where the sender is gone the address is too, and the destination tells.
                if sources.wait_for(|sources| !accepts(sources, from)).await.is_err() {
                    std::future::pending::<()>().await;
                }
            };
            tokio::select! {
                biased;
                () = refused => debug!(%from, "reset: no rule accepts any more where it comes from"),
                () = serve(visit, guest, client, from) => {}
            }
        });
    }
}

/// Whether the rules let a client connect: the first that names its source decides.
fn accepts(sources: &Option<Vec<SourceRule>>, from: ClientAddr) -> bool {
    let Some(rules) = sources else { return true };
    let from = from.0.ip().to_canonical();
    rules.iter().find(|rule| rule.from.contains(&from)).is_some_and(|rule| rule.accepts)
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
