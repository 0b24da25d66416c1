//! TLS: what certificates are for, when they are made anew, and what goes when.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use base64::Engine as _;
use flow::End;
use flow::harness::NoProbe;
use model::{InstanceId, Secret, Tls};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use x509_parser::pem::Pem;

use super::site::{Site, order};
use crate::keepers::certificates::look;
use crate::settings::{Settings, TlsSettings};
use crate::tls::GivenAuthority;

/// How the gateway has the instance take TLS, the same at all its addresses.
fn in_force(site: &Site, id: &InstanceId) -> Option<Tls> {
    let table = site.gateway.table.lock().unwrap();
    let mut all = table.routes.iter().filter(|route| route.instance == *id).map(|route| route.tls.clone());
    let first = all.next().unwrap();
    assert!(all.all(|other| other == first), "addresses of one instance differ");
    first
}

/// What the identity's file has: its certificates, after a key.
fn certificates(site: &Site, tls: &Tls) -> Vec<Pem> {
    let file = site.folder.path().join(&tls.identity);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", tls.identity);
    let all: Vec<Pem> = Pem::iter_from_buffer(&fs::read(&file).unwrap()).map(Result::unwrap).collect();
    assert_eq!(all[0].label, "PRIVATE KEY");
    all[1..].to_vec()
}

/// The addresses that a certificate is for.
fn names(certificate: &Pem) -> Vec<String> {
    let certificate = certificate.parse_x509().unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let read = |name: &_| match name {
        x509_parser::extensions::GeneralName::IPAddress(bytes) => {
            IpAddr::from(<[u8; 4]>::try_from(*bytes).unwrap()).to_string()
        }
        other => panic!("{other}"),
    };
    let mut all: Vec<String> = names.value.general_names.iter().map(read).collect();
    all.sort();
    all
}

/// The files of identities.
fn identities(site: &Site) -> Vec<String> {
    let files = fs::read_dir(site.folder.path().join("tls")).unwrap();
    let mut all: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    all.retain(|name| name.starts_with("crs-") || name.ends_with("draft"));
    all.sort();
    all
}

async fn status(site: &Site, id: &InstanceId) -> Value {
    site.call("DescribeSSLStatus", json!({"InstanceId": id.as_str()})).await.unwrap()
}

async fn keep(site: &Site) {
    let mut is_prepared = false;
    look(&site.cx, &mut is_prepared).await.unwrap();
    crate::fleet::put_routes_in_force(&site.cx).await.unwrap();
    look(&site.cx, &mut is_prepared).await.unwrap();
}

#[tokio::test]
async fn an_instance_takes_tls_by_a_certificate_for_its_addresses() {
    let site = Site::new();
    let id = site.create().await;
    keep(&site).await;
    assert_eq!(in_force(&site, &id), None);
    let off = status(&site, &id).await;
    assert_eq!((&off["SSLConfig"], &off["Status"], &off["AddressType"]), (&json!(false), &json!(2), &json!(-1)));
    assert_eq!(off["CertDownloadUrl"], "");

    let opened = site.call("OpenSSL", json!({"InstanceId": id.as_str()})).await.unwrap();
    assert_eq!(status(&site, &id).await["Status"], 1);
    assert_eq!(site.settle(&NoProbe).await, [End::Done]);
    site.assert_settled("opened");
    let info = site.call("DescribeTaskInfo", json!({"TaskId": opened["TaskId"]})).await.unwrap();
    assert_eq!(info["Status"], "succeed");
    let listed = site.call("DescribeTaskList", json!({"TaskTypes": ["901"]})).await.unwrap();
    assert_eq!(listed["Tasks"][0]["TaskId"], opened["TaskId"]);

    let tls = in_force(&site, &id).unwrap();
    assert!(!tls.is_required && tls.client_ca.is_none());
    let chain = certificates(&site, &tls);
    let vip = site.cx.ledger.read(|reader| ledger::instance(reader, &id)).unwrap().unwrap().vip;
    assert_eq!(names(&chain[0]), [vip.0.ip().to_string()]);
    let authority = chain[1].parse_x509().unwrap();
    let leaf = chain[0].parse_x509().unwrap();
    leaf.verify_signature(Some(authority.public_key())).unwrap();
    assert!(authority.is_ca() && !leaf.is_ca() && leaf.validity().is_valid());
    let span = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
    assert!((397..=398).contains(&(span / 86_400)), "{span} seconds");

    let on = status(&site, &id).await;
    assert_eq!((&on["SSLConfig"], &on["Status"], &on["AddressType"]), (&json!(true), &json!(2), &json!(0)));
    assert_eq!(on["EncryptAddress"], vip.0.ip().to_string());
    let file = site.folder.path().join(crate::tls::AUTHORITY_FILE);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let url = on["CertDownloadUrl"].as_str().unwrap();
    let got = base64::engine::general_purpose::STANDARD.decode(url.rsplit_once(',').unwrap().1).unwrap();
    assert_eq!(got, fs::read(&file).unwrap());

    let ledger = fs::read(site.folder.path().join("ledger.db")).unwrap();
    let wal = fs::read(site.folder.path().join("ledger.db-wal")).unwrap();
    for bytes in [ledger, wal] {
        assert!(!bytes.windows(11).any(|window| window == b"PRIVATE KEY"), "a key is in the ledger");
    }
}

