//! The gateway by itself, to be measured: `gateway DIR`, ended by an interrupt.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir: PathBuf = std::env::args_os().nth(1).ok_or("usage: gateway DIR")?.into();
    let workers = std::env::args().nth(2).map_or(Ok(2), |workers| workers.parse())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    let relays = runtime.block_on(gateway::run(&dir, async {
        // Without a handler it runs until it is killed.
        let _ = tokio::signal::ctrl_c().await;
    }))?;
    runtime.block_on(relays.run(std::future::pending()));
    Ok(())
}
