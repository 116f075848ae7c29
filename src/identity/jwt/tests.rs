mod endpoint;
mod rotation;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use self::endpoint::*;
use super::*;
use crate::base::config::Config;
use crate::base::error::Kind;
use crate::base::store::Store;
use crate::identity::headers::Watch;
use crate::identity::{Claimed, Identity, Proof};

#[tokio::test]
async fn rsa_ec_and_ed25519_tokens_are_believed() {
    let keys = [
        RSA.jwk(json!({"kid": "r"})),
        EC.jwk(json!({"kid": "e", "use": "sig"})),
        ED.jwk(json!({"kid": "d"})),
    ];
    let (endpoint, tokens) = Endpoint::start(&keys).await;
    for (pair, kid) in [(&*RSA, "r"), (&*EC, "e"), (&*ED, "d")] {
        let token =
            pair.sign(json!({"kid": kid, "typ": "at+JWT"}), &claims(json!({"roles": ["support", "staff"]})));
        let caller = tokens.caller(&token, at(0)).await.unwrap();
        assert_eq!((caller.user_id.as_str(), caller.roles.names()), ("alice", vec!["user", "support"]));
    }
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test]
async fn a_claim_names_people_in_any_script() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    for name in ["张三", "100%", "%61lice"] {
        let token = EC.sign(json!({}), &claims(json!({"sub": name})));
        assert_eq!(tokens.caller(&token, at(0)).await.unwrap().user_id, name);
    }
}

#[tokio::test]
async fn a_group_with_a_blank_in_its_name_gives_no_role() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    for (roles, given) in [
        (json!("IT admin"), vec!["user"]),
        (json!("openid admin"), vec!["user"]),
        (json!("IT admin, support"), vec!["user", "support"]),
    ] {
        let token = EC.sign(json!({}), &claims(json!({"roles": roles})));
        assert_eq!(tokens.caller(&token, at(0)).await.unwrap().roles.names(), given, "{roles}");
    }
}

#[tokio::test]
async fn wrong_or_missing_claims_are_refused() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    let refused = [
        json!({"iss": "https://gateway.example/"}),
        json!({"iss": [ISSUER, "https://evil.example"]}),
        json!({"iss": null}),
        json!({"aud": "other"}),
        json!({"aud": ["other", "im-push"]}),
        json!({"aud": null}),
        json!({"exp": null}),
        json!({"exp": "never"}),
        json!({"exp": TIME - 30}),
        json!({"nbf": TIME + 31}),
        json!({"nbf": "now"}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": 7}),
        json!({"sub": "a,b"}),
        json!({"sub": "a\nb"}),
        json!({"sub": "me"}),
        json!({"sub": "a/b"}),
        json!({"sub": "x".repeat(129)}),
    ];
    for changes in refused {
        let token = EC.sign(json!({}), &claims(changes.clone()));
        assert_eq!(kind(&tokens, &token).await, Kind::Unauthenticated, "{changes}");
    }
    for changes in [json!({"aud": ["other", AUDIENCE]}), json!({"exp": TIME - 29}), json!({"nbf": TIME + 30})]
    {
        let token = EC.sign(json!({}), &claims(changes.clone()));
        assert!(tokens.caller(&token, at(0)).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn alg_none_and_symmetric_tokens_are_refused() {
    let (endpoint, tokens) = Endpoint::start(&[RSA.jwk(json!({"kid": "r"}))]).await;
    let body = URL_SAFE_NO_PAD.encode(claims(json!({})).to_string());
    for alg in ["none", "None", "NONE", ""] {
        let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "r"}).to_string());
        for signature in ["", "AAAA"] {
            assert_eq!(kind(&tokens, &format!("{header}.{body}.{signature}")).await, Kind::Unauthenticated);
        }
    }
    // The public key as HMAC secret: what every library once fell for (CVE-2015-9235).
    let public = RSA.jwk(json!({}))["n"].as_str().unwrap().to_owned();
    for secret in [public.as_bytes(), &URL_SAFE_NO_PAD.decode(&public).unwrap()] {
        let header: Header = serde_json::from_value(json!({"alg": "HS256", "kid": "r"})).unwrap();
        let token = encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).unwrap();
        assert_eq!(kind(&tokens, &token).await, Kind::Unauthenticated);
    }
    assert_eq!(endpoint.asked(), 0, "an algorithm that is not allowed costs nothing");
}

