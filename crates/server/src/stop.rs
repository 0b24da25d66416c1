//! `opencrs stop`: ends servers, gateway and nodes, the servers first, since they would start the others again.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use runtime::process::{ProcessRef, end_all};

use crate::data_folder::{holders, is_taken};

/// How long the server may take to answer what it is being asked.
const SERVER_ENDS_WITHIN: Duration = Duration::from_secs(15);
/// How long nodes may take to write down what they hold.
const NODES_END_WITHIN: Duration = Duration::from_secs(20);

/// Ends everything that runs for a data folder. Nothing runs: success. Blocks.
pub fn run(data: &Path) -> anyhow::Result<()> {
    if !data.is_dir() {
        bail!("there is no data folder {}", data.display());
    }
    if is_taken(data)? {
        let servers = holders(data)?;
        ensure!(!servers.is_empty(), "a server has the data folder, and its lock does not say which process it is");
        for pid in servers {
            if let Some(server) = ProcessRef::of(pid).context("find the server")? {
                server.terminate(SERVER_ENDS_WITHIN).context("end the server")?;
            }
        }
    }
    let ended = end_all(data, NODES_END_WITHIN).context("end the gateway and the nodes")?;
    crate::serve::say(&format!("Stopped; {ended} processes of {} were ended. Their data is kept.", data.display()));
    Ok(())
}
