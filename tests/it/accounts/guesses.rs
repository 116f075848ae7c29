//! Guessed passwords, stuffed ones, and what answers tell about who has an account.

use std::sync::Arc;

use im_push_gateway::accounts::{Accounts, SignIn};
use im_push_gateway::base::error::Kind;
use im_push_gateway::identity::Identity;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::*;

#[tokio::test]
async fn guesses_at_one_password_are_slowed_down_and_do_not_lock_the_owner_out() {
    let app = open_with("account_attempts = 3\naccount_attempt_every_ms = 3600000").await;
    register(&app, "lisi").await;
    let (owner, thief) = (at(&app, "198.51.100.7"), at(&app, "203.0.113.9"));
    login(&owner, "lisi", PASSWORD).await.expect(200);
    for _ in 0..3 {
        login(&thief, "lisi", "a wrong guess").await.expect_problem(401, "wrong-credentials");
    }
    let refused = login(&thief, "LiSi", "a wrong guess").await;
    let seconds: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=3_600).contains(&seconds), "{seconds}");
    refused.expect_problem(429, "rate-limited");
    // From any address without a session of the owner, whatever is sent: the guesses are of one username.
    login(&at(&app, "203.0.113.10"), "lisi", PASSWORD).await.expect_problem(429, "rate-limited");
    login(&owner, "lisi", PASSWORD).await.expect(200);
    // A name without an account is slowed down alike.
    for _ in 0..3 {
        login(&thief, "nobody", "a wrong guess").await.expect_problem(401, "wrong-credentials");
    }
    login(&thief, "nobody", "a wrong guess").await.expect_problem(429, "rate-limited");
    // Right passwords cost nothing.
    for _ in 0..5 {
        login(&owner, "lisi", PASSWORD).await.expect(200);
    }
}

#[tokio::test]
async fn many_guesses_at_once_are_not_more_guesses() {
    let app = open_with("account_attempts = 3\naccount_attempt_every_ms = 3600000").await;
    register(&app, "lisi").await;
    let thief = at(&app, "203.0.113.9");
    let guesses = (0..20).map(|_| login(&thief, "lisi", "a wrong guess"));
    let answers = futures_util::future::join_all(guesses).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 401).count(), 3);
    assert_eq!(answers.iter().filter(|answer| answer.status == 429).count(), 17);
}

#[tokio::test]
async fn stuffing_from_one_address_is_slowed_down_over_all_names() {
    let app = open_with("account_address_attempts = 5\naccount_address_attempt_every_ms = 3600000").await;
    let thief = at(&app, "203.0.113.9");
    for guess in 0..5 {
        login(&thief, &format!("user{guess}"), "a wrong guess")
            .await
            .expect_problem(401, "wrong-credentials");
    }
    login(&thief, "another", "a wrong guess").await.expect_problem(429, "rate-limited");
    // What the client itself writes before the proxy's address changes nothing.
    let cunning = at(&app, "198.51.100.1, 203.0.113.9");
    login(&cunning, "another", "a wrong guess").await.expect_problem(429, "rate-limited");
    login(&at(&app, "198.51.100.7"), "user0", "a wrong guess").await.expect_problem(401, "wrong-credentials");
}

#[tokio::test]
async fn an_office_behind_one_address_is_not_locked_out_by_right_calls_nor_by_wrong_tokens() {
    let limits = "account_address_attempts = 3\naccount_address_attempt_every_ms = 3600000\n\
                  account_address_token_attempts = 4\naccount_address_token_attempt_every_ms = 3600000";
    let app = open_with(limits).await;
    register(&app, "lisi").await;
    let office = at(&app, "198.51.100.7");
    let token = |grant: &Value| json!({"refresh_token": grant["refresh_token"]});
    let mut grant = login(&office, "lisi", PASSWORD).await.expect(200);
    for _ in 0..10 {
        grant = office.post("/users/refresh", token(&grant)).await.expect(200);
        let other = login(&office, "lisi", PASSWORD).await.expect(200);
        office.post("/users/logout", token(&other)).await.expect(204);
    }
    // Wrong tokens use up a limit of their own, and people sign in all the same.
    for _ in 0..3 {
        let guess = json!({"refresh_token": "imrt_guess"});
        office.post("/users/refresh", guess).await.expect_problem(401, "unauthenticated");
    }
    office.post("/users/logout", json!({"refresh_token": "imrt_guess"})).await.expect(204);
    office.post("/users/refresh", token(&grant)).await.expect_problem(429, "rate-limited");
    office.post("/users/logout", token(&grant)).await.expect_problem(429, "rate-limited");
    let code = json!({"username": "lisi", "code": "imrc_guess", "password": PASSWORD});
    office.post("/users/password-reset", code).await.expect_problem(429, "rate-limited");
    login(&office, "lisi", PASSWORD).await.expect(200);
    // Wrong passwords count.
    for guess in 0..3 {
        login(&office, &format!("user{guess}"), "a wrong guess")
            .await
            .expect_problem(401, "wrong-credentials");
    }
    login(&office, "lisi", PASSWORD).await.expect_problem(429, "rate-limited");
}

