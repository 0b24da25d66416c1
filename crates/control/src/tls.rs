//! Certificates by which instances take connections by TLS, and who vouches for them: the service's own authority, made
//! when it is first needed, or the operator's.
//!
//! What must stay true:
//! - A private key is in one place: of an instance, in its identity's file below the data folder, readable by its owner
//!   alone; of the service's own authority, in the ledger, sealed.
//! - The ledger names an identity only once its file is on the disk, and a file goes only when neither the ledger nor the
//!   gateway names it any more. Both are done by one at a time.
//! - A change of any kind is another file, so that the gateway never has to ask whether one has changed.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use flow::{Clock as _, SystemClock};
use ledger::Certified;
use model::{InstanceId, Millis, Secret};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData as _, SanType, SerialNumber, date_time_ymd,
};
use sha2::{Digest, Sha256};
use x509_parser::pem::parse_x509_pem;

use crate::cx::FlowCx;
use crate::seal::NotOurs;
use crate::spec::purpose;

/// Where the files are, below the data folder.
const FOLDER: &str = "tls";
/// The file below the data folder that has the authority's certificate, for everybody.
pub const AUTHORITY_FILE: &str = "tls/ca.pem";
/// How long an instance's certificate is good.
const GOOD_FOR: Duration = Duration::from_secs(397 * DAY);
/// How long the authority's own is.
const AUTHORITY_GOOD_FOR: Duration = Duration::from_secs(20 * 365 * DAY);
/// Clocks of clients may be behind by so much.
const BACKDATED: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 3600;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The ledger.
    #[error("the ledger: {0}")]
    Ledger(#[from] ledger::Error),
    /// The authority's key.
    #[error(transparent)]
    Seal(#[from] NotOurs),
    /// A file.
    #[error("{0}: {1}")]
    File(String, io::Error),
    /// What an operator gave can't be used, or a certificate can't be made.
    #[error("{0}")]
    Unusable(String),
}

impl From<rcgen::Error> for TlsError {
    fn from(error: rcgen::Error) -> Self {
        TlsError::Unusable(format!("a certificate can't be made: {error}"))
    }
}

/// An operator's authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenAuthority {
    certificates: String,
    key: Secret,
}

impl GivenAuthority {
    /// Reads an authority: in PEM, its certificate, with those that vouch for it after it, and its key.
    ///
    /// # Errors
    /// Where it could vouch for nothing.
    pub fn read(certificates: &str, key: &Secret) -> Result<GivenAuthority, TlsError> {
        let key_pair = read_key(key)?;
        let (_, pem) = parse_x509_pem(certificates.as_bytes()).map_err(|_| not_pem())?;
        let certificate = pem.parse_x509().map_err(|_| not_pem())?;
        if certificate.public_key().raw != key_pair.subject_public_key_info() {
            return Err(TlsError::Unusable("the key is not that of the (first) certificate".into()));
        }
        if !certificate.is_ca() {
            return Err(TlsError::Unusable("the (first) certificate is not an authority's: it lacks CA:TRUE".into()));
        }
        Issuer::from_ca_cert_pem(certificates, key_pair)?;
        Ok(GivenAuthority { certificates: certificates.to_owned(), key: key.clone() })
    }
}

/// Reads certificates in PEM, one at the least; for what clients' certificates are judged by.
///
/// # Errors
/// Where there is none.
pub fn read_certificates(text: &str) -> Result<String, TlsError> {
    let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|_| not_pem())?;
    pem.parse_x509().map_err(|_| not_pem())?;
    Ok(text.to_owned())
}

fn not_pem() -> TlsError {
    TlsError::Unusable("there is no certificate in PEM (-----BEGIN CERTIFICATE-----)".into())
}

fn read_key(key: &Secret) -> Result<KeyPair, TlsError> {
    KeyPair::from_pem(key.expose())
        .map_err(|_| TlsError::Unusable("there is no key in PEM and PKCS #8 (-----BEGIN PRIVATE KEY-----)".into()))
}

/// Where certificates are kept, and that one at a time acts on them.
pub struct Certificates {
    data: PathBuf,
    client_ca: Option<String>,
    alone: tokio::sync::Mutex<()>,
}

