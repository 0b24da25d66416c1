use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use model::{
    EngineVersion, Epoch, InstanceId, Limits, Logins, NodeAddr, NodeId, NodeRole, Route, RoutingTable, Target, TypeId,
    Vip,
};

use crate::{Reader, Result, Row, Tx, args, count_on, counter};

/// A node as it is wanted, and as it was seen last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// Whose it is.
    pub instance: InstanceId,
    /// `NodeId` of NodeSet: unique over the service.
    pub number: i64,
    /// `GroupId` of a replica group: stays with the node whatever its role.
    pub group: i64,
    /// Its part in its shard.
    pub role: NodeRole,
    /// Whether it is still joining: it follows the primary, is no member yet, and is never promoted.
    pub joins: bool,
    /// The engine that it is to run.
    pub type_id: TypeId,
    /// The oldest version of that engine that may run it.
    pub version: EngineVersion,
    /// Where it is.
    pub zone: i64,
    /// Where it listens.
    pub addr: NodeAddr,
    /// Its latest start.
    pub epoch: Epoch,
    /// Whether it is to run.
    pub runs: bool,
    /// The start that was seen last.
    pub observed_epoch: Option<Epoch>,
    /// Whether that one was up when it was seen last.
    pub observed_up: bool,
    /// The engine that runs it, as it says; `None` before its first start.
    pub observed_version: Option<EngineVersion>,
    /// The start of a primary whose stream was seen to flow to it.
    pub observed_stream: Option<(NodeId, Epoch)>,
    /// Its own start to which that flowed: once it is started anew it has yet to get what it missed.
    pub streamed_epoch: Epoch,
    /// How often something could not be said to it that all nodes were told; 0 once it has been told everything. Until then
    /// it is not promoted.
    pub unsaid: i64,
}

const COLUMNS: &str = "id, instance, number, shard_group, role, zone, address, port, epoch, runs, observed_epoch, \
    observed_up, observed_version, joins, type, version, stream_of, stream_epoch, unsaid, streamed_epoch";

/// Adds a node. Its address is unique.
pub fn insert_node(tx: &mut dyn Tx, node: &Node) -> Result<()> {
    let sql = format!(
        "insert into node ({COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)"
    );
    tx.exec(
        &sql,
        args![
            &node.id,
            &node.instance,
            node.number,
            node.group,
            node.role.number(),
            node.zone,
            node.addr.0.ip().to_string(),
            i64::from(node.addr.0.port()),
            node.epoch,
            node.runs,
            node.observed_epoch,
            node.observed_up,
            node.observed_version.map(|version| version.to_string()).unwrap_or_default(),
            node.joins,
            node.type_id.number(),
            node.version.to_string(),
            node.observed_stream.as_ref().map(|(primary, _)| primary.to_string()).unwrap_or_default(),
            node.observed_stream.as_ref().map_or(0, |(_, epoch)| epoch.0),
            node.unsaid,
            node.streamed_epoch,
        ],
    )?;
    Ok(())
}

fn read(mut row: Row) -> Result<Node> {
    let ip = row.parsed(6, |text| text.parse::<IpAddr>().ok())?;
    let port = row.numbered(7, |number| u16::try_from(number).ok())?;
    Ok(Node {
        id: row.parsed(0, NodeId::parse)?,
        instance: row.parsed(1, InstanceId::parse)?,
        number: row.int(2)?,
        group: row.int(3)?,
        role: row.numbered(4, NodeRole::parse)?,
        zone: row.int(5)?,
        addr: NodeAddr(SocketAddr::new(ip, port)),
        epoch: Epoch(row.int(8)?),
        runs: row.int(9)? != 0,
        observed_epoch: row.int_opt(10)?.map(Epoch),
        observed_up: row.int(11)? != 0,
        observed_version: EngineVersion::parse(&row.text(12)?),
        joins: row.int(13)? != 0,
        type_id: row.numbered(14, TypeId::parse)?,
        version: row.parsed(15, EngineVersion::parse)?,
        observed_stream: NodeId::parse(&row.text(16)?).zip(Some(Epoch(row.int(17)?))),
        unsaid: row.int(18)?,
        streamed_epoch: Epoch(row.int(19)?),
    })
}

/// The nodes of an instance, the primary first.
pub fn nodes_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<Node>> {
    let sql = format!("select {COLUMNS} from node where instance = $1 order by role, joins, number");
    reader.rows(&sql, args![instance])?.into_iter().map(read).collect()
}

