//! A gateway's keys, tokens signed with them, and the endpoint that publishes them.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use axum::http::StatusCode;
use axum::response::IntoResponse;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;
use time::Duration;

use super::*;

pub const ISSUER: &str = "https://gateway.example";
pub const AUDIENCE: &str = "im-push-gateway";
pub const TIME: i64 = 1_700_000_000;

/// A key pair of the gateway.
pub struct Pair {
    pub algorithm: Algorithm,
    pub private: EncodingKey,
}

impl Pair {
    pub fn jwk(&self, changes: Value) -> Value {
        let jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        merged(serde_json::to_value(jwk).unwrap(), changes)
    }

    pub fn sign(&self, header: Value, claims: &Value) -> String {
        let header = merged(json!({"alg": format!("{:?}", self.algorithm), "typ": "JWT"}), header);
        encode(&serde_json::from_value(header).unwrap(), claims, &self.private).unwrap()
    }
}

pub fn openssl(arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments.split(' ')).output().expect("openssl is installed");
    let pem = String::from_utf8(output.stdout).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    STANDARD.decode(body).unwrap()
}

pub fn rsa() -> Pair {
    let private = EncodingKey::from_rsa_der(&openssl("genrsa -traditional 2048"));
    Pair { algorithm: Algorithm::RS256, private }
}

pub static RSA: LazyLock<Pair> = LazyLock::new(rsa);
pub static OTHER_RSA: LazyLock<Pair> = LazyLock::new(rsa);
pub static EC: LazyLock<Pair> = LazyLock::new(|| {
    let der = openssl("genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256");
    Pair { algorithm: Algorithm::ES256, private: EncodingKey::from_ec_der(&der) }
});
pub static ED: LazyLock<Pair> = LazyLock::new(|| {
    let der = openssl("genpkey -algorithm ED25519");
    Pair { algorithm: Algorithm::EdDSA, private: EncodingKey::from_ed_der(&der) }
});

/// Puts `changes` over `value`; null takes a member away.
pub fn merged(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else { panic!("changes are an object") };
    let members = value.as_object_mut().unwrap();
    members.extend(changes);
    members.retain(|_, member| !member.is_null());
    value
}

pub fn claims(changes: Value) -> Value {
    let usual = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": TIME + 300, "sub": "alice"});
    merged(usual, changes)
}

pub fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(TIME).unwrap() + Duration::seconds(seconds)
}

/// A JWKS endpoint with a changeable answer and a request counter.
pub struct Endpoint {
    answer: Mutex<(StatusCode, String)>,
    asked: AtomicUsize,
}

impl Endpoint {
    pub async fn start(keys: &[Value]) -> (Arc<Self>, Tokens) {
        let endpoint = Arc::new(Self { answer: Mutex::default(), asked: AtomicUsize::new(0) });
        endpoint.serve_keys(keys);
        let shared = Arc::clone(&endpoint);
        let handler = move || {
            let endpoint = Arc::clone(&shared);
            async move {
                endpoint.asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                let (status, body) = endpoint.answer.lock().unwrap().clone();
                (status, [("location", "/elsewhere")], body).into_response()
            }
        };
        let router = axum::Router::new().route("/{*path}", axum::routing::get(handler));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (endpoint, tokens(&format!("jwt_jwks_url = \"http://{address}/jwks\"")).unwrap())
    }

    pub fn serve_keys(&self, keys: &[Value]) {
        self.serve(StatusCode::OK, json!({"keys": keys}).to_string());
    }

    pub fn serve(&self, status: StatusCode, body: String) {
        *self.answer.lock().unwrap() = (status, body);
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

pub fn tokens(overrides: &str) -> Result<Tokens> {
    let usual = format!(
        "database_url = \"postgresql://\"\njwt_issuer = \"{ISSUER}\"\njwt_audience = \"{AUDIENCE}\"\n"
    );
    Tokens::new(&Config::from_toml(&format!("{usual}{overrides}")).unwrap().identity)
}

pub async fn kind(tokens: &Tokens, token: &str) -> Kind {
    tokens.caller(token, at(0)).await.expect_err("it must not be believed").kind
}
