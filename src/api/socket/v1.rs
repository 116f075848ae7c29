//! `im.v1`: events as on `/events`, and requests with an id. Each frame is one JSON object.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::calls::{Answer, Call};
use super::session::{Context, Memory};
use crate::base::error::{Error, Result};
use crate::base::number::ChannelId;
use crate::base::strict;

/// Most characters of the id of a request.
const ID_MAX_CHARS: usize = 128;
const METHODS: &str = "send, read, received, messages, typing or ping";

/// A request of the client.
struct Asked {
    id: Value,
    method: String,
    params: Map<String, Value>,
}

/// What a request asks for.
enum Wish {
    Call(Call),
    Type(ChannelId),
    Ping,
}

/// The frame for a piece of the stream; `None` for a comment.
pub fn frame(piece: &[u8]) -> Option<String> {
    let piece = Piece::read(piece)?;
    let id = piece.id.map(|id| format!("\"event_id\":\"{id}\",")).unwrap_or_default();
    match (piece.event, piece.data) {
        (Some(event), Some(data)) => Some(format!("{{{id}\"event\":\"{event}\",\"data\":{data}}}")),
        // A client that got no event for long resumes from here.
        (None, None) if piece.id.is_some() => Some(format!("{{{id}\"event\":\"heartbeat\",\"data\":{{}}}}")),
        _ => None,
    }
}

/// A server-sent event, taken apart. The hub serializes each event once, for all who get it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece<'a> {
    pub id: Option<i64>,
    pub event: Option<&'a str>,
    /// One line of JSON.
    pub data: Option<&'a str>,
}

impl<'a> Piece<'a> {
    pub fn read(piece: &'a [u8]) -> Option<Self> {
        let mut read = Self::default();
        for line in std::str::from_utf8(piece).ok()?.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => read.id = id.parse().ok(),
                Some(("event", event)) => read.event = Some(event),
                Some(("data", data)) => read.data = Some(data),
                _ => {}
            }
        }
        Some(read)
    }
}

/// The frame that answers a request.
pub async fn answer(context: &Context, memory: &Memory, text: &str) -> String {
    let (id, method, answer) = match read(text) {
        Ok(asked) => {
            let (id, method) = (asked.id.clone(), known(&asked.method));
            (id, method, answer_to(context, memory, asked).await)
        }
        Err(refused) => {
            let (id, error) = *refused;
            // What cannot be read is counted, too.
            let error = context.check_rate().err().unwrap_or(error);
            (id, "unknown", Answer::refusal(&error))
        }
    };
    metrics::counter!("impg_socket_requests_total", "method" => method, "status" => answer.status.to_string())
        .increment(1);
    let field = if answer.is_success() { "result" } else { "problem" };
    let mut frame = format!("{{\"id\":{id},\"{field}\":{}", answer.body);
    if let Some(seconds) = answer.retry_after {
        // Writing to a text cannot fail.
        let _ = write!(frame, ",\"retry_after\":{seconds}");
    }
    frame.push('}');
    frame
}

/// Clients can invent methods. Unknown ones share one label.
fn known(method: &str) -> &'static str {
    let known = ["send", "read", "received", "messages", "typing", "ping"];
    known.into_iter().find(|name| *name == method).unwrap_or("unknown")
}

/// The request in a frame. An error has the id, as far as it can be read.
fn read(text: &str) -> std::result::Result<Asked, Box<(Value, Error)>> {
    let refused = |id: Value| move |error: Error| Box::new((id, error));
    let mut fields: Map<String, Value> = strict::read(text.as_bytes()).map_err(refused(Value::Null))?;
    let id = match fields.remove("id") {
        Some(Value::String(id)) if id.chars().count() <= ID_MAX_CHARS => Value::String(id),
        Some(Value::Number(id)) if id.is_i64() || id.is_u64() => Value::Number(id),
        _ => {
            let rule = format!("must be a whole number, or a text of at most {ID_MAX_CHARS} characters");
            return Err(refused(Value::Null)(Error::field("/id", rule)));
        }
    };
    let method = match fields.remove("method") {
        Some(Value::String(method)) => method,
        _ => return Err(refused(id)(Error::field("/method", format!("must be {METHODS}")))),
    };
    let params = match fields.remove("params") {
        Some(Value::Object(params)) => params,
        None | Some(Value::Null) => Map::new(),
        Some(_) => return Err(refused(id)(Error::field("/params", "must be an object"))),
    };
    match fields.keys().next() {
        None => Ok(Asked { id, method, params }),
        Some(unknown) => {
            let pointer = format!("/{unknown}");
            Err(refused(id)(Error::field(pointer, "is not known; a request has `id`, `method` and `params`")))
        }
    }
}

