//! Keys come, change and go.

use axum::http::StatusCode;

use super::*;

#[tokio::test]
async fn a_rotated_key_is_fetched_once_a_pause() {
    let (endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({"kid": "old"}))]).await;
    let old = EC.sign(json!({"kid": "old"}), &claims(json!({})));
    let new = RSA.sign(json!({"kid": "new"}), &claims(json!({})));
    assert!(tokens.caller(&old, at(0)).await.is_ok());
    endpoint.serve_keys(&[EC.jwk(json!({"kid": "old"})), RSA.jwk(json!({"kid": "new"}))]);
    for _ in 0..5 {
        assert!(tokens.caller(&new, at(29)).await.is_err());
    }
    assert_eq!(endpoint.asked(), 1, "there is no fetch within the pause");
    assert!(tokens.caller(&new, at(30)).await.is_ok());
    assert!(tokens.caller(&old, at(31)).await.is_ok());
    assert_eq!(endpoint.asked(), 2);
}

#[tokio::test]
async fn refreshes_at_once_are_one() {
    let (endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({"kid": "e"}))]).await;
    let token = EC.sign(json!({"kid": "e"}), &claims(json!({})));
    let callers = futures_util::future::join_all((0..20).map(|_| tokens.caller(&token, at(0)))).await;
    assert!(callers.iter().all(Result::is_ok));
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_stop_the_fetch() {
    let (endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({"kid": "e"}))]).await;
    let token = EC.sign(json!({"kid": "e"}), &claims(json!({})));
    let hasty = tokio::time::timeout(std::time::Duration::from_millis(5), tokens.caller(&token, at(0))).await;
    assert!(hasty.is_err());
    assert!(tokens.caller(&token, at(0)).await.is_ok());
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test]
async fn stale_keys_stay_while_the_endpoint_fails() {
    let (endpoint, tokens) = Endpoint::start(&[EC.jwk(json!({"kid": "e"}))]).await;
    let token = EC.sign(json!({"kid": "e"}), &claims(json!({"exp": TIME + 100_000})));
    let unknown = RSA.sign(json!({"kid": "r"}), &claims(json!({"exp": TIME + 100_000})));
    assert!(tokens.caller(&token, at(0)).await.is_ok());
    let evil = json!({"keys": [RSA.jwk(json!({"kid": "r"}))], "pad": "x".repeat(300_000)}).to_string();
    let failures = [
        (StatusCode::INTERNAL_SERVER_ERROR, json!({"keys": [RSA.jwk(json!({"kid": "r"}))]}).to_string()),
        (StatusCode::FOUND, String::new()),
        (StatusCode::OK, "<html>".to_owned()),
        (StatusCode::OK, json!({"keys": []}).to_string()),
        (StatusCode::OK, evil),
    ];
    for (number, (status, body)) in failures.into_iter().enumerate() {
        endpoint.serve(status, body);
        let now = at(1_000 * (i64::try_from(number).unwrap() + 1));
        assert_eq!(tokens.caller(&unknown, now).await.unwrap_err().kind, Kind::Unauthenticated);
        assert!(tokens.caller(&token, now).await.is_ok(), "{status}");
    }
    assert_eq!(endpoint.asked(), 6, "no redirect was followed");
}

#[tokio::test]
async fn without_any_key_callers_are_told_to_come_again() {
    let (endpoint, tokens) = Endpoint::start(&[]).await;
    let token = EC.sign(json!({"kid": "e"}), &claims(json!({})));
    assert_eq!(kind(&tokens, &token).await, Kind::Unavailable);
    endpoint.serve_keys(&[EC.jwk(json!({"kid": "e"}))]);
    assert_eq!(kind(&tokens, &token).await, Kind::Unavailable);
    assert!(tokens.caller(&token, at(1)).await.is_ok(), "with no key the pause is a second");
}

#[tokio::test]
async fn a_key_taken_out_of_the_set_loses_its_power() {
    let (endpoint, tokens) =
        Endpoint::start(&[EC.jwk(json!({"kid": "e"})), RSA.jwk(json!({"kid": "r"}))]).await;
    let stolen = EC.sign(json!({"kid": "e"}), &claims(json!({"exp": TIME + 100_000})));
    assert!(tokens.caller(&stolen, at(0)).await.is_ok());
    endpoint.serve_keys(&[RSA.jwk(json!({"kid": "r"}))]);
    assert!(tokens.caller(&stolen, at(600)).await.is_ok(), "the one that noticed is not kept waiting");
    while tokens.caller(&stolen, at(601)).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(endpoint.asked(), 2);
}
