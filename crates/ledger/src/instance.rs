use std::net::{IpAddr, SocketAddr};

use model::{BillingMode, EngineVersion, InstanceId, InstanceStatus, Millis, TypeId, Vip};

use crate::{Reader, Result, Row, Select, Tx, args};

/// An instance as it is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Who owns it.
    pub account: i64,
    /// What its owner calls it.
    pub name: String,
    /// The project it belongs to; 0 is the default one.
    pub project: i64,
    /// Engine, version and architecture, as ordered.
    pub type_id: TypeId,
    /// The oldest engine version that may run it.
    pub version: EngineVersion,
    /// As the order says: `local` or `localv2`.
    pub product_version: String,
    /// Memory of a shard in MiB.
    pub memory_mb: i64,
    /// How many shards.
    pub shards: i64,
    /// Replicas of a shard.
    pub replicas: i64,
    /// The zone of its primary.
    pub zone: i64,
    /// Its network.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// The address that its customers use.
    pub vip: Vip,
    /// Whether that address takes connections.
    pub is_open: bool,
    /// As the API shows it.
    pub status: InstanceStatus,
    /// Whether its nodes' zones were chosen one by one, so that answers list them one by one.
    pub shows_node_set: bool,
    /// Whether one gets in without a password.
    pub no_auth: bool,
    /// `#` and the SHA-256 of the default user's password, sealed. It stays while `no_auth` is set.
    pub password: Option<Vec<u8>>,
    /// The password that works besides, while a change of it goes on; as `password`.
    pub old_password: Option<Vec<u8>>,
    /// The password of the service's own user on its nodes, sealed.
    pub admin: Vec<u8>,
    /// How it is paid for.
    pub billing: BillingMode,
    /// 0 by hand, 1 by itself, 2 never.
    pub auto_renew: i64,
    /// Whether it refuses to be destroyed.
    pub delete_protection: bool,
    /// Whether writes are refused.
    pub read_only: bool,
    /// When its maintenance window begins and ends: minutes of the day, in the service's own zone. One that ends before
    /// it begins goes over midnight.
    pub window: (i64, i64),
    /// How many connections its addresses take together; `None` where nothing was chosen.
    pub client_limit: Option<i64>,
    /// What may pass in each direction, in Mbit/s; `None` where nothing was chosen: as much as the host can.
    pub bandwidth_mbit: Option<i64>,
    /// Whether its replicas answer reads.
    pub replica_reads: bool,
    /// When it was accepted.
    pub created_at: Millis,
    /// Until when it is paid for; prepaid alone.
    pub deadline_at: Option<Millis>,
    /// When it was isolated.
    pub closed_at: Option<Millis>,
    /// When an isolated one is deleted.
    pub offline_at: Option<Millis>,
}

macro_rules! columns {
    () => {
        "id, account, name, project, type, version, memory_mb, shards, replicas, zone, vpc, subnet, address, port, \
         is_open, status, shows_node_set, no_auth, password, admin, billing, auto_renew, delete_protection, \
         created_at, deadline_at, closed_at, offline_at, product_version, read_only, window_start, window_end, \
         old_password, client_limit, bandwidth_mbit, replica_reads"
    };
}
const COLUMNS: &str = columns!();

/// Adds an instance. The address is unique: [`crate::Error::is_taken`] where another has it.
pub fn insert_instance(tx: &mut dyn Tx, it: &Instance) -> Result<()> {
    let sql = format!(
        "insert into instance ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
         $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35)"
    );
    tx.exec(
        &sql,
        args![
            &it.id,
            it.account,
            it.name.as_str(),
            it.project,
            it.type_id.number(),
            it.version.to_string(),
            it.memory_mb,
            it.shards,
            it.replicas,
            it.zone,
            it.vpc.as_str(),
            it.subnet.as_str(),
            it.vip.0.ip().to_string(),
            i64::from(it.vip.0.port()),
            it.is_open,
            it.status.number(),
            it.shows_node_set,
            it.no_auth,
            it.password.clone(),
            it.admin.clone(),
            it.billing.number(),
            it.auto_renew,
            it.delete_protection,
            it.created_at,
            it.deadline_at,
            it.closed_at,
            it.offline_at,
            it.product_version.as_str(),
            it.read_only,
            it.window.0,
            it.window.1,
            it.old_password.clone(),
            it.client_limit,
            it.bandwidth_mbit,
            it.replica_reads,
        ],
    )?;
    crate::node::routes_changed(tx)
}