async fn answer_to(context: &Context, memory: &Memory, asked: Asked) -> Answer {
    let result = match wish(asked) {
        Ok(Wish::Call(call)) => return context.call(call).await,
        Ok(Wish::Type(channel_id)) => match context.check_rate() {
            Ok(()) => memory.type_in(context, channel_id).await.map(|is_told| json!({"told": is_told})),
            Err(error) => Err(error),
        },
        Ok(Wish::Ping) => context.check_rate().map(|()| json!({})),
        Err(error) => Err(context.check_rate().err().unwrap_or(error)),
    };
    match result {
        Ok(body) => Answer { status: 200, body, retry_after: None },
        Err(error) => Answer::refusal(&error),
    }
}

/// The call that a request stands for. Its parameters are the fields of the call's body.
fn wish(asked: Asked) -> Result<Wish> {
    let Asked { method, mut params, .. } = asked;
    if method == "ping" {
        return nothing_more(&params).map(|()| Wish::Ping);
    }
    if known(&method) == "unknown" {
        return Err(Error::field("/method", format!("must be {METHODS}")));
    }
    let channel_id = params.remove("channel_id");
    let channel_id = channel_id.as_ref().and_then(Value::as_str).and_then(ChannelId::parse);
    let channel_id = channel_id.ok_or_else(|| Error::field("/channel_id", "must be the id of a channel"))?;
    let path = |rest: &str| format!("/channels/{channel_id}/{rest}");
    Ok(match method.as_str() {
        "send" => Wish::Call(Call::post(path("messages"), Value::Object(params))),
        "read" | "received" => Wish::Call(Call::post(path(&method), Value::Object(params))),
        "messages" => Wish::Call(Call::get(format!("{}{}", path("messages"), query(&params)?))),
        _ => {
            nothing_more(&params)?;
            Wish::Type(channel_id)
        }
    })
}

fn nothing_more(params: &Map<String, Value>) -> Result<()> {
    match params.keys().next() {
        None => Ok(()),
        Some(name) => Err(Error::field(format!("/{name}"), "is not a parameter of this method")),
    }
}

/// Parameters as a query.
fn query(params: &Map<String, Value>) -> Result<String> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in params {
        match value {
            Value::String(text) => query.append_pair(name, text),
            Value::Number(number) => query.append_pair(name, &number.to_string()),
            _ => return Err(Error::field(format!("/{name}"), "must be a text or a number")),
        };
    }
    let query = query.finish();
    Ok(if query.is_empty() { query } else { format!("?{query}") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_stream_becomes_a_frame() {
        for (piece, expected) in [
            (": events\nretry: 812\n\n", None),
            ("id: 7\nevent: hello\ndata: {}\n\n", Some(r#"{"event_id":"7","event":"hello","data":{}}"#)),
            (
                "event: unread\ndata: {\"unread_total\":3}\n\n",
                Some(r#"{"event":"unread","data":{"unread_total":3}}"#),
            ),
            (":\nid: 9\n\n", Some(r#"{"event_id":"9","event":"heartbeat","data":{}}"#)),
            (": the service is stopping, connect again\n\n", None),
        ] {
            assert_eq!(frame(piece.as_bytes()).as_deref(), expected, "{piece}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said_with_its_id_where_it_can_be_read() {
        for (text, id, pointer) in [
            ("{", Value::Null, None),
            ("[]", Value::Null, Some("")),
            (r#"{"method":"ping"}"#, Value::Null, Some("/id")),
            (r#"{"id":1.5,"method":"ping"}"#, Value::Null, Some("/id")),
            (r#"{"id":"a"}"#, json!("a"), Some("/method")),
            (r#"{"id":1,"method":"ping","params":[]}"#, json!(1), Some("/params")),
            (r#"{"id":1,"method":"ping","more":1}"#, json!(1), Some("/more")),
        ] {
            let Err(refused) = read(text) else { panic!("{text}") };
            let (found, error) = *refused;
            assert_eq!((found, error.pointer.as_deref()), (id, pointer), "{text}");
        }
    }

    #[test]
    fn a_request_is_the_call_that_http_has() {
        let call = |text: &str| match read(text).ok().map(wish) {
            Some(Ok(Wish::Call(call))) => format!("{} {} {}", call.method, call.target, call.body),
            _ => "none".to_owned(),
        };
        let send =
            r#"{"id":1,"method":"send","params":{"channel_id":"7","type":"text","content":{"text":"x"}}}"#;
        assert_eq!(call(send), r#"POST /channels/7/messages {"content":{"text":"x"},"type":"text"}"#);
        let read = r#"{"id":1,"method":"read","params":{"channel_id":"7","seq":3}}"#;
        assert_eq!(call(read), r#"POST /channels/7/read {"seq":3}"#);
        let gap = r#"{"id":1,"method":"messages","params":{"channel_id":"7","after_seq":3,"limit":2}}"#;
        assert_eq!(call(gap), "GET /channels/7/messages?after_seq=3&limit=2 null");
        for wrong in [
            r#"{"id":1,"method":"send","params":{"channel_id":"../7"}}"#,
            r#"{"id":1,"method":"drop","params":{"channel_id":"7"}}"#,
            r#"{"id":1,"method":"typing","params":{"channel_id":"7","seq":1}}"#,
        ] {
            assert_eq!(call(wrong), "none");
        }
    }
}
