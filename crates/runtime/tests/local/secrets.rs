//! Who gets in, and where no secret may stand.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use model::{AclUser, NodeSpec, Secret};
use runtime::{Runtime, RuntimeError};

use crate::support::{ADMIN, Folder, PASSWORD, id, set, sign_in, spec};

#[tokio::test]
async fn a_user_signs_in_with_the_password_whose_hash_is_in_the_rules_and_nobody_else_does() {
    let folder = Folder::new();
    let spec = spec(1, 1);
    folder.open().ensure(spec.clone()).await.unwrap();
    let who: String = redis::cmd("ACL").arg("WHOAMI").query_async(&mut sign_in(spec.addr.0).await).await.unwrap();
    assert_eq!(who, ADMIN);
    for url in [format!("redis://{}/", spec.addr), format!("redis://{ADMIN}:wrong@{}/", spec.addr)] {
        let mut refused = false;
        match redis::Client::open(url).unwrap().get_multiplexed_async_connection().await {
            Err(_) => refused = true,
            Ok(mut connection) => {
                refused |= redis::cmd("GET").arg("a").exec_async(&mut connection).await.is_err();
            }
        }
        assert!(refused);
    }
}

#[tokio::test]
async fn no_secret_is_in_a_file_in_arguments_or_in_an_environment() {
    let folder = Folder::new();
    let spec = spec(1, 1);
    folder.open().ensure(spec.clone()).await.unwrap();
    set(&spec, "a", "1").await;
    let files = folder.files();
    assert!(files.len() > 4, "{files:?}");
    let pid = folder.process(&id(1)).pid;
    let of_process = ["cmdline", "environ"].map(|file| format!("/proc/{pid}/{file}").into());
    for file in files.into_iter().chain(of_process) {
        let content = fs::read(&file).unwrap();
        let holds = content.windows(PASSWORD.len()).any(|window| window == PASSWORD.as_bytes());
        assert!(!holds, "{} holds the password", file.display());
    }
    assert_eq!(fs::read(format!("/proc/{pid}/environ")).unwrap(), b"");
    // What it read the configuration from has nothing left to read.
    assert!(fs::read_link(format!("/proc/{pid}/fd/0")).unwrap().to_str().unwrap().starts_with("pipe:"));
}

#[tokio::test]
async fn a_password_in_clear_never_reaches_the_access_list() {
    let folder = Folder::new();
    let users = vec![AclUser { name: "a".into(), rules: Secret::new("on >hunter2 +@all") }];
    let refused = folder.open().ensure(NodeSpec { users, ..spec(1, 1) }).await;
    let Err(RuntimeError::Host { source, .. }) = &refused else { panic!("{refused:?}") };
    assert!(!source.to_string().contains("hunter2"));
    assert_eq!(folder.processes(&id(1)), []);
}

#[tokio::test]
async fn nobody_else_can_look_into_a_node() {
    let folder = Folder::new();
    folder.open().ensure(spec(1, 1)).await.unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let node = folder.node(&id(1));
    assert_eq!((mode(node.parent().unwrap()), mode(&node)), (0o700, 0o700));
    for file in ["users.acl", "node.json", "redis.log"] {
        assert_eq!(mode(&node.join(file)), 0o600, "{file}");
    }
}