#[tokio::test]
async fn the_algorithm_of_the_key_decides_not_the_tokens() {
    let oct = json!({"kty": "oct", "k": "AAAA", "kid": "k"});
    let keys =
        [RSA.jwk(json!({"kid": "k", "alg": "RS512"})), EC.jwk(json!({"kid": "enc", "use": "enc"})), oct];
    let (_endpoint, tokens) = Endpoint::start(&keys).await;
    for (pair, kid) in [(&*RSA, "k"), (&*EC, "k"), (&*ED, "k"), (&*EC, "enc")] {
        let token = pair.sign(json!({"kid": kid}), &claims(json!({})));
        assert_eq!(kind(&tokens, &token).await, Kind::Unauthenticated, "{kid}");
    }
}

#[tokio::test]
async fn keys_and_types_named_by_the_token_itself_are_not_followed() {
    let (_endpoint, tokens) = Endpoint::start(&[RSA.jwk(json!({"kid": "r"}))]).await;
    let own = OTHER_RSA.jwk(json!({"kid": "r"}));
    for header in [json!({"kid": "r", "jwk": own}), json!({"kid": "r", "jku": "http://127.0.0.1:1/keys"})] {
        let token = OTHER_RSA.sign(header, &claims(json!({})));
        assert_eq!(kind(&tokens, &token).await, Kind::Unauthenticated);
    }
    for header in [json!({"crit": ["b64"]}), json!({"typ": "logout+jwt"}), json!({"typ": "dpop+jwt"})] {
        let token = RSA.sign(merged(json!({"kid": "r"}), header), &claims(json!({})));
        assert_eq!(kind(&tokens, &token).await, Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn oversized_and_broken_tokens_are_refused() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    let token = EC.sign(json!({}), &claims(json!({})));
    let (rest, signature) = token.rsplit_once('.').unwrap();
    let padded = EC.sign(json!({}), &claims(json!({"pad": "x".repeat(20_000)})));
    let forged = format!("{rest}.{}", URL_SAFE_NO_PAD.encode([0; 64]));
    for broken in
        [padded, forged, rest.to_owned(), format!("{rest}.{signature}A"), format!("{token}.x"), "..".into()]
    {
        assert_eq!(kind(&tokens, &broken).await, Kind::Unauthenticated);
    }
}

#[tokio::test]
async fn every_key_that_fits_is_tried() {
    // Two keys under one kid, and tokens that name no key at all.
    let keys =
        [RSA.jwk(json!({"kid": "k"})), OTHER_RSA.jwk(json!({"kid": "k"})), EC.jwk(json!({"kid": "e"}))];
    let (endpoint, tokens) = Endpoint::start(&keys).await;
    for (pair, header) in [
        (&*RSA, json!({"kid": "k"})),
        (&*OTHER_RSA, json!({"kid": "k"})),
        (&*RSA, json!({})),
        (&*OTHER_RSA, json!({})),
        (&*EC, json!({})),
    ] {
        let token = pair.sign(header.clone(), &claims(json!({})));
        assert!(tokens.caller(&token, at(0)).await.is_ok(), "{header}");
    }
    assert_eq!(kind(&tokens, &ED.sign(json!({"kid": "k"}), &claims(json!({})))).await, Kind::Unauthenticated);
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test]
async fn a_key_replaced_under_its_kid_is_asked_for_once_a_pause() {
    let (endpoint, tokens) = Endpoint::start(&[RSA.jwk(json!({"kid": "k"}))]).await;
    let old = RSA.sign(json!({"kid": "k"}), &claims(json!({})));
    assert!(tokens.caller(&old, at(0)).await.is_ok());
    endpoint.serve_keys(&[OTHER_RSA.jwk(json!({"kid": "k"}))]);
    let new = OTHER_RSA.sign(json!({"kid": "k"}), &claims(json!({})));
    for _ in 0..3 {
        assert_eq!(tokens.caller(&new, at(1)).await.unwrap_err().kind, Kind::Unauthenticated);
    }
    assert_eq!(endpoint.asked(), 1, "any client can cause a fetch: not within the pause");
    assert!(tokens.caller(&new, at(60)).await.is_ok());
    assert_eq!(tokens.caller(&old, at(60)).await.unwrap_err().kind, Kind::Unauthenticated);
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test]
async fn a_token_with_hundreds_of_groups_is_read_and_one_beyond_the_setting_is_called_too_long() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    let groups = |n: usize| (0..n).map(|i| format!("01234567-89ab-cdef-0123-{i:012}")).collect::<Vec<_>>();
    let mut roles = groups(250);
    roles.push("support".to_owned());
    let token = EC.sign(json!({}), &claims(json!({"roles": roles})));
    assert!(token.len() > 8 * 1024);
    assert_eq!(tokens.caller(&token, at(0)).await.unwrap().roles.names(), ["user", "support"]);
    let token = EC.sign(json!({}), &claims(json!({"roles": groups(1_000)})));
    let refused = tokens.caller(&token, at(0)).await.unwrap_err();
    assert_eq!(refused.kind, Kind::Unauthenticated);
    assert!(refused.detail.contains("too long") && refused.detail.contains("jwt_max_bytes"), "{refused}");
}

#[test]
fn a_claim_is_found_by_name_or_path() {
    let Value::Object(claims) = json!({"a": {"b": {"c": 1}}, "a.b": 2, "https://x.y/roles": 3}) else {
        panic!()
    };
    let at = |name| claim(&claims, name).and_then(Value::as_i64);
    assert_eq!(
        [at("a.b.c"), at("a.b"), at("https://x.y/roles"), at("a.c")],
        [Some(1), Some(2), Some(3), None]
    );
}

#[test]
fn settings_that_prove_nothing_do_not_start() {
    let url = "jwt_jwks_url = \"https://gateway.example/jwks\"\n";
    assert!(tokens(url).is_ok());
    for broken in ["HS256", "RS256,HS512", "none", "", "ES512", "rs256"] {
        let problem = tokens(&format!("{url}jwt_algorithms = \"{broken}\"")).err().unwrap();
        assert!(problem.to_string().contains("jwt_algorithms"), "{broken}");
    }
    for broken in
        ["jwt_jwks_url = \"\"", "jwt_jwks_url = \"file:///etc/keys\"", "jwt_jwks_url = \"gateway/jwks\""]
    {
        assert!(tokens(broken).is_err(), "{broken}");
    }
    assert!(tokens(&format!("{url}jwt_refresh_ms = 0")).is_err());
    for key in ["jwt_issuer", "jwt_audience", "jwt_user_claim"] {
        let mut config = Config::from_toml(&format!(
            "database_url = \"postgresql://\"\njwt_issuer = \"i\"\njwt_audience = \"a\"\n{url}"
        ))
        .unwrap();
        match key {
            "jwt_issuer" => config.identity.jwt_issuer.clear(),
            "jwt_audience" => config.identity.jwt_audience.clear(),
            _ => config.identity.jwt_user_claim.clear(),
        }
        assert!(Tokens::new(&config.identity).err().unwrap().to_string().contains(key));
    }
}

#[tokio::test]
async fn headers_that_disagree_with_the_token_are_refused() {
    let (_endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({}))]).await;
    let text = "database_url = \"postgresql://none@127.0.0.1:1/none\"\nidentity_mode = \"jwt\"\n\
                identity_roles_header = \"x-user-roles\"";
    let config = Config::from_toml(text).unwrap();
    let identity = Identity { watch: Watch::new(&config.identity).unwrap(), proof: Proof::Jwt(tokens) };
    let store = Store::new(&config).unwrap();
    let token = format!("Bearer {}", EC.sign(json!({}), &claims(json!({}))));
    for (name, value, believed) in [
        ("accept", "*/*", true),
        ("x-user-id", "alice", true),
        ("x-user-id", "bob", false),
        ("x-user-roles", "admin", false),
    ] {
        let headers = [("authorization", token.as_str()), (name, value)];
        let headers = headers.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let headers = http::HeaderMap::from_iter(headers);
        let peer = "192.0.2.7:1".parse().unwrap();
        let method = &http::Method::GET;
        let claimed = Claimed { peer, method, path_and_query: "/", headers: &headers, body: None };
        let answer = identity.caller(&store, claimed, at(0)).await.map_err(|e| e.kind);
        assert_eq!(answer.is_ok(), believed, "{name}: {value}");
        assert!(believed || answer == Err(Kind::Unauthenticated));
    }
}
