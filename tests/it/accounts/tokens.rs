//! Access tokens that somebody else made, or made for something else.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::*;

pub const SEED: [u8; 32] = [7; 32];

fn encode(value: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// Header and claims of a token.
fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.').map(str::to_owned);
    (decode(&parts.next().expect("a header")), decode(&parts.next().expect("claims")))
}

/// A token signed with a key.
pub fn signed(seed: &[u8], header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", encode(header), encode(claims));
    let pair = Ed25519KeyPair::from_seed_unchecked(seed).expect("a key");
    let signature = BASE64_URL_SAFE_NO_PAD.encode(pair.sign(input.as_bytes()).as_ref());
    format!("{input}.{signature}")
}

/// A value with a change.
fn changed(value: &Value, name: &str, to: Value) -> Value {
    let mut value = value.clone();
    match to {
        Value::Null => value.as_object_mut().expect("an object").remove(name),
        to => value.as_object_mut().expect("an object").insert(name.to_owned(), to),
    };
    value
}

async fn answer(app: &TestApp, token: &str) -> u16 {
    let bearer = format!("Bearer {token}");
    stranger(app).with_header("authorization", &bearer).get("/users/me").await.status
}

async fn with_known_key(more: &str) -> TestApp {
    open_with(&format!("account_keys = [\"{}\"]\n{more}", BASE64_STANDARD.encode(SEED))).await
}

#[tokio::test]
async fn a_token_counts_only_as_this_service_signs_it() {
    let app = with_known_key("").await;
    register(&app, "lisi").await;
    let victim = register(&app, "zhangsan").await;
    let grant = sign_in(&app, "lisi").await;
    let token = text(&grant["access_token"]);
    let (header, claims) = parts(&token);
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!("at+jwt")));
    assert_eq!(
        answer(&app, &signed(&SEED, &header, &claims)).await,
        200,
        "the test signs as the service does"
    );
    let jwks = Client::anonymous(&app.base).get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(jwks["keys"][0]["kid"], header["kid"]);
    assert!(jwks["keys"][0].get("d").is_none());

    // Nothing, or the public key, as the secret.
    let (head, rest) = token.split_once('.').expect("parts");
    let body = rest.split('.').next().expect("claims");
    for alg in ["none", "None", "NONE"] {
        let bare = encode(&changed(&header, "alg", json!(alg)));
        for forged in [format!("{bare}.{body}."), format!("{bare}.{body}.AAAA"), format!("{bare}.{body}")] {
            assert_eq!(answer(&app, &forged).await, 401, "{alg}");
        }
    }
    let x = text(&jwks["keys"][0]["x"]);
    let public = BASE64_URL_SAFE_NO_PAD.decode(&x).expect("base64");
    for secret in [public.as_slice(), x.as_bytes(), jwks.to_string().as_bytes(), b"".as_slice()] {
        let input = format!("{}.{body}", encode(&changed(&header, "alg", json!("HS256"))));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
        mac.update(input.as_bytes());
        let forged = format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
        assert_eq!(answer(&app, &forged).await, 401);
    }
    // A key of the attacker, named in every way that a header can.
    let other = [8; 32];
    let own = Ed25519KeyPair::from_seed_unchecked(&other).expect("a key");
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": BASE64_URL_SAFE_NO_PAD.encode(own.public_key().as_ref())});
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("kid", json!("../../dev/null")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("")),
        ("kid", Value::Null),
        ("crit", json!(["exp"])),
    ] {
        let header = changed(&header, name, value);
        assert_eq!(answer(&app, &signed(&other, &header, &claims)).await, 401, "{header}");
    }
    assert_eq!(answer(&app, &signed(&SEED, &changed(&header, "kid", json!("x")), &claims)).await, 401);
    assert_eq!(answer(&app, &signed(&SEED, &changed(&header, "crit", json!(["x"])), &claims)).await, 401);
    for typ in [json!("JWT"), json!("logout+jwt"), Value::Null] {
        assert_eq!(answer(&app, &signed(&SEED, &changed(&header, "typ", typ), &claims)).await, 401);
    }
    // Cut, lengthened, and with another body under the same signature.
    let signature = rest.rsplit('.').next().expect("a signature");
    let stolen = encode(&changed(&claims, "sub", json!(victim)));
    for forged in [
        format!("{head}.{stolen}.{signature}"),
        format!("{token}A"),
        token[..token.len() - 2].to_owned(),
        format!("{head}.{body}.{}", "A".repeat(86)),
        "x".repeat(5_000),
        "a.b.c".to_owned(),
    ] {
        assert_eq!(answer(&app, &forged).await, 401, "{forged}");
    }
    assert_eq!(answer(&app, &token).await, 200);
}