#[tokio::test]
async fn a_site_of_ipv6_does_not_guess_from_each_of_its_networks() {
    let app = open_with("account_address_attempts = 1\naccount_address_attempt_every_ms = 3600000").await;
    let guess = async |number: u32, address: &str| {
        login(&at(&app, address), &format!("user{number}"), "a wrong guess").await
    };
    for number in 0..16 {
        let address = format!("2001:db8:7:{number:x}::1");
        guess(number, &address).await.expect_problem(401, "wrong-credentials");
    }
    guess(16, "2001:db8:7:ffff::1").await.expect_problem(429, "rate-limited");
    guess(17, "2001:db8:8::1").await.expect_problem(401, "wrong-credentials");
}

#[tokio::test]
async fn answers_do_not_tell_who_has_an_account() {
    let app = open().await;
    register(&app, "lisi").await;
    register(&app, "gone").await;
    cancel(&with(&app, &sign_in(&app, "gone").await), PASSWORD).await.expect(204);
    register(&app, "suspended").await;
    let root = administrator(&app).await;
    let suspended = with(&app, &sign_in(&app, "suspended").await).get("/users/me").await.expect(200);
    let until = json!({"until": "2999-01-01T00:00:00Z", "reason": "spam"});
    root.put(&format!("/accounts/{}/suspension", text(&suspended["user_id"])), until).await.expect(200);
    let mut answers = Vec::new();
    for username in ["lisi", "nobody", "gone", "suspended", "no name at all", &"x".repeat(255)] {
        let body = json!({"username": username, "password": "a wrong guess"}).to_string();
        let headers = [("content-type", "application/json"), ("x-request-id", "the-same")];
        let (reply, bytes) = stranger(&app).raw("POST", "/users/login", &headers, body.as_bytes()).await;
        let mut shown: Vec<String> =
            reply.headers.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
        shown.retain(|line| !line.starts_with("date:"));
        answers.push((reply.status, shown, bytes));
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    for (username, code) in [("lisi", "imrc_guess"), ("nobody", "imrc_guess")] {
        let guess = json!({"username": username, "code": code, "password": PASSWORD});
        stranger(&app).post("/users/password-reset", guess).await.expect_problem(401, "wrong-credentials");
    }
}

#[tokio::test]
async fn an_unknown_name_costs_as_much_work_as_a_wrong_password() {
    let app = open().await;
    register(&app, "lisi").await;
    let config = app::config(&app.database, OPEN);
    let tokens = Identity::new(&config.identity).unwrap().account_tokens().expect("tokens of accounts");
    let accounts = Arc::new(Accounts::open(app.store.clone(), &config, tokens).unwrap());
    for (username, kind) in
        [("lisi", Kind::WrongCredentials), ("nobody", Kind::WrongCredentials), ("", Kind::WrongCredentials)]
    {
        let before = accounts.hashes();
        let guess = SignIn {
            username,
            password: "a wrong guess",
            device: None,
            address: "192.0.2.1".parse().expect("an address"),
        };
        let refused = accounts.sign_in(guess, OffsetDateTime::UNIX_EPOCH).await.unwrap_err();
        assert_eq!((refused.kind, accounts.hashes()), (kind, before + 1), "{username:?}");
    }
}

#[tokio::test]
async fn without_an_invitation_nobody_learns_which_usernames_are_taken() {
    let mut app = open().await;
    register(&app, "lisi").await;
    administrator(&app).await;
    app.set("account_register", "\"invitation\"");
    app.halt().await;
    app.run().await;
    let new = |username: &str, code: Option<&str>| json!({"username": username, "password": PASSWORD, "name": "N", "invitation": code});
    for code in [None, Some("imin_guess")] {
        let mut answers = Vec::new();
        for username in ["lisi", "nobody"] {
            let problem = stranger(&app).post("/users/register", new(username, code)).await;
            let mut problem = problem.expect_problem(422, "invalid-field");
            problem.as_object_mut().unwrap().remove("request_id");
            answers.push(problem);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0]["pointer"], "/invitation");
    }
    let root = with(&app, &sign_in(&app, "boss").await);
    let made = root.post("/invitations", json!({"uses": 2, "note": "市场部"})).await.expect(201);
    let code = text(&made["code"]);
    // A refusal uses nothing up, and two places are two people.
    stranger(&app)
        .post("/users/register", new("lisi", Some(&code)))
        .await
        .expect_problem(409, "username-taken");
    let people = ["wangwu", "zhaoliu", "sunqi", "zhouba"];
    let guests = people
        .iter()
        .map(|name| async { stranger(&app).post("/users/register", new(name, Some(&code))).await.status });
    let mut statuses = futures_util::future::join_all(guests).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 422, 422]);
    assert_eq!(root.get("/invitations").await.expect(200)["items"], json!([]), "it is used up");
    assert_eq!(app.count("SELECT count(*) FROM t_im_invitation WHERE uses = 2", &[]).await, 1);
    app.set("account_register", "\"closed\"");
    app.halt().await;
    app.run().await;
    let closed = stranger(&app).post("/users/register", new("later", Some(&code))).await;
    let problem = closed.expect_problem(403, "forbidden");
    assert!(text(&problem["detail"]).contains("account_register"), "{problem}");
}
