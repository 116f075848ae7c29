//! The company's sign-in: it gives tokens, has a key that proves them, and answers gateways that ask whose one is.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a token says of who made it and whom it is for.
pub const ISSUER: &str = "https://sign-in.example.com";
pub const AUDIENCE: &str = "im-push-gateway";
/// The year 2100.
const EXPIRY: i64 = 4_102_444_800;

/// The user and the roles of each token.
type Sessions = Arc<Mutex<HashMap<String, (String, String)>>>;

/// The sign-in, with an authentication service for gateways at `/authenticate`. Dropped: gone.
pub struct SignIn {
    key: RsaKeyPair,
    sessions: Sessions,
    port: u16,
    serving: JoinHandle<()>,
}

impl SignIn {
    pub async fn start() -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("a key");
        let sessions = Sessions::default();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let router = Router::new().fallback(authenticate).with_state(sessions.clone());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        Self { key, sessions, port, serving }
    }

    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A token of a user with roles, as a text with commas.
    pub fn token(&self, user_id: &str, roles: &str) -> String {
        self.token_with(user_id, roles, json!({}))
    }

    /// The same with further claims, or with others than usual.
    pub fn token_with(&self, user_id: &str, roles: &str, more: Value) -> String {
        let mut claims =
            json!({"iss": ISSUER, "aud": AUDIENCE, "exp": EXPIRY, "sub": user_id, "roles": roles});
        for (name, value) in more.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let token = self.signed(&json!({"alg": "RS256", "typ": "JWT"}).to_string(), &claims.to_string());
        let session = (user_id.to_owned(), roles.to_owned());
        self.sessions.lock().expect("no panic while held").insert(token.clone(), session);
        token
    }

    /// A token of this header and these claims. The authentication service does not know it.
    pub fn signed(&self, header: &str, claims: &str) -> String {
        let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let message = format!("{}.{}", encoded(header), encoded(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed =
            self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature);
        signed.expect("a signature");
        format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }

    /// The public key, as PEM.
    pub fn public_key(&self) -> String {
        let der =
            AsDer::<aws_lc_rs::encoding::PublicKeyX509Der>::as_der(self.key.public_key()).expect("a key");
        let text = BASE64_STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|l| str::from_utf8(l).expect("ASCII")).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }
}

impl Drop for SignIn {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Answers a gateway: who has this token, and with which roles. A user without roles has no header for them.
async fn authenticate(State(sessions): State<Sessions>, headers: HeaderMap) -> (StatusCode, HeaderMap) {
    let mut answer = HeaderMap::new();
    let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let sessions = sessions.lock().expect("no panic while held");
    let Some((user, roles)) = token.and_then(|token| sessions.get(token)) else {
        return (StatusCode::UNAUTHORIZED, answer);
    };
    let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).expect("a header");
    answer.insert("x-user-id", value(user));
    if !roles.is_empty() {
        answer.insert("x-user-roles", value(roles));
    }
    (StatusCode::OK, answer)
}
