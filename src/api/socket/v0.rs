//! `im.v0`: the JSON of an older chat server, for its clients. Each frame has a `msgid`, and a failure an `errno` with
//! an `errinfo`. `docs/portals.md` has the table.
//!
//! The connection says who is calling, as everywhere. So nobody registers here: the answer is "not available".

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::calls::{Answer, Call};
use super::session::{Context, Memory as All};
use super::v1::Piece;
use crate::base::error::Kind;
use crate::base::number::ChannelId;
use crate::base::strict;

const REGISTER: i64 = 0;
const REGISTERED: i64 = 1;
const SIGN_IN: i64 = 2;
const SIGNED_IN: i64 = 3;
const CHAT: i64 = 4;
const ADD_FRIEND: i64 = 5;
const CREATE_GROUP: i64 = 6;
const JOIN_GROUP: i64 = 7;
const GROUP_CHAT: i64 = 8;
/// A friend came or went. The older server has such a notice, but no number for it.
const NOTICE: i64 = 9;
const HEARTBEAT: i64 = 10;
/// Most messages that wait for a sign-in to end.
const HELD_MAX: usize = 200;

/// What went wrong, by its `errno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errno {
    AlreadyOnline = 1,
    Refused = 2,
    NotAvailable = 3,
    Malformed = 4,
    NotSignedIn = 5,
    TooMany = 6,
    Unavailable = 7,
}

/// A failure: its number, and its text.
type Failure = (Errno, String);

/// What a socket of this protocol remembers.
#[derive(Default)]
pub struct Memory(Mutex<Stage>);

#[derive(Default)]
enum Stage {
    #[default]
    Before,
    /// The messages that came while the missed ones are read.
    SigningIn(Vec<Shown>),
    SignedIn,
}

/// A message as it is shown, with its place.
struct Shown {
    channel_id: ChannelId,
    seq: i64,
    frame: String,
}

/// What is shown of a message.
#[derive(Deserialize)]
struct Message {
    channel_id: String,
    channel_type: Option<String>,
    seq: i64,
    ms_id: String,
    sender: String,
    sender_name: String,
    server_time: String,
    content: Value,
}

