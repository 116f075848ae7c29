//! The gate: what it is asked, what its verdicts do, and that no content passes it by.

mod faults;
mod made;

use serde_json::{Value, json};
use standardwebhooks::Webhook;

use super::callbacks::OPEN;
use crate::api::contract::assert_fits;
use crate::app::{LONG, TestApp, text};
use crate::support::{Client, Receiver, Reply, Script};

/// The filter of a company, and the gate that leads to it.
pub struct Filter {
    receiver: Receiver,
    secret: String,
}

impl Filter {
    /// It allows everything, and the gate has these fields, too.
    async fn start(admin: &Client, fields: Value) -> Self {
        let receiver = Receiver::start().await;
        let mut wish =
            json!({"kind": "gate", "url": receiver.url(), "without_answer": "refuse", "timeout_ms": 10_000});
        wish.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let made = admin.post("/callbacks", wish).await.expect(201);
        let filter = Self { receiver, secret: text(&made["secret"]) };
        filter.answers(&json!({"verdict": "allow"}));
        filter
    }

    fn answers(&self, answer: &Value) {
        self.receiver.answer(Script::status(200, &[], &answer.to_string()));
    }

    fn refuses(&self, reason: &str) {
        self.answers(&json!({"verdict": "refuse", "reason": reason}));
    }

    fn replaces_by(&self, words: &str) {
        self.answers(&json!({"verdict": "replace", "type": "text", "content": {"text": words}}));
    }

    /// It takes questions, and says nothing.
    fn hangs(&self) {
        self.receiver.answer(Script::raw("").then_endlessly("", LONG));
    }

    /// The questions so far. Each is signed and as the contract says.
    fn asked(&self) -> Vec<Value> {
        let mut questions = Vec::new();
        for received in self.receiver.received() {
            let names = ["webhook-id", "webhook-timestamp", "webhook-signature"];
            let header = |name: &str| {
                let value = received.header(name).parse().unwrap();
                (name.parse::<http::HeaderName>().unwrap(), value)
            };
            let headers: http::HeaderMap = names.into_iter().map(header).collect();
            Webhook::new(&self.secret).unwrap().verify(&received.body, &headers).expect("it is signed");
            let question: Value = serde_json::from_slice(&received.body).unwrap();
            assert_fits("GateQuestion", &question);
            assert_eq!(question["question_id"], received.header("webhook-id"));
            questions.push(question);
        }
        questions
    }
}

/// Sends a text.
async fn send(app: &TestApp, sender: &str, channel: &str, words: &str) -> Reply {
    let body = json!({"type": "text", "content": {"text": words}});
    app.person(sender).post(&format!("/channels/{channel}/messages"), body).await
}

/// The newest message of a channel.
async fn newest(app: &TestApp, reader: &str, channel: &str) -> Value {
    let page = app.person(reader).get(&format!("/channels/{channel}/messages?limit=1")).await.expect(200);
    page["items"][0].clone()
}

const STORED: &str = "SELECT count(*) FROM t_im_message";