impl Certificates {
    /// Those of this data folder. `client_ca`: what clients' certificates are judged by.
    pub fn of(data: &Path, client_ca: Option<&str>) -> Self {
        let named = |text: &str| format!("{FOLDER}/clients-{}.pem", print_of(text));
        Certificates { data: data.to_owned(), client_ca: client_ca.map(named), alone: tokio::sync::Mutex::default() }
    }

    /// The file below the data folder by which clients' certificates are judged; `None`: they need none.
    pub(crate) fn client_ca(&self) -> Option<&str> {
        self.client_ca.as_deref()
    }

    fn has(&self, id: &InstanceId, serial: i64) -> bool {
        self.data.join(identity(id, serial)).is_file()
    }

    async fn write(&self, name: &str, text: String, mode: u32) -> Result<(), TlsError> {
        let file = self.data.join(name);
        let written = tokio::task::spawn_blocking(move || write_whole(&file, &text, mode)).await;
        let written = written.map_err(io::Error::other).flatten();
        written.map_err(|error| TlsError::File(format!("the file {name} can't be written"), error))
    }
}

/// The file below the data folder that has an instance's key and certificate.
pub(crate) fn identity(id: &InstanceId, serial: i64) -> String {
    format!("{FOLDER}/{id}-{serial}.pem")
}

/// The authority's certificate, in PEM; `None` before it was needed.
pub(crate) fn authority_certificate(cx: &FlowCx, reader: &mut dyn ledger::Reader) -> ledger::Result<Option<String>> {
    match &cx.settings.tls.authority {
        Some(given) => Ok(Some(given.certificates.clone())),
        None => Ok(ledger::authority(reader)?.map(|own| own.certificate)),
    }
}

/// Makes the service's own authority where it is needed, and writes down for everybody what is no secret.
pub(crate) async fn prepare(cx: &FlowCx) -> Result<(), TlsError> {
    let _alone = cx.certificates.alone.lock().await;
    let authority = Authority::load(cx).await?;
    if let Some((name, text)) = cx.certificates.client_ca().zip(cx.settings.tls.client_ca.as_ref()) {
        cx.certificates.write(name, text.clone(), 0o644).await?;
    }
    cx.certificates.write(AUTHORITY_FILE, authority.certificates, 0o644).await
}

/// Gives every instance that takes connections by TLS a certificate for all its addresses, where it has none that is good.
/// Where one can't be had, the others get theirs all the same.
pub(crate) async fn certify_all(cx: &FlowCx) -> Result<(), TlsError> {
    certify_these(cx, lacking(cx, |_| true)?).await
}

/// As [`certify_all`], where the addresses are others than those that the certificate is for: what makes it so need not wait
/// for more.
pub(crate) async fn cover_addresses(cx: &FlowCx) -> Result<(), TlsError> {
    certify_these(cx, uncovered(cx)?).await
}

async fn certify_these(cx: &FlowCx, all: Vec<Lacking>) -> Result<(), TlsError> {
    let mut outcome = Ok(());
    for lacking in all {
        // One by one, so that who is in a hurry waits for one at the most.
        outcome = outcome.and(certify(cx, &lacking.id).await);
    }
    outcome
}

/// Gives an instance that takes connections by TLS a certificate, where it has none that is good.
pub(crate) async fn certify(cx: &FlowCx, id: &InstanceId) -> Result<(), TlsError> {
    let _alone = cx.certificates.alone.lock().await;
    let Some(lacking) = lacking(cx, |of| of == id)?.pop() else { return Ok(()) };
    let authority = Authority::load(cx).await?;
    let serial = cx.ledger.write(ledger::next_serial).await?;
    let (text, certified) = authority.vouch_for(cx, &lacking, serial)?;
    let name = identity(id, serial);
    cx.certificates.write(&name, text, 0o600).await?;
    let (id, before) = (id.clone(), lacking.serial);
    let is_named = cx.ledger.write(move |tx| ledger::certify(tx, &id, before, &certified)).await?;
    if !is_named {
        remove(&cx.certificates.data.join(name))?;
    }
    Ok(())
}

