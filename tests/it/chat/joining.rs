//! Users join groups by themselves: open ones, by a request, by a code; and silences of members.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{TestApp, text};

/// A group of its first member with these choices.
async fn group(app: &TestApp, members: &[&str], choices: Value) -> String {
    let mut body = choices;
    body["members"] = json!(members[1..]);
    text(&app.person(members[0]).post("/groups", body).await.expect(201)["channel_id"])
}

fn at(channel: &str, rest: &str) -> String {
    format!("/channels/{channel}{rest}")
}

/// Every operation once, with success.
pub async fn exercise(app: &TestApp) {
    app.people(&["join-a", "join-b", "join-c"]).await;
    let (a, b) = (app.person("join-a"), app.person("join-b"));
    let asked = group(app, &["join-a"], json!({"name": "Apollo", "join": "request"})).await;
    b.get("/channels/search?q=apollo").await.expect(200);
    b.post(&at(&asked, "/requests"), json!({"message": "please"})).await.expect(200);
    b.delete(&at(&asked, "/requests")).await.expect(204);
    for answer in ["decline", "approve"] {
        b.post(&at(&asked, "/requests"), json!(null)).await.expect(200);
        a.get(&at(&asked, "/requests")).await.expect(200);
        a.post(&at(&asked, &format!("/requests/join-b/{answer}")), json!(null)).await.expect(204);
    }
    let made = a.post(&at(&asked, "/invites"), json!({"uses": 1})).await.expect(201);
    a.get(&at(&asked, "/invites")).await.expect(200);
    app.person("join-c").post("/channels/join", json!({"code": made["code"]})).await.expect(200);
    let made = a.post(&at(&asked, "/invites"), json!(null)).await.expect(201);
    a.delete(&at(&asked, &format!("/invites/{}", text(&made["invite_id"])))).await.expect(204);
    let until = json!({"until": "2099-01-01T00:00:00Z"});
    a.put(&at(&asked, "/members/join-b/silence"), until).await.expect_problem(422, "invalid-field");
    let until = app.store.now().await.expect("a clock") + time::Duration::hours(1);
    a.put(&at(&asked, "/members/join-b/silence"), json!({"until": rfc3339(until)})).await.expect(204);
    a.delete(&at(&asked, "/members/join-b/silence")).await.expect(204);
    let open = group(app, &["join-a"], json!({"join": "open"})).await;
    b.post(&at(&open, "/join"), json!(null)).await.expect(200);
}

fn rfc3339(time: time::OffsetDateTime) -> String {
    time.format(&time::format_description::well_known::Rfc3339).expect("a time")
}

/// The names of the groups that a search finds.
async fn found(app: &TestApp, person: &str, query: &str) -> Vec<String> {
    let items =
        app.person(person).get(&format!("/channels/search{query}")).await.expect(200)["items"].clone();
    items.as_array().expect("items").iter().map(|item| text(&item["name"])).collect()
}

