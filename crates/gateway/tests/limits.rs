//! At the limit of open files, which is the whole process's: hence the only test of its file.

mod common;

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::time::Duration;

use common::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpSocket;
use tokio::time::timeout;

#[tokio::test]
async fn without_file_descriptors_a_client_waits_and_the_gateway_rests() {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(100), maximum: hard }).unwrap();
    let rig = Rig::start().await;
    assert_eq!(getrlimit(Resource::Nofile).current, hard, "it raises the soft limit to the hard one");

    let node = Node::start("node").await;
    let vip = free_vip();
    rig.enforce(1, &[route(1, vip, target(&node, 1))]).await;
    let mut stat = File::open("/proc/self/stat").unwrap();
    let socket = TcpSocket::new_v4().unwrap();

    setrlimit(Resource::Nofile, Rlimit { current: Some(200), maximum: hard }).unwrap();
    let filling: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let mut caller = Caller(tokio::io::BufStream::new(socket.connect(vip.0).await.unwrap()));
    caller.send("hello").await;
    let busy_before = cpu_ticks(&mut stat);
    assert!(timeout(Duration::from_millis(500), caller.receive()).await.is_err());
    // A hundredth of a second each.
    assert!(cpu_ticks(&mut stat) - busy_before < 10, "it spins");

    drop(filling);
    assert_eq!(caller.receive().await, "+node hello");
}

/// How much time this process has taken of a processor, from its `/proc/self/stat`.
fn cpu_ticks(stat: &mut File) -> u64 {
    let mut text = String::new();
    stat.rewind().unwrap();
    stat.read_to_string(&mut text).unwrap();
    let fields: Vec<_> = text.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
