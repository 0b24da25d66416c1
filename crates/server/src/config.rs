//! Settings: flags over `OPENCRS_*` over a TOML file over defaults. One table says all there is; `opencrs config`
//! prints what holds, and where each value came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::{Arg, ArgMatches};
use control::{GivenAuthority, Owner, Region, Settings, TlsSettings, VipPool, Zone, read_certificates};
use ledger::PostgresAddress;
use model::Secret;

use crate::prices;

/// A setting: its flag is `--the-name`, its variable `OPENCRS_THE_NAME`, its key in the file `the_name`.
struct Setting {
    name: &'static str,
    default: &'static str,
    /// Never a flag, since arguments can be seen by all, and never printed.
    is_secret: bool,
    help: &'static str,
}

const fn setting(name: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { name, default, is_secret: false, help }
}

const fn secret(name: &'static str, help: &'static str) -> Setting {
    Setting { name, default: "", is_secret: true, help }
}

const SETTINGS: &[Setting] = &[
    setting("listen", "127.0.0.1:8800", "where the API is served"),
    setting("data", "data", "the data folder"),
    setting(
        "store",
        "sqlite",
        "the ledger's store: sqlite, in the data folder, or postgres://USER@HOST:PORT/DATABASE, with ?sslmode=verify-full or \
         disable and sslrootcert=FILE, without a password",
    ),
    secret("store_password", "the password for the store"),
    setting("store_password_file", "", "a file with nothing but the password for the store"),
    secret("secret_id", "the root key pair's SecretId; made at the first start where it is not given"),
    secret("secret_key", "the root key pair's SecretKey"),
    secret("sealing_key", "64 hexadecimal digits that seal secrets in the ledger; made at the first start"),
    setting("uin", "100000000001", "the owner's uin"),
    setting("appid", "1300000001", "the owner's appid"),
    setting("region", "ap-guangzhou", "the region that this service is"),
    setting("region_number", "1", "its number, as in RegionId"),
    setting(
        "zones",
        "100001:ap-guangzhou-1,100002:ap-guangzhou-2,100003:ap-guangzhou-3,100004:ap-guangzhou-4,\
         100005:ap-guangzhou-5,100006:ap-guangzhou-6,100007:ap-guangzhou-7",
        "its zones as number:name, the default one first",
    ),
    setting("utc_offset", "+08:00", "the zone of times in requests and answers"),
    setting(
        "vips",
        "127.88.0.0/16",
        "customers' addresses: a network with an address for each instance, or ADDRESS:FROM-TO, a port for each",
    ),
    setting("public_vips", "127.89.0.0/16", "public addresses of instances, as vips"),
    setting(
        "gateway_metrics",
        "off",
        "where a gateway that is started answers Prometheus (GET /metrics): an address as 127.0.0.1:9121, with port 0 one \
         that is free, written into gateway/metrics.addr of the data folder; or off",
    ),
    setting("node_ports", "20000-31999", "ports of nodes, on 127.0.0.1"),
    setting(
        "host_memory",
        "",
        "memory that may be promised to instances: bytes, or with KiB, MiB, GiB; 0 counts nothing; empty is what the \
         machine has, less a tenth",
    ),
    setting("engines", "", "more engine programs than those in PATH, separated by colons"),
    setting("older_engines", "serve", "serve: the nearest newer engine stands in for an older one; refuse: it doesn't"),
    setting(
        "busy_millis",
        "1500",
        "how long at the least an instance is shown as busy by a resize or a move between zones",
    ),
    setting("prices", "", "a TOML file with what instances cost; empty: nothing costs anything"),
    setting(
        "tls_ca_cert",
        "",
        "a PEM file with the certificate of the authority that vouches for instances that take TLS, and those that vouch for \
         it after it; empty: the service's own, which `opencrs ca` prints",
    ),
    setting("tls_ca_key", "", "a PEM file (PKCS #8) with the key of that authority"),
    setting(
        "tls_client_ca",
        "",
        "a PEM file with certificates, one of which must vouch for each client that connects by TLS; empty: clients need none",
    ),
    setting(
        "tls_required",
        "off",
        "on: an instance that takes TLS (OpenSSL) refuses plain connections; off: it takes both",
    ),
    setting("rate_limits", "on", "whether requests a second are limited as documented"),
    setting("recycle_postpaid_hours", "2", "how long isolated instances that are paid by use are kept"),
    setting("recycle_prepaid_hours", "168", "how long isolated instances that are paid in advance are kept"),
    setting(
        "keep_tasks_days",
        "400",
        "how long tasks stay in the ledger, at least 30 days; older ones that have ended are moved to vault/tasks in the data \
         folder",
    ),
    setting("host_aliases", "", "names that clients may have signed in place of the Host they send, with commas"),
    setting("log", "info", "what is logged: error, warn, info, debug, or directives of tracing's EnvFilter"),
];

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Default,
    File(PathBuf),
    Variable(String),
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "{}", path.display()),
            Origin::Variable(name) => f.write_str(name),
            Origin::Flag(name) => write!(f, "--{name}"),
        }
    }
}

