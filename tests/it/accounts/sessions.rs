//! Sessions: refreshed, listed, ended, and what a token that is used twice does.

use serde_json::{Value, json};

use super::*;

/// Whether an access token works.
async fn works(app: &TestApp, grant: &Value) -> bool {
    match with(app, grant).get("/users/me").await.status {
        200 => true,
        401 => false,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_refresh_token_is_exchanged_and_a_lost_answer_is_given_again() {
    let app = open_with("account_refresh_grace_ms = 0").await;
    register(&app, "lisi").await;
    let first = sign_in(&app, "lisi").await;
    let second = refresh(&app, &first).await.expect(200);
    assert_ne!(second["refresh_token"], first["refresh_token"]);
    assert_eq!(second["session_id"], first["session_id"]);
    // The answer was lost: nobody has used what came with it.
    for _ in 0..3 {
        let again = refresh(&app, &first).await.expect(200);
        assert_eq!(again["refresh_token"], second["refresh_token"]);
    }
    assert!(works(&app, &first).await, "an access token lives on after a refresh");
    assert_eq!(refresh(&app, &first).await.expect(200)["refresh_token"], second["refresh_token"]);
    // The answer has arrived: the old token is no longer needed by anybody honest.
    assert!(works(&app, &second).await);
    refresh(&app, &first).await.expect_problem(401, "unauthenticated");
    for grant in [&first, &second] {
        assert!(!works(&app, grant).await, "the session has ended for both who had the token");
        refresh(&app, grant).await.expect_problem(401, "unauthenticated");
    }
    let reused =
        "SELECT count(*) FROM t_im_audit WHERE action = 'session-reused' AND filter ->> 'session_id' = $1";
    assert_eq!(app.count(reused, &[&text(&first["session_id"])]).await, 1);
}

#[tokio::test]
async fn an_old_token_ends_its_session_and_no_other() {
    let app = open_with("account_refresh_grace_ms = 600000").await;
    register(&app, "lisi").await;
    let (other, first) = (sign_in(&app, "lisi").await, sign_in(&app, "lisi").await);
    let second = refresh(&app, &first).await.expect(200);
    let third = refresh(&app, &second).await.expect(200);
    // The thief comes with the token before the one before, in whatever time.
    refresh(&app, &first).await.expect_problem(401, "unauthenticated");
    assert!(!works(&app, &third).await && works(&app, &other).await);
    refresh(&app, &third).await.expect_problem(401, "unauthenticated");
    refresh(&app, &other).await.expect(200);
}

#[tokio::test]
async fn after_a_restore_a_client_that_has_refreshed_since_stays_and_an_old_token_still_ends_the_session() {
    let app = open_with("account_refresh_grace_ms = 0").await;
    register(&app, "lisi").await;
    let first = sign_in(&app, "lisi").await;
    assert!(works(&app, &first).await);
    app.sql().await.batch_execute("CREATE TABLE backup AS SELECT * FROM t_im_session").await.unwrap();
    let mut grants = vec![first];
    for _ in 0..3 {
        let next = refresh(&app, grants.last().unwrap()).await.expect(200);
        assert!(works(&app, &next).await);
        grants.push(next);
    }
    let restore = "DELETE FROM t_im_session; INSERT INTO t_im_session SELECT * FROM backup";
    app.sql().await.batch_execute(restore).await.unwrap();
    assert!(works(&app, &grants[3]).await, "the session is there");
    let after = refresh(&app, &grants[3]).await.expect(200);
    // Also while that answer is lost.
    assert_eq!(refresh(&app, &grants[3]).await.expect(200)["refresh_token"], after["refresh_token"]);
    assert!(works(&app, &after).await);
    assert_eq!(app.count("SELECT generation::bigint FROM t_im_session", &[]).await, 4);
    let reused = "SELECT count(*) FROM t_im_audit WHERE action = 'session-reused'";
    assert_eq!(app.count(reused, &[]).await, 0);
    // A token that was exchanged before is in two hands, as ever.
    refresh(&app, &grants[2]).await.expect_problem(401, "unauthenticated");
    assert_eq!(app.count(reused, &[]).await, 1);
    assert!(!works(&app, &after).await);
}

#[tokio::test]
async fn two_refreshes_at_once_get_the_same_token() {
    let app = open().await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let answers = futures_util::future::join_all((0..8).map(|_| refresh(&app, &grant))).await;
    let tokens: Vec<Value> =
        answers.into_iter().map(|answer| answer.expect(200)["refresh_token"].clone()).collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]), "{tokens:?}");
    let newest = json!({"refresh_token": tokens[0]});
    stranger(&app).post("/users/refresh", newest).await.expect(200);
    assert_eq!(app.count("SELECT generation::bigint FROM t_im_session", &[]).await, 2);
}