#[tokio::test]
async fn who_may_find_a_group_joins_it_as_its_rule_says() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c"]).await;
    let ext = json!({"users": [{"user_id": "ext", "name": "ext", "kind": "external"}]});
    app.client("hr", &["directory"]).post("/directory/changes", ext).await.expect(200);
    let named =
        |name: &str, join: &str| json!({"name": name, "join": join, "description": format!("关于 {name}")});
    let hidden = group(&app, &["a"], json!({"name": "hidden group"})).await;
    let shown = group(&app, &["a"], json!({"name": "shown group", "findable": true})).await;
    let open = group(&app, &["a"], named("open group", "open")).await;
    let asks = group(&app, &["a"], named("asking group", "request")).await;
    let coded = group(&app, &["a"], named("coded group", "code")).await;
    assert_eq!(
        found(&app, "b", "?q=GROUP").await,
        ["coded group", "asking group", "open group", "shown group"]
    );
    assert_eq!(found(&app, "b", "?q=关于 open").await, ["open group"]);
    assert_eq!(found(&app, "b", "?q=%25").await, [] as [String; 0], "a wildcard is a character");
    let mut pages = Vec::new();
    let mut path = "/channels/search?limit=1".to_owned();
    loop {
        let page = app.person("b").get(&path).await.expect(200);
        pages.extend(page["items"].as_array().unwrap().iter().map(|item| text(&item["channel_id"])));
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/channels/search?limit=1&cursor={cursor}");
    }
    assert_eq!(pages, [&*coded, &*asks, &*open, &*shown]);

    let b = app.person("b");
    let join = |channel: &str| at(channel, "/join");
    b.post(&join(&hidden), json!(null)).await.expect_problem(404, "not-found");
    b.post(&at(&hidden, "/requests"), json!(null)).await.expect_problem(404, "not-found");
    for channel in [&shown, &asks, &coded] {
        b.post(&join(channel), json!(null)).await.expect_problem(403, "forbidden");
    }
    b.post(&at(&open, "/requests"), json!(null)).await.expect_problem(409, "conflict");
    for _ in 0..2 {
        let joined = b.post(&join(&open), json!(null)).await.expect(200);
        assert_eq!((&joined["role"], &joined["member_count"]), (&json!("member"), &json!(2)));
    }
    for path in ["/channels/search".to_owned(), join(&open)] {
        let reply = match path.ends_with("join") {
            true => app.person("ext").post(&path, json!(null)).await,
            false => app.person("ext").get(&path).await,
        };
        reply.expect_problem(403, "forbidden");
    }
    // A group that is dissolved is not found any more.
    app.person("a").delete(&at(&coded, "")).await.expect(204);
    app.person("c").post(&join(&coded), json!(null)).await.expect_problem(404, "not-found");
    assert_eq!(found(&app, "b", "?q=coded").await, [] as [String; 0]);
    let wrong = json!({"name": "g", "join": "sometimes"});
    assert_eq!(b.post("/groups", wrong).await.expect_problem(422, "invalid-field")["pointer"], "/join");
}

#[tokio::test]
async fn an_admin_lets_in_who_asks_and_others_are_not_told() {
    let app = TestApp::start_with("join_requests_max = 1").await;
    app.people(&["a", "admin", "m", "b", "c"]).await;
    let channel = group(&app, &["a", "admin", "m"], json!({"name": "g", "join": "request"})).await;
    app.person("a").put(&at(&channel, "/members/admin/role"), json!({"role": "admin"})).await.expect(204);
    let mut streams = Vec::new();
    for person in ["admin", "b", "m"] {
        let mut stream = app.person(person).listen(None).await;
        stream.expect("hello").await;
        streams.push(stream);
    }
    let requests = at(&channel, "/requests");
    let asked = app.person("b").post(&requests, json!({"message": "测试组的 B"})).await.expect(200);
    let again = app.person("b").post(&requests, json!({"message": "请"})).await.expect(200);
    assert_eq!(again["requested_at"], asked["requested_at"], "a repeat keeps its place");
    for stream in &mut streams[..2] {
        let told = stream.expect("channel.join_request").await;
        assert_fits("StreamedEvent", &told.data);
        let data = json!({"channel_id": channel, "user_id": "b", "state": "waiting", "name": "g"});
        assert_eq!(told.data["data"], data);
    }
    app.person("c").post(&requests, json!(null)).await.expect_problem(409, "conflict");
    app.person("m").post(&requests, json!(null)).await.expect_problem(409, "conflict");
    app.person("m").get(&requests).await.expect_problem(403, "forbidden");
    app.person("c").get(&requests).await.expect_problem(404, "not-found");
    let waiting = app.person("admin").get(&requests).await.expect(200);
    assert_eq!(
        (&waiting["items"][0]["user_id"], &waiting["items"][0]["message"]),
        (&json!("b"), &json!("请"))
    );
    let approve = at(&channel, "/requests/b/approve");
    app.person("m").post(&approve, json!(null)).await.expect_problem(403, "forbidden");
    app.person("c").post(&approve, json!(null)).await.expect_problem(404, "not-found");
    app.person("admin").post(&approve, json!(null)).await.expect(204);
    app.person("admin").post(&approve, json!(null)).await.expect_problem(404, "not-found");
    assert_eq!(app.person("b").get(&at(&channel, "")).await.expect(200)["member_count"], 4);
    // The member was told of no request: the first event is that of the new member.
    streams[2].expect("channel.members_added").await;

    app.person("c").post(&requests, json!(null)).await.expect(200);
    app.person("admin").post(&at(&channel, "/requests/c/decline"), json!(null)).await.expect(204);
    app.person("c").get(&at(&channel, "")).await.expect_problem(404, "not-found");
    app.person("c").post(&requests, json!(null)).await.expect(200);
    // However a user joins, the request is answered.
    app.person("m").post(&at(&channel, "/members"), json!({"user_ids": ["c"]})).await.expect(200);
    assert_eq!(app.count("SELECT count(*) FROM t_im_join_request", &[]).await, 0);
}

