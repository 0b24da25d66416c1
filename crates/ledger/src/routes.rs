use std::collections::HashMap;

use model::InstanceId;

use crate::{Reader, Result, SecurityRule, read_rules};

/// The parameter that says what stands between an account's name and its password.
const SEPARATOR: &str = "UserPasswordSeparate";

/// The parameter that says after how many seconds without a request a connection is closed.
const TIMEOUT: &str = "timeout";

/// Whether the routing table depends on a parameter.
pub fn is_of_routes(param: &str) -> bool {
    [SEPARATOR, SLOW_AFTER, TIMEOUT].contains(&param)
}

/// The parameter that says what the gateway notes as slow.
pub(crate) const SLOW_AFTER: &str = "proxy-slowlog-log-slower-than";

/// What was chosen for a command to be slow at the gateway, in milliseconds, by instance.
pub fn slow_after(reader: &mut dyn Reader) -> Result<HashMap<InstanceId, String>> {
    let rows = reader.rows("select instance, value from param where name = $1", crate::args![SLOW_AFTER])?;
    rows.into_iter().map(|mut row| Ok((row.parsed(0, InstanceId::parse)?, row.text(1)?))).collect()
}

/// How one signs in at an instance that has more than its default user with one password.
#[derive(Clone, Debug, Default)]
pub struct Doorkeeping {
    /// What stands between a name and its password; `None` where it was not set.
    pub separator: Option<String>,
    /// The accounts' names.
    pub accounts: Vec<String>,
    /// The default user's password, as in [`crate::Instance`]; `None` where it needs none.
    pub password: Option<Vec<u8>>,
    /// The one that works besides.
    pub old_password: Option<Vec<u8>>,
    /// Those of `accounts` whose reads go to replicas.
    pub replica_readers: Vec<String>,
    /// Whether the default user's do.
    pub default_reads_replicas: bool,
}

/// The instances with accounts, with a password that is being changed, or with replicas that answer reads.
pub fn doorkeeping(reader: &mut dyn Reader) -> Result<HashMap<InstanceId, Doorkeeping>> {
    let rows = reader.rows(
        "select i.id, case when i.no_auth = 0 then i.password end, i.old_password, p.value,
             case when i.replica_reads = 1 then i.reads_from else '' end
         from instance i left join param p on p.instance = i.id and p.name = $1
         where i.old_password is not null or i.replica_reads = 1
             or exists (select 1 from instance_account a where a.instance = i.id and a.status <> 4)",
        crate::args![SEPARATOR],
    )?;
    let mut all = HashMap::new();
    for mut row in rows {
        let (password, old_password) = (row.blob_opt(1)?, row.blob_opt(2)?);
        let separator = row.text_opt(3)?;
        let default_reads_replicas = reads_replicas(&row.text(4)?);
        let keeping =
            Doorkeeping { separator, password, old_password, default_reads_replicas, ..Doorkeeping::default() };
        all.insert(row.parsed(0, InstanceId::parse)?, keeping);
    }
    let accounts = "select a.instance, a.name, case when i.replica_reads = 1 then a.reads_from else '' end
        from instance_account a join instance i on i.id = a.instance where a.status <> 4 order by a.instance, a.name";
    for mut row in reader.rows(accounts, &[])? {
        let name = row.text(1)?;
        let reads_replicas = reads_replicas(&row.text(2)?);
        if let Some(keeping) = all.get_mut(&row.parsed(0, InstanceId::parse)?) {
            if reads_replicas {
                keeping.replica_readers.push(name.clone());
            }
            keeping.accounts.push(name);
        }
    }
    Ok(all)
}

/// Whether who reads from these (`master`, `replication`, or both with a comma) may be answered by a replica.
pub fn reads_replicas(reads_from: &str) -> bool {
    reads_from.split(',').any(|from| from == "replication")
}

/// The timeout parameters that were set, as they were.
pub fn timeouts(reader: &mut dyn Reader) -> Result<HashMap<InstanceId, String>> {
    let rows = reader.rows("select instance, value from param where name = $1", crate::args![TIMEOUT])?;
    rows.into_iter().map(|mut row| Ok((row.parsed(0, InstanceId::parse)?, row.text(1)?))).collect()
}

/// The inbound rules of each instance that is in security groups, those of its first group first.
pub fn inbound_rules(reader: &mut dyn Reader) -> Result<HashMap<InstanceId, Vec<SecurityRule>>> {
    let rows = reader.rows(
        "select g.instance, s.inbound from instance_group g join security_group s on s.id = g.security_group
         order by g.instance, g.place",
        &[],
    )?;
    let mut all: HashMap<InstanceId, Vec<SecurityRule>> = HashMap::new();
    for mut row in rows {
        let rules = read_rules(&row.text(1)?)?;
        all.entry(row.parsed(0, InstanceId::parse)?).or_default().extend(rules);
    }
    Ok(all)
}