impl Memory {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frames for a piece of the stream, with the messages that are shown by them: these count as read.
pub fn frames(context: &Context, memory: &Memory, piece: &[u8]) -> (Vec<String>, Option<(ChannelId, i64)>) {
    let Some(Piece { event: Some(event), data: Some(data), .. }) = Piece::read(piece) else {
        return (Vec::new(), None);
    };
    match event {
        "message.created" => {
            let message = serde_json::from_str::<Map<String, Value>>(data)
                .ok()
                .and_then(|mut event| event.remove("data"));
            let message = message.and_then(|message| serde_json::from_value::<Message>(message).ok());
            match message.and_then(|message| shown(context, message, None)) {
                Some(shown) => show(memory, shown),
                None => (Vec::new(), None),
            }
        }
        "presence.changed" if !matches!(*memory.stage(), Stage::Before) => (notices(data), None),
        _ => (Vec::new(), None),
    }
}

fn show(memory: &Memory, shown: Shown) -> (Vec<String>, Option<(ChannelId, i64)>) {
    match &mut *memory.stage() {
        Stage::Before => (Vec::new(), None),
        Stage::SigningIn(held) => {
            if held.len() < HELD_MAX {
                held.push(shown);
            }
            (Vec::new(), None)
        }
        Stage::SignedIn => (vec![shown.frame], Some((shown.channel_id, shown.seq))),
    }
}

/// A message as the older clients read it; `None` for one of the user's own.
fn shown(context: &Context, message: Message, channel_type: Option<&str>) -> Option<Shown> {
    if message.sender == context.caller.user_id {
        return None;
    }
    let is_group = message.channel_type.as_deref().or(channel_type) == Some("group");
    let text = message.content.get("text").and_then(Value::as_str).unwrap_or_default();
    let mut frame = json!({
        "id": message.sender, "from": message.sender_name, "msg": text, "time": message.server_time,
        "seq": message.seq, "ms_id": message.ms_id,
    });
    if is_group {
        (frame["msgid"], frame["gid"]) = (GROUP_CHAT.into(), message.channel_id.clone().into());
    } else {
        (frame["msgid"], frame["to"]) = (CHAT.into(), context.caller.user_id.clone().into());
    }
    let channel_id = ChannelId::parse(&message.channel_id)?;
    Some(Shown { channel_id, seq: message.seq, frame: frame.to_string() })
}

/// Who came and who went.
fn notices(data: &str) -> Vec<String> {
    let data: Value = serde_json::from_str(data).unwrap_or_default();
    let users = data["users"].as_array().cloned().unwrap_or_default();
    let notice =
        |user: Value| json!({"msgid": NOTICE, "id": user["user_id"], "state": user["status"]}).to_string();
    users.into_iter().map(notice).collect()
}

/// The frames that answer a request.
pub async fn answer(context: &Context, memory: &All, text: &str) -> Vec<String> {
    let (kind, answered) = match strict::read::<Map<String, Value>>(text.as_bytes()) {
        Ok(fields) => match fields.get("msgid").and_then(Value::as_i64) {
            Some(kind) => (kind, answer_to(context, &memory.v0, kind, &fields).await),
            None => (-1, Err((Errno::Malformed, "`msgid` must be a whole number".to_owned()))),
        },
        Err(error) => (-1, Err((Errno::Malformed, error.detail().to_owned()))),
    };
    let method = match kind {
        CHAT | GROUP_CHAT => "send",
        HEARTBEAT => "ping",
        SIGN_IN => "sign_in",
        _ => "other",
    };
    let status = answered.as_ref().err().map_or(0, |(errno, _)| *errno as i32).to_string();
    metrics::counter!("impg_socket_requests_total", "method" => method, "status" => status).increment(1);
    answered.unwrap_or_else(|(errno, info)| {
        let mut frame = json!({"msgid": answered_by(kind), "errno": errno as i32, "errinfo": info});
        if kind == SIGN_IN {
            // The older server writes it so.
            frame["erron"] = frame["errno"].clone();
        }
        vec![frame.to_string()]
    })
}

/// The `msgid` of the answer.
fn answered_by(kind: i64) -> i64 {
    match kind {
        REGISTER => REGISTERED,
        SIGN_IN => SIGNED_IN,
        kind => kind,
    }
}

async fn answer_to(
    context: &Context,
    memory: &Memory,
    kind: i64,
    fields: &Map<String, Value>,
) -> Result<Vec<String>, Failure> {
    match kind {
        REGISTER => return register(context),
        SIGN_IN => return sign_in(context, memory, fields).await,
        HEARTBEAT => {
            counted(context)?;
            return Ok(vec![json!({"msgid": HEARTBEAT}).to_string()]);
        }
        _ => {}
    }
    if matches!(*memory.stage(), Stage::Before) {
        counted(context)?;
        return Err((Errno::NotSignedIn, "sign in first, with msgid 2".into()));
    }
    check_own(context, fields)?;
    match kind {
        CHAT => chat(context, fields).await,
        ADD_FRIEND => add_friend(context, fields).await,
        CREATE_GROUP => create_group(context, fields).await,
        JOIN_GROUP => join_group(context, fields).await,
        GROUP_CHAT => group_chat(context, fields).await,
        _ => {
            counted(context)?;
            Err((Errno::Malformed, format!("msgid {kind} is not known")))
        }
    }
}

/// Counts a request that makes no call.
fn counted(context: &Context) -> Result<(), Failure> {
    context.check_rate().map_err(|error| (Errno::TooMany, error.detail().to_owned()))
}

/// The older clients say who they are in each frame. It must be the user of the connection.
fn check_own(context: &Context, fields: &Map<String, Value>) -> Result<(), Failure> {
    match id_of(fields, "id") {
        Some(id) if id != context.caller.user_id => {
            Err((Errno::Refused, "`id` must be the user of this connection".into()))
        }
        _ => Ok(()),
    }
}

/// An id, which the older clients write as a number or as a text.
fn id_of(fields: &Map<String, Value>, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(id) => Some(id.clone()),
        Value::Number(id) => Some(id.to_string()),
        _ => None,
    }
}