#[tokio::test]
async fn a_certificate_follows_the_addresses_and_the_one_before_goes() {
    let site = Site::new();
    let id = site.create().await;
    site.run("OpenSSL", &id).await;
    let first = in_force(&site, &id).unwrap();
    site.run("AllocateWanAddress", &id).await;
    site.assert_settled("with a public address");
    let second = in_force(&site, &id).unwrap();
    assert_ne!(first.identity, second.identity);
    assert_eq!(names(&certificates(&site, &second)[0]).len(), 2);
    assert_eq!(identities(&site).len(), 2);
    keep(&site).await;
    assert_eq!(identities(&site), [second.identity.trim_start_matches("tls/")]);

    let other = site.create().await;
    let swap = json!({"SrcInstanceId": id.as_str(), "DstInstanceId": other.as_str()});
    site.call("SwitchInstanceVip", swap).await.unwrap();
    site.settle(&NoProbe).await;
    site.assert_settled("swapped");
    let table = site.gateway.table.lock().unwrap().clone();
    for route in table.routes.iter().filter(|route| route.instance == id) {
        let named = names(&certificates(&site, route.tls.as_ref().unwrap())[0]);
        assert!(named.contains(&route.vip.0.ip().to_string()), "{named:?} lacks {}", route.vip);
    }
}

#[tokio::test]
async fn a_certificate_is_made_anew_before_it_ends_and_when_it_is_lost() {
    let site = Site::new();
    let id = site.create().await;
    site.run("OpenSSL", &id).await;
    let first = in_force(&site, &id).unwrap();
    let advance = async |days: u64| {
        site.call("AdvanceClock", json!({"Seconds": days * 86_400})).await.unwrap();
        keep(&site).await;
        in_force(&site, &id).unwrap()
    };
    assert_eq!(advance(264).await, first, "more than a third of its time is left");
    let second = advance(2).await;
    assert_ne!(second, first);
    let leaf = &certificates(&site, &second)[0];
    // By the host's clock too, which clients have.
    assert!(leaf.parse_x509().unwrap().validity().is_valid());
    assert_eq!(identities(&site), [second.identity.trim_start_matches("tls/")]);

    fs::remove_file(site.folder.path().join(&second.identity)).unwrap();
    keep(&site).await;
    certificates(&site, &in_force(&site, &id).unwrap());
    site.assert_settled("made anew");
}

#[tokio::test]
async fn keys_go_with_tls_and_with_the_instance() {
    let site = Site::new();
    let (id, other) = (site.create().await, site.create().await);
    for id in [&id, &other] {
        site.run("OpenSSL", id).await;
    }
    site.run("CloseSSL", &id).await;
    assert_eq!(in_force(&site, &id), None);
    keep(&site).await;
    assert_eq!(identities(&site).len(), 1);
    assert_eq!(status(&site, &id).await["SSLConfig"], false);

    site.run("DestroyPostpaidInstance", &other).await;
    site.run("StartupInstance", &other).await;
    assert!(in_force(&site, &other).is_some(), "it comes back with TLS");
    site.run("DestroyPostpaidInstance", &other).await;
    site.run("CleanUpInstance", &other).await;
    // What a server that died has left.
    let draft = site.folder.path().join("tls/crs-abcdefgh-9.pem.draft");
    fs::write(&draft, "").unwrap();
    fs::write(site.folder.path().join("tls/mine.pem"), "").unwrap();
    // As long as the gateway may still have them, they stay.
    look(&site.cx, &mut false).await.unwrap();
    assert_eq!(identities(&site).len(), 2);
    keep(&site).await;
    keep(&site).await;
    assert_eq!(identities(&site), Vec::<String>::new());
    assert!(site.folder.path().join("tls/mine.pem").exists(), "what is not the service's stays");
}

