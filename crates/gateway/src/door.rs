use std::io;
use std::sync::Arc;

use model::{InstanceId, Route, RouteFailure, Vip};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tracing::{debug, info, warn};

use crate::ACCEPT_PAUSE;
use crate::address::{Address, explain};
use crate::connection::{ClientAddr, serve};
use crate::destination::Destination;

/// A customer's address in force: its socket, who admits connections to it and where they go.
///
/// When it is dropped the address is given back and its connections are reset; [`Door::close`] waits for that.
pub(crate) struct Door {
    vip: Vip,
    instance: InstanceId,
    /// `None` as long as it could not be bound.
    address: Option<Address>,
    admission: Option<JoinHandle<()>>,
    destination: Arc<Destination>,
    failure: Option<String>,
}

impl Door {
    /// A door that is not in force until it is [`set`](Self::set).
    pub(crate) fn new(vip: Vip, instance: InstanceId) -> Door {
        let destination = Arc::new(Destination::closed());
        Door { vip, instance, address: None, admission: None, destination, failure: None }
    }

    /// Brings a route into force. Where that fails the door says so, and can be [healed](Self::heal).
    pub(crate) fn set(&mut self, route: &Route) {
        if self.instance != route.instance {
            self.destination.lead_to(None);
            self.instance = route.instance.clone();
        }
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
        Some(RouteFailure { instance: self.instance.clone(), vip: self.vip, reason })
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
                    info!(%vip, %self.instance, "the address is in force after all");
                }
            }
            Err(error) => {
                let reason = explain(vip, &error);
                if self.failure.as_ref() != Some(&reason) {
                    warn!(%vip, %self.instance, reason, "could not bring the address into force");
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
            if let Some(admission) = self.admission.take() {
                admission.abort();
            }
            address.close()?;
        } else if self.admission.is_none() {
            let listener = address.listen()?;
            self.admission = Some(tokio::spawn(admit(listener, self.destination.clone())));
        }
        Ok(())
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
async fn admit(listener: TcpListener, destination: Arc<Destination>) {
    let mut refuses = false;
    loop {
        match listener.accept().await {
            Ok((client, from)) => {
                refuses = false;
                tokio::spawn(serve(destination.enter(), client, ClientAddr(from)));
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

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