fn wanted(fields: &Map<String, Value>, name: &'static str) -> Result<String, Failure> {
    id_of(fields, name).ok_or_else(|| (Errno::Malformed, format!("`{name}` is missing")))
}

/// A call of the API. Its answer, or the failure that its problem stands for.
async fn call(context: &Context, call: Call) -> Result<Value, Failure> {
    let Answer { status, body, .. } = match context.call(call).await {
        answer if answer.is_success() => return Ok(answer.body),
        answer => answer,
    };
    let text = body["detail"].as_str().or(body["title"].as_str()).map(str::to_owned);
    Err(match (status, text) {
        // No operation at all, unlike one that does not find something.
        (404 | 405, None) => (Errno::NotAvailable, "not available in this mode".into()),
        (429, text) => (Errno::TooMany, text.unwrap_or_default()),
        (500.., text) => (Errno::Unavailable, text.unwrap_or_default()),
        (_, text) => (Errno::Refused, text.unwrap_or_else(|| Kind::Internal.row().2.to_owned())),
    })
}

/// The user of a connection is known already, so nobody new can be registered on it.
fn register(context: &Context) -> Result<Vec<String>, Failure> {
    counted(context)?;
    let advice = "register with POST /users/register, sign in, and open the socket with the token";
    Err((Errno::NotAvailable, advice.into()))
}

/// Signs in as the user of the connection. Then come the groups, the friends, and the messages that were missed.
async fn sign_in(
    context: &Context,
    memory: &Memory,
    fields: &Map<String, Value>,
) -> Result<Vec<String>, Failure> {
    counted(context)?;
    check_own(context, fields)?;
    {
        let mut stage = memory.stage();
        if !matches!(*stage, Stage::Before) {
            return Err((Errno::AlreadyOnline, "already online".into()));
        }
        *stage = Stage::SigningIn(Vec::new());
    }
    let read = missed(context).await;
    let held = {
        let mut stage = memory.stage();
        let next = if read.is_ok() { Stage::SignedIn } else { Stage::Before };
        match std::mem::replace(&mut *stage, next) {
            Stage::SigningIn(held) => held,
            Stage::Before | Stage::SignedIn => Vec::new(),
        }
    };
    let (first, missed) = read?;
    let mut newest: HashMap<ChannelId, i64> = HashMap::new();
    let mut frames = vec![first];
    for shown in missed.into_iter().chain(held) {
        let seq = newest.entry(shown.channel_id).or_default();
        if shown.seq > *seq {
            *seq = shown.seq;
            frames.push(shown.frame);
        }
    }
    for (channel_id, seq) in newest {
        // They come again with the next sign-in if this fails.
        let _ = call(context, read_up_to(channel_id, seq)).await;
    }
    Ok(frames)
}

/// The older clients cannot say what was read: what is shown to them counts as read.
pub fn read_up_to(channel_id: ChannelId, seq: i64) -> Call {
    Call::post(format!("/channels/{channel_id}/read"), json!({"seq": seq}))
}

