//! Who may see what: one answer at every door, hot and cold, and no later setting changes it.

use serde_json::{Value, json};

use crate::app::{TestApp, text};
use crate::archive::moving::Aged;

/// Which of these messages, by their place in the channel, a person gets at each door that shows a message
/// or tells of one.
async fn doors(
    app: &TestApp,
    person: &str,
    channel: &str,
    ms_ids: &[String],
) -> Vec<(&'static str, Vec<i64>)> {
    let client = app.person(person);
    let place = |item: &Value| item["seq"].as_i64().expect("a seq");
    let sorted = |mut seqs: Vec<i64>| {
        seqs.sort_unstable();
        seqs
    };
    let mut doors = Vec::new();
    for (door, query) in
        [("back", "?limit=200"), ("forth", "?after_seq=0&limit=200"), ("newest", "?after_seq=0&newest=200")]
    {
        let page = client.get(&format!("/channels/{channel}/messages{query}")).await;
        let items = page.body["items"].as_array().cloned().unwrap_or_default();
        assert!(page.status == 200 || page.status == 404, "{page:?}");
        doors.push((door, sorted(items.iter().map(place).collect())));
    }
    for (door, query) in [
        ("search", "q=said"),
        ("search without words", "limit=200"),
        ("search by sender", "sender=ann"),
        ("search by receiver", "receiver=bob"),
    ] {
        let hits = app.all(&client, &format!("/search/messages?{query}")).await;
        let hits = hits.iter().filter(|hit| hit["channel_id"] == *channel).map(place);
        doors.push((door, sorted(hits.collect())));
    }
    let mut receipts = Vec::new();
    for (seq, ms_id) in (1..).zip(ms_ids) {
        let reply = client.get(&format!("/messages/{ms_id}/receipts")).await;
        assert!(reply.status == 200 || reply.status == 404, "{reply:?}");
        receipts.extend((reply.status == 200).then_some(seq));
    }
    doors.push(("receipts", receipts));
    doors
}

/// The messages of a channel whose events somebody gets who comes back to the stream after this one.
async fn resumed(app: &TestApp, person: &str, channel: &str, since: i64) -> Vec<(String, i64)> {
    app.until("SELECT count(*) FROM t_im_event_new", 0).await;
    let newest = app.count("SELECT last_event_id FROM t_im_event_head", &[]).await;
    let told = app.person(person).listen(Some(since)).await.up_to(newest).await;
    let of_channel = told.iter().filter(|told| told.data["channel_id"] == *channel);
    of_channel.filter_map(|told| Some((told.event.clone(), told.data["data"]["seq"].as_i64()?))).collect()
}

async fn say(app: &TestApp, sender: &str, channel: &str, ms_ids: &mut Vec<String>) {
    let words = format!("said {}", ms_ids.len() + 1);
    ms_ids.push(text(&app.say(sender, channel, &words).await["ms_id"]));
}

async fn add(app: &TestApp, adder: &str, channel: &str, user: &str) {
    let path = format!("/channels/{channel}/members");
    app.person(adder).post(&path, json!({"user_ids": [user]})).await.expect(200);
}

async fn newcomers_see(app: &TestApp, owner: &str, channel: &str, what: &str) {
    let path = format!("/channels/{channel}");
    app.person(owner).patch(&path, json!({"newcomers_see": what})).await.expect(200);
}

/// What each of them sees, the same at every door.
async fn see(app: &TestApp, channel: &str, ms_ids: &[String], expected: &[(&str, &[i64])]) {
    app.settled().await;
    app.indexed().await;
    for (person, seqs) in expected {
        for (door, seen) in doors(app, person, channel, ms_ids).await {
            // Ann says those of odd seqs, and bob receives them.
            let by_person = ["search by sender", "search by receiver"].contains(&door);
            let seqs: Vec<i64> = seqs.iter().copied().filter(|seq| !by_person || seq % 2 == 1).collect();
            assert_eq!(seen, seqs, "{person}: {door}");
        }
    }
}