/// Removes the identities that are not in use any more: the ledger does not name them, and the gateway has what that says.
pub(crate) async fn sweep(cx: &FlowCx) -> Result<(), TlsError> {
    let _alone = cx.certificates.alone.lock().await;
    let (named, version) = cx.ledger.read(|reader| Ok((ledger::all_tls(reader)?, ledger::routes_version(reader)?)))?;
    let named: HashMap<InstanceId, i64> = named.into_iter().map(|(id, by)| (id, by.serial)).collect();
    let is_in_use = |(id, serial): (InstanceId, i64)| named.get(&id) == Some(&serial);
    let folder = cx.certificates.data.join(FOLDER);
    let files = match fs::read_dir(&folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(TlsError::File("the certificates can't be listed".into(), error)),
    };
    let unused = files.flatten().filter(|file| match file.file_name().to_str() {
        // Nobody is about to write one: this is alone.
        Some(name) if name.ends_with(DRAFT) => true,
        Some(name) => whose(name).is_some_and(|whose| !is_in_use(whose)),
        None => false,
    });
    let unused: Vec<PathBuf> = unused.map(|file| file.path()).collect();
    if unused.is_empty() || !cx.gateway.report().await.is_ok_and(|report| report.version >= version) {
        return Ok(());
    }
    unused.iter().try_for_each(|file| remove(file))
}

/// Whose identity a file is, and of which serial.
fn whose(name: &str) -> Option<(InstanceId, i64)> {
    let (id, serial) = name.strip_suffix(".pem")?.rsplit_once('-')?;
    Some((InstanceId::parse(id)?, serial.parse().ok()?))
}

fn remove(file: &Path) -> Result<(), TlsError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(TlsError::File(format!("the file {} can't be removed", file.display()), error))
        }
        _ => Ok(()),
    }
}

const DRAFT: &str = ".draft";

/// Writes a file that is there whole, or not at all.
fn write_whole(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    if !folder.is_dir() {
        fs::create_dir_all(folder)?;
        // What is no secret in it is for everybody; the rest is closed by itself.
        fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    }
    let mut draft = file.as_os_str().to_owned();
    draft.push(DRAFT);
    remove_if_there(Path::new(&draft))?;
    let mut out = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    out.write_all(text.as_bytes())?;
    out.set_permissions(Permissions::from_mode(mode))?;
    out.sync_all()?;
    fs::rename(&draft, file)?;
    File::open(folder)?.sync_all()
}