#[tokio::test]
async fn a_message_is_allowed_refused_or_replaced_and_only_the_replacement_is_read() {
    let app = TestApp::with_archive(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let filter = Filter::start(&app.client("root", &["admin"]), json!({})).await;

    let allowed = send(&app, "a", &channel, "hello").await.expect(201);
    assert_eq!(allowed.get("replaced"), None);
    let question = filter.asked().pop().unwrap();
    assert_eq!((&question["subject"], &question["callback_id"]), (&json!("message"), &json!("gate")));
    let message = json!({
        "channel_id": channel, "channel_type": "direct", "channel_name": null, "sender": "a", "sender_name": "A",
        "sender_kind": "internal", "type": "text", "content": {"text": "hello"},
    });
    assert_eq!(question["message"], message);

    filter.refuses("含有\n敏感词\u{7}");
    let problem = send(&app, "a", &channel, "forbidden").await.expect_problem(403, "gate-refused");
    assert_eq!(problem["detail"], "含有 敏感词");
    filter.answers(&json!({"verdict": "refuse"}));
    send(&app, "a", &channel, "forbidden").await.expect_problem(403, "gate-refused");
    assert_eq!(app.count(STORED, &[]).await, 1);

    filter.replaces_by("starlight");
    let replaced = send(&app, "a", &channel, "forbidden").await.expect(201);
    assert_eq!(replaced["replaced"], true);
    app.settled().await;
    app.indexed().await;
    for reader in ["a", "b"] {
        assert_eq!(newest(&app, reader, &channel).await["content"], json!({"text": "starlight"}));
        for (words, hits) in [("forbidden", 0), ("starlight", 1)] {
            let found = app.person(reader).get(&format!("/search/messages?q={words}")).await.expect(200);
            assert_eq!(found["items"].as_array().map(Vec::len), Some(hits), "{words}");
        }
    }
    app.gateway.read(|record| {
        let pushed: Vec<&Value> = record.batches().flat_map(|b| &b.messages).map(|m| &m.content).collect();
        assert!(pushed.contains(&&json!({"text": "starlight"})), "{pushed:?}");
        assert!(!pushed.contains(&&json!({"text": "forbidden"})), "{pushed:?}");
    });
    let kept = "SELECT count(*) FROM t_im_message m, t_im_channel c
                WHERE m.content::text LIKE '%forbidden%' OR c.last_preview::text LIKE '%forbidden%'";
    assert_eq!(app.count(kept, &[]).await, 0);
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_asks_nothing() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let filter = Filter::start(&app.client("root", &["admin"]), json!({})).await;
    let (a, path) = (app.person("a"), format!("/channels/{channel}/messages"));
    let body = |id: &str| json!({"client_id": id, "type": "text", "content": {"text": id}});
    let allowed = a.post(&path, body("allowed")).await.expect(201);
    filter.replaces_by("other");
    let replaced = a.post(&path, body("replaced")).await.expect(201);
    filter.refuses("");
    a.post(&path, body("refused")).await.expect_problem(403, "gate-refused");
    assert_eq!(filter.asked().len(), 3);

    for (id, first) in [("allowed", &allowed), ("replaced", &replaced)] {
        let again = a.post(&path, body(id)).await.expect(200);
        let mut expected = first.clone();
        expected["repeated"] = json!(true);
        assert_eq!(again, expected, "the second answer for {id}");
    }
    let mut other = body("replaced");
    other["content"]["text"] = json!("another");
    a.post(&path, other).await.expect_problem(409, "client-id-reused");
    let many = json!([{"channel_id": channel, "client_id": "replaced", "type": "text", "content": {"text": "replaced"}}]);
    let results = a.post("/messages", many).await.expect(200);
    assert_eq!(
        (&results["results"][0]["status"], &results["results"][0]["replaced"]),
        (&json!(200), &json!(true))
    );
    assert_eq!(filter.asked().len(), 3, "a repeat is no question");

    // Nothing was stored under the id of a refused send: its repeat is a question of its own.
    filter.answers(&json!({"verdict": "allow"}));
    a.post(&path, body("refused")).await.expect(201);
    assert_eq!(filter.asked().len(), 4);
    // Both of two at once are asked about, and one is stored.
    let (one, two) = tokio::join!(a.post(&path, body("twice")), a.post(&path, body("twice")));
    assert_eq!(one.body["ms_id"], two.body["ms_id"]);
    assert_eq!(app.count(STORED, &[]).await, 4);
}

#[tokio::test]
async fn a_replacement_is_checked_as_a_send_of_its_sender() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = app.direct("a", "b").await;
    let admin = app.client("root", &["admin"]);
    let filter = Filter::start(&admin, json!({"without_answer": "allow"})).await;
    let own = text(&crate::files::put(&app.person("a"), "own.pdf", b"%PDF-1.7").await["file_id"]);
    let foreign = text(&crate::files::put(&app.person("b"), "foreign.pdf", b"%PDF-1.7").await["file_id"]);
    let invalid = [
        json!({"text": " "}),
        json!({"text": "x".repeat(20_001)}),
        json!({"text": "a\u{0}b"}),
        json!({"text": "x", "more": 1}),
        json!({"type": "forward", "content": {"messages": []}}),
        json!({"type": "link", "content": {"url": "javascript:alert(1)", "title": "x"}}),
        json!({"type": "file", "content": {"file_id": foreign}}),
        json!({"type": "picture", "content": {"file_id": own}}),
    ];
    for replacement in invalid {
        let mut answer = json!({"verdict": "replace", "content": replacement});
        if replacement.get("type").is_some() {
            answer.as_object_mut().unwrap().extend(replacement.as_object().unwrap().clone());
        }
        filter.answers(&answer);
        let sent = send(&app, "a", &channel, "as it is").await.expect(201);
        assert_eq!(sent.get("replaced"), None, "{answer}");
        assert_eq!(newest(&app, "b", &channel).await["content"], json!({"text": "as it is"}), "{answer}");
    }
    admin.patch("/callbacks/gate", json!({"without_answer": "refuse"})).await.expect(200);
    let reply = send(&app, "a", &channel, "as it is").await;
    assert_eq!(reply.header("retry-after"), "1");
    reply.expect_problem(503, "gate-unanswered");
    assert_eq!(admin.get("/callbacks/gate").await.expect(200)["breaker"], "closed", "the filter is there");

    filter.answers(&json!({"verdict": "replace", "type": "file", "content": {"file_id": own}}));
    assert_eq!(send(&app, "a", &channel, "x").await.expect(201)["replaced"], true);
    let message = newest(&app, "b", &channel).await;
    assert_eq!((&message["type"], &message["preview"]), (&json!("file"), &json!("📄 own.pdf")));
    assert_eq!((&message["content"]["file_id"], &message["content"]["size"]), (&json!(own), &json!(8)));
    assert_eq!(crate::files::read(&app.person("b"), &own).await, b"%PDF-1.7");
    filter.replaces_by("text again");
    let link =
        json!({"type": "link", "content": {"url": "https://evil.example", "title": "x"}, "mentions": ["b"]});
    app.person("a").post(&format!("/channels/{channel}/messages"), link).await.expect(201);
    let message = newest(&app, "b", &channel).await;
    assert_eq!((&message["type"], message.get("preview")), (&json!("text"), None));
    assert_eq!(message["mentions"], json!(["b"]));
}

