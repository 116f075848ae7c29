//! The badge: the sum of unread messages, with the list and on the stream, after hello and when it changes.

use serde_json::{Value, json};

use crate::api::contract::assert_fits;
use crate::app::{TestApp, text};
use crate::support::Listener;
use crate::torture::dice::Dice;

/// Changes are counted together within short windows.
const QUICK: &str = "stream_unread_ms = 20\nevent_window_ms = 20\n";

async fn total(app: &TestApp, person: &str) -> i64 {
    let list = app.person(person).get("/conversations?limit=1").await.expect(200);
    list["unread_total"].as_i64().expect("a total")
}

async fn listen(app: &TestApp, person: &str, after: Option<i64>) -> Listener {
    let mut stream = app.person(person).listen(after).await;
    stream.expect("hello").await;
    stream
}

async fn read(app: &TestApp, person: &str, channel: &str, seq: i64) {
    app.person(person).post(&format!("/channels/{channel}/read"), json!({"seq": seq})).await.expect(200);
}

#[tokio::test]
async fn the_stream_tells_the_total_after_hello_and_when_it_changes() {
    let app = TestApp::start_with(QUICK).await;
    app.people(&["ann", "bob", "cy"]).await;
    let (group, direct) = (app.group(&["ann", "bob", "cy"]).await, app.direct("ann", "bob").await);
    for channel in [&group, &direct, &direct] {
        app.say("ann", channel, "hello").await;
    }
    assert_eq!((total(&app, "bob").await, total(&app, "cy").await, total(&app, "ann").await), (3, 1, 0));
    let mut bob = listen(&app, "bob", None).await;
    bob.until_total(3).await;
    assert_fits("UnreadTotal", &json!({"unread_total": bob.totals[0]}));
    let (mut cy, mut ann) = (listen(&app, "cy", None).await, listen(&app, "ann", None).await);
    cy.until_total(1).await;
    ann.until_total(0).await;

    let slip = app.say("ann", &group, "a slip").await;
    bob.until_total(4).await;
    cy.until_total(2).await;
    // Read in another tab; only the reader's total changes.
    read(&app, "bob", &direct, 2).await;
    bob.until_total(2).await;
    let mut tab = listen(&app, "bob", None).await;
    tab.until_total(2).await;
    app.person("ann")
        .post(&format!("/messages/{}/recall", text(&slip["ms_id"])), json!({}))
        .await
        .expect(200);
    bob.until_total(1).await;
    tab.until_total(1).await;
    cy.until_total(1).await;
    // Who is taken out of a group has nothing unread in it, and comes back with nothing.
    app.person("ann").delete(&format!("/channels/{group}/members/cy")).await.expect(204);
    cy.until_total(0).await;
    app.say("ann", &group, "without cy").await;
    bob.until_total(2).await;
    let members = format!("/channels/{group}/members");
    app.person("ann").post(&members, json!({"user_ids": ["cy"]})).await.expect(200);
    app.say("bob", &group, "welcome").await;
    cy.until_total(1).await;
    ann.until_total(1).await;
    assert_eq!(ann.totals, [0, 1], "one's own messages, and those in others' channels, change nothing");
    // Who comes back to a stream is told the total, too.
    let since = bob.last_id;
    drop(bob);
    app.say("ann", &direct, "meanwhile").await;
    let mut bob = app.person("bob").listen(since).await;
    bob.until_total(3).await;
}

#[tokio::test]
async fn a_window_tells_the_newest_total_alone_and_a_total_has_no_id() {
    let app = TestApp::start_with("stream_unread_ms = 86400000\n").await;
    app.people(&["ann", "bob"]).await;
    let direct = app.direct("ann", "bob").await;
    app.say("ann", &direct, "hello").await;
    let mut bob = listen(&app, "bob", None).await;
    bob.until_total(1).await;
    let since = bob.last_id.expect("an id");
    for i in 0..5 {
        app.say("ann", &direct, &i.to_string()).await;
    }
    for _ in 0..5 {
        bob.expect("message.created").await;
    }
    assert_eq!(bob.totals, [1], "the window is not over");
    // A new stream counts nothing again: it is told what the others know.
    let mut tab = listen(&app, "bob", Some(since)).await;
    for _ in 0..5 {
        tab.expect("message.created").await;
    }
    tab.until_total(1).await;
}

#[tokio::test]
async fn whatever_happens_the_total_of_the_stream_is_that_of_the_list() {
    let app = TestApp::start_with(QUICK).await;
    let people = ["p0", "p1", "p2", "p3"];
    app.people(&people).await;
    let mut streams = Vec::new();
    let group = app.group(&people).await;
    let mut channels = vec![(group.clone(), 0_i64)];
    for (one, other) in [("p0", "p1"), ("p1", "p2"), ("p2", "p3")] {
        channels.push((app.direct(one, other).await, 0));
    }
    for person in people {
        streams.push(listen(&app, person, None).await);
    }
    let mut dice = Dice::new(7);
    let mut sent: Vec<Value> = Vec::new();
    for _ in 0..120 {
        let person = *dice.pick(&people);
        let at = dice.below(channels.len());
        let (channel, last) = channels[at].clone();
        match dice.below(10) {
            0 if !sent.is_empty() => {
                let message = dice.pick(&sent).clone();
                let path = format!("/messages/{}/recall", text(&message["ms_id"]));
                app.client("root", &["admin"]).post(&path, json!({})).await.expect(200);
            }
            1 if at == 0 => {
                let left = app.person(person).post(&format!("/channels/{group}/leave"), json!({})).await;
                if left.status == 204 {
                    let back = json!({"user_ids": [person]});
                    app.person("p0").post(&format!("/channels/{group}/members"), back).await.expect(200);
                }
            }
            2..=4 => {
                let path = format!("/channels/{channel}/read");
                app.person(person).post(&path, json!({"seq": last})).await;
            }
            _ => {
                let body = json!({"type": "text", "content": {"text": "x"}});
                let said = app.person(person).post(&format!("/channels/{channel}/messages"), body).await;
                if said.status == 201 {
                    channels[at].1 = said.body["seq"].as_i64().expect("a seq");
                    sent.push(said.body);
                }
            }
        }
    }
    for (person, stream) in people.iter().zip(&mut streams) {
        stream.until_total(total(&app, person).await).await;
    }
    // It is not by chance, and stays so.
    app.say("p0", &group, "the last").await;
    for (person, stream) in people.iter().zip(&mut streams) {
        stream.until_total(total(&app, person).await).await;
    }
}
