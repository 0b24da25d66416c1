//! Answers that go on: server-sent events, in the form that the public clients read. Each line has a colon, since some
//! take one without for an error; and a comment has no empty line behind it, since some take that for an event.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use control::{Event, Events};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

/// How often something is sent where nothing happens, so that nobody on the way takes the connection for dead.
const SIGN_OF_LIFE_EVERY: Duration = Duration::from_secs(15);

/// The body of an answer: events as they come, and signs of life between them, until the server drains.
pub(crate) fn body(
    events: Events,
    mut draining: watch::Receiver<bool>,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + 'static {
    let drained = async move {
        // The sender is gone only where the server is.
        let _ = draining.wait_for(|draining| *draining).await;
    };
    let told = futures_util::stream::unfold((events, 1_u64), |(mut events, number)| async move {
        match tokio::time::timeout(SIGN_OF_LIFE_EVERY, events.next()).await {
            Ok(Some(event)) => Some((Ok(render(&event, number)), (events, number + 1))),
            Ok(None) => None,
            Err(_) => Some((Ok(Bytes::from_static(b": alive\n")), (events, number))),
        }
    });
    told.take_until(drained)
}

fn render(event: &Event, number: u64) -> Bytes {
    format!("id: {number}\nevent: {}\ndata: {}\n\n", event.name, event.data).into()
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn event(data: &str) -> Event {
        Event { name: "step", data: data.to_owned() }
    }

    async fn next(body: &mut (impl Stream<Item = Result<Bytes, Infallible>> + Unpin)) -> Option<String> {
        body.next().await.map(|part| String::from_utf8(part.unwrap().to_vec()).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn events_are_numbered_and_silence_is_broken_by_a_comment() {
        let (_drain, draining) = watch::channel(false);
        let events = stream::iter([event(r#"{"a":1}"#)]).chain(stream::once(async {
            tokio::time::sleep(Duration::from_secs(40)).await;
            event("{}")
        }));
        let mut body = Box::pin(body(events.boxed(), draining));
        assert_eq!(next(&mut body).await.unwrap(), "id: 1\nevent: step\ndata: {\"a\":1}\n\n");
        assert_eq!(next(&mut body).await.unwrap(), ": alive\n");
        assert_eq!(next(&mut body).await.unwrap(), ": alive\n");
        assert_eq!(next(&mut body).await.unwrap(), "id: 2\nevent: step\ndata: {}\n\n");
        assert_eq!(next(&mut body).await, None, "the events have ended");
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_server_drains_also_in_the_middle_of_silence() {
        let (drain, draining) = watch::channel(false);
        let events = stream::iter([event("{}")]).chain(stream::pending());
        let mut body = Box::pin(body(events.boxed(), draining));
        assert!(next(&mut body).await.is_some());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drain.send_replace(true);
        });
        assert_eq!(next(&mut body).await, None);
    }
}