fn read(mut row: Row) -> Result<Instance> {
    let ip = row.parsed(12, |text| text.parse::<IpAddr>().ok())?;
    let port = row.numbered(13, |number| u16::try_from(number).ok())?;
    Ok(Instance {
        id: row.parsed(0, InstanceId::parse)?,
        account: row.int(1)?,
        name: row.text(2)?,
        project: row.int(3)?,
        type_id: row.numbered(4, TypeId::parse)?,
        version: row.parsed(5, EngineVersion::parse)?,
        product_version: row.text(27)?,
        memory_mb: row.int(6)?,
        shards: row.int(7)?,
        replicas: row.int(8)?,
        zone: row.int(9)?,
        vpc: row.text(10)?,
        subnet: row.text(11)?,
        vip: Vip(SocketAddr::new(ip, port)),
        is_open: row.int(14)? != 0,
        status: row.numbered(15, InstanceStatus::parse)?,
        shows_node_set: row.int(16)? != 0,
        no_auth: row.int(17)? != 0,
        password: row.blob_opt(18)?,
        admin: row.blob_opt(19)?.unwrap_or_default(),
        billing: row.numbered(20, BillingMode::parse)?,
        auto_renew: row.int(21)?,
        delete_protection: row.int(22)? != 0,
        created_at: Millis(row.int(23)?),
        deadline_at: row.int_opt(24)?.map(Millis),
        closed_at: row.int_opt(25)?.map(Millis),
        offline_at: row.int_opt(26)?.map(Millis),
        read_only: row.int(28)? != 0,
        window: (row.int(29)?, row.int(30)?),
        old_password: row.blob_opt(31)?,
        client_limit: row.int_opt(32)?,
        bandwidth_mbit: row.int_opt(33)?,
        replica_reads: row.int(34)? != 0,
    })
}

/// The instance of this id, whoever owns it.
pub fn instance(reader: &mut dyn Reader, id: &InstanceId) -> Result<Option<Instance>> {
    let sql = format!("select {COLUMNS} from instance where id = $1");
    reader.row(&sql, args![id])?.map(read).transpose()
}

/// Every instance there is, in the order of their making.
pub fn all_instances(reader: &mut dyn Reader) -> Result<Vec<Instance>> {
    let sql = format!("select {COLUMNS} from instance order by created_at, id");
    reader.rows(&sql, &[])?.into_iter().map(read).collect()
}

/// Instances whose time in the recycle bin is over.
pub fn instances_offline_by(reader: &mut dyn Reader, now: Millis) -> Result<Vec<Instance>> {
    let sql = format!("select {COLUMNS} from instance where status <= -2 and offline_at <= $1 order by offline_at, id");
    reader.rows(&sql, args![now])?.into_iter().map(read).collect()
}

/// Running instances that are paid in advance, and not for now any more.
pub fn instances_paid_until(reader: &mut dyn Reader, now: Millis) -> Result<Vec<Instance>> {
    let sql = format!("select {COLUMNS} from instance where status = 2 and deadline_at <= $1 order by deadline_at, id");
    reader.rows(&sql, args![now])?.into_iter().map(read).collect()
}

/// How lists of instances are ordered. Ties go by id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InstanceOrder {
    /// By project.
    Project,
    /// By the time of making.
    #[default]
    CreateTime,
    /// By name.
    Name,
    /// By type.
    Type,
    /// By the time until which it is paid for.
    Deadline,
}