#[tokio::test]
async fn even_with_the_right_key_every_claim_counts() {
    let app = with_known_key("").await;
    let (_, victim) = (register(&app, "lisi").await, register(&app, "zhangsan").await);
    let (grant, other) = (sign_in(&app, "lisi").await, sign_in(&app, "zhangsan").await);
    let (header, claims) = parts(&text(&grant["access_token"]));
    let now = claims["iat"].as_i64().expect("a time");
    for (name, value) in [
        ("sub", json!(victim)),
        ("sub", Value::Null),
        ("sid", other["session_id"].clone()),
        ("sid", json!("00000000000000000000000000000000")),
        ("sid", json!("../x")),
        ("sid", Value::Null),
        ("exp", json!(now - 31)),
        ("exp", json!(i64::MIN)),
        ("exp", json!("never")),
        ("exp", Value::Null),
        ("iat", json!(now + 3_600)),
        ("iss", json!("another")),
        ("iss", json!(["im-push-gateway", "another"])),
        ("aud", json!("another")),
        ("gen", json!("x")),
    ] {
        let claims = changed(&claims, name, value);
        assert_eq!(answer(&app, &signed(&SEED, &header, &claims)).await, 401, "{claims}");
    }
    let late = changed(&claims, "exp", json!(i64::MAX));
    assert_eq!(answer(&app, &signed(&SEED, &header, &late)).await, 200);
    // Roles come from the account, whatever a token says.
    let bold = changed(&claims, "roles", json!(["admin"]));
    let bearer = format!("Bearer {}", signed(&SEED, &header, &bold));
    stranger(&app)
        .with_header("authorization", &bearer)
        .get("/accounts")
        .await
        .expect_problem(403, "forbidden");
    // A number of a refresh that never was changes nothing.
    let ahead = changed(&claims, "gen", json!(i32::MAX));
    assert_eq!(answer(&app, &signed(&SEED, &header, &ahead)).await, 200);
    assert_eq!(app.count("SELECT max(seen_generation)::bigint FROM t_im_session", &[]).await, 0);
}

#[tokio::test]
async fn a_token_of_another_instance_is_refused() {
    let (app, other) = (open().await, open().await);
    register(&app, "lisi").await;
    register(&other, "lisi").await;
    let (own, foreign) = (sign_in(&app, "lisi").await, sign_in(&other, "lisi").await);
    assert_eq!(answer(&app, &text(&own["access_token"])).await, 200);
    assert_eq!(answer(&app, &text(&foreign["access_token"])).await, 401, "another key");
    refresh(&app, &foreign).await.expect_problem(401, "unauthenticated");

    // By mistake, two instances have the same keys.
    let (app, other) = (with_known_key("").await, with_known_key("account_issuer = \"staging\"").await);
    register(&other, "lisi").await;
    let foreign = sign_in(&other, "lisi").await;
    assert_eq!(answer(&other, &text(&foreign["access_token"])).await, 200);
    assert_eq!(answer(&app, &text(&foreign["access_token"])).await, 401, "another name");
    let twin = with_known_key("").await;
    register(&twin, "lisi").await;
    let foreign = sign_in(&twin, "lisi").await;
    assert_eq!(answer(&app, &text(&foreign["access_token"])).await, 401, "no session of this database");
}

#[tokio::test]
async fn keys_are_replaced_without_signing_anybody_out() {
    let app = open().await;
    let second = TestApp::start_on(app.database.clone(), OPEN).await;
    register(&app, "lisi").await;
    let before = sign_in(&app, "lisi").await;
    assert_eq!(answer(&second, &text(&before["access_token"])).await, 200);
    im_push_gateway::identity::account::rotate(&app.store).await.unwrap();
    // A replica that starts now signs with the new key; the others learn of it from the first token.
    let third = TestApp::start_on(app.database.clone(), OPEN).await;
    let after = sign_in(&third, "lisi").await;
    let kid = |grant: &Value| parts(&text(&grant["access_token"])).0["kid"].clone();
    assert_ne!(kid(&before), kid(&after));
    let started = std::time::Instant::now();
    while answer(&app, &text(&after["access_token"])).await != 200 {
        assert!(started.elapsed() < app::LONG, "the new key is never read");
        tokio::time::sleep(app::LOOK).await;
    }
    for replica in [&app, &third] {
        assert_eq!(answer(replica, &text(&before["access_token"])).await, 200, "the old key still verifies");
    }
    let keys = Client::anonymous(&third.base).get("/.well-known/jwks.json").await.expect(200);
    assert_eq!(keys["keys"].as_array().map(Vec::len), Some(2));

    // Keys of the settings: the new one first.
    let old = with_known_key("").await;
    register(&old, "lisi").await;
    let grant = sign_in(&old, "lisi").await;
    let both = format!(
        "{OPEN}account_keys = [\"{}\", \"{}\"]\n",
        BASE64_STANDARD.encode([9; 32]),
        BASE64_STANDARD.encode(SEED)
    );
    let new = TestApp::start_on(old.database.clone(), &both).await;
    assert_eq!(answer(&new, &text(&grant["access_token"])).await, 200);
    let renewed = refresh(&new, &grant).await.expect(200);
    assert_ne!(kid(&grant), kid(&renewed));
    assert_eq!(answer(&new, &text(&renewed["access_token"])).await, 200);
}
