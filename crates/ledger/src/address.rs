use std::net::{IpAddr, SocketAddr};

use model::{InstanceId, Millis, Vip};

use crate::node::routes_changed;
use crate::{Error, Reader, Result, Row, Tx, args};

/// Why an instance has an address besides its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressKind {
    /// It is public.
    Wan,
    /// It was the instance's own, and leads there until it is closed.
    Former,
}

impl AddressKind {
    fn word(self) -> &'static str {
        match self {
            AddressKind::Wan => "wan",
            AddressKind::Former => "former",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [AddressKind::Wan, AddressKind::Former].into_iter().find(|kind| kind.word() == word)
    }
}

/// An address of an instance besides its own. It is open when that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub vip: Vip,
    /// Whose it is.
    pub instance: InstanceId,
    /// What for.
    pub kind: AddressKind,
    /// The network that it is of; empty where it is public.
    pub vpc: String,
    /// The subnet.
    pub subnet: String,
    /// When it is to be closed; `None`: not before something else happens.
    pub closes_at: Option<Millis>,
}

/// The instance's own address, and where that lies.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// The address.
    pub vip: Vip,
    /// The network.
    pub vpc: String,
    /// The subnet.
    pub subnet: String,
}

const COLUMNS: &str = "address, port, instance, kind, vpc, subnet, closes_at";

fn read(mut row: Row) -> Result<Address> {
    let ip = row.parsed(0, |text| text.parse::<IpAddr>().ok())?;
    let port = row.numbered(1, |number| u16::try_from(number).ok())?;
    Ok(Address {
        vip: Vip(SocketAddr::new(ip, port)),
        instance: row.parsed(2, InstanceId::parse)?,
        kind: row.parsed(3, AddressKind::parse)?,
        vpc: row.text(4)?,
        subnet: row.text(5)?,
        closes_at: row.int_opt(6)?.map(Millis),
    })
}

/// The addresses of an instance besides its own.
pub fn addresses_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Vec<Address>> {
    let sql = format!("select {COLUMNS} from address where instance = $1 order by address, port");
    reader.rows(&sql, args![instance])?.into_iter().map(read).collect()
}

/// The public address of an instance.
pub fn wan_address(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<Vip>> {
    let all = addresses_of(reader, instance)?;
    Ok(all.into_iter().find(|address| address.kind == AddressKind::Wan).map(|address| address.vip))
}

/// Addresses whose time is over.
pub fn addresses_due(reader: &mut dyn Reader, now: Millis) -> Result<Vec<Address>> {
    let sql = format!("select {COLUMNS} from address where closes_at <= $1 order by closes_at, address, port");
    reader.rows(&sql, args![now])?.into_iter().map(read).collect()
}

/// Gives an instance one more address: [`Error::is_taken`] where it is anybody's.
pub fn insert_address(tx: &mut dyn Tx, it: &Address) -> Result<()> {
    check_free(tx, it.vip)?;
    tx.exec(
        "insert into address (address, port, instance, kind, vpc, subnet, closes_at) values ($1, $2, $3, $4, $5, $6, $7)",
        args![
            it.vip.0.ip().to_string(),
            i64::from(it.vip.0.port()),
            &it.instance,
            it.kind.word(),
            it.vpc.as_str(),
            it.subnet.as_str(),
            it.closes_at,
        ],
    )?;
    routes_changed(tx)
}

/// Takes an address from an instance that has it besides its own.
pub fn delete_address(tx: &mut dyn Tx, instance: &InstanceId, vip: Vip) -> Result<()> {
    tx.exec(
        "delete from address where instance = $1 and address = $2 and port = $3",
        args![instance, vip.0.ip().to_string(), i64::from(vip.0.port())],
    )?;
    routes_changed(tx)
}

/// Sets when an address is to be closed.
pub fn set_closes_at(tx: &mut dyn Tx, instance: &InstanceId, vip: Vip, at: Millis) -> Result<()> {
    tx.exec(
        "update address set closes_at = $4 where instance = $1 and address = $2 and port = $3",
        args![instance, vip.0.ip().to_string(), i64::from(vip.0.port()), at],
    )?;
    Ok(())
}

/// Sets the instance's own address: [`Error::is_taken`] where another has it.
pub fn set_place(tx: &mut dyn Tx, id: &InstanceId, place: &Place) -> Result<()> {
    check_free(tx, place.vip)?;
    tx.exec(
        "update instance set address = $2, port = $3, vpc = $4, subnet = $5 where id = $1",
        args![
            id,
            place.vip.0.ip().to_string(),
            i64::from(place.vip.0.port()),
            place.vpc.as_str(),
            place.subnet.as_str(),
        ],
    )?;
    routes_changed(tx)
}

/// Sets the own addresses of two instances, which may be each other's.
pub fn set_places(tx: &mut dyn Tx, both: [(&InstanceId, &Place); 2]) -> Result<()> {
    // No two have one address at any moment.
    tx.exec("update instance set address = $1, port = -1 where id = $1", args![both[0].0])?;
    both.into_iter().rev().try_for_each(|(id, place)| set_place(tx, id, place))
}

/// No store can see to it that what is in one table is not in another.
fn check_free(tx: &mut dyn Tx, vip: Vip) -> Result<()> {
    if vip_is_taken(tx.reader(), vip)? { Err(Error::Taken(vip.to_string())) } else { Ok(()) }
}

/// Whether an address is anybody's.
pub fn vip_is_taken(reader: &mut dyn Reader, vip: Vip) -> Result<bool> {
    let sql = "select 1 from instance where address = $1 and port = $2
        union all select 1 from address where address = $1 and port = $2 limit 1";
    Ok(reader.row(sql, args![vip.0.ip().to_string(), i64::from(vip.0.port())])?.is_some())
}

/// Whether another instance than this one has an address of this IP, whatever the port.
pub fn ip_is_taken(reader: &mut dyn Reader, ip: IpAddr, but_of: Option<&InstanceId>) -> Result<bool> {
    let sql = "select 1 from instance where address = $1 and id <> $2
        union all select 1 from address where address = $1 and instance <> $2 limit 1";
    let own = but_of.map_or("", InstanceId::as_str);
    Ok(reader.row(sql, args![ip.to_string(), own])?.is_some())
}