#[tokio::test]
async fn what_two_have_said_alone_stays_between_them_whatever_is_set_later() {
    let mut aged = Aged::embedded().await;
    aged.app.clock("-40 days").await;
    aged.people(&["ann", "bob", "cy", "dee", "eve"]).await;
    let channel = aged.direct("ann", "bob").await;
    let mut ms_ids = Vec::new();
    for sender in ["ann", "bob"] {
        say(&aged, sender, &channel, &mut ms_ids).await;
    }
    add(&aged, "ann", &channel, "cy").await;
    newcomers_see(&aged, "ann", &channel, "everything").await;
    for sender in ["ann", "bob"] {
        say(&aged, sender, &channel, &mut ms_ids).await;
    }
    add(&aged, "ann", &channel, "dee").await;
    // Saying it again changes nothing: it was open.
    newcomers_see(&aged, "ann", &channel, "everything").await;
    for sender in ["ann", "bob"] {
        say(&aged, sender, &channel, &mut ms_ids).await;
    }
    // Shut for what comes, and open again from then on.
    newcomers_see(&aged, "ann", &channel, "nothing").await;
    say(&aged, "ann", &channel, &mut ms_ids).await;
    newcomers_see(&aged, "ann", &channel, "everything").await;
    say(&aged, "bob", &channel, &mut ms_ids).await;
    add(&aged, "ann", &channel, "eve").await;
    let expected: [(&str, &[i64]); 5] = [
        ("ann", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("bob", &[1, 2, 3, 4, 5, 6, 7, 8]),
        ("cy", &[3, 4, 5, 6, 7, 8]),
        ("dee", &[3, 4, 5, 6, 7, 8]),
        ("eve", &[8]),
    ];
    see(&aged, &channel, &ms_ids, &expected).await;
    aged.app.clock("0").await;
    aged.move_all().await;
    assert_eq!(aged.count("SELECT count(*) FROM t_im_message", &[]).await, 0, "all of it is cold");
    see(&aged, &channel, &ms_ids, &expected).await;
}

#[tokio::test]
async fn a_department_s_group_opens_from_when_it_is_opened() {
    let app = TestApp::with_archive("").await;
    let hr = app.client("hr", &["directory"]);
    let people = |ids: &[&str]| -> Value {
        let one = |id: &&str| json!({"user_id": id, "name": id.to_uppercase(), "department_ids": ["rd"]});
        ids.iter().map(one).collect()
    };
    app.people(&["cy"]).await;
    let since = app.person("cy").listen(None).await.expect("hello").await.id;
    let body =
        json!({"departments": [{"department_id": "rd", "name": "RD"}], "users": people(&["ann", "bob"])});
    hr.post("/directory/changes", body).await.expect(200);
    let group = hr.post("/departments/rd/group", json!({"owner": "ann"})).await.expect(201);
    let channel = text(&group["channel_id"]);
    let mut ms_ids = Vec::new();
    say(&app, "ann", &channel, &mut ms_ids).await;
    newcomers_see(&app, "ann", &channel, "everything").await;
    say(&app, "bob", &channel, &mut ms_ids).await;
    hr.post("/directory/changes", json!({"users": people(&["cy"])})).await.expect(200);
    let joined = "SELECT count(*) FROM t_im_channel_user WHERE user_id = 'cy'";
    app.until(joined, 1).await;
    see(&app, &channel, &ms_ids, &[("bob", &[1, 2]), ("cy", &[2])]).await;
    // That it was taken back tells of a message, too.
    for (sender, ms_id) in ["ann", "bob"].into_iter().zip(&ms_ids) {
        app.person(sender).post(&format!("/messages/{ms_id}/recall"), json!({})).await.expect(200);
    }
    assert_eq!(resumed(&app, "cy", &channel, since).await, [("message.recalled".to_owned(), 2)]);
}

#[tokio::test]
async fn who_is_no_member_any_more_gets_nothing_at_any_door() {
    let app = TestApp::with_archive("").await;
    app.people(&["ann", "bob", "cy"]).await;
    let channel = app.group(&["ann", "bob", "cy"]).await;
    let mut first = app.person("cy").listen(None).await;
    let since = first.expect("hello").await.id;
    drop(first);
    let mut ms_ids = Vec::new();
    for sender in ["ann", "bob"] {
        say(&app, sender, &channel, &mut ms_ids).await;
    }
    app.person("ann").post(&format!("/messages/{}/recall", ms_ids[0]), json!({})).await.expect(200);
    app.person("bob").post(&format!("/channels/{channel}/read"), json!({"seq": 2})).await.expect(200);
    app.settled().await;
    let told = resumed(&app, "cy", &channel, since).await;
    assert!(told.len() >= 3, "while they are in it: {told:?}");
    app.person("ann").delete(&format!("/channels/{channel}/members/cy")).await.expect(204);
    app.indexed().await;
    for (door, seen) in doors(&app, "cy", &channel, &ms_ids).await {
        assert_eq!(seen, [0; 0], "{door}");
    }
    assert_eq!(resumed(&app, "cy", &channel, since).await, []);
    app.person("cy").post(&format!("/channels/{channel}/read"), json!({"seq": 2})).await.expect(404);
    app.person("cy").post(&format!("/messages/{}/recall", ms_ids[1]), json!({})).await.expect(404);
    assert_eq!(app.conversation("cy", &channel).await, Value::Null);
    // Back again, they see what they saw before, and the list shows the last of it as history does.
    add(&app, "ann", &channel, "cy").await;
    assert_eq!(app.seqs("cy", &channel, "").await, [2, 1]);
    assert_eq!(app.conversation("cy", &channel).await["last_message"]["seq"], 2);
    assert!(resumed(&app, "cy", &channel, since).await.len() >= 3);
}