/// All settings, as they hold.
#[derive(Clone)]
pub struct Config(BTreeMap<&'static str, (String, Origin)>);

/// The flags of a subcommand that serves.
pub fn flags() -> Vec<Arg> {
    let file = Arg::new("config").long("config").value_name("FILE").help("a TOML file with settings");
    let flags = SETTINGS.iter().filter(|setting| !setting.is_secret).map(|setting| {
        let long = setting.name.replace('_', "-");
        Arg::new(setting.name).long(long).value_name("VALUE").help(setting.help)
    });
    std::iter::once(file).chain(flags).collect()
}

impl Config {
    /// Reads flags, the environment and the file. `defaults` are other defaults than the table's.
    ///
    /// # Errors
    /// A file that can't be read, a setting that does not exist. Values are looked at when they are used.
    pub fn read(
        matches: &ArgMatches,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        defaults: &[(&'static str, &str)],
    ) -> anyhow::Result<Config> {
        let mut config = Config(BTreeMap::new());
        for setting in SETTINGS {
            config.0.insert(setting.name, (setting.default.to_owned(), Origin::Default));
        }
        for (name, value) in defaults {
            config.0.insert(name, ((*value).to_owned(), Origin::Default));
        }
        let environment: BTreeMap<String, String> = environment
            .into_iter()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("OPENCRS_"))
            .collect();
        let file = matches.try_get_one::<String>("config").ok().flatten().or_else(|| environment.get("OPENCRS_CONFIG"));
        if let Some(file) = file {
            config.read_file(PathBuf::from(file))?;
        }
        for setting in SETTINGS {
            let variable = format!("OPENCRS_{}", setting.name.to_ascii_uppercase());
            if let Some(value) = environment.get(&variable) {
                config.0.insert(setting.name, (value.clone(), Origin::Variable(variable)));
            }
            if let Ok(Some(value)) = matches.try_get_one::<String>(setting.name) {
                let flag = setting.name.replace('_', "-");
                config.0.insert(setting.name, (value.clone(), Origin::Flag(flag)));
            }
        }
        Ok(config)
    }

    fn read_file(&mut self, path: PathBuf) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(&path).with_context(|| format!("read settings from {}", path.display()))?;
        let table: toml::Table = text.parse().with_context(|| format!("read settings from {}", path.display()))?;
        for (name, value) in table {
            let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
                bail!("{} has a setting that does not exist: {name}", path.display());
            };
            let text = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(on) => if on { "on" } else { "off" }.to_owned(),
                _ => bail!("{}: {name} must be a text, a number, true or false", path.display()),
            };
            self.0.insert(setting.name, (text, Origin::File(path.clone())));
        }
        Ok(())
    }

    /// A value, as text.
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", |(value, _)| value)
    }

    /// A value read by `read`; the error names the setting and where its value came from.
    fn parsed<T>(&self, name: &str, read: impl FnOnce(&str) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let (value, origin) = self.0.get(name).with_context(|| format!("there is no setting {name}"))?;
        read(value).with_context(|| format!("setting {name} = {value:?} (from {origin})"))
    }

    /// Where the API is served.
    pub fn listen(&self) -> anyhow::Result<SocketAddr> {
        self.parsed("listen", |text| text.parse().context("it is written as 127.0.0.1:8800"))
    }

    /// Where the gateway answers Prometheus.
    pub fn gateway_metrics(&self) -> anyhow::Result<Option<SocketAddr>> {
        self.parsed("gateway_metrics", |text| match text {
            "off" => Ok(None),
            text => text.parse().map(Some).context("it is written as 127.0.0.1:9121, or off"),
        })
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        PathBuf::from(self.get("data"))
    }

    /// Engine programs besides those in PATH.
    pub fn engines(&self) -> Vec<PathBuf> {
        std::env::split_paths(self.get("engines")).filter(|path| !path.as_os_str().is_empty()).collect()
    }

    /// Names that clients may have signed as Host.
    pub fn host_aliases(&self) -> Vec<String> {
        self.get("host_aliases").split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// Where the ledger is kept; `None`: by SQLite, in the data folder.
    pub fn store(&self) -> anyhow::Result<Option<PostgresAddress>> {
        let (value, origin) = self.0.get("store").context("there is no setting store")?;
        if value == "sqlite" {
            return Ok(None);
        }
        let from_file = self.parsed("store_password_file", read_file)?;
        let given = self.get("store_password");
        let password = match &from_file {
            Some(_) if !given.is_empty() => bail!("store_password and store_password_file are two passwords"),
            Some(text) => Some(text.trim_end_matches(['\r', '\n'])),
            None => Some(given).filter(|text| !text.is_empty()),
        };
        // The value is not repeated: it may hold a password, which is why it is refused.
        PostgresAddress::parse(value, password).map(Some).with_context(|| format!("setting store (from {origin})"))
    }

    fn tls(&self) -> anyhow::Result<TlsSettings> {
        let key = self.parsed("tls_ca_key", read_file)?;
        Ok(TlsSettings {
            authority: self.parsed("tls_ca_cert", |path| match (read_file(path)?, key) {
                (Some(certificates), Some(key)) => Ok(Some(GivenAuthority::read(&certificates, &Secret::new(key))?)),
                (None, None) => Ok(None),
                _ => bail!("tls_ca_cert and tls_ca_key go together"),
            })?,
            client_ca: self.parsed("tls_client_ca", |path| {
                Ok(read_file(path)?.map(|text| read_certificates(&text)).transpose()?)
            })?,
            is_required: self.parsed("tls_required", |text| read_choice(text, "on", "off"))?,
        })
    }

    /// The settings of the control plane.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        self.store()?;
        let whole = |text: &str| text.parse::<i64>().context("it is a whole number");
        let hours =
            |text: &str| Ok(Duration::from_secs(3600 * text.parse::<u64>().context("it is a number of hours")?));
        Ok(Settings {
            owner: Owner { uin: self.parsed("uin", whole)?, appid: self.parsed("appid", whole)? },
            region: Region {
                name: self.get("region").to_owned(),
                id: self.parsed("region_number", whole)?,
                zones: self.parsed("zones", read_zones)?,
            },
            utc_offset_seconds: self.parsed("utc_offset", read_offset)?,
            vips: self.parsed("vips", read_vips)?,
            public_vips: self.parsed("public_vips", read_vips)?,
            node_ports: self.parsed("node_ports", read_ports)?,
            host_memory_mb: self.parsed("host_memory", read_memory)?,
            serve_newer_engine: self.parsed("older_engines", |text| read_choice(text, "serve", "refuse"))?,
            busy_for: self.parsed("busy_millis", |text| {
                Ok(Duration::from_millis(text.parse().context("it is a number of milliseconds")?))
            })?,
            prices: self.parsed("prices", prices::read)?,
            tls: self.tls()?,
            rate_limits: self.parsed("rate_limits", |text| read_choice(text, "on", "off"))?,
            recycle_postpaid_for: self.parsed("recycle_postpaid_hours", hours)?,
            recycle_prepaid_for: self.parsed("recycle_prepaid_hours", hours)?,
            keep_tasks_for: self.parsed("keep_tasks_days", |text| {
                let days = text.parse::<u64>().ok().filter(|days| (30..=36_500).contains(days));
                Ok(Duration::from_secs(24 * 3600 * days.context("it is a number of days, 30 to 36500")?))
            })?,
        })
    }
}

