//! The listener of the API. What hyper refuses by itself, before anybody else sees the request (a target over 64 KiB,
//! too many headers), it answers with a status and nothing else, in which clients find no error code. Here such an
//! answer is given the form that every answer has.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::serve::Listener;
use bytes::{Buf, Bytes};
use model::{ApiError, code};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::wire::Reply;

/// Accepts connections whose refusals have the form of an answer.
pub(crate) struct ApiListener(pub(crate) TcpListener);

impl Listener for ApiListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection can't be set to send at once");
        }
        (Connection { stream, instead: Bytes::new() }, addr)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection to a client.
pub(crate) struct Connection {
    stream: TcpStream,
    /// What is left to be written in place of what hyper wrote.
    instead: Bytes,
}

/// How hyper's own refusals begin. No answer of the service has another status than 200.
const REFUSALS: [&[u8]; 2] = [b"HTTP/1.1 414 ", b"HTTP/1.1 431 "];

fn is_refusal(written: &[u8]) -> bool {
    REFUSALS.iter().any(|refusal| written.starts_with(refusal))
}

fn refusal() -> Bytes {
    let error = ApiError::new(
        code::RequestSizeLimitExceeded,
        "The request is too large: a query may have 32 KB, and headers 100 lines. Send parameters in the body of a POST.",
        "请求过大：查询串最大32KB，请求头最多100行，请使用 POST 在请求体中传递参数。",
    );
    let id = uuid::Uuid::new_v4().to_string();
    let answer = Reply::default().failure(&error, &id);
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-tc-requestid: {id}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        answer.body().len()
    );
    Bytes::from([head.as_bytes(), answer.body()].concat())
}

impl Connection {
    /// Writes what is left in place of something else.
    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.instead.has_remaining() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.write_instead(cx))?;
        if is_refusal(buf) {
            self.instead = refusal();
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.write_instead(cx))?;
        if bufs.first().is_some_and(|first| is_refusal(first)) {
            self.instead = refusal();
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_instead(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_instead(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
