//! What the API is held against: a handler that returns bytes, in a process of its own, served in the same way.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::serve::ListenerExt;

use crate::service::first_line;

#[expect(clippy::print_stdout, reason = "the parent reads the address")]
pub(crate) async fn serve(body: &Path) -> anyhow::Result<()> {
    let body = Bytes::from(std::fs::read(body)?);
    let answer = move |_: Bytes| {
        let body = body.clone();
        async move {
            let id = "5b4f0a5e-0a51-4f4c-9d6a-1f0f3a3f0c11";
            ([(CONTENT_TYPE.as_str(), "application/json"), ("x-tc-requestid", id)], body)
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, Router::new().fallback(answer)).await?)
}

/// The bare handler's process; ended when dropped.
pub(crate) struct Bare {
    pub(crate) addr: SocketAddr,
    process: Child,
}

impl Bare {
    pub(crate) fn start(body: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut process = command.arg("bare").arg(body).stdout(Stdio::piped()).spawn().context("start the handler")?;
        let addr = first_line(process.stdout.take().context("its output")?)?;
        Ok(Bare { addr, process })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do then.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