impl fmt::Display for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for setting in SETTINGS {
            let Some((value, origin)) = self.0.get(setting.name) else { continue };
            let shown = match value.as_str() {
                // One that is refused for its password is shown too.
                text if setting.name == "store" && text.contains('@') => match text.rsplit_once('@') {
                    Some((before, after)) if before.matches(':').count() > 1 => format!("\"…@{after}\""),
                    _ => format!("{text:?}"),
                },
                "" => "\"\"".to_owned(),
                _ if setting.is_secret => "\"…\"".to_owned(),
                text => format!("{text:?}"),
            };
            writeln!(f, "{} = {shown}  # {origin}", setting.name)?;
        }
        Ok(())
    }
}

/// What is in a file; `None` where none is named.
fn read_file(path: &str) -> anyhow::Result<Option<String>> {
    if path.is_empty() {
        return Ok(None);
    }
    std::fs::read_to_string(path).map(Some).with_context(|| format!("read {path}"))
}

fn read_choice(text: &str, yes: &str, no: &str) -> anyhow::Result<bool> {
    match text {
        _ if text == yes => Ok(true),
        _ if text == no => Ok(false),
        _ => bail!("it is {yes} or {no}"),
    }
}

fn read_zones(text: &str) -> anyhow::Result<Vec<Zone>> {
    let zones = text.split(',').map(|zone| {
        let (id, name) = zone.trim().split_once(':').context("a zone is written as 100001:ap-guangzhou-1")?;
        Ok(Zone { id: id.parse().context("a zone's number is a whole number")?, name: name.to_owned() })
    });
    zones.collect()
}

