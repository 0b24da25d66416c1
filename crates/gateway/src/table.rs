use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use model::{Connected, GatewayReport, InstanceId, Route, RoutingTable, Vip};
use tokio::task::{spawn_blocking, yield_now};
use tracing::{error, info};

use crate::door::Door;
use crate::folder::Folder;
use crate::instance::Instance;

/// After so many doors a table lets the connections that share the thread have it.
const DOORS_A_TURN: usize = 64;

/// The table in force, and the doors that it consists of.
pub(crate) struct Gateway {
    folder: Arc<Folder>,
    /// `None` until there was a first one.
    table: Option<RoutingTable>,
    is_saved: bool,
    doors: BTreeMap<Vip, Door>,
    instances: BTreeMap<InstanceId, Arc<Instance>>,
}

impl Gateway {
    /// Brings the table that was last in force back into force.
    pub(crate) async fn restore(folder: Arc<Folder>) -> Gateway {
        let mut gateway =
            Gateway { folder, table: None, is_saved: true, doors: BTreeMap::new(), instances: BTreeMap::new() };
        match gateway.folder.load() {
            Ok(None) => info!("the gateway starts without a table"),
            Ok(Some(table)) => gateway.enforce(table).await,
            // Better no address for a moment than no gateway: the control plane publishes when it sees this one.
            Err(error) => error!(%error, "could not read the table last in force, so no address is until the next one"),
        }
        gateway
    }

    /// Brings a table into force, unless that one or a newer one is. The answer is of the one in force then.
    ///
    /// # Errors
    /// A reason for a person, where the table contradicts itself or the one in force.
    pub(crate) async fn publish(&mut self, table: RoutingTable) -> Result<GatewayReport, String> {
        let routes = by_address(&table)?;
        if let Some(current) = &self.table {
            if table.version < current.version {
                return Ok(self.report());
            }
            if table.version == current.version {
                if by_address(current)? == routes {
                    return Ok(self.report());
                }
                return Err(format!("version {} is in force with other routes", table.version));
            }
        }
        // First saved: should this process die in between, it comes back with what the control plane wants.
        self.is_saved = save(&self.folder, &table).await;
        self.enforce(table).await;
        Ok(self.report())
    }

    /// Tries again what failed before.
    pub(crate) async fn heal(&mut self) {
        if let (false, Some(table)) = (self.is_saved, &self.table) {
            self.is_saved = save(&self.folder, table).await;
        }
        for door in self.doors.values_mut() {
            door.heal();
        }
    }

    pub(crate) fn report(&self) -> GatewayReport {
        GatewayReport {
            release: env!("CARGO_PKG_VERSION").into(),
            version: self.table.as_ref().map_or(0, |table| table.version),
            failures: self.doors.values().filter_map(Door::failure).collect(),
            connections: self.doors.values().map(Door::connections).sum(),
            instances: self.connected(),
        }
    }

    /// Who is connected, by instance.
    fn connected(&self) -> BTreeMap<InstanceId, Connected> {
        let all = self.instances.iter().map(|(id, instance)| (id.clone(), instance.connected()));
        all.filter(|(_, connected)| connected.open > 0).collect()
    }

    /// Closes every address and resets every connection.
    pub(crate) async fn close(&mut self) {
        close_all(std::mem::take(&mut self.doors)).await;
    }

    async fn enforce(&mut self, table: RoutingTable) {
        let routes: BTreeMap<Vip, &Route> = table.routes.iter().map(|route| (route.vip, route)).collect();
        // First what goes, since what comes may need its place.
        let gone = self.doors.extract_if(.., |vip, _| !routes.contains_key(vip)).collect();
        close_all(gone).await;
        let named: HashSet<&InstanceId> = table.routes.iter().map(|route| &route.instance).collect();
        self.instances.retain(|id, _| named.contains(id));
        for (index, (vip, route)) in routes.into_iter().enumerate() {
            let id = &route.instance;
            let instance = self.instances.entry(id.clone()).or_insert_with(|| Arc::new(Instance::new(id.clone())));
            instance.set(route.limits, &route.logins);
            self.doors.entry(vip).or_insert_with(|| Door::new(vip, instance.clone())).set(route, instance);
            if index % DOORS_A_TURN == DOORS_A_TURN - 1 {
                yield_now().await;
            }
        }
        for door in self.doors.values() {
            door.settled().await;
        }
        info!(version = table.version, routes = table.routes.len(), "a table is in force");
        self.table = Some(table);
    }
}

async fn close_all(doors: BTreeMap<Vip, Door>) {
    // All at once, and then each waited for.
    let closing: Vec<_> = doors.into_values().map(|door| tokio::spawn(door.close())).collect();
    for door in closing {
        // It only fails if it panics, and the door is dropped then too.
        let _ = door.await;
    }
}

fn by_address(table: &RoutingTable) -> Result<BTreeMap<Vip, &Route>, String> {
    let mut routes = BTreeMap::new();
    for route in &table.routes {
        if let Some(other) = routes.insert(route.vip, route) {
            return Err(format!("{} is the address of both {} and {}", route.vip, other.instance, route.instance));
        }
    }
    Ok(routes)
}

/// Whether it could be saved. Where not, the table is in force all the same: clients do not wait for a full disk.
async fn save(folder: &Arc<Folder>, table: &RoutingTable) -> bool {
    let (folder, table) = (folder.clone(), table.clone());
    let saved = spawn_blocking(move || folder.save(&table)).await;
    match saved.map_err(std::io::Error::other).flatten() {
        Ok(()) => true,
        Err(error) => {
            error!(%error, "could not save the table, so a restart of the gateway would not bring it back");
            false
        }
    }
}