#[tokio::test]
async fn a_code_lets_in_as_many_as_it_says_also_at_once() {
    let app = TestApp::start_with("invites_per_group = 2\ninvite_uses_max = 5").await;
    let crowd: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    app.people(&crowd.iter().map(String::as_str).collect::<Vec<_>>()).await;
    app.people(&["a", "m", "z"]).await;
    let choices = json!({"join": "code", "who_adds": "admins"});
    let channel = group(&app, &["a", "m"], choices).await;
    let (a, invites) = (app.person("a"), at(&channel, "/invites"));
    app.person("m").post(&invites, json!(null)).await.expect_problem(403, "forbidden");
    app.person("m").get(&invites).await.expect_problem(403, "forbidden");
    app.person("p0").post(&invites, json!(null)).await.expect_problem(404, "not-found");
    for (wrong, pointer) in [
        (json!({"uses": 6}), "/uses"),
        (json!({"uses": 0}), "/uses"),
        (json!({"expires_at": "2001-01-01T00:00:00Z"}), "/expires_at"),
    ] {
        assert_eq!(a.post(&invites, wrong).await.expect_problem(422, "invalid-field")["pointer"], pointer);
    }
    let three = a.post(&invites, json!({"uses": 3})).await.expect(201);
    let join = |person: String, code: Value| {
        let app = &app;
        async move { app.person(&person).post("/channels/join", json!({"code": code})).await }
    };
    let answers = join_all(crowd.iter().map(|person| join(person.clone(), three["code"].clone()))).await;
    let joined = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!(joined, 3);
    for answer in answers.into_iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(404, "not-found");
    }
    assert_eq!(a.get(&at(&channel, "")).await.expect(200)["member_count"], 5);

    // Those that are used up make room.
    let one = a.post(&invites, json!({"uses": 1})).await.expect(201);
    let two = a.post(&invites, json!({"uses": 2})).await.expect(201);
    a.post(&invites, json!(null)).await.expect_problem(409, "conflict");
    // A member takes no use of it.
    join("m".into(), one["code"].clone()).await.expect(200);
    a.delete(&at(&channel, &format!("/invites/{}", text(&two["invite_id"])))).await.expect(204);
    join("z".into(), two["code"].clone()).await.expect_problem(404, "not-found");
    join("z".into(), json!("NOSUCHCODE")).await.expect_problem(404, "not-found");
    a.patch(&at(&channel, ""), json!({"join": "closed"})).await.expect(200);
    join("z".into(), one["code"].clone()).await.expect_problem(404, "not-found");
    a.post(&invites, json!(null)).await.expect_problem(409, "conflict");
    let left = a.get(&invites).await.expect(200);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    app.person("m")
        .post(&at(&channel, "/members"), json!({"user_ids": ["z"]}))
        .await
        .expect_problem(403, "forbidden");
    a.patch(&at(&channel, ""), json!({"who_adds": "everybody"})).await.expect(200);
    app.person("m").post(&at(&channel, "/members"), json!({"user_ids": ["z"]})).await.expect(200);
}