/// The answer to a sign-in, and the messages that were missed, in their order.
async fn missed(context: &Context) -> Result<(String, Vec<Shown>), Failure> {
    let me = call(context, Call::get("/users/me".into())).await?;
    let read = call(context, Call::get("/sync?newest=99".into())).await?;
    let conversations = read["conversations"]["items"].as_array().cloned().unwrap_or_default();
    let types: HashMap<&str, &str> = conversations
        .iter()
        .filter_map(|one| Some((one["channel_id"].as_str()?, one["type"].as_str()?)))
        .collect();
    let groups: Vec<Value> = conversations
        .iter()
        .filter(|one| one["type"] == "group")
        .map(|one| json!({"id": one["channel_id"], "groupname": one["name"]}))
        .collect();
    let newest_first = read["messages"]["items"].as_array().into_iter().flatten();
    let messages: Vec<Shown> = newest_first
        .rev()
        .filter_map(|message| {
            let message: Message = serde_json::from_value(message.clone()).ok()?;
            let channel_type = types.get(message.channel_id.as_str()).copied();
            shown(context, message, channel_type)
        })
        .collect();
    let answer = json!({
        "msgid": SIGNED_IN, "errno": 0, "erron": 0, "id": context.caller.user_id, "name": me["name"],
        "friends": friends(context).await, "groups": groups,
    });
    Ok((answer.to_string(), messages))
}

/// The friends of the user, the first page of them.
async fn friends(context: &Context) -> Vec<Value> {
    let listed = call(context, Call::get("/users/me/relations?kind=friend&limit=200".into())).await;
    let items = listed.ok().and_then(|page| page["items"].as_array().cloned()).unwrap_or_default();
    items.iter().map(|friend| json!({"id": friend["user_id"], "name": friend["name"]})).collect()
}

/// Sends to one user.
async fn chat(context: &Context, fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let body = json!({"type": "direct", "members": [wanted(fields, "to")?]});
    let channel = call(context, Call::post("/channels".into(), body)).await?;
    let channel_id = channel["channel_id"].as_str().unwrap_or_default();
    send(context, (CHAT, channel_id), fields).await
}

async fn group_chat(context: &Context, fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    send(context, (GROUP_CHAT, &group_of(fields)?.to_string()), fields).await
}

fn group_of(fields: &Map<String, Value>) -> Result<ChannelId, Failure> {
    ChannelId::parse(&wanted(fields, "gid")?)
        .ok_or_else(|| (Errno::Malformed, "`gid` is no group".to_owned()))
}

/// Sends a text. It is confirmed if the client gives it a `client_id`: the older ones wait for no answer.
async fn send(
    context: &Context,
    (kind, channel_id): (i64, &str),
    fields: &Map<String, Value>,
) -> Result<Vec<String>, Failure> {
    let mut body = json!({"type": "text", "content": {"text": wanted(fields, "msg")?}});
    let client_id = fields.get("client_id").and_then(Value::as_str);
    if let Some(client_id) = client_id {
        body["client_id"] = client_id.into();
    }
    let sent = call(context, Call::post(format!("/channels/{channel_id}/messages"), body)).await?;
    let confirmed = client_id.map(|client_id| {
        json!({"msgid": kind, "errno": 0, "client_id": client_id, "ms_id": sent["ms_id"], "seq": sent["seq"]})
            .to_string()
    });
    Ok(confirmed.into_iter().collect())
}

/// Makes a user a friend. It needs relations.
async fn add_friend(context: &Context, fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let friend = wanted(fields, "friendid")?;
    let friend = percent_encoding::utf8_percent_encode(&friend, percent_encoding::NON_ALPHANUMERIC);
    let target = format!("/users/me/relations/{friend}");
    call(context, Call { method: http::Method::PUT, target, body: json!({"kind": "friend"}) }).await?;
    Ok(vec![json!({"msgid": ADD_FRIEND, "errno": 0}).to_string()])
}

async fn create_group(context: &Context, fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let name = wanted(fields, "gname")?;
    let body = json!({"name": name, "members": [], "description": fields.get("gdesc")});
    let made = call(context, Call::post("/groups".into(), body)).await?;
    Ok(vec![json!({"msgid": CREATE_GROUP, "errno": 0, "gid": made["channel_id"]}).to_string()])
}

/// Joins an open group.
async fn join_group(context: &Context, fields: &Map<String, Value>) -> Result<Vec<String>, Failure> {
    let gid = group_of(fields)?;
    call(context, Call::post(format!("/channels/{gid}/join"), Value::Null)).await?;
    Ok(vec![json!({"msgid": JOIN_GROUP, "errno": 0}).to_string()])
}
