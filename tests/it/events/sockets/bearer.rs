//! A token that a browser sends as a subprotocol, because it cannot set headers.

use std::time::{Duration, SystemTime};

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::BINARY;
use crate::accounts::tokens::{SEED, signed};
use crate::accounts::{self, PASSWORD};
use crate::app::{database, text};
use crate::support::{Client, Receiver, Script, Service, Socket, shared};

/// Opens a socket as a browser does.
async fn open(base: &str, token: &str) -> Result<(Socket, String), u16> {
    let offered = format!("im.v1, bearer.{token}");
    Socket::chosen(base, &[("sec-websocket-protocol", &offered)]).await
}

async fn refused(base: &str, token: &str) -> u16 {
    open(base, token).await.err().unwrap_or_default()
}

/// A token with its claims changed, under the same signature.
fn forged(token: &str) -> String {
    let (head, signature) = token.rsplit_once('.').expect("a signature");
    let (header, claims) = head.split_once('.').expect("claims");
    let mut claims: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON");
    claims["exp"] = json!(claims["exp"].as_i64().expect("a time") + 1);
    format!("{header}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(claims.to_string()))
}

async fn start(more: &[(&str, &str)]) -> Service {
    let name = database().await;
    let url = shared().url(&name);
    let mut settings = vec![
        ("database_url", url.as_str()),
        ("callback_url", "none"),
        ("callback_hold_days", "0"),
        ("log", "trace"),
    ];
    settings.extend_from_slice(more);
    Service::start(BINARY, &settings).await
}

fn assert_not_logged(service: &Service, secrets: &[String]) {
    let log = service.log();
    assert!(log.contains("/ws"), "the log has its requests: {}", service.log_tail());
    for secret in secrets {
        // Without its signature a token is none.
        let end = &secret[secret.len().saturating_sub(40)..];
        assert!(end.len() == 40 && !log.contains(end), "{secret}");
    }
}

#[tokio::test]
async fn a_browser_opens_a_socket_with_the_token_of_an_account() {
    let service = start(&[("identity_mode", "accounts"), ("account_register", "open")]).await;
    let (base, anybody) = (service.url(), Client::anonymous(&service.api()));
    let new = json!({"username": "lisi", "password": PASSWORD, "name": "Li"});
    anybody.post("/users/register", new).await.expect(201);
    let grant = accounts::login(&anybody, "lisi", PASSWORD).await.expect(200);
    let (access, refresh) = (text(&grant["access_token"]), text(&grant["refresh_token"]));
    let (mut socket, chosen) = open(&base, &access).await.expect("a socket");
    socket.until("hello").await;
    assert_eq!(chosen, "im.v1", "the token is not what the service chooses");
    assert_eq!(socket.call("ping", json!({})).await, json!({}));

    let forged = forged(&access);
    for token in ["x", refresh.as_str(), forged.as_str()] {
        assert_eq!(refused(&base, token).await, 401, "{token}");
    }
    // Nor can it come without a protocol that the service speaks.
    let alone = format!("bearer.{access}");
    assert_eq!(Socket::chosen(&base, &[("sec-websocket-protocol", &alone)]).await.err(), Some(400));
    anybody.post("/users/logout", json!({"refresh_token": refresh})).await.expect(204);
    assert_eq!(refused(&base, &access).await, 401, "the session has ended");
    assert_not_logged(&service, &[access, refresh, forged]);
}

#[tokio::test]
async fn an_expired_token_of_an_account_opens_no_socket() {
    // The clocks of replicas can differ by 30 seconds: an older one is made with the key of the settings.
    let key = base64::prelude::BASE64_STANDARD.encode(SEED);
    let app = accounts::open_with(&format!("account_keys = [\"{key}\"]")).await;
    accounts::register(&app, "lisi").await;
    let token = text(&accounts::sign_in(&app, "lisi").await["access_token"]);
    let mut parts = token.split('.').map(|part| {
        BASE64_URL_SAFE_NO_PAD.decode(part).ok().and_then(|json| serde_json::from_slice::<Value>(&json).ok())
    });
    let header = parts.next().flatten().expect("a header");
    let mut claims = parts.next().flatten().expect("claims");
    assert!(open(&app.base, &signed(&SEED, &header, &claims)).await.is_ok());
    claims["iat"] = json!(claims["iat"].as_i64().expect("a time") - 7_200);
    claims["exp"] = json!(claims["iat"].as_i64().expect("a time") + 900);
    assert_eq!(refused(&app.base, &signed(&SEED, &header, &claims)).await, 401);
}

#[tokio::test]
async fn a_browser_opens_a_socket_with_the_token_of_a_gateway() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SEED).expect("a key");
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "k", "x": x}]});
    let endpoint = Receiver::start().await;
    endpoint.answer(Script::status(200, &["content-type: application/json"], &keys.to_string()));
    let url = endpoint.url();
    let service = start(&[
        ("identity_mode", "jwt"),
        ("identity_roles_header", ""),
        ("jwt_issuer", "https://gateway.example"),
        ("jwt_audience", "im-push"),
        ("jwt_jwks_url", &url),
    ])
    .await;
    let base = service.url();
    #[expect(clippy::disallowed_methods, reason = "the token of a gateway has the time of its clock")]
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let token = |seed: &[u8], until: Duration| {
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": "k"});
        let claims = json!({
            "iss": "https://gateway.example", "aud": "im-push", "sub": "li", "roles": ["admin", "directory"],
            "iat": until.as_secs() - 600, "exp": until.as_secs(),
        });
        signed(seed, &header, &claims)
    };
    let right = token(&SEED, now + Duration::from_secs(600));
    let admin = Client::anonymous(&service.api()).with_header("authorization", &format!("Bearer {right}"));
    let users = json!({"users": [{"user_id": "li", "name": "Li"}, {"user_id": "oa", "name": "OA", "kind": "application"}]});
    admin.post("/directory/changes", users).await.expect(200);
    let (mut socket, chosen) = open(&base, &right).await.expect("a socket");
    socket.until("hello").await;
    assert_eq!(chosen, "im.v1");
    let (expired, foreign) =
        (token(&SEED, now - Duration::from_secs(600)), token(&[8; 32], now + Duration::from_secs(600)));
    let forged = forged(&right);
    for token in [&expired, &foreign, &forged] {
        assert_eq!(refused(&base, token).await, 401);
    }
    // The service's own tokens can be revoked.
    let made =
        admin.post("/tokens", json!({"name": "t", "user_id": "oa", "roles": ["user"]})).await.expect(201);
    let own = text(&made["secret"]);
    let (mut with_own, _) = open(&base, &own).await.expect("a socket");
    with_own.until("hello").await;
    admin.delete(&format!("/tokens/{}", text(&made["token_id"]))).await.expect(204);
    assert_eq!(refused(&base, &own).await, 401);
    assert_not_logged(&service, &[right, expired, foreign, forged, own]);
}
