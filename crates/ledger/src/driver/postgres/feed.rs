//! Word of what other servers commit.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_postgres::AsyncMessage;

use super::address::PostgresAddress;
use super::session::{connect, read_error};
use crate::Result;
use crate::driver::Commits;

/// How long to wait before the store is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Listens for as long as it is polled.
pub(super) async fn listen(address: Arc<PostgresAddress>, commits: Arc<Commits>) {
    loop {
        if let Err(error) = listen_once(&address, &commits).await {
            tracing::debug!(%error, "nothing is heard of other servers");
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn listen_once(address: &PostgresAddress, commits: &Commits) -> Result<()> {
    let (client, mut messages) = connect(address.clone()).await?;
    let asking = async {
        let asked = client.batch_execute("listen opencrs_ledger").await.map_err(|error| read_error(&error));
        // What was said before is not said again.
        commits.count_one();
        asked
    };
    let hearing = async {
        while let Some(message) = messages.next().await {
            if matches!(message.map_err(|error| read_error(&error))?, AsyncMessage::Notification(_)) {
                commits.count_one();
            }
        }
        Ok(())
    };
    let (asked, heard) = tokio::join!(asking, hearing);
    asked.and(heard)
}