/// A page of instances that fit, and how many fit in all.
pub fn list_instances(
    reader: &mut dyn Reader,
    filter: &Select,
    order: InstanceOrder,
    descending: bool,
    limit: i64,
    offset: i64,
) -> Result<(i64, Vec<Instance>)> {
    let order = match (order, descending) {
        (InstanceOrder::Project, false) => "project, id",
        (InstanceOrder::Project, true) => "project desc, id desc",
        (InstanceOrder::CreateTime, false) => "created_at, id",
        (InstanceOrder::CreateTime, true) => "created_at desc, id desc",
        (InstanceOrder::Name, false) => "name, id",
        (InstanceOrder::Name, true) => "name desc, id desc",
        (InstanceOrder::Type, false) => "type, id",
        (InstanceOrder::Type, true) => "type desc, id desc",
        (InstanceOrder::Deadline, false) => "coalesce(deadline_at, 0), id",
        (InstanceOrder::Deadline, true) => "coalesce(deadline_at, 0) desc, id desc",
    };
    let count = filter.count(reader, "instance")?;
    let rows = filter.page(reader, concat!(columns!(), " from instance"), order, limit, offset)?;
    Ok((count, rows.into_iter().map(read).collect::<Result<_>>()?))
}

/// Memory in MiB that is promised to all instances, each node counted.
pub fn promised_memory_mb(reader: &mut dyn Reader) -> Result<i64> {
    let sql = "select cast(coalesce(sum(i.memory_mb), 0) as bigint) from node n join instance i on i.id = n.instance";
    reader.row(sql, &[])?.map_or(Ok(0), |row| row.int(0))
}

/// Sets the status.
pub fn set_status(tx: &mut dyn Tx, id: &InstanceId, status: InstanceStatus) -> Result<()> {
    tx.exec("update instance set status = $2 where id = $1", args![id, status.number()])?;
    Ok(())
}

/// Makes a free instance busy; one in another status stays in it.
pub fn set_busy_if_idle(tx: &mut dyn Tx, id: &InstanceId) -> Result<()> {
    tx.exec("update instance set status = 1 where id = $1 and status = 2", args![id])?;
    Ok(())
}

/// Sets whether answers list its nodes with their zones.
pub fn set_shows_node_set(tx: &mut dyn Tx, id: &InstanceId, shows: bool) -> Result<()> {
    tx.exec("update instance set shows_node_set = $2 where id = $1", args![id, shows])?;
    Ok(())
}

/// Opens or closes the address, and counts the routing table on.
pub fn set_open(tx: &mut dyn Tx, id: &InstanceId, is_open: bool) -> Result<()> {
    tx.exec("update instance set is_open = $2 where id = $1", args![id, is_open])?;
    crate::node::routes_changed(tx)
}

/// Sets how one gets in, and counts the routing table on, which tells passwords apart.
pub fn set_access(tx: &mut dyn Tx, id: &InstanceId, no_auth: bool, password: Option<&[u8]>) -> Result<()> {
    let password = password.map(<[u8]>::to_vec);
    tx.exec("update instance set no_auth = $2, password = $3 where id = $1", args![id, no_auth, password])?;
    crate::node::routes_changed(tx)
}

/// Sets the password, and the one that works besides; counts the routing table on.
pub fn set_passwords(tx: &mut dyn Tx, id: &InstanceId, password: &[u8], old: Option<&[u8]>) -> Result<()> {
    let (password, old) = (password.to_vec(), old.map(<[u8]>::to_vec));
    tx.exec("update instance set password = $2, old_password = $3 where id = $1", args![id, password, old])?;
    crate::node::routes_changed(tx)
}

/// Sets since when an instance is isolated and until when it is kept; `None` takes both back.
pub fn set_closed(tx: &mut dyn Tx, id: &InstanceId, closed: Option<(Millis, Millis)>) -> Result<()> {
    let (closed_at, offline_at) = closed.unzip();
    tx.exec("update instance set closed_at = $2, offline_at = $3 where id = $1", args![id, closed_at, offline_at])?;
    Ok(())
}

/// Sets the name.
pub fn set_name(tx: &mut dyn Tx, id: &InstanceId, name: &str) -> Result<()> {
    tx.exec("update instance set name = $2 where id = $1", args![id, name])?;
    Ok(())
}

/// Sets the project.
pub fn set_project(tx: &mut dyn Tx, id: &InstanceId, project: i64) -> Result<()> {
    tx.exec("update instance set project = $2 where id = $1", args![id, project])?;
    Ok(())
}

