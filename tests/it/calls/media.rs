//! Sound and pictures: credentials that the real coturn takes, tokens for a room, and two people in Chromium who see each other.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};

use super::{LISTENING, act, only, open, ring};
use crate::app::{TestApp, text};
use crate::support::turn_server::TURN_SECRET;
use crate::support::{TurnServer, run_script};

fn with(turn: &TurnServer) -> String {
    format!("turn_urls = [\"stun:stun.example.com\", \"{}\"]\nturn_secret = \"{TURN_SECRET}\"", turn.url())
}

/// The username and the credential for the TURN server.
fn credentials(joined: &Value) -> (String, String) {
    let server = &joined["ice_servers"][1];
    (text(&server["username"]), text(&server["credential"]))
}

#[tokio::test]
async fn coturn_takes_the_credentials_of_a_user_until_they_expire_and_no_others() {
    let turn = TurnServer::start().await;
    let mut app = TestApp::start_with(&with(&turn)).await;
    let user = "zhang san@x";
    app.people(&["a", user]).await;
    let direct = app.direct("a", user).await;
    let begun =
        app.person("a").post("/calls", json!({"channel_id": direct, "media": "audio"})).await.expect(201);
    assert_eq!(begun["ice_servers"][0], json!({"urls": ["stun:stun.example.com"]}));
    assert_eq!(begun["ice_servers"][1]["urls"], json!([turn.url()]));
    let (username, credential) = credentials(&begun);
    assert!(username.ends_with(":a"), "{username}");
    assert!(turn.takes(&username, &credential).await);
    // Of a later time, or of another user, they are another's.
    assert!(!turn.takes(&format!("9{username}"), &credential).await);
    assert!(!turn.takes(&username, "d3Jvbmc=").await);
    // Characters that a username of coturn cannot have.
    let call = text(&begun["call_id"]);
    let path = format!("/calls/{call}/accept");
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let encoded = format!("{}/api/v1{path}", app.base);
    let named = http.post(encoded).header("x-user-id", "zhang san@x").send().await.expect("an answer");
    let accepted: Value = named.json().await.expect("JSON");
    let (username, credential) = credentials(&accepted);
    assert!(username.ends_with(":zhang%20san%40x"), "{username}");
    assert!(turn.takes(&username, &credential).await);
    app.set("turn_credentials_ms", "1");
    app.halt().await;
    app.run().await;
    let expired = app.person("a").get(&format!("/calls/{call}/ice-servers")).await.expect(200);
    let (username, credential) = credentials(&expired);
    // It counts to the second.
    app.until("SELECT count(*) FROM (SELECT pg_sleep(1)) AS slept", 1).await;
    assert!(!turn.takes(&username, &credential).await);
}

#[tokio::test]
async fn a_token_for_the_room_of_the_call_is_for_those_who_are_in_it() {
    let settings = "livekit_url = \"wss://livekit.example.com\"\nlivekit_api_key = \"key\"\nlivekit_api_secret = \"a secret of more than thirty-two characters\"";
    let app = TestApp::start_with(settings).await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let call = ring(&app, "a", &group).await;
    let seen = app.person("b").get(&format!("/calls/{call}")).await.expect(200);
    assert!(seen["livekit"].is_null(), "{seen}");
    let accepted = act(&app, "b", &call, "accept").await.expect(200);
    assert_eq!(accepted["livekit"]["url"], "wss://livekit.example.com");
    let mut rules = Validation::new(Algorithm::HS256);
    rules.set_issuer(&["key"]);
    let key = DecodingKey::from_secret(b"a secret of more than thirty-two characters");
    let token = text(&accepted["livekit"]["token"]);
    let claims = decode::<Value>(&token, &key, &rules).expect("a token that counts").claims;
    assert_eq!(claims["sub"], "b");
    let wanted = json!({"room": call, "roomJoin": true, "canPublish": true, "canSubscribe": true, "canPublishData": true});
    assert_eq!(claims["video"], wanted);
    app.person("c").get(&format!("/calls/{call}/ice-servers")).await.expect_problem(409, "conflict");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_pages_of_chromium_see_each_other_through_coturn_and_others_are_kept_out() {
    let turn = TurnServer::start().await;
    let app = TestApp::start_with(&with(&turn)).await;
    app.people(&["wang", "li", "anna", "mallory"]).await;
    let group = app.group(&["wang", "li", "anna"]).await;
    // The replica hears of signals before the pages make some.
    let _listening = open(&app, "anna").await;
    app.until(LISTENING, 1).await;
    let plan = json!({"base": app.base, "channel": group, "caller": "wang", "called": "li", "member": "anna", "outside": "mallory"});
    let found = run_script("call", &plan).await;
    for who in ["caller", "called"] {
        assert!(found[who]["frames"].as_u64().is_some_and(|frames| frames > 0), "{found}");
        assert!(found[who]["picture"]["width"].as_u64().is_some_and(|width| width > 0), "{found}");
        assert_eq!(found[who]["local"], "relay", "{found}");
    }
    assert_eq!((&found["member_signals"], &found["outside_signals"]), (&json!(409), &json!(404)));
    assert_eq!(found["outside_accepts"], 404);
    assert_eq!(
        found["member_heard"],
        json!(["call.ringing", "call.accepted", "call.ended", "message.created"])
    );
    assert_eq!(found["outside_heard"], json!([]));
    let message = only(&app, "anna", &group).await;
    assert_eq!((&message["content"], &message["content"]["outcome"]), (&found["message"], &json!("ended")));
}