#[tokio::test]
async fn a_silenced_member_reads_on_and_is_told_until_when() {
    let mut app = TestApp::start().await;
    app.people(&["a", "admin", "m", "n"]).await;
    let channel = group(&app, &["a", "admin", "m", "n"], json!({"join": "open"})).await;
    app.person("a").put(&at(&channel, "/members/admin/role"), json!({"role": "admin"})).await.expect(204);
    let until = app.store.now().await.unwrap() + time::Duration::hours(1);
    let body = json!({"until": rfc3339(until)});
    let silence = |user: &str| at(&channel, &format!("/members/{user}/silence"));
    app.person("n").put(&silence("m"), body.clone()).await.expect_problem(403, "forbidden");
    app.person("admin").put(&silence("a"), body.clone()).await.expect_problem(409, "conflict");
    app.person("admin").put(&silence("stranger"), body.clone()).await.expect_problem(404, "not-found");
    let past = json!({"until": "2001-01-01T00:00:00Z"});
    app.person("admin").put(&silence("m"), past).await.expect_problem(422, "invalid-field");
    app.person("admin").put(&silence("m"), body.clone()).await.expect(204);
    app.person("a").put(&silence("admin"), body.clone()).await.expect(204);
    let send = json!({"type": "text", "content": {"text": "hi"}});
    let to = at(&channel, "/messages");
    let refused = app.person("m").post(&to, send.clone()).await;
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((3_000..=3_600).contains(&wait), "{wait}");
    let refused = refused.expect_problem(403, "silenced");
    assert!(text(&refused["detail"]).contains(&rfc3339(until)[..16]), "{refused}");
    app.person("admin").post(&to, send.clone()).await.expect_problem(403, "silenced");
    app.say("n", &channel, "others go on").await;
    assert_eq!(app.seqs("m", &channel, "").await, [1]);
    let members = app.person("n").get(&at(&channel, "/members")).await.expect(200);
    let silenced: Vec<bool> =
        members["items"].as_array().unwrap().iter().map(|m| m["silenced_until"].is_string()).collect();
    assert_eq!(silenced, [false, true, true, false]);

    // Leaving and joining again is no way round it.
    app.person("m").post(&at(&channel, "/leave"), json!({})).await.expect(204);
    app.person("m").post(&at(&channel, "/join"), json!(null)).await.expect(200);
    app.person("m").post(&to, send.clone()).await.expect_problem(403, "silenced");
    app.person("a").delete(&silence("admin")).await.expect(204);
    app.person("admin").post(&to, send.clone()).await.expect(201);
    app.clock("2 hours").await;
    app.person("m").post(&to, send).await.expect(201);
}

#[tokio::test]
async fn what_two_have_said_alone_stays_unseen_however_others_join() {
    let app = TestApp::with_archive("").await;
    app.people(&["a", "b", "c", "d", "e", "f"]).await;
    let channel = app.direct("a", "b").await;
    let secret = text(&app.say("a", &channel, "between us").await["ms_id"]);
    app.person("b").post(&at(&channel, "/members"), json!({"user_ids": ["c"]})).await.expect(200);
    let b = app.person("b");
    b.patch(&at(&channel, ""), json!({"newcomers_see": "everything", "join": "open"})).await.expect(200);
    app.say("a", &channel, "to all").await;
    app.person("d").post(&at(&channel, "/join"), json!(null)).await.expect(200);
    b.patch(&at(&channel, ""), json!({"join": "request"})).await.expect(200);
    app.person("e").post(&at(&channel, "/requests"), json!(null)).await.expect(200);
    b.post(&at(&channel, "/requests/e/approve"), json!(null)).await.expect(204);
    let code = b.post(&at(&channel, "/invites"), json!(null)).await.expect(201)["code"].clone();
    app.person("f").post("/channels/join", json!({"code": code})).await.expect(200);
    // A reply shows its original only to those who may see it.
    let reply = json!({"type": "text", "content": {"text": "yes"}, "reply_to": secret});
    app.person("b").post(&at(&channel, "/messages"), reply).await.expect(201);
    app.settled().await;
    app.indexed().await;
    for newcomer in ["c", "d", "e", "f"] {
        let person = app.person(newcomer);
        assert_eq!(app.seqs(newcomer, &channel, "").await, [3, 2], "{newcomer}");
        let hits = person.get("/search/messages?q=between").await.expect(200);
        assert_eq!(hits["items"], json!([]), "{newcomer}");
        let around = person.get(&format!("/messages/{secret}?around=5")).await;
        around.expect_problem(404, "not-found");
        person.get(&format!("/messages/{secret}/replies")).await.expect_problem(404, "not-found");
        let forward = json!({"channel_ids": [channel]});
        person.post(&format!("/messages/{secret}/forward"), forward).await.expect_problem(404, "not-found");
        let page = person.get(&at(&channel, "/messages")).await.expect(200);
        assert!(!page.to_string().contains("between us"), "{newcomer}: {page}");
    }
    // Nothing lowers the floor, whatever a later version or an operator says.
    let lower = "UPDATE t_im_channel SET sees_floor_seq = 1";
    let refused = app.sql().await.batch_execute(lower).await.unwrap_err();
    let constraint = refused.as_db_error().and_then(|db| db.constraint());
    assert_eq!(constraint, Some("channel_sees_floor_rises"));
}