/// An application with a card in a group with a robot.
struct Ways {
    app: TestApp,
    group: String,
    card: String,
    robot: String,
    ms_id: String,
}

impl Ways {
    async fn start() -> Self {
        let app = TestApp::start_with(OPEN).await;
        app.people(&["a", "b"]).await;
        let oa = json!({"users": [{"user_id": "oa", "name": "OA", "kind": "application"}]});
        app.client("hr", &["directory"]).post("/directory/changes", oa).await.expect(200);
        let group = app.group(&["a", "b", "oa"]).await;
        let card =
            json!({"type": "card", "content": {"title": "one", "fields": [{"name": "n", "value": "v"}]}});
        let path = format!("/channels/{group}/messages");
        let card = text(&app.person("oa").post(&path, card).await.expect(201)["ms_id"]);
        let robot = app
            .person("a")
            .post(&format!("/channels/{group}/robots"), json!({"name": "r"}))
            .await
            .expect(201);
        let ms_id = text(&app.say("a", &group, "hello").await["ms_id"]);
        let robot = text(&robot["urls"]["wecom"]);
        Self { app, group, card, robot, ms_id }
    }

    async fn bulk(&self) -> Reply {
        let item =
            |words: &str| json!({"channel_id": self.group, "type": "text", "content": {"text": words}});
        let empty = json!({"channel_id": self.group, "type": "text", "content": {"text": ""}});
        self.app.person("a").post("/messages", json!([item("1"), empty, item("2"), item("3")])).await
    }

    async fn forward(&self) -> Reply {
        let body = json!({"channel_ids": [self.group], "client_id": "forward"});
        self.app.person("b").post(&format!("/messages/{}/forward", self.ms_id), body).await
    }

    async fn update(&self, version: i64) -> Reply {
        let change = json!({"title": "two", "version": version});
        self.app.person("oa").patch(&format!("/messages/{}/card", self.card), change).await
    }

    async fn notify(&self, client_id: &str) -> Reply {
        let body = json!({"client_id": client_id, "to": {"user_ids": ["a", "b"]}, "type": "link",
                          "content": {"url": "https://oa", "title": "notice"}, "topic": "t", "ref": "r"});
        self.app.person("oa").post("/notifications", body).await
    }

    async fn robot(&self) -> Reply {
        let body = json!({"msgtype": "text", "text": {"content": "built"}});
        Client::anonymous(&self.app.base).post(&self.robot, body).await
    }
}

#[tokio::test]
async fn each_way_into_the_service_leads_past_the_gate() {
    let ways = Ways::start().await;
    let filter = Filter::start(&ways.app.client("root", &["admin"]), json!({})).await;
    let stored = ways.app.count(STORED, &[]).await;
    filter.refuses("no");
    let statuses = |reply: Value| -> Vec<i64> {
        reply["results"].as_array().unwrap().iter().map(|one| one["status"].as_i64().unwrap()).collect()
    };
    assert_eq!(statuses(ways.bulk().await.expect(200)), [403, 422, 403, 403]);
    assert_eq!(statuses(ways.forward().await.expect(200)), [403]);
    ways.update(1).await.expect_problem(403, "gate-refused");
    ways.notify("n").await.expect_problem(403, "gate-refused");
    assert_eq!(ways.robot().await.expect(200)["errcode"], 40_058);
    let subjects: Vec<Value> = filter.asked().iter().map(|question| question["subject"].clone()).collect();
    assert_eq!(
        subjects,
        ["message", "message", "message", "message", "card_update", "notification", "message"]
    );
    let asked = filter.asked();
    assert_eq!(asked[3]["message"]["type"], "forward");
    assert_eq!(asked[3]["message"]["content"]["messages"][0]["content"]["text"], "hello");
    let card = &asked[4]["message"];
    assert_eq!((&card["ms_id"], &card["content"]["title"]), (&json!(ways.card), &json!("two")));
    assert_eq!((&card["content"]["version"], &card["sender_kind"]), (&json!(2), &json!("application")));
    let notice = &asked[5]["message"];
    assert_eq!(
        (notice.get("channel_id"), &notice["topic"], &notice["ref"]),
        (None, &json!("t"), &json!("r"))
    );
    assert_eq!(
        (&asked[6]["message"]["sender_name"], &asked[6]["message"]["content"]["text"]),
        (&json!("r"), &json!("built"))
    );
    assert_eq!(ways.app.count(STORED, &[]).await, stored);
    assert_eq!(ways.app.count("SELECT count(*) FROM t_im_notification", &[]).await, 0);

    // What must not be sent is refused without a question.
    ways.app.people(&["eve"]).await;
    send(&ways.app, "eve", &ways.group, "x").await.expect_problem(404, "not-found");
    send(&ways.app, "eve", "999999999", "x").await.expect_problem(404, "not-found");
    send(&ways.app, "nobody", &ways.group, "x").await.expect_problem(403, "unknown-user");
    ways.update(7).await.expect_problem(409, "conflict");
    assert_eq!(filter.asked().len(), asked.len());
}