#[tokio::test]
async fn what_excludes_tls_is_refused_and_changes_nothing() {
    let site = Site::new();
    let mut params = order();
    params["NoAuth"] = json!(true);
    params["Password"] = json!("");
    let answer = site.call("CreateInstances", params).await.unwrap();
    site.settle(&NoProbe).await;
    let open = answer["InstanceIds"][0].as_str().unwrap().to_owned();
    let id = site.create().await;
    site.run("OpenSSL", &id).await;
    let id = id.as_str();
    for (action, params, code) in [
        ("OpenSSL", json!({"InstanceId": open}), "FailedOperation.UnSupportError"),
        ("OpenSSL", json!({"InstanceId": id, "AddressType": 3}), "UnsupportedOperation"),
        ("CloseSSL", json!({"InstanceId": id, "AddressType": 3}), "UnsupportedOperation"),
        ("OpenSSL", json!({"InstanceId": "crs-nowhere1"}), "ResourceNotFound.InstanceNotExists"),
        ("CloseSSL", json!({"InstanceId": "crs-nowhere1"}), "ResourceNotFound.InstanceNotExists"),
        ("DescribeSSLStatus", json!({"InstanceId": "crs-nowhere1"}), "ResourceNotFound.InstanceNotExists"),
        ("ResetPassword", json!({"InstanceId": id, "NoAuth": true}), "InvalidParameterValue.PasswordFreeDenied"),
        (
            "ModifyInstanceAccount",
            json!({"InstanceId": id, "AccountName": "root", "NoAuth": true}),
            "InvalidParameterValue.PasswordFreeDenied",
        ),
    ] {
        let before = state(&site);
        let error = site.call(action, params.clone()).await.expect_err(&format!("{action} {params}"));
        assert_eq!(error.code, code, "{action} {params}: {error}");
        assert!(!error.message.zh.is_empty());
        assert_eq!(state(&site), before, "{action} {params}: something was changed");
    }
    site.call("CloseSSL", json!({"InstanceId": id})).await.unwrap();
    for action in ["OpenSSL", "CloseSSL"] {
        let error = site.call(action, json!({"InstanceId": id})).await.unwrap_err();
        assert_eq!(error.code, "ResourceUnavailable.InstanceLockedError", "{action}");
    }
    site.settle(&NoProbe).await;
    site.call("DestroyPostpaidInstance", json!({"InstanceId": id})).await.unwrap();
    site.settle(&NoProbe).await;
    let error = site.call("OpenSSL", json!({"InstanceId": id})).await.unwrap_err();
    assert_eq!(error.code, "ResourceUnavailable.InstanceStatusError");
}

fn state(site: &Site) -> String {
    let state = site.cx.ledger.read(|reader| {
        let tasks = ledger::latest_tasks(reader, 100)?;
        Ok((ledger::all_instances(reader)?, ledger::all_tls(reader)?, tasks))
    });
    format!("{:?}", state.unwrap())
}

/// An authority as an operator has it: its certificate and key.
fn given(is_ca: bool) -> (String, Secret) {
    let mut params = CertificateParams::default();
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    let key = KeyPair::generate().unwrap();
    (params.self_signed(&key).unwrap().pem(), Secret::new(key.serialize_pem()))
}

#[tokio::test]
async fn an_operators_authority_vouches_in_place_of_the_services_own() {
    let (certificate, key) = given(true);
    let tls = TlsSettings {
        authority: Some(GivenAuthority::read(&certificate, &key).unwrap()),
        client_ca: Some(given(true).0),
        is_required: true,
    };
    let site = Site::with(Settings { busy_for: Duration::ZERO, tls, ..Settings::default() });
    let id = site.create().await;
    site.run("OpenSSL", &id).await;
    keep(&site).await;
    let tls = in_force(&site, &id).unwrap();
    let chain = certificates(&site, &tls);
    let authority = Pem::iter_from_buffer(certificate.as_bytes()).next().unwrap().unwrap();
    let authority = authority.parse_x509().unwrap();
    chain[0].parse_x509().unwrap().verify_signature(Some(authority.public_key())).unwrap();
    assert_eq!(fs::read_to_string(site.folder.path().join("tls/ca.pem")).unwrap(), certificate);
    assert!(tls.is_required);
    let clients = fs::read_to_string(site.folder.path().join(tls.client_ca.unwrap())).unwrap();
    assert_eq!(Some(clients), site.cx.settings.tls.client_ca);
    assert_eq!(site.cx.ledger.read(ledger::authority).unwrap(), None, "none is made that is not needed");
}

#[tokio::test]
async fn another_authority_vouches_anew() {
    let site = Site::new();
    let id = site.create().await;
    site.run("OpenSSL", &id).await;
    let first = in_force(&site, &id).unwrap();
    let of = id.clone();
    let former = site.cx.ledger.write(move |tx| -> ledger::Result<()> {
        let by = ledger::tls_of(tx.reader(), &of)?.unwrap();
        ledger::certify(tx, &of, by.serial, &ledger::Certified { issuer: "another".into(), ..by.clone() }).map(drop)
    });
    former.await.unwrap();
    keep(&site).await;
    assert_ne!(in_force(&site, &id).unwrap(), first);
}

#[test]
fn an_authority_that_can_vouch_for_nothing_is_refused() {
    let (certificate, key) = given(true);
    for (certificate, key, why) in [
        (given(true).0.as_str(), &key, "not that of"),
        ("nonsense", &key, "no certificate"),
        (certificate.as_str(), &Secret::new("nonsense"), "no key"),
        (given(false).0.as_str(), &key, "not that of"),
    ] {
        let error = GivenAuthority::read(certificate, key).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let (certificate, key) = given(false);
    let error = GivenAuthority::read(&certificate, &key).unwrap_err().to_string();
    assert!(error.contains("CA:TRUE"), "{error}");
    assert!(crate::tls::read_certificates("nonsense").is_err());
}