/// The nodes of an instance that count, the primary first: not those that join or leave.
pub fn members_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<Node>> {
    let nodes = nodes_of(reader, instance)?;
    Ok(nodes.into_iter().filter(|node| !node.joins || node.role == NodeRole::Primary).collect())
}

/// The node of this id.
pub fn node(reader: &mut dyn Reader, id: &NodeId) -> Result<Option<Node>> {
    let sql = format!("select {COLUMNS} from node where id = $1");
    reader.row(&sql, args![id])?.map(read).transpose()
}

/// Every node of every instance.
pub fn all_nodes(reader: &mut dyn Reader) -> Result<Vec<Node>> {
    let sql = format!("select {COLUMNS} from node order by instance, role, number");
    reader.rows(&sql, &[])?.into_iter().map(read).collect()
}

/// Whether a node listens, or will, at this address.
pub fn node_addr_is_taken(reader: &mut dyn Reader, addr: NodeAddr) -> Result<bool> {
    let sql = "select 1 from node where address = $1 and port = $2";
    Ok(reader.row(sql, args![addr.0.ip().to_string(), i64::from(addr.0.port())])?.is_some())
}

/// Sets whether the nodes of an instance are to run, each under an epoch of its own that is new: whoever still acts
/// under the one before is behind.
pub fn set_running(tx: &mut dyn Tx, instance: &InstanceId, runs: bool) -> Result<()> {
    tx.exec("update node set runs = $2, epoch = epoch + 1 where instance = $1 and runs <> $2", args![instance, runs])?;
    routes_changed(tx)
}

/// As [`set_running`], for one node. A primary runs on.
pub fn set_node_running(tx: &mut dyn Tx, node: &NodeId, runs: bool) -> Result<()> {
    let sql = "update node set runs = $2, epoch = epoch + 1 where id = $1 and runs <> $2 and (role = 1 or $2 = 1)";
    tx.exec(sql, args![node, runs])?;
    routes_changed(tx)
}

/// Deletes a node, unless it is a primary.
pub fn delete_node(tx: &mut dyn Tx, node: &NodeId) -> Result<()> {
    tx.exec("delete from node where id = $1 and role = 1", args![node])?;
    routes_changed(tx)
}

/// Notes that something could not be said to a node.
pub fn note_unsaid(tx: &mut dyn Tx, node: &NodeId) -> Result<()> {
    tx.exec("update node set unsaid = unsaid + 1 where id = $1", args![node])?;
    readers_changed(tx, node)
}

/// Notes that a node has been told everything, unless something could not be said since: `unsaid` is what it was then.
pub fn note_said(tx: &mut dyn Tx, node: &NodeId, unsaid: i64) -> Result<()> {
    tx.exec("update node set unsaid = 0 where id = $1 and unsaid = $2", args![node, unsaid])?;
    readers_changed(tx, node)
}

/// Makes a replica no member: it is never promoted, and does not count.
pub fn set_node_joining(tx: &mut dyn Tx, node: &NodeId) -> Result<()> {
    tx.exec("update node set joins = 1 where id = $1", args![node])?;
    readers_changed(tx, node)
}

/// Gives a node the number by which clients know another one, which gets that of the first.
pub fn swap_numbers(tx: &mut dyn Tx, one: &NodeId, other: &NodeId) -> Result<()> {
    let number = |tx: &mut dyn Tx, node: &NodeId| -> Result<Option<i64>> {
        tx.row("select number from node where id = $1", args![node])?.map(|row| row.int(0)).transpose()
    };
    let (Some(first), Some(second)) = (number(tx, one)?, number(tx, other)?) else { return Ok(()) };
    for (node, number) in [(one, -first), (other, first), (one, second)] {
        tx.exec("update node set number = $2 where id = $1", args![node, number])?;
    }
    Ok(())
}

/// Makes a node that joins a member.
pub fn join_node(tx: &mut dyn Tx, node: &NodeId) -> Result<()> {
    tx.exec("update node set joins = 0 where id = $1", args![node])?;
    readers_changed(tx, node)
}