#[tokio::test]
async fn a_made_up_token_ends_nothing() {
    let app = open().await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let token = text(&grant["refresh_token"]);
    let mut swapped = token.clone().into_bytes();
    let place = swapped.len() - 30;
    swapped[place] = if swapped[place] == b'A' { b'B' } else { b'A' };
    let swapped = String::from_utf8(swapped).unwrap();
    for made_up in ["", "imrt_", "imrt_AAAA", &swapped, &token[..token.len() - 1], &format!("{token}A")] {
        let answer = stranger(&app).post("/users/refresh", json!({"refresh_token": made_up})).await;
        answer.expect_problem(401, "unauthenticated");
        stranger(&app).post("/users/logout", json!({"refresh_token": made_up})).await.expect(204);
    }
    // An access token is no refresh token, and the other way round.
    let access = json!({"refresh_token": grant["access_token"]});
    stranger(&app).post("/users/refresh", access).await.expect_problem(401, "unauthenticated");
    let bearer = format!("Bearer {token}");
    stranger(&app)
        .with_header("authorization", &bearer)
        .get("/users/me")
        .await
        .expect_problem(401, "unauthenticated");
    assert!(works(&app, &grant).await);
    refresh(&app, &grant).await.expect(200);
}

#[tokio::test]
async fn a_stolen_access_token_is_worth_nothing_after_the_sign_out_on_any_replica() {
    let app = open().await;
    let second = TestApp::start_on(app.database.clone(), OPEN).await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    assert!(works(&app, &grant).await && works(&second, &grant).await, "replicas share the key");
    let thief = with(&second, &grant);
    stranger(&app).post("/users/logout", json!({"refresh_token": grant["refresh_token"]})).await.expect(204);
    thief.get("/users/me").await.expect_problem(401, "unauthenticated");
    thief.get("/conversations").await.expect_problem(401, "unauthenticated");
    thief
        .post("/channels", json!({"type": "group", "members": []}))
        .await
        .expect_problem(401, "unauthenticated");
    assert!(!works(&app, &grant).await);
    refresh(&second, &grant).await.expect_problem(401, "unauthenticated");
    stranger(&app).post("/users/logout", json!({"refresh_token": grant["refresh_token"]})).await.expect(204);
}

#[tokio::test]
async fn people_see_their_sessions_and_end_them() {
    let app = open_with("account_sessions_max = 3\nstream_heartbeat_ms = 50").await;
    register(&app, "lisi").await;
    register(&app, "zhangsan").await;
    let login = json!({"username": "lisi", "password": PASSWORD, "device": "phone"});
    let phone = at(&app, "2001:db8::7").post("/users/login", login).await.expect(200);
    let (desk, zhang) = (sign_in(&app, "lisi").await, sign_in(&app, "zhangsan").await);
    let listed = with(&app, &desk).get("/users/me/sessions").await.expect(200);
    let items = listed["items"].as_array().unwrap();
    let shown: Vec<_> = items.iter().map(|one| (&one["session_id"], &one["current"])).collect();
    assert_eq!(shown, [(&desk["session_id"], &json!(true)), (&phone["session_id"], &json!(false))]);
    assert_eq!((&items[1]["device"], &items[1]["address"]), (&json!("phone"), &json!("2001:db8::")));

    let of_phone = format!("/users/me/sessions/{}", text(&phone["session_id"]));
    with(&app, &zhang).delete(&of_phone).await.expect_problem(404, "not-found");
    let mut stream = with(&app, &phone).listen(None).await;
    with(&app, &desk).delete(&of_phone).await.expect(204);
    with(&app, &desk).delete(&of_phone).await.expect_problem(404, "not-found");
    assert!(!works(&app, &phone).await);
    while stream.next().await.is_some() {}

    let mut more = Vec::new();
    for _ in 0..3 {
        more.push(sign_in(&app, "lisi").await);
    }
    assert!(!works(&app, &desk).await, "one session too many ends the oldest");
    with(&app, &more[0]).delete("/users/me/sessions").await.expect(204);
    assert!(works(&app, &more[0]).await && !works(&app, &more[1]).await && !works(&app, &more[2]).await);
    with(&app, &more[0]).delete("/users/me/sessions/current").await.expect(204);
    assert!(!works(&app, &more[0]).await && works(&app, &zhang).await);
}