fn read_offset(text: &str) -> anyhow::Result<i32> {
    let (sign, rest) = match text.split_at_checked(1) {
        Some(("+", rest)) => (1, rest),
        Some(("-", rest)) => (-1, rest),
        _ => bail!("it is written as +08:00"),
    };
    let (hours, minutes) = rest.split_once(':').context("it is written as +08:00")?;
    let (hours, minutes): (i32, i32) = (hours.parse()?, minutes.parse()?);
    ensure!((0..=14).contains(&hours) && (0..60).contains(&minutes), "it is at most +14:00 and at least -14:00");
    Ok(sign * (hours * 3600 + minutes * 60))
}

fn read_ports(text: &str) -> anyhow::Result<RangeInclusive<u16>> {
    let (from, to) = text.split_once('-').context("ports are written as 20000-31999")?;
    let (from, to): (u16, u16) = (from.parse()?, to.parse()?);
    ensure!(from >= 1024 && from <= to, "ports run from 1024 up");
    Ok(from..=to)
}

fn read_vips(text: &str) -> anyhow::Result<VipPool> {
    if let Some((base, prefix)) = text.split_once('/') {
        let (base, prefix): (Ipv4Addr, u8) = (base.parse()?, prefix.parse()?);
        ensure!((8..=30).contains(&prefix), "a network's prefix is 8 to 30");
        ensure!(u32::from(base) << prefix == 0, "the network's address has bits below its prefix");
        return Ok(VipPool::Network { base, prefix });
    }
    let (ip, ports) = text.rsplit_once(':').context("it is written as 127.88.0.0/16 or 127.0.0.1:7000-7999")?;
    Ok(VipPool::Ports { ip: ip.trim_matches(['[', ']']).parse()?, ports: read_ports(ports)? })
}

fn read_memory(text: &str) -> anyhow::Result<Option<i64>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(Some(machine_memory_mb()? * 9 / 10));
    }
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
    let (number, unit) =
        units.iter().find_map(|(name, bytes)| Some((text.strip_suffix(name)?, *bytes))).unwrap_or((text, 1_i64));
    let number: i64 = number.trim().parse().context("it is a whole number, with KiB, MiB, GiB, TiB or nothing")?;
    let bytes = number.checked_mul(unit).filter(|bytes| *bytes >= 0).context("it is too large, or below zero")?;
    Ok((bytes > 0).then_some(bytes >> 20))
}