/// Makes a replica the primary of its instance in the place of the one given, if that still is and neither has been
/// started anew; answers whether so. With `ended` the old primary's process is over: its next start has another epoch.
pub fn hand_over(tx: &mut dyn Tx, from: (&NodeId, Epoch), to: (&NodeId, Epoch), ended: bool) -> Result<bool> {
    let both_stand = "select count(*) from node where (id = $1 and epoch = $2 and role = 0)
        or (id = $3 and epoch = $4 and role = 1 and runs = 1)";
    let standing = tx.row(both_stand, args![from.0, from.1, to.0, to.1])?.map_or(Ok(0), |row| row.int(0))?;
    if standing != 2 {
        return Ok(false);
    }
    tx.exec(
        "update node set role = 1, epoch = epoch + $2, observed_up = case when $2 = 1 then 0 else observed_up end
         where id = $1",
        args![from.0, ended],
    )?;
    tx.exec("update node set role = 0, joins = 0 where id = $1", args![to.0])?;
    tx.exec(
        "update instance set zone = (select zone from node where id = $1)
         where id = (select instance from node where id = $1)",
        args![to.0],
    )?;
    routes_changed(tx)?;
    Ok(true)
}

/// Gives a node that is to run the epoch of its next start, if it still has the one that `ended`; answers whether it
/// had.
pub fn next_epoch(tx: &mut dyn Tx, node: &NodeId, ended: Epoch) -> Result<bool> {
    let sql = "update node set epoch = epoch + 1, observed_up = 0 where id = $1 and epoch = $2 and runs = 1";
    let changed = tx.exec(sql, args![node, ended])?;
    routes_changed(tx)?;
    Ok(changed == 1)
}

/// Gives a node another address, and the epoch of its next start, if it still has the epoch given. Where it is a primary,
/// its replicas are to start anew too, so that they look for it where it is.
pub fn move_node(tx: &mut dyn Tx, node: &NodeId, epoch: Epoch, addr: NodeAddr) -> Result<()> {
    let moved = tx.exec(
        "update node set address = $3, port = $4, epoch = epoch + 1, observed_up = 0 where id = $1 and epoch = $2",
        args![node, epoch, addr.0.ip().to_string(), i64::from(addr.0.port())],
    )?;
    if moved == 1 {
        tx.exec(
            "update node set epoch = epoch + 1, observed_up = 0 where role = 1 and runs = 1 and observed_epoch is not null
             and instance = (select instance from node where id = $1 and role = 0)",
            args![node],
        )?;
    }
    routes_changed(tx)
}

/// Lets a ledger that is an older copy catch up with what the world knows of a node: where it still has the epoch that
/// was asked for in vain, it goes on beyond the known one.
pub fn catch_up(tx: &mut dyn Tx, node: &NodeId, asked: Epoch, known: Epoch) -> Result<()> {
    tx.exec("update node set epoch = $3 where id = $1 and epoch = $2", args![node, asked, known.next()])?;
    routes_changed(tx)
}

/// Notes what was seen of a node; what an older epoch says is dropped.
pub fn observe(tx: &mut dyn Tx, node: &NodeId, epoch: Epoch, up: bool, version: Option<EngineVersion>) -> Result<()> {
    let is_news = tx.row(
        "select 1 from node where id = $1 and epoch = $2 and (coalesce(observed_epoch, -1) <> $2 or observed_up <> $3)",
        args![node, epoch, up],
    )?;
    tx.exec(
        "update node set observed_epoch = $2, observed_up = $3, observed_version = coalesce($4, observed_version)
         where id = $1 and epoch = $2",
        args![node, epoch, up, version.map(|version| version.to_string())],
    )?;
    if is_news.is_some() { readers_changed(tx, node) } else { Ok(()) }
}

/// Notes to which nodes of an instance, each in which of its starts, the stream of its primary's present start flows; it
/// flows to no other.
pub fn observe_streams(
    tx: &mut dyn Tx,
    instance: &InstanceId,
    (primary, epoch): (&NodeId, Epoch),
    followers: &[(NodeId, Epoch)],
) -> Result<()> {
    for node in nodes_of(tx.reader(), instance)? {
        let follows = followers.iter().find(|(id, _)| *id == node.id);
        let (of, streamed) = follows.map_or(("", Epoch(0)), |(_, streamed)| (primary.as_str(), *streamed));
        tx.exec(
            "update node set stream_of = $2, stream_epoch = $3, streamed_epoch = $4 where id = $1",
            args![&node.id, of, epoch, streamed],
        )?;
    }
    readers_changed(tx, primary)
}

const ROUTES: &str = "routes";

/// Counts the version of the routing table on.
pub fn count_routes_on(tx: &mut dyn Tx, by: i64) -> Result<()> {
    count_on(tx, ROUTES, by).map(drop)
}

/// Notes that the routing table is another one now.
pub(crate) fn routes_changed(tx: &mut dyn Tx) -> Result<()> {
    count_routes_on(tx, 1)
}