#[tokio::test]
async fn a_removed_member_comes_back_only_if_a_member_or_an_admin_lets_the_user_in() {
    let app = TestApp::start().await;
    app.people(&["a", "m", "b"]).await;
    let channel = group(&app, &["a", "m", "b"], json!({"join": "open"})).await;
    let (a, m, b) = (app.person("a"), app.person("m"), app.person("b"));
    let code = a.post(&at(&channel, "/invites"), json!(null)).await.expect(201)["code"].clone();
    let by_code = async || b.post("/channels/join", json!({"code": code})).await;
    let join = async || b.post(&at(&channel, "/join"), json!(null)).await;
    let ask = async || b.post(&at(&channel, "/requests"), json!(null)).await;
    let remove = async || a.delete(&at(&channel, "/members/b")).await.expect(204);
    let set = async |rule: &str| a.patch(&at(&channel, ""), json!({"join": rule})).await.expect(200);

    ask().await.expect_problem(409, "conflict");
    remove().await;
    for rule in ["open", "request", "code"] {
        set(rule).await;
        by_code().await.expect_problem(403, "forbidden");
        join().await.expect_problem(403, "forbidden");
    }
    ask().await.expect_problem(403, "forbidden");
    set("closed").await;
    by_code().await.expect_problem(404, "not-found");
    for rule in ["open", "request"] {
        set(rule).await;
        ask().await.expect(200);
        a.post(&at(&channel, "/requests/b/approve"), json!(null)).await.expect(204);
        remove().await;
    }
    m.post(&at(&channel, "/members"), json!({"user_ids": ["b"]})).await.expect(200);
    // Who was added again, and leaves, comes back alone.
    for by in ["code", "join"] {
        set("open").await;
        b.post(&at(&channel, "/leave"), json!({})).await.expect(204);
        let reply = if by == "code" { by_code().await } else { join().await };
        reply.expect(200);
    }
    remove().await;
    a.delete(&at(&channel, "")).await.expect(204);
    assert_eq!(app.count("SELECT count(*) FROM t_im_removed", &[]).await, 0);
}

#[tokio::test]
async fn members_see_their_own_codes_which_end_when_only_admins_add_users() {
    let app = TestApp::start().await;
    app.people(&["a", "admin", "m", "z"]).await;
    let channel = group(&app, &["a", "admin", "m"], json!({"join": "code"})).await;
    let role = async |role: &str| {
        app.person("a").put(&at(&channel, "/members/admin/role"), json!({"role": role})).await.expect(204)
    };
    role("admin").await;
    let invites = at(&channel, "/invites");
    let mut codes = Vec::new();
    for person in ["a", "admin", "m"] {
        codes.push(app.person(person).post(&invites, json!(null)).await.expect(201)["code"].clone());
    }
    let seen = async |person: &str| {
        let items = app.person(person).get(&invites).await.expect(200)["items"].clone();
        items.as_array().expect("items").iter().rev().map(|item| item["code"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(seen("admin").await, codes);
    assert_eq!(seen("m").await, codes[2..]);

    let join = async |code: &Value| app.person("z").post("/channels/join", json!({"code": code})).await;
    let adds = |who: &str| json!({"who_adds": who});
    app.person("a").patch(&at(&channel, ""), adds("admins")).await.expect(200);
    join(&codes[2]).await.expect_problem(404, "not-found");
    assert_eq!(seen("a").await, codes[..2]);
    // So does the code of an admin who is one no longer.
    role("member").await;
    join(&codes[1]).await.expect_problem(404, "not-found");
    app.person("a").patch(&at(&channel, ""), adds("everybody")).await.expect(200);
    join(&codes[2]).await.expect_problem(404, "not-found");
    join(&codes[0]).await.expect(200);
}
