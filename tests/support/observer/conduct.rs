//! How an observer may answer, and the ways it can fail to.

use std::future::pending;
use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::super::gateway::Gate;

/// Between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_secs(1);
/// What an endless answer says at a time.
const ENDLESS: usize = 16 * 1024;

/// What is done after a POST was read.
#[derive(Debug, Clone)]
pub enum Conduct {
    /// `200`
    Take,
    /// Another status, with these headers.
    Say(u16, Vec<(&'static str, String)>),
    /// Bytes that are no HTTP.
    Garbage,
    /// The connection is reset without a word.
    Reset,
    /// It is reset in the middle of the answer's head.
    ResetInHead,
    /// Nothing, for as long as the caller cares to wait.
    Hang,
    /// A head that comes a byte a second, of any status.
    DripHead,
    /// Headers without end.
    EndlessHead,
    /// `200`, and a body that comes a byte a second.
    DripBody,
    /// `200`, and a body without end.
    EndlessBody,
    /// `200`, and a reset in the middle of the body.
    ResetInBody,
    /// Late.
    After(Duration, Box<Self>),
    /// When the test opens the gate.
    Behind(Gate, Box<Self>),
}

impl Conduct {
    pub fn status(code: u16) -> Self {
        Self::Say(code, Vec::new())
    }

    pub fn retry_after(code: u16, seconds: u32) -> Self {
        Self::Say(code, vec![("Retry-After", seconds.to_string())])
    }

    pub fn redirect(to: String) -> Self {
        Self::Say(307, vec![("Location", to)])
    }

    pub fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }

    pub fn behind(self, gate: &Gate) -> Self {
        Self::Behind(gate.clone(), Box::new(self))
    }
}

/// Does it, and returns the status that the caller was told whole; an error ends the connection.
pub(super) async fn show(mut conduct: Conduct, socket: &mut TcpStream) -> io::Result<u16> {
    loop {
        conduct = match conduct {
            Conduct::After(wait, then) => {
                tokio::time::sleep(wait).await;
                *then
            }
            Conduct::Behind(gate, then) => {
                gate.opened().await;
                *then
            }
            now => break show_now(now, socket).await,
        }
    }
}

async fn show_now(conduct: Conduct, socket: &mut TcpStream) -> io::Result<u16> {
    match conduct {
        Conduct::Take => say(socket, 200, &[]).await,
        Conduct::Say(code, headers) => say(socket, code, &headers).await,
        Conduct::Garbage => {
            socket.write_all(b"\x00\xffI am no HTTP server\r\n\r\n\r\n").await?;
            Err(ended())
        }
        Conduct::Reset => reset(socket),
        Conduct::ResetInHead => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await?;
            reset(socket)
        }
        Conduct::Hang => pending().await,
        Conduct::DripHead => drip(socket, b"HTTP/1.1 200 OK\r\nX-Slow: ").await,
        Conduct::EndlessHead => {
            socket.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            endless(socket, b"X-More: and more\r\n").await
        }
        Conduct::DripBody => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").await?;
            drip(socket, b"").await
        }
        Conduct::EndlessBody => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n").await?;
            endless(socket, b"and more").await
        }
        Conduct::ResetInBody => {
            socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf").await?;
            reset(socket)
        }
        Conduct::After(..) | Conduct::Behind(..) => unreachable!("waited for in `show`"),
    }
}

/// Closes a connection on which nothing is understood, in words.
pub(super) async fn refuse(socket: &mut TcpStream) {
    let _ = socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
}

async fn say(socket: &mut TcpStream, code: u16, headers: &[(&str, String)]) -> io::Result<u16> {
    let mut head = format!("HTTP/1.1 {code} As Told\r\nContent-Length: 2\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}\r\n{{}}").as_bytes()).await?;
    Ok(code)
}

async fn drip(socket: &mut TcpStream, first: &[u8]) -> io::Result<u16> {
    socket.write_all(first).await?;
    loop {
        socket.write_all(b"x").await?;
        tokio::time::sleep(DRIP).await;
    }
}

async fn endless(socket: &mut TcpStream, words: &[u8]) -> io::Result<u16> {
    let much = words.repeat(ENDLESS / words.len());
    loop {
        socket.write_all(&much).await?;
    }
}

fn reset(socket: &mut TcpStream) -> io::Result<u16> {
    socket.set_zero_linger()?;
    Err(ended())
}

fn ended() -> io::Error {
    io::Error::other("ended on purpose")
}
