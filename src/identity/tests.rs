use base64::Engine;

use super::*;
use crate::base::config::{Config, Secret};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

/// Settings with an unreachable database. A query returns `Kind::Unavailable`.
fn config(overrides: &str) -> Config {
    let database = r#"database_url = "postgresql://none@127.0.0.1:1/none""#;
    let roles = r#"identity_roles_header = "x-user-roles""#;
    Config::from_toml(&format!("{database}\n{roles}\n{overrides}")).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        headers.append(name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

async fn ask(config: &Config, peer: &str, sent: &[(&str, &str)]) -> Result<Caller> {
    let headers = headers(sent);
    let claimed = Claimed {
        peer: peer.parse().unwrap(),
        method: &Method::GET,
        path_and_query: "/api/v1/conversations",
        headers: &headers,
        body: Some(b""),
    };
    Identity::new(&config.identity).unwrap().caller(&Store::new(config).unwrap(), claimed, NOW).await
}

fn needs_body(config: &Config, sent: &[(&str, &str)]) -> std::result::Result<bool, Kind> {
    let headers = headers(sent);
    let claimed = Claimed {
        peer: "192.0.2.7:5000".parse().unwrap(),
        method: &Method::POST,
        path_and_query: "/",
        headers: &headers,
        body: None,
    };
    Identity::new(&config.identity).unwrap().needs_body(&claimed, NOW).map_err(|e| e.kind)
}

#[test]
fn no_body_is_read_for_a_head_that_proves_nothing_or_needs_none() {
    let config = config(&format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{}\"]", "s".repeat(32)));
    let shaped = base64::engine::general_purpose::STANDARD.encode([7; 32]);
    let signed = |user, stamp, signature| {
        [("x-user-id", user), ("x-signature-timestamp", stamp), ("x-signature", signature)]
    };
    assert_eq!(needs_body(&config, &signed("alice", "0", &shaped)), Ok(true));
    assert_eq!(
        needs_body(&config, &[("authorization", "Bearer impg_x")]),
        Ok(false),
        "a token is proof enough"
    );
    for (sent, kind) in [
        (&[][..], Kind::Unauthenticated),
        (&signed("alice", "61", &shaped)[..], Kind::Unauthenticated),
        (&signed("alice", "0", &shaped)[..2], Kind::Unauthenticated),
        (&signed("alice", "0", "AAAA")[..], Kind::InvalidParameter),
        (&signed("alice", "now", &shaped)[..], Kind::InvalidParameter),
        (&signed("a,b", "0", &shaped)[..], Kind::InvalidParameter),
        (&signed("alice", "0", &shaped)[1..], Kind::Unauthenticated),
    ] {
        assert_eq!(needs_body(&config, sent), Err(kind), "{sent:?}");
    }
}

#[tokio::test]
async fn a_trusted_peer_names_the_caller_and_their_roles() {
    let config = config(r#"trusted_peers = ["127.0.0.1"]"#);
    let sent = [("X-User-Id", "alice"), ("X-User-Roles", "support, staff")];
    let caller = ask(&config, "127.0.0.1:5000", &sent).await.unwrap();
    assert_eq!(caller.user_id, "alice");
    assert!(caller.require(Role::Support).is_ok() && caller.require(Role::User).is_ok());
    let refused = caller.require(Role::Gateway).unwrap_err();
    assert_eq!(refused.kind, Kind::Forbidden);
    assert_eq!(refused.detail, "this requires the role gateway; the caller has user, support");
}

#[tokio::test]
async fn nobody_is_nobody() {
    let config = config(r#"trusted_peers = ["127.0.0.1"]"#);
    for sent in [&[][..], &[("x-user-roles", "admin")]] {
        let refused = ask(&config, "127.0.0.1:5000", sent).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn x_forwarded_for_makes_nobody_trusted() {
    let config = config(r#"trusted_peers = ["127.0.0.1"]"#);
    for name in ["x-forwarded-for", "forwarded", "x-real-ip"] {
        let sent = [("x-user-id", "alice"), (name, "127.0.0.1")];
        let refused = ask(&config, "192.0.2.7:5000", &sent).await.unwrap_err();
        assert_eq!(refused.kind, Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_token_of_ours_is_looked_up_from_any_peer() {
    let config = config(r#"trusted_peers = ["127.0.0.1"]"#);
    let token = format!("Bearer impg_{}", "a".repeat(43));
    let answer = ask(&config, "192.0.2.7:5000", &[("authorization", &token)]).await.unwrap_err();
    assert_eq!(answer.kind, Kind::Unavailable, "it went as far as the database");
    let answer = ask(&config, "127.0.0.1:5000", &[("authorization", "Bearer impg_short")]).await.unwrap_err();
    assert_eq!(answer.kind, Kind::Unauthenticated);
}

#[tokio::test]
async fn a_token_that_cannot_be_checked_is_refused_and_not_ignored() {
    let hmac = format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{}\"]", "s".repeat(32));
    for overrides in [r#"trusted_peers = ["127.0.0.1"]"#, &hmac] {
        for sent in ["Bearer eyJhbGciOiJub25lIn0.e30.", "Basic YWxpY2U6cHc=", "alice", ""] {
            let sent = [("x-user-id", "alice"), ("authorization", sent)];
            let refused = ask(&config(overrides), "127.0.0.1:5000", &sent).await.unwrap_err();
            assert_eq!(refused.kind, Kind::Unauthenticated);
        }
    }
}

#[tokio::test]
async fn in_jwt_mode_headers_alone_prove_nothing() {
    let config = config(
        r#"
        identity_mode = "jwt"
        trusted_peers = ["127.0.0.1"]
        jwt_issuer = "https://gateway"
        jwt_audience = "im"
        jwt_jwks_url = "https://127.0.0.1:1/jwks"
        "#,
    );
    let refused = ask(&config, "127.0.0.1:5000", &[("x-user-id", "alice")]).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Unauthenticated);
    assert_eq!(needs_body(&config, &[("x-user-id", "alice")]), Ok(false));
}

#[tokio::test]
async fn in_hmac_mode_a_replay_that_cannot_be_ruled_out_is_refused() {
    let secret = "s".repeat(32);
    let config = config(&format!("identity_mode = \"hmac\"\nhmac_secrets = [\"{secret}\"]"));
    let text = format!(
        "v1\nGET\n/api/v1/conversations\n{}\nalice\n\n0",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    );
    let signature = hmac::tests::sign(&Secret::from(secret), &text);
    let sent = [("x-user-id", "alice"), ("x-signature-timestamp", "0"), ("x-signature", signature.as_str())];
    let answer = ask(&config, "192.0.2.7:5000", &sent).await.unwrap_err();
    assert_eq!(answer.kind, Kind::Unavailable, "the signature holds, but its first use cannot be noted");
    assert_eq!(needs_body(&config, &sent), Ok(true));
}

#[tokio::test]
async fn a_name_beyond_ascii_signs_in_by_headers() {
    let trusted = r#"trusted_peers = ["127.0.0.1"]"#;
    let zhang = "%E5%BC%A0%e4%b8%89";
    let rows = [
        ("ascii", "zs", Some("zs")),
        ("ascii", "张三", None),
        ("ascii", "100%", Some("100%")),
        ("ascii", zhang, Some(zhang)),
        ("utf-8", "张三", Some("张三")),
        ("utf-8", zhang, Some(zhang)),
        ("percent", zhang, Some("张三")),
        ("percent", "zs", Some("zs")),
        ("percent", "100%25", Some("100%")),
        ("percent", "%2561lice", Some("%61lice")),
        ("percent", "a+b", Some("a+b")),
        // What is not encoded, or hides what an id may not have.
        ("percent", "100%", None),
        ("percent", "a%4", None),
        ("percent", "%zz", None),
        ("percent", "%FF", None),
        ("percent", "张三", None),
        ("percent", "a%2Fb", None),
        ("percent", "a%00", None),
        ("percent", "a%2Cb", None),
        ("percent", "%6De", None),
    ];
    for (encoding, sent, user_id) in rows {
        let config = config(&format!("{trusted}\nidentity_user_encoding = \"{encoding}\""));
        let answer = ask(&config, "127.0.0.1:5000", &[("x-user-id", sent)]).await;
        let answer = answer.map(|caller| caller.user_id).map_err(|e| (e.kind, e.pointer));
        let refused = Err((Kind::InvalidParameter, Some("x-user-id".to_owned())));
        assert_eq!(answer, user_id.map(str::to_owned).map_or(refused, Ok), "{encoding}: {sent}");
    }
}

#[tokio::test]
async fn a_signature_is_over_the_name_as_it_was_sent() {
    let secret = "s".repeat(32);
    for (encoding, sent) in [("utf-8", "张三"), ("percent", "%E5%BC%A0%E4%B8%89")] {
        let config = config(&format!(
            "identity_mode = \"hmac\"\nhmac_secrets = [\"{secret}\"]\nidentity_user_encoding = \"{encoding}\""
        ));
        let text = format!(
            "v1\nGET\n/api/v1/conversations\n{}\n{sent}\n\n0",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        );
        let signature = hmac::tests::sign(&Secret::from(secret.clone()), &text);
        let sent = [("x-user-id", sent), ("x-signature-timestamp", "0"), ("x-signature", &signature)];
        let answer = ask(&config, "192.0.2.7:5000", &sent).await.unwrap_err();
        assert_eq!(answer.kind, Kind::Unavailable, "{encoding}: it holds, and went as far as the database");
    }
}

#[tokio::test]
async fn a_login_name_is_no_id_and_may_be_what_an_id_may_not() {
    let config = config("trusted_peers = [\"127.0.0.1\"]\nidentity_names = \"login_name\"");
    for name in ["zs/admin@CORP", "me", "."] {
        assert_eq!(ask(&config, "127.0.0.1:5000", &[("x-user-id", name)]).await.unwrap().user_id, name);
    }
    assert!(ask(&config, "127.0.0.1:5000", &[("x-user-id", "zs, admin")]).await.is_err());
}
