//! Answers Prometheus: `GET /metrics`, and nothing else. A request has one answer, after which the connection is closed.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{InstanceId, Sight};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::prometheus::render;

const LONGEST_REQUEST: usize = 8 << 10;
/// A client that sends no whole request, or takes no answer, is not waited for longer.
const WITHIN: Duration = Duration::from_secs(10);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How many are answered at a time.
const AT_ONCE: usize = 4;

/// Listens there.
pub(crate) async fn listen(addr: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// Answers for as long as it is polled; `look` tells what was seen so far.
pub(crate) async fn serve<L, F>(listener: TcpListener, look: L)
where
    L: Fn() -> F,
    F: Future<Output = BTreeMap<InstanceId, Sight>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut answers = JoinSet::new();
    loop {
        while answers.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let look = look();
                answers.spawn(async move {
                    // Whoever it was has gone, or is too slow: there is nobody to tell.
                    let _ = timeout(WITHIN, answer(stream, look)).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!(%error, "could not accept a connection for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, look: impl Future<Output = BTreeMap<InstanceId, Sight>>) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if request.len() > LONGEST_REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let line = request.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, text) = match (method, path) {
        (b"GET", b"/metrics") => ("200 OK", render(&look.await)),
        (b"GET", _) => ("404 Not Found", "metrics are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "GET is all that is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        text.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(text.as_bytes()).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use model::Millis;

    use super::*;

    async fn ask(addr: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_answered_and_nothing_else() {
        let (listener, addr) = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let look = || async {
            let mut sight = super::super::Sight::new(0, Millis(0));
            sight.carried(5, 7);
            BTreeMap::from([(InstanceId::parse("crs-a0000001").unwrap(), sight.tell(Millis(0), &[""; 0]))])
        };
        let serving = tokio::spawn(serve(listener, look));
        let answer = ask(addr, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("opencrs_gateway_sent_bytes_total{instance=\"crs-a0000001\"} 7\n"), "{answer}");
        for (request, status) in [("GET / HTTP/1.0\r\n\r\n", "404"), ("POST /metrics HTTP/1.0\r\n\r\n", "405")] {
            assert!(ask(addr, request).await.starts_with(&format!("HTTP/1.1 {status} ")), "{request}");
        }
        // One that sends too much or nothing is left alone, and the next is answered.
        drop(TcpStream::connect(addr).await.unwrap());
        ask(addr, "GET /metrics?x=1 HTTP/1.0\r\n\r\n").await;
        serving.abort();
    }
}
