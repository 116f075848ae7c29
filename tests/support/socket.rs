//! One person's WebSocket, over a connection that a test can hold still.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// Far more than anything takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(30);

/// An open socket. Dropped: cut.
pub struct Socket {
    inner: WebSocketStream<TcpStream>,
    /// The last position in the log that was handed out.
    pub last_id: Option<i64>,
    next_id: u64,
    /// Frames that came while an answer was waited for.
    ready: VecDeque<Value>,
    /// Events without a position: presence, typing, totals of unread messages.
    pub live: Vec<Value>,
    /// How the service has ended it.
    pub closed: Option<Closed>,
}

/// The end of a socket; no code: it was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    pub code: Option<u16>,
    pub reason: String,
}

impl Socket {
    /// A socket of `im.v1`; `query` begins with `?` or is empty. An answer that is none is a panic.
    pub async fn open(base: &str, user_id: &str, query: &str) -> Self {
        let opened = Self::try_open(base, query, &[("x-user-id", user_id), PROTOCOL]).await;
        opened.unwrap_or_else(|status| panic!("{user_id} gets no socket: {status}"))
    }

    /// The same with these headers; the error is the status of the answer.
    pub async fn try_open(base: &str, query: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::over(connect(base, None).await, base, query, headers).await
    }

    /// One whose client has little room for what it does not read.
    pub async fn narrow(base: &str, user_id: &str, query: &str) -> Self {
        let tcp = connect(base, Some(4_096)).await;
        let opened = Self::over(tcp, base, query, &[("x-user-id", user_id), PROTOCOL]).await;
        opened.unwrap_or_else(|status| panic!("{user_id} gets no socket: {status}"))
    }

    /// Whether an opening with these headers is answered by a socket: the subprotocol that the service chose, or the status.
    pub async fn chosen(base: &str, headers: &[(&str, &str)]) -> Result<(Self, String), u16> {
        Self::opened(connect(base, None).await, base, "", headers).await
    }

    async fn over(tcp: TcpStream, base: &str, query: &str, headers: &[(&str, &str)]) -> Result<Self, u16> {
        Self::opened(tcp, base, query, headers).await.map(|(socket, _)| socket)
    }

    async fn opened(
        tcp: TcpStream,
        base: &str,
        query: &str,
        headers: &[(&str, &str)],
    ) -> Result<(Self, String), u16> {
        let url = format!("{}/api/v1/ws{query}", base.replacen("http", "ws", 1));
        let mut request = url.into_client_request().expect("an address");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        let opening =
            tokio::time::timeout(LONG, client_async(request, tcp)).await.expect("an answer in time");
        match opening {
            Ok((inner, answer)) => {
                let chosen = answer.headers().get("sec-websocket-protocol");
                let chosen = chosen.map(|name| name.to_str().expect("text").to_owned()).unwrap_or_default();
                let (ready, live) = (VecDeque::new(), Vec::new());
                Ok((Self { inner, last_id: None, next_id: 1, ready, live, closed: None }, chosen))
            }
            Err(Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("no socket: {error}"),
        }
    }

    pub async fn send(&mut self, message: Message) {
        self.inner.send(message).await.expect("a socket that is open");
    }

    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Bytes below the protocol.
    pub fn wire(&mut self) -> &mut TcpStream {
        self.inner.get_mut()
    }

    /// Makes a request and returns the frame that answers it. Events that come before it are kept.
    pub async fn ask(&mut self, method: &str, params: Value) -> Value {
        let id = self.next_id;
        self.next_id += 1;
        self.say(&json!({"id": id, "method": method, "params": params}).to_string()).await;
        self.answer(&json!(id)).await
    }

    /// The answer with this id.
    pub async fn answer(&mut self, id: &Value) -> Value {
        loop {
            let frame = self.frame().await.unwrap_or_else(|| panic!("no answer {id}: {:?}", self.closed));
            match frame.get("id") {
                Some(found) if found == id => return frame,
                _ => self.ready.push_back(frame),
            }
        }
    }

    /// The result of a request that succeeds.
    pub async fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.ask(method, params).await;
        assert!(answer.get("problem").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// The next event of the log; none when the socket has ended.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            let frame = match self.ready.pop_front() {
                Some(frame) => frame,
                None => self.frame().await?,
            };
            let position = frame["event_id"].as_str().map(|id| id.parse().expect("an id"));
            self.last_id = position.or(self.last_id);
            match frame["event"].as_str() {
                Some("heartbeat") | None => {}
                Some(_) if position.is_none() => self.live.push(frame),
                Some(_) => return Some(frame),
            }
        }
    }

    /// The next event of this type; others before it are passed over.
    pub async fn until(&mut self, event: &str) -> Value {
        loop {
            let told = self.next().await.unwrap_or_else(|| panic!("no {event}: {:?}", self.closed));
            if told["event"] == event {
                return told;
            }
        }
    }

    /// The next event of this type that has no position in the log.
    pub async fn until_live(&mut self, event: &str) -> Value {
        loop {
            if let Some(place) = self.live.iter().position(|told| told["event"] == event) {
                return self.live.remove(place);
            }
            let kept = self.ready.pop_front();
            let frame = match kept {
                Some(frame) => frame,
                None => self.frame().await.unwrap_or_else(|| panic!("no {event}: {:?}", self.closed)),
            };
            if frame["event_id"].is_null() && frame["event"].is_string() {
                self.live.push(frame);
            }
        }
    }

    /// Reads until the socket ends, and says how.
    pub async fn ended(&mut self) -> Closed {
        while self.frame().await.is_some() {}
        self.closed.clone().expect("an end")
    }

    /// The next frame of JSON.
    pub async fn frame(&mut self) -> Option<Value> {
        let reading = async {
            loop {
                match self.inner.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Some(serde_json::from_str(&text).expect("a frame is JSON"));
                    }
                    Some(Ok(Message::Close(frame))) => self.closed = Some(Closed::of(frame)),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        };
        let frame = tokio::time::timeout(LONG, reading).await.expect("a frame, or the end, in time");
        if frame.is_none() && self.closed.is_none() {
            self.closed = Some(Closed { code: None, reason: String::new() });
        }
        frame
    }
}

impl Closed {
    fn of(frame: Option<CloseFrame>) -> Self {
        let reason = frame.as_ref().map(|frame| frame.reason.to_string()).unwrap_or_default();
        Self { code: frame.map(|frame| frame.code.into()), reason }
    }
}

/// What a client of `im.v1` offers.
pub const PROTOCOL: (&str, &str) = ("sec-websocket-protocol", "im.v1");

async fn connect(base: &str, room: Option<u32>) -> TcpStream {
    let address = base.trim_start_matches("http://").parse().expect("an address");
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(room) = room {
        socket.set_recv_buffer_size(room).expect("a small buffer");
    }
    socket.connect(address).await.expect("a connection")
}
