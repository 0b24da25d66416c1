use model::Millis;

use crate::{Reader, Result, Row, Tx, args};

/// A network that an account has made. The region's default one is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// `vpc-` and eight characters.
    pub id: String,
    /// Who owns it.
    pub account: i64,
    /// What its owner calls it.
    pub name: String,
    /// Its addresses: a network with its prefix length.
    pub cidr: String,
    /// As its owner said; it is only noted.
    pub multicast: bool,
    /// As its owner said; they are only noted.
    pub dns: Vec<String>,
    /// As its owner said; it is only noted.
    pub domain: String,
    /// When it was made.
    pub created_at: Millis,
}

/// A subnet that an account has made. The zones' default ones are no rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-` and eight characters.
    pub id: String,
    /// The network that it is a part of, which may be the default one.
    pub vpc: String,
    /// Who owns it.
    pub account: i64,
    /// What its owner calls it.
    pub name: String,
    /// Its addresses: a network with its prefix length.
    pub cidr: String,
    /// Its zone.
    pub zone: i64,
    /// As its owner said; it is only noted.
    pub broadcast: bool,
    /// When it was made.
    pub created_at: Millis,
}

fn read_vpc(mut row: Row) -> Result<Vpc> {
    Ok(Vpc {
        id: row.text(0)?,
        account: row.int(1)?,
        name: row.text(2)?,
        cidr: row.text(3)?,
        multicast: row.int(4)? != 0,
        dns: row.text(5)?.split_ascii_whitespace().map(str::to_owned).collect(),
        domain: row.text(6)?,
        created_at: Millis(row.int(7)?),
    })
}

/// The networks of an account, oldest first.
pub fn vpcs(reader: &mut dyn Reader, account: i64) -> Result<Vec<Vpc>> {
    let sql = "select id, account, name, cidr, multicast, dns, domain, created_at from vpc where account = $1
        order by created_at, id";
    reader.rows(sql, args![account])?.into_iter().map(read_vpc).collect()
}

/// Adds a network.
pub fn insert_vpc(tx: &mut dyn Tx, it: &Vpc) -> Result<()> {
    let sql = "insert into vpc (id, account, name, cidr, multicast, dns, domain, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (id, name, cidr, domain) = (it.id.as_str(), it.name.as_str(), it.cidr.as_str(), it.domain.as_str());
    tx.exec(sql, args![id, it.account, name, cidr, it.multicast, it.dns.join(" "), domain, it.created_at])?;
    Ok(())
}

/// Sets all of a network that can be changed.
pub fn update_vpc(tx: &mut dyn Tx, it: &Vpc) -> Result<()> {
    let sql = "update vpc set name = $2, multicast = $3, dns = $4, domain = $5 where id = $1";
    tx.exec(sql, args![it.id.as_str(), it.name.as_str(), it.multicast, it.dns.join(" "), it.domain.as_str()])?;
    Ok(())
}

/// Deletes a network that has no subnets.
pub fn delete_vpc(tx: &mut dyn Tx, id: &str) -> Result<()> {
    tx.exec("delete from vpc where id = $1", args![id])?;
    Ok(())
}

fn read_subnet(mut row: Row) -> Result<Subnet> {
    Ok(Subnet {
        id: row.text(0)?,
        vpc: row.text(1)?,
        account: row.int(2)?,
        name: row.text(3)?,
        cidr: row.text(4)?,
        zone: row.int(5)?,
        broadcast: row.int(6)? != 0,
        created_at: Millis(row.int(7)?),
    })
}

/// The subnets of an account, oldest first.
pub fn subnets(reader: &mut dyn Reader, account: i64) -> Result<Vec<Subnet>> {
    let sql = "select id, vpc, account, name, cidr, zone, broadcast, created_at from subnet where account = $1
        order by created_at, id";
    reader.rows(sql, args![account])?.into_iter().map(read_subnet).collect()
}

/// Adds a subnet.
pub fn insert_subnet(tx: &mut dyn Tx, it: &Subnet) -> Result<()> {
    let sql = "insert into subnet (id, vpc, account, name, cidr, zone, broadcast, created_at)
        values ($1, $2, $3, $4, $5, $6, $7, $8)";
    let (id, vpc, name, cidr) = (it.id.as_str(), it.vpc.as_str(), it.name.as_str(), it.cidr.as_str());
    tx.exec(sql, args![id, vpc, it.account, name, cidr, it.zone, it.broadcast, it.created_at])?;
    Ok(())
}

/// Sets all of a subnet that can be changed.
pub fn update_subnet(tx: &mut dyn Tx, it: &Subnet) -> Result<()> {
    let sql = "update subnet set name = $2, broadcast = $3 where id = $1";
    tx.exec(sql, args![it.id.as_str(), it.name.as_str(), it.broadcast])?;
    Ok(())
}

/// Deletes a subnet without addresses.
pub fn delete_subnet(tx: &mut dyn Tx, id: &str) -> Result<()> {
    tx.exec("delete from subnet where id = $1", args![id])?;
    Ok(())
}

/// How many addresses instances have in each subnet, former ones counted.
pub fn addresses_by_subnet(reader: &mut dyn Reader, account: i64) -> Result<Vec<(String, i64)>> {
    let sql = "select subnet, count(*) from (
            select subnet from instance where account = $1 union all
            select a.subnet from address a join instance i on i.id = a.instance where i.account = $1 and a.subnet <> ''
        ) all_of_them group by subnet";
    let rows = reader.rows(sql, args![account])?;
    rows.into_iter().map(|mut row| Ok((row.text(0)?, row.int(1)?))).collect()
}
