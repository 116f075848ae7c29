//! The lean ends of the wire: real HTTP/1.1 over kept-alive connections, one request at a time on
//! each, with as little work as can be. Load, service and database share the same cores, and what
//! the load takes the service has not.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Digits of the client id that a request carries: patched in place, so that nothing is rebuilt.
const ID_DIGITS: usize = 16;
/// What the gateway says of every batch.
pub const EVERYBODY: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 18\r\n\r\n{\"received\":\"all\"}";

/// A request, ready to be written. The client ids in it change from one use to the next.
#[derive(Clone)]
pub struct Request {
    bytes: Vec<u8>,
    ids_at: Vec<usize>,
}

impl Request {
    pub fn get(path: &str, user: &str) -> Self {
        let head = format!("GET /api/v1{path} HTTP/1.1\r\nhost: bench\r\nx-user-id: {user}\r\n\r\n");
        Self { bytes: head.into_bytes(), ids_at: Vec::new() }
    }

    pub fn post(path: &str, user: &str, body: &str) -> Self {
        Self::post_as(path, &format!("x-user-id: {user}"), body)
    }

    /// `proof`: the header that says who asks.
    pub fn post_as(path: &str, proof: &str, body: &str) -> Self {
        let head = format!(
            "POST /api/v1{path} HTTP/1.1\r\nhost: bench\r\n{proof}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let bytes = [head.as_bytes(), body.as_bytes()].concat();
        let blank = id(0);
        let ids_at = bytes
            .windows(ID_DIGITS)
            .enumerate()
            .filter(|(_, window)| *window == blank.as_bytes())
            .map(|(at, _)| at)
            .collect();
        Self { bytes, ids_at }
    }

    /// One text into a channel.
    pub fn send(channel: i64, user: &str) -> Self {
        Self::send_as(channel, &format!("x-user-id: {user}"))
    }

    pub fn send_as(channel: i64, proof: &str) -> Self {
        Self::post_as(
            &format!("/channels/{channel}/messages"),
            proof,
            &format!(r#"{{"client_id":"{}","type":"text","content":{}}}"#, id(0), super::world::CONTENT),
        )
    }

    /// `count` texts in one bulk call, into these channels in turn.
    pub fn send_many(channels: &[i64], user: &str, count: usize) -> Self {
        let item = |channel: &i64| {
            format!(
                r#"{{"channel_id":"{channel}","client_id":"{}","type":"text","content":{}}}"#,
                id(0),
                super::world::CONTENT
            )
        };
        let items: Vec<String> = channels.iter().cycle().take(count).map(item).collect();
        Self::post("/messages", user, &format!("[{}]", items.join(",")))
    }

    /// Its bytes with client ids from `first` on.
    fn with_ids(&mut self, first: u64) -> &[u8] {
        for (id_at, n) in self.ids_at.iter().zip(first..) {
            self.bytes[*id_at..][..ID_DIGITS].copy_from_slice(id(n).as_bytes());
        }
        &self.bytes
    }
}

fn id(n: u64) -> String {
    format!("{n:0width$x}", width = ID_DIGITS)
}

/// One kept-alive connection to the service.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    used: u64,
}

impl Connection {
    /// Its client ids begin with `number`: those of two connections never meet.
    pub async fn open(address: SocketAddr, number: usize) -> Self {
        let stream = TcpStream::connect(address).await.expect("the service listens");
        stream.set_nodelay(true).expect("a TCP socket");
        Self { stream, buffer: Vec::with_capacity(1 << 16), used: ((number as u64) << 40) + 1 }
    }

    /// The status of the answer; 0 when the connection broke.
    pub async fn call(&mut self, request: &mut Request) -> u16 {
        let first = self.used;
        self.used += request.ids_at.len() as u64;
        if self.stream.write_all(request.with_ids(first)).await.is_err() {
            return 0;
        }
        match read_message(&mut self.stream, &mut self.buffer).await {
            Some(length) => {
                let status = std::str::from_utf8(&self.buffer[9..12]).ok().and_then(|s| s.parse().ok());
                self.buffer.drain(..length);
                status.unwrap_or(0)
            }
            None => 0,
        }
    }
}

/// Reads until a whole message stands at the start of `buffer`; its length, or none at the end.
pub async fn read_message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<usize> {
    let mut length = None;
    loop {
        if length.is_none() {
            length = message_length(buffer);
        }
        if let Some(length) = length.filter(|length| *length <= buffer.len()) {
            return Some(length);
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

/// Head and body together, once the head is there.
fn message_length(buffer: &[u8]) -> Option<usize> {
    let head = buffer.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
    let name = b"content-length:";
    let at = buffer[..head].windows(name.len()).position(|w| w.eq_ignore_ascii_case(name))?;
    let value = &buffer[at + name.len()..head];
    let end = value.iter().position(|b| *b == b'\r')?;
    let body: usize = std::str::from_utf8(&value[..end]).ok()?.trim().parse().ok()?;
    Some(head + body)
}

/// A gateway that reads every batch, looks at nothing in it and says that everybody got everything.
pub struct Receiver {
    address: SocketAddr,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut buffer = Vec::with_capacity(1 << 18);
                    while let Some(length) = read_message(&mut stream, &mut buffer).await {
                        buffer.drain(..length);
                        if stream.write_all(EVERYBODY).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}/push", self.address)
    }
}