fn remove_if_there(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An instance that takes connections by TLS and needs another certificate than it has.
struct Lacking {
    id: InstanceId,
    /// That of the one that it has.
    serial: i64,
    addresses: Vec<IpAddr>,
}

/// Those whose certificate is not good.
fn lacking(cx: &FlowCx, which: impl Fn(&InstanceId) -> bool) -> Result<Vec<Lacking>, TlsError> {
    let authority = cx.ledger.read(|reader| authority_certificate(cx, reader))?;
    let (issuer, now) = (authority.as_deref().map(print_of).unwrap_or_default(), cx.clock.now());
    let until = authority.as_deref().and_then(end_of).unwrap_or(Millis(i64::MAX));
    choose(cx, |id, by, addresses| {
        let is_good = || {
            covers(by, addresses)
                && by.issuer == issuer
                && !is_due(by, now, until)
                && cx.certificates.has(id, by.serial)
        };
        which(id) && !is_good()
    })
}

/// Those whose certificate is not for all their addresses, or for one that is not theirs.
fn uncovered(cx: &FlowCx) -> Result<Vec<Lacking>, TlsError> {
    choose(cx, |_, by, addresses| !covers(by, addresses))
}

fn covers(by: &Certified, addresses: &[IpAddr]) -> bool {
    by.serial > 0 && by.names == list(addresses)
}

fn choose(cx: &FlowCx, which: impl Fn(&InstanceId, &Certified, &[IpAddr]) -> bool) -> Result<Vec<Lacking>, TlsError> {
    let (all, names) = cx.ledger.read(|reader| {
        let all = ledger::all_tls(reader)?;
        let names = if all.is_empty() { Vec::new() } else { ledger::tls_names(reader)? };
        Ok((all, names))
    })?;
    let mut addresses: HashMap<InstanceId, Vec<IpAddr>> = HashMap::new();
    for (id, address) in names {
        addresses.entry(id).or_default().push(address);
    }
    let chosen = all.into_iter().filter_map(|(id, by)| {
        let addresses = addresses.remove(&id).unwrap_or_default();
        which(&id, &by, &addresses).then_some(Lacking { id, serial: by.serial, addresses })
    });
    Ok(chosen.collect())
}

/// Whether a certificate is to be followed by another: a third of its time is left at the most. One that ends with its
/// authority's own can't be bettered.
fn is_due(by: &Certified, now: Millis, authority_ends: Millis) -> bool {
    let third = (by.expires_at.0 - by.issued_at.0) / 3;
    now.0 >= by.expires_at.0 - third && by.expires_at < authority_ends
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// By what a certificate is recognized.
fn print_of(text: &str) -> String {
    hex::encode(&Sha256::digest(text.trim())[..16])
}

/// Until when the first of these certificates is good.
pub(crate) fn end_of(certificates: &str) -> Option<Millis> {
    let (_, pem) = parse_x509_pem(certificates.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    Some(Millis(certificate.validity().not_after.timestamp().saturating_mul(1000)))
}

/// Who vouches.
struct Authority {
    /// In PEM: its own, and those that vouch for it.
    certificates: String,
    key: Secret,
}

impl Authority {
    /// The operator's; or the service's own, which is made where there is none yet.
    async fn load(cx: &FlowCx) -> Result<Authority, TlsError> {
        if let Some(given) = &cx.settings.tls.authority {
            return Ok(Authority { certificates: given.certificates.clone(), key: given.key.clone() });
        }
        let own = match cx.ledger.read(ledger::authority)? {
            Some(own) => own,
            None => {
                let made = make_authority(cx)?;
                cx.ledger.write(move |tx| ledger::keep_authority(tx, &made)).await?;
                let kept = cx.ledger.read(ledger::authority)?;
                kept.ok_or_else(|| TlsError::Unusable("the authority was there a moment ago".into()))?
            }
        };
        let key = cx.sealer.open(purpose::AUTHORITY, &own.key)?;
        Ok(Authority { certificates: own.certificate, key })
    }

    /// Makes a key and a certificate of it for all addresses of an instance: the text of its file, and what the ledger
    /// keeps.
    fn vouch_for(&self, cx: &FlowCx, lacking: &Lacking, serial: i64) -> Result<(String, Certified), TlsError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificates, read_key(&self.key)?)?;
        let (issued_at, authority_ends) = (cx.clock.now(), end_of(&self.certificates).unwrap_or(Millis(i64::MAX)));
        let expires_at = (issued_at + GOOD_FOR).min(authority_ends);
        let mut params = params(cx, lacking.id.as_str(), expires_at);
        params.subject_alt_names = lacking.addresses.iter().copied().map(SanType::IpAddress).collect();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        // The one kind of randomness that nobody may see again.
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        let text = format!("{}{}{}\n", key.serialize_pem(), certificate.pem(), self.certificates.trim());
        let issuer = print_of(&self.certificates);
        Ok((text, Certified { serial, issuer, names: list(&lacking.addresses), issued_at, expires_at }))
    }
}

fn make_authority(cx: &FlowCx) -> Result<ledger::Authority, TlsError> {
    // Two services have authorities of different names, so that clients can trust both.
    let name = format!("OpenCRS {:08x}", cx.pool_offset >> 32);
    let mut params = params(cx, &name, cx.clock.now() + AUTHORITY_GOOD_FOR);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?.pem();
    let key = cx.sealer.seal(&cx.random, purpose::AUTHORITY, &Secret::new(key.serialize_pem()));
    Ok(ledger::Authority { certificate, key })
}

/// What all certificates have. Clients judge them by their own clocks, so they are good by the host's clock too, whatever
/// the service's own shows.
fn params(cx: &FlowCx, name: &str, until: Millis) -> CertificateParams {
    let mut params = CertificateParams::default();
    let begins = Millis(SystemClock.now().min(cx.clock.now()).0 - i64::try_from(BACKDATED.as_millis()).unwrap_or(0));
    let date = |at: Millis| date_time_ymd(1970, 1, 1) + Duration::from_millis(u64::try_from(at.0).unwrap_or(0));
    (params.not_before, params.not_after) = (date(begins), date(until));
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    // Positive, as numbers of certificates have to be.
    let mut serial: [u8; 16] = cx.random.bytes();
    serial[0] &= 0x7f;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}
