use std::net::IpAddr;

use model::{InstanceId, Millis};

use crate::node::routes_changed;
use crate::{Reader, Result, Row, Tx, args, count_on};

/// Who vouches for the certificates of instances.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// Its certificate, in PEM.
    pub certificate: String,
    /// Its key, sealed.
    pub key: Vec<u8>,
}

/// That an instance takes connections by TLS, and by which certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certified {
    /// The certificate's number, which is another one for each; 0: there is none yet.
    pub serial: i64,
    /// By what its issuer is recognized.
    pub issuer: String,
    /// The addresses that it is for, with commas.
    pub names: String,
    /// When it was made.
    pub issued_at: Millis,
    /// Until when it is good.
    pub expires_at: Millis,
}

/// The service's own authority; `None` before it was needed.
pub fn authority(reader: &mut dyn Reader) -> Result<Option<Authority>> {
    let row = reader.row("select certificate, key from authority where id = 1", &[])?;
    let read = |mut row: Row| Ok(Authority { certificate: row.text(0)?, key: row.blob_opt(1)?.unwrap_or_default() });
    row.map(read).transpose()
}

/// Keeps the service's own authority, unless there is one.
pub fn keep_authority(tx: &mut dyn Tx, authority: &Authority) -> Result<()> {
    tx.exec(
        "insert into authority (id, certificate, key) values (1, $1, $2) on conflict (id) do nothing",
        args![authority.certificate.as_str(), authority.key.clone()],
    )?;
    Ok(())
}

const COLUMNS: &str = "instance, serial, issuer, names, issued_at, expires_at";

fn read(row: &mut Row) -> Result<Certified> {
    Ok(Certified {
        serial: row.int(1)?,
        issuer: row.text(2)?,
        names: row.text(3)?,
        issued_at: Millis(row.int(4)?),
        expires_at: Millis(row.int(5)?),
    })
}

/// By which certificate an instance takes connections by TLS; `None` where it does not.
pub fn tls_of(reader: &mut dyn Reader, instance: &InstanceId) -> Result<Option<Certified>> {
    let sql = format!("select {COLUMNS} from instance_tls where instance = $1");
    reader.row(&sql, args![instance])?.map(|mut row| read(&mut row)).transpose()
}

/// The instances that take connections by TLS.
pub fn all_tls(reader: &mut dyn Reader) -> Result<Vec<(InstanceId, Certified)>> {
    let rows = reader.rows(&format!("select {COLUMNS} from instance_tls order by instance"), &[])?;
    rows.into_iter().map(|mut row| Ok((row.parsed(0, InstanceId::parse)?, read(&mut row)?))).collect()
}

/// The IP addresses of an instance that takes connections by TLS, each once, in their order.
pub fn tls_names(reader: &mut dyn Reader) -> Result<Vec<(InstanceId, IpAddr)>> {
    let rows = reader.rows(
        "select t.instance, a.address from instance_tls t join (select id, address from instance union
             select instance, address from address) a on a.id = t.instance order by t.instance, a.address",
        &[],
    )?;
    let read = |mut row: Row| Ok((row.parsed(0, InstanceId::parse)?, row.parsed(1, |text| text.parse().ok())?));
    rows.into_iter().map(read).collect()
}

/// Has an instance take connections by TLS from now on, or not any more; counts the routing table on. It has no
/// certificate at first: one that it had before is forgotten.
pub fn set_tls(tx: &mut dyn Tx, instance: &InstanceId, is_on: bool) -> Result<()> {
    if is_on {
        tx.exec(
            "insert into instance_tls (instance, serial, issuer, names, issued_at, expires_at)
             values ($1, 0, '', '', 0, 0) on conflict (instance) do nothing",
            args![instance],
        )?;
    } else {
        tx.exec("delete from instance_tls where instance = $1", args![instance])?;
    }
    routes_changed(tx)
}

/// The number of the next certificate.
pub fn next_serial(tx: &mut dyn Tx) -> Result<i64> {
    count_on(tx, "certificate", 1)
}

/// Has an instance take connections by another certificate, unless it does not any more, or has got one since it had
/// that of the serial `before`; answers whether so. Counts the routing table on.
pub fn certify(tx: &mut dyn Tx, instance: &InstanceId, before: i64, by: &Certified) -> Result<bool> {
    let changed = tx.exec(
        "update instance_tls set serial = $3, issuer = $4, names = $5, issued_at = $6, expires_at = $7
         where instance = $1 and serial = $2",
        args![instance, before, by.serial, by.issuer.as_str(), by.names.as_str(), by.issued_at, by.expires_at],
    )?;
    routes_changed(tx)?;
    Ok(changed == 1)
}