#[tokio::test]
async fn what_the_gate_gives_is_stored_on_each_way() {
    let ways = Ways::start().await;
    let filter = Filter::start(&ways.app.client("root", &["admin"]), json!({})).await;
    filter.replaces_by("other");
    for result in
        [&ways.bulk().await.expect(200)["results"][0], &ways.forward().await.expect(200)["results"][0]]
    {
        assert_eq!((&result["status"], &result["replaced"]), (&json!(201), &json!(true)), "{result}");
    }
    let again = ways.forward().await.expect(200);
    assert_eq!(
        (&again["results"][0]["status"], &again["results"][0]["replaced"]),
        (&json!(200), &json!(true))
    );
    assert_eq!(ways.robot().await.expect(200)["errcode"], 0);
    let page =
        ways.app.person("b").get(&format!("/channels/{}/messages?limit=5", ways.group)).await.expect(200);
    for message in page["items"].as_array().unwrap() {
        assert_eq!((&message["type"], &message["content"]), (&json!("text"), &json!({"text": "other"})));
    }

    // One question for all receivers. The repeat of the call is answered as the first one, and asks nothing.
    let before = filter.asked().len();
    let made = ways.notify("n").await.expect(202);
    assert_eq!((&made["replaced"], &made["receivers"]), (&json!(true), &json!(2)));
    assert_eq!(ways.notify("n").await.expect(200), made);
    assert_eq!(filter.asked().len(), before + 1);
    ways.app.until("SELECT count(*) FROM t_im_notification WHERE is_open", 0).await;
    let same = "SELECT count(*) FROM t_im_message WHERE sender = 'oa' AND ms_type = 'text' AND content = '{\"text\": \"other\"}'";
    assert_eq!(ways.app.count(same, &[]).await, 2);

    // Only a card replaces a card, and it keeps its place in the versions.
    ways.update(1).await.expect_problem(503, "gate-unanswered");
    let card = json!({"title": "three", "fields": [], "buttons": [], "version": 9});
    filter.answers(&json!({"verdict": "replace", "content": card}));
    let updated = ways.update(1).await.expect(200);
    assert_eq!(updated["replaced"], true);
    assert_eq!(updated["content"], json!({"title": "three", "fields": [], "buttons": [], "version": 2}));
    filter.answers(&json!({"verdict": "allow"}));
    let updated = ways.update(2).await.expect(200);
    assert_eq!((updated.get("replaced"), &updated["content"]["title"]), (None, &json!("two")));
}

#[tokio::test]
async fn an_encrypted_content_is_asked_about_as_it_is_and_a_plain_one_does_not_take_its_place() {
    let app = TestApp::start_with(OPEN).await;
    app.people(&["a", "b"]).await;
    let channel = crate::chat::encrypted::group(&app, &["a", "b"]).await;
    let filter = Filter::start(&app.client("root", &["admin"]), json!({})).await;
    let (a, path) = (app.person("a"), format!("/channels/{channel}/messages"));
    let sealed = json!({"type": "mls", "content": {"mls": "AAECAw==", "kind": "application"}});
    a.post(&path, sealed.clone()).await.expect(201);
    let message = filter.asked().pop().unwrap()["message"].clone();
    assert_eq!((&message["type"], &message["content"]), (&sealed["type"], &sealed["content"]));
    filter.replaces_by("in the clear");
    a.post(&path, sealed.clone()).await.expect_problem(409, "channel-encrypted");
    filter.refuses("no");
    a.post(&path, sealed).await.expect_problem(403, "gate-refused");
    assert_eq!(app.count(STORED, &[]).await, 1);
}