/// Notes that an instance may have other replicas that answer reads, where it has any that do: by one of its nodes.
fn readers_changed(tx: &mut dyn Tx, node: &NodeId) -> Result<()> {
    let reads = "select 1 from node n join instance i on i.id = n.instance where n.id = $1 and i.replica_reads = 1";
    if tx.row(reads, args![node])?.is_some() { routes_changed(tx) } else { Ok(()) }
}

/// The version of the routing table.
pub fn routes_version(reader: &mut dyn Reader) -> Result<i64> {
    counter(reader, ROUTES)
}

/// Where a node is, as a row has it from this column on: its id, address, port and epoch.
fn read_target(row: &mut Row, column: usize) -> Result<Target> {
    Ok(Target {
        node: row.parsed(column, NodeId::parse)?,
        addr: NodeAddr(read_addr(row, column + 1)?),
        epoch: Epoch(row.int(column + 3)?),
    })
}

fn read_addr(row: &mut Row, column: usize) -> Result<SocketAddr> {
    let ip = row.parsed(column, |text| text.parse::<IpAddr>().ok())?;
    Ok(SocketAddr::new(ip, row.numbered(column + 1, |number| u16::try_from(number).ok())?))
}

/// What share of the reads a replica has: all have the same.
const READER_WEIGHT: u32 = 100;

/// The replicas that may answer reads: those that run, have been told everything, and get their primary's stream.
fn readers(reader: &mut dyn Reader) -> Result<HashMap<InstanceId, Vec<model::Reader>>> {
    let rows = reader.rows(
        "select n.instance, n.id, n.address, n.port, n.epoch
         from instance i join node p on p.instance = i.id and p.role = 0 and p.runs = 1 join node n on n.instance = i.id
         where i.replica_reads = 1 and i.is_open = 1 and n.role = 1 and n.joins = 0 and n.runs = 1 and n.unsaid = 0
             and n.observed_up = 1 and n.observed_epoch = n.epoch
             and n.stream_of = p.id and n.stream_epoch = p.epoch and n.streamed_epoch = n.epoch
         order by n.instance, n.number",
        &[],
    )?;
    let mut all: HashMap<InstanceId, Vec<model::Reader>> = HashMap::new();
    for mut row in rows {
        let of_instance = all.entry(row.parsed(0, InstanceId::parse)?).or_default();
        of_instance.push(model::Reader { target: read_target(&mut row, 1)?, weight: READER_WEIGHT });
    }
    Ok(all)
}

/// The addresses of the routing table, the primary that each leads to while it is open, and the replicas that may answer
/// reads. Who may come in, how, and what
/// is slow is not in it.
pub fn routing_table(reader: &mut dyn Reader) -> Result<RoutingTable> {
    let version = routes_version(reader)?;
    let rows = reader.rows(
        "select i.id, a.address, a.port, i.is_open, n.id, n.address, n.port, n.epoch, i.client_limit, i.bandwidth_mbit
         from instance i join (select id, address, port from instance union all
             select instance, address, port from address) a on a.id = i.id
         left join node n on n.instance = i.id and n.role = 0 and n.runs = 1 order by i.id",
        &[],
    )?;
    let readers = readers(reader)?;
    let routes = rows.into_iter().map(|mut row| {
        let leads_on = row.int(3)? != 0 && row.int_opt(7)?.is_some();
        let instance = row.parsed(0, InstanceId::parse)?;
        Ok(Route {
            readers: readers.get(&instance).cloned().unwrap_or_default(),
            instance,
            vip: Vip(read_addr(&mut row, 1)?),
            target: if leads_on { Some(read_target(&mut row, 4)?) } else { None },
            sources: None,
            limits: Limits {
                connections: Some(
                    row.int_opt(8)?.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(DEFAULT_CLIENTS),
                ),
                inbound: row.int_opt(9)?.map(bytes_a_second),
                outbound: row.int_opt(9)?.map(bytes_a_second),
                idle: None,
                slow_after_ms: None,
            },
            logins: Logins::default(),
            tls: None,
        })
    });
    Ok(RoutingTable { version, routes: routes.collect::<Result<_>>()? })
}

/// How many connections an instance may have where nothing was chosen: what the API calls a standard instance's limit.
pub const DEFAULT_CLIENTS: u32 = 10_000;

fn bytes_a_second(mbit: i64) -> u64 {
    u64::try_from(mbit).unwrap_or(0).saturating_mul(1_000_000 / 8)
}
