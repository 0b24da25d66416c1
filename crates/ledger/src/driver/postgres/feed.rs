//! Word of what other servers commit, and the task index that follows them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio_postgres::AsyncMessage;

use super::address::PostgresAddress;
use super::readers::{PostgresReader, Readers};
use super::session::{connect, read_error};
use crate::Result;
use crate::driver::Commits;
use crate::index::TaskIndex;

/// How long to wait before the store is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// How long others commit before they are followed, so that many of them are at once.
const FOLLOW_PAUSE: Duration = Duration::from_millis(200);

/// Has the task index follow others for as long as it is polled. A list follows by itself: this is for it to be little.
pub(super) async fn follow(readers: Arc<Readers>, commits: Arc<Commits>, index: Arc<TaskIndex>) {
    loop {
        let changed = commits.happened();
        let (readers, index) = (readers.clone(), index.clone());
        let following = tokio::task::spawn_blocking(move || {
            // Before the read, which has a connection.
            let _gate = index.gate();
            index.follow(&mut PostgresReader::of(&readers)).map(drop)
        });
        if let Ok(Err(error)) = following.await {
            tracing::debug!(%error, "the task index follows nobody");
        }
        tokio::time::sleep(FOLLOW_PAUSE).await;
        changed.await;
    }
}

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