/// Sets how it is renewed.
pub fn set_auto_renew(tx: &mut dyn Tx, id: &InstanceId, auto_renew: i64) -> Result<()> {
    tx.exec("update instance set auto_renew = $2 where id = $1", args![id, auto_renew])?;
    Ok(())
}

/// Sets whether it refuses to be destroyed.
pub fn set_delete_protection(tx: &mut dyn Tx, id: &InstanceId, protected: bool) -> Result<()> {
    tx.exec("update instance set delete_protection = $2 where id = $1", args![id, protected])?;
    Ok(())
}

/// Sets the memory of a shard, in MiB.
pub fn set_memory(tx: &mut dyn Tx, id: &InstanceId, memory_mb: i64) -> Result<()> {
    tx.exec("update instance set memory_mb = $2 where id = $1", args![id, memory_mb])?;
    Ok(())
}

/// Sets the engine: the type, and the oldest version of it that may run the instance.
pub fn set_engine(tx: &mut dyn Tx, id: &InstanceId, type_id: TypeId, version: EngineVersion) -> Result<()> {
    let sql = "update instance set type = $2, version = $3 where id = $1";
    tx.exec(sql, args![id, type_id.number(), version.to_string()])?;
    Ok(())
}

/// Sets whether writes are refused.
pub fn set_read_only(tx: &mut dyn Tx, id: &InstanceId, read_only: bool) -> Result<()> {
    tx.exec("update instance set read_only = $2 where id = $1", args![id, read_only])?;
    Ok(())
}

/// Sets how many connections there may be and what may pass, and counts the routing table on.
pub fn set_limits(
    tx: &mut dyn Tx,
    id: &InstanceId,
    client_limit: Option<i64>,
    bandwidth_mbit: Option<i64>,
) -> Result<()> {
    let sql = "update instance set client_limit = $2, bandwidth_mbit = $3 where id = $1";
    tx.exec(sql, args![id, client_limit, bandwidth_mbit])?;
    crate::node::routes_changed(tx)
}

/// Sets whether replicas answer reads, and counts the routing table on.
pub fn set_replica_reads(tx: &mut dyn Tx, id: &InstanceId, replica_reads: bool) -> Result<()> {
    tx.exec("update instance set replica_reads = $2 where id = $1", args![id, replica_reads])?;
    crate::node::routes_changed(tx)
}

/// Sets the maintenance window, in minutes of the day.
pub fn set_window(tx: &mut dyn Tx, id: &InstanceId, window: (i64, i64)) -> Result<()> {
    let sql = "update instance set window_start = $2, window_end = $3 where id = $1";
    tx.exec(sql, args![id, window.0, window.1])?;
    Ok(())
}

/// Sets how it is paid for, and until when.
pub fn set_billing(tx: &mut dyn Tx, id: &InstanceId, billing: BillingMode, deadline_at: Option<Millis>) -> Result<()> {
    let sql = "update instance set billing = $2, deadline_at = $3 where id = $1";
    tx.exec(sql, args![id, billing.number(), deadline_at])?;
    Ok(())
}

/// Makes the instance what its members are: how many replicas, the zone of the primary.
pub fn count_members(tx: &mut dyn Tx, id: &InstanceId) -> Result<()> {
    tx.exec(
        "update instance set
            replicas = (select count(*) from node where instance = $1 and role = 1 and joins = 0),
            zone = coalesce((select zone from node where instance = $1 and role = 0), zone) where id = $1",
        args![id],
    )?;
    Ok(())
}

/// Deletes an instance with all that is its alone. Its tasks, deals and events stay.
pub fn delete_instance(tx: &mut dyn Tx, id: &InstanceId) -> Result<()> {
    if let Some(rotation) = crate::rotation(tx.reader(), id)? {
        // It learns at once that there is nothing left to wait for.
        crate::wake_task(tx, rotation.task)?;
    }
    for table in [
        "tag",
        "pending",
        "rotation",
        "param",
        "param_record",
        "instance_account",
        "address",
        "instance_group",
        "instance_tls",
        "node",
    ] {
        tx.exec(&format!("delete from {table} where instance = $1"), args![id])?;
    }
    tx.exec("delete from instance where id = $1", args![id])?;
    crate::node::routes_changed(tx)
}