fn machine_memory_mb() -> anyhow::Result<i64> {
    let text = std::fs::read_to_string("/proc/meminfo").context("read the machine's memory")?;
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    Ok(kib.context("/proc/meminfo has no MemTotal")?.trim().parse::<i64>()? >> 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<Config> {
        let command = clap::Command::new("serve").args(flags());
        let matches = command.try_get_matches_from(std::iter::once(&"serve").chain(args))?;
        Config::read(&matches, environment.iter().map(|(name, value)| (name.into(), value.into())), &[])
    }

    #[test]
    fn flags_win_over_variables_over_the_file_over_defaults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("opencrs.toml");
        std::fs::write(&file, "region = \"ap-x\"\nuin = 5\nrate_limits = false\n").unwrap();
        let file = file.to_str().unwrap();
        let environment = [("OPENCRS_UIN", "6"), ("OPENCRS_APPID", "7"), ("OPENCRS_SECRET_KEY", "hunter2")];
        let config = read(&["--config", file, "--appid", "8"], &environment).unwrap();
        let settings = config.settings().unwrap();
        assert_eq!((settings.region.name.as_str(), settings.rate_limits), ("ap-x", false));
        assert_eq!((settings.owner.uin, settings.owner.appid), (6, 8));
        let shown = config.to_string();
        assert!(shown.contains("appid = \"8\"  # --appid"), "{shown}");
        assert!(shown.contains("uin = \"6\"  # OPENCRS_UIN"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_wrong_value_is_refused_with_its_origin() {
        for (name, value) in [
            ("--listen", "8800"),
            ("--gateway-metrics", "9121"),
            ("--vips", "127.88.0.0"),
            ("--vips", "127.88.0.1/16"),
            ("--public-vips", "127.89.0.0/40"),
            ("--node-ports", "5-4"),
            ("--host-memory", "lots"),
            ("--prices", "/nowhere/prices.toml"),
            ("--rate-limits", "maybe"),
            ("--keep-tasks-days", "29"),
            ("--utc-offset", "8"),
            ("--zones", "one"),
            ("--store", "mysql://x"),
            ("--store", "postgres://opencrs:secret@127.0.0.1/opencrs"),
        ] {
            let config = read(&[name, value], &[]).unwrap();
            let error = config.settings().map(drop).and_then(|()| config.listen().map(drop));
            let error = error.and_then(|()| config.gateway_metrics().map(drop)).unwrap_err();
            let error = format!("{error:#}");
            assert!(error.contains(&format!("(from {name})")) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn memory_is_read_with_its_unit() {
        let check = |text: &str, mb: Option<i64>| assert_eq!(read_memory(text).unwrap(), mb, "{text}");
        check("0", None);
        check("2GiB", Some(2048));
        check("3 MiB", Some(3));
        check("1073741824", Some(1024));
        assert!(read_memory("").unwrap().is_some_and(|mb| mb > 0));
    }

    #[test]
    fn an_authority_is_read_from_its_files_or_refused_with_the_setting() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, "nonsense").unwrap();
        let file = file.to_str().unwrap();
        let refused = |args: &[&str]| format!("{:#}", read(args, &[]).unwrap().settings().unwrap_err());
        assert!(refused(&["--tls-ca-cert", file]).contains("go together"));
        let both = refused(&["--tls-ca-cert", file, "--tls-ca-key", file]);
        assert!(both.contains("tls_ca_cert") && both.contains("no key"), "{both}");
        let clients = refused(&["--tls-client-ca", file]);
        assert!(clients.contains("tls_client_ca") && clients.contains("no certificate"), "{clients}");
        let missing = refused(&["--tls-client-ca", "/nowhere.pem"]);
        assert!(missing.contains("/nowhere.pem"), "{missing}");
        assert!(read(&["--tls-required", "on"], &[]).unwrap().settings().unwrap().tls.is_required);
    }
}