#[tokio::test]
async fn a_second_sign_in_is_refused_while_the_first_is_in_use_and_a_crashed_client_keeps_nobody_out() {
    let app = open_with("account_single_session = \"refuse\"").await;
    register(&app, "lisi").await;
    // The answer is lost: the user signs in again, and that session alone is there.
    let lost = sign_in(&app, "lisi").await;
    let first = sign_in(&app, "lisi").await;
    assert!(!works(&app, &lost).await && works(&app, &first).await);
    let second = json!({"username": "lisi", "password": PASSWORD});
    stranger(&app).post("/users/login", second.clone()).await.expect_problem(409, "already-online");
    let wrong = json!({"username": "lisi", "password": "a wrong guess"});
    stranger(&app).post("/users/login", wrong).await.expect_problem(401, "wrong-credentials");
    assert!(works(&app, &first).await);
    // The client is gone without a word.
    let silent = "UPDATE t_im_session SET last_seen_at = last_seen_at - interval '16 minutes'";
    app.sql().await.batch_execute(silent).await.unwrap();
    let second = stranger(&app).post("/users/login", second).await.expect(200);
    assert!(!works(&app, &first).await && works(&app, &second).await);
    // A refresh whose answer is lost leaves the session in use.
    refresh(&app, &second).await.expect(200);
    login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(409, "already-online");
    // Of two at once, one stays signed in.
    with(&app, &second).delete("/users/me/sessions/current").await.expect(204);
    let device = stranger(&app);
    let both = tokio::join!(login(&device, "lisi", PASSWORD), login(&device, "lisi", PASSWORD));
    let (one, other) = (both.0.expect(200), both.1.expect(200));
    assert_eq!(app.count("SELECT count(*) FROM t_im_session", &[]).await, 1);
    assert_ne!(works(&app, &one).await, works(&app, &other).await);

    let app = open_with("account_single_session = \"replace\"").await;
    register(&app, "lisi").await;
    let (first, second) = (sign_in(&app, "lisi").await, sign_in(&app, "lisi").await);
    assert!(!works(&app, &first).await && works(&app, &second).await);
}

#[tokio::test]
async fn another_password_ends_the_other_sessions() {
    let app = open().await;
    register(&app, "lisi").await;
    let (here, there) = (sign_in(&app, "lisi").await, sign_in(&app, "lisi").await);
    let me = with(&app, &here);
    let change = |old: &str, new: &str| json!({"password": old, "new_password": new});
    me.put("/users/me/password", change("a wrong guess", "another horse"))
        .await
        .expect_problem(401, "wrong-credentials");
    let problem = me
        .put("/users/me/password", change(PASSWORD, "password1"))
        .await
        .expect_problem(422, "invalid-field");
    assert_eq!(problem["pointer"], "/new_password");
    assert!(works(&app, &there).await, "nothing has changed");
    me.put("/users/me/password", change(PASSWORD, "another horse")).await.expect(204);
    assert!(works(&app, &here).await && !works(&app, &there).await);
    refresh(&app, &there).await.expect_problem(401, "unauthenticated");
    login(&stranger(&app), "lisi", PASSWORD).await.expect_problem(401, "wrong-credentials");
    login(&stranger(&app), "lisi", "another horse").await.expect(200);
}

#[tokio::test]
async fn expired_sessions_are_over_and_go_away() {
    let mut app = open().await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    let over = "UPDATE t_im_session SET expires_at = now() - interval '1 second'";
    app.sql().await.batch_execute(over).await.unwrap();
    assert!(!works(&app, &grant).await);
    refresh(&app, &grant).await.expect_problem(401, "unauthenticated");
    // Housekeeping begins with the service.
    app.halt().await;
    app.run().await;
    app.until("SELECT count(*) FROM t_im_session", 0).await;
}

#[tokio::test]
async fn a_request_waits_for_the_account_before_it_touches_the_session() {
    let app = open().await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    // A suspension or a sign-in has locked the account, and goes on to the sessions.
    let mut other = app.sql().await;
    let tx = other.transaction().await.unwrap();
    tx.execute("SELECT FROM t_im_account FOR UPDATE", &[]).await.unwrap();
    let request = with(&app, &grant);
    let ask = request.get("/users/me");
    let wait_and_end = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
                     AND wait_event_type = 'Lock' AND query LIKE '%t_im_session%'";
        app.until(waits, 1).await;
        assert_eq!(tx.execute("DELETE FROM t_im_session", &[]).await.unwrap(), 1, "no deadlock");
        tx.commit().await.unwrap();
    };
    let (answer, ()) = tokio::join!(ask, wait_and_end);
    assert_eq!(answer.status, 200, "the session was there when the request came");
    assert!(!works(&app, &grant).await);
}

#[tokio::test]
async fn that_somebody_was_here_is_written_seldom() {
    let app = open().await;
    register(&app, "lisi").await;
    let grant = sign_in(&app, "lisi").await;
    // The first use is written at once.
    assert!(works(&app, &grant).await);
    // A second ago and five minutes ago.
    let seen = async |ago: &str| {
        let set = format!("UPDATE t_im_session SET last_seen_at = now() - interval '{ago}'");
        app.sql().await.batch_execute(&set).await.unwrap();
        let set = "UPDATE t_im_account SET last_seen_at = now() - interval '1 hour'";
        app.sql().await.batch_execute(set).await.unwrap();
        for _ in 0..5 {
            assert!(works(&app, &grant).await);
        }
        let recent = "SELECT count(*) FROM t_im_account WHERE last_seen_at > now() - interval '10 minutes'";
        app.count(recent, &[]).await
    };
    assert_eq!(seen("1 minute").await, 0);
    assert_eq!(seen("6 minutes").await, 1);
}
