//! What a user needs to send and receive sound and pictures: servers for ICE, and a token for a LiveKit room.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use time::OffsetDateTime;

use super::call::Calls;
use crate::base::config::is_turn;
use crate::base::error::{Error, Result};
use crate::base::number::CallId;

/// What user ids have in them that coturn takes as it is. It refuses blanks, for example.
const IN_USERNAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');
/// Most bytes of a user id in a username. One of STUN has less than 513 bytes.
const USER_BYTES: usize = 400;

/// A server for ICE, as `RTCPeerConnection` takes it.
#[derive(Debug, Clone, Serialize)]
pub struct IceServer {
    pub urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

/// The servers for ICE, and until when their credentials count.
#[derive(Debug, Clone)]
pub struct IceServers {
    pub servers: Vec<IceServer>,
    pub expires_at: OffsetDateTime,
}

/// A room of a LiveKit server.
#[derive(Debug, Clone)]
pub struct Room {
    pub url: String,
    pub token: String,
    pub expires_at: OffsetDateTime,
}

/// The claims of a LiveKit access token.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    nbf: i64,
    exp: i64,
    video: Grants,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Grants {
    room: String,
    room_join: bool,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

impl Calls {
    /// The servers of the settings, with credentials of this user (coturn: `use-auth-secret`).
    pub fn ice_servers(&self, user_id: &str, now: OffsetDateTime) -> IceServers {
        let expires_at = now + self.settings.turn_credentials;
        let (turn, stun): (Vec<String>, Vec<String>) =
            self.settings.turn_urls.iter().cloned().partition(|url| is_turn(url));
        let mut servers = Vec::new();
        if !stun.is_empty() {
            servers.push(IceServer { urls: stun, username: None, credential: None });
        }
        if !turn.is_empty() {
            let user: String = utf8_percent_encode(user_id, IN_USERNAMES).collect();
            let user = &user[..user.len().min(USER_BYTES)];
            let username = format!("{}:{user}", expires_at.unix_timestamp());
            let key = self.settings.turn_secret.expose().as_bytes();
            // The scheme of TURN servers is SHA-1.
            let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
            let credential = BASE64_STANDARD.encode(hmac::sign(&key, username.as_bytes()));
            servers.push(IceServer { urls: turn, username: Some(username), credential: Some(credential) });
        }
        IceServers { servers, expires_at }
    }

    /// The room of a call, if the settings have a LiveKit server. Only for a user who is in the call.
    pub fn room(&self, call_id: CallId, user_id: &str, now: OffsetDateTime) -> Result<Option<Room>> {
        if self.settings.livekit_url.is_empty() {
            return Ok(None);
        }
        let expires_at = now + self.settings.livekit_token;
        let claims = Claims {
            iss: &self.settings.livekit_api_key,
            sub: user_id,
            nbf: now.unix_timestamp(),
            exp: expires_at.unix_timestamp(),
            video: Grants {
                room: call_id.to_string(),
                room_join: true,
                can_publish: true,
                can_subscribe: true,
                can_publish_data: true,
            },
        };
        let key = EncodingKey::from_secret(self.settings.livekit_api_secret.expose().as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &claims, &key).map_err(Error::internal)?;
        Ok(Some(Room { url: self.settings.livekit_url.clone(), token, expires_at }))
    }
}
