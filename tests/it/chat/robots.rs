//! Robots: programs send to a group as to robots of DingTalk and WeCom.

mod hidden;
mod limits;
mod outside;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use time::OffsetDateTime;

use crate::app::{LONG, TestApp, text};
use crate::support::{Client, Reply};

const BUILD: &str = "构建通知";

/// A robot with its address and secret.
pub struct Robot {
    robot_id: String,
    user_id: String,
    secret: String,
    dingtalk: String,
    wecom: String,
}

impl Robot {
    fn of(made: &Value) -> Self {
        Self {
            robot_id: text(&made["robot_id"]),
            user_id: text(&made["user_id"]),
            secret: text(&made["secret"]),
            dingtalk: text(&made["urls"]["dingtalk"]),
            wecom: text(&made["urls"]["wecom"]),
        }
    }

    /// The address with DingTalk's signature.
    #[expect(clippy::disallowed_methods, reason = "the database has the real clock")]
    fn signed(&self) -> String {
        self.signed_at(OffsetDateTime::now_utc())
    }

    fn signed_at(&self, now: OffsetDateTime) -> String {
        let now = now.unix_timestamp() * 1_000;
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
        mac.update(format!("{now}\n{}", self.secret).as_bytes());
        let sign = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        let sign: String = url::form_urlencoded::byte_serialize(sign.as_bytes()).collect();
        format!("{}&timestamp={now}&sign={sign}", self.dingtalk)
    }

    /// The address without a proof.
    fn bare(&self) -> &str {
        self.dingtalk.split('?').next().unwrap()
    }
}

fn robots(channel: &str) -> String {
    format!("/channels/{channel}/robots")
}

async fn made(app: &TestApp, admin: &str, channel: &str) -> Robot {
    Robot::of(&app.person(admin).post(&robots(channel), json!({"name": BUILD})).await.expect(201))
}

/// What a program without an identity gets.
async fn call(app: &TestApp, address: &str, body: &Value) -> Reply {
    Client::anonymous(&app.base).post(address, body.clone()).await
}

fn words(content: &str) -> Value {
    json!({"msgtype": "text", "text": {"content": content}})
}

#[track_caller]
fn expect_code(reply: Reply, errcode: i64) -> String {
    let body = reply.expect(200);
    assert_eq!(body["errcode"], errcode, "{body}");
    text(&body["errmsg"])
}

async fn newest(app: &TestApp, reader: &str, channel: &str) -> Value {
    let page = app.person(reader).get(&format!("/channels/{channel}/messages?limit=1")).await.expect(200);
    page["items"][0].clone()
}

#[tokio::test]
async fn a_robot_sends_as_a_member_and_is_no_receiver() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "c", "stranger"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let (a, b) = (app.person("a"), app.person("b"));
    b.post(&robots(&group), json!({"name": BUILD})).await.expect_problem(403, "forbidden");
    b.get(&robots(&group)).await.expect_problem(403, "forbidden");
    app.person("stranger")
        .post(&robots(&group), json!({"name": BUILD}))
        .await
        .expect_problem(404, "not-found");
    let direct = app.direct("a", "b").await;
    a.post(&robots(&direct), json!({"name": BUILD})).await.expect_problem(409, "conflict");
    a.post(&robots(&group), json!({"name": "\u{200b}"})).await.expect_problem(422, "invalid-field");
    a.put(&format!("/channels/{group}/members/c/role"), json!({"role": "admin"})).await.expect(204);
    let robot = made(&app, "c", &group).await;
    let listed = a.get(&robots(&group)).await.expect(200);
    assert_eq!(listed["items"][0]["name"], BUILD);
    assert_eq!(listed["items"][0]["created_by"], "c");
    assert!(!listed.to_string().contains("SEC"), "{listed}");
    assert_eq!(a.get(&format!("/channels/{group}")).await.expect(200)["member_count"], 4);

    assert_eq!(expect_code(call(&app, &robot.signed(), &words("构建失败")).await, 0), "ok");
    let message = newest(&app, "b", &group).await;
    assert_eq!((&message["sender"], &message["sender_name"]), (&json!(robot.user_id), &json!(BUILD)));
    assert_eq!(message["content"]["text"], "构建失败");
    assert_eq!(app.unread("b", &group).await, 1);
    let receivers = |ledger: Vec<(String, String, Value)>| -> Vec<String> {
        ledger.into_iter().map(|(receiver, ..)| receiver).collect()
    };
    assert_eq!(receivers(app.ledger(&message["ms_id"]).await), ["a", "b", "c"]);
    let ms_id = text(&message["ms_id"]);
    app.gateway.wait_for(|record| record.receivers_of(&ms_id) == 3, LONG).await;
    // What others send does not wait for the robot.
    let said = app.say("a", &group, "谢谢").await;
    assert_eq!(receivers(app.ledger(&said["ms_id"]).await), ["b", "c"]);
    // Nothing waits in a group of one person and a robot.
    let alone = app.group(&["a"]).await;
    let other = made(&app, "a", &alone).await;
    app.say("a", &alone, "hello").await;
    expect_code(call(&app, &other.signed(), &words("world")).await, 0);
    let ms_id = text(&newest(&app, "a", &alone).await["ms_id"]);
    app.gateway.wait_for(|record| record.receivers_of(&ms_id) == 1, LONG).await;
    app.settled().await;
}

#[tokio::test]
async fn the_address_and_the_secret_are_shown_once_and_kept_nowhere() {
    let app = TestApp::start_with("robot_url = \"https://im.example/api/v1/robots/\"\n").await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let a = app.person("a");
    let wish = json!({"name": BUILD, "client_id": "r1"});
    let first = a.post(&robots(&group), wish.clone()).await.expect(201);
    let again = a.post(&robots(&group), wish).await.expect(200);
    assert_eq!(
        (&again["robot_id"], &again["secret"], &again["urls"]),
        (&first["robot_id"], &Value::Null, &Value::Null)
    );
    a.post(&robots(&group), json!({"name": "x", "client_id": "r1"}))
        .await
        .expect_problem(409, "client-id-reused");
    let mut robot = Robot::of(&first);
    assert!(robot.dingtalk.starts_with("https://im.example/api/v1/robots/impr_"), "{}", robot.dingtalk);
    for url in [&mut robot.dingtalk, &mut robot.wecom] {
        *url = url.replace("https://im.example", "");
    }
    let token = robot.bare().rsplit('/').next().unwrap().to_owned();
    let sql = app.sql().await;
    for table in ["t_im_robot", "t_im_audit", "t_im_user", "t_im_claim"] {
        let rows = sql.query(&format!("SELECT t::text FROM {table} t"), &[]).await.unwrap();
        let rows: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(!rows.iter().any(|row| row.contains(&token) || row.contains(&robot.secret)), "{table}");
    }
    let one = format!("{}/{}", robots(&group), robot.robot_id);

    // The proof: that of DingTalk, that of WeCom, or none if the robot needs none.
    expect_code(call(&app, &robot.signed(), &words("1")).await, 0);
    expect_code(call(&app, &robot.wecom, &words("2")).await, 0);
    assert!(
        expect_code(call(&app, &robot.dingtalk, &words("x")).await, 310_000).starts_with("sign not match")
    );
    let forged = format!("{}&timestamp=1577262236757&sign=x", robot.dingtalk);
    assert!(expect_code(call(&app, &forged, &words("x")).await, 310_000).starts_with("invalid timestamp"));
    let told = expect_code(call(&app, &format!("{}?key=x", robot.bare()), &words("x")).await, 93_000);
    assert!(told.starts_with("invalid webhook url, hint: ["), "{told}");
    // Clients that add a signature again and again mean the last one.
    let twice = format!("{forged}&{}", robot.signed().split_once('&').unwrap().1);
    expect_code(call(&app, &twice, &words("3")).await, 0);
    app.person("b").patch(&one, json!({"must_sign": false})).await.expect_problem(403, "forbidden");
    let changed = a.patch(&one, json!({"must_sign": false, "name": "发布"})).await.expect(200);
    assert_eq!((&changed["must_sign"], &changed["name"]), (&json!(false), &json!("发布")));
    expect_code(call(&app, robot.bare(), &words("4")).await, 0);
    expect_code(call(&app, &format!("{}?key=x", robot.bare()), &words("x")).await, 93_000);
    assert!(expect_code(call(&app, &forged, &words("x")).await, 310_000).starts_with("invalid timestamp"));
    assert_eq!(newest(&app, "b", &group).await["sender_name"], "发布");
    assert_eq!(app.seqs("b", &group, "").await, [4, 3, 2, 1]);

    // Another address ends the old one. A removed robot has none.
    app.person("b").post(&format!("{one}/rotate"), json!(null)).await.expect_problem(403, "forbidden");
    let rotated = a.post(&format!("{one}/rotate"), json!(null)).await.expect(200);
    assert!(rotated["rotated_at"].is_string());
    assert_eq!(expect_code(call(&app, robot.bare(), &words("x")).await, 300_001), "token is not exist");
    expect_code(call(&app, &robot.wecom, &words("x")).await, 93_000);
    let mut robot = Robot::of(&rotated);
    robot.dingtalk = robot.dingtalk.replace("https://im.example", "");
    expect_code(call(&app, &robot.signed(), &words("5")).await, 0);
    a.delete(&one).await.expect(204);
    a.delete(&one).await.expect_problem(404, "not-found");
    a.post(&format!("{one}/rotate"), json!(null)).await.expect_problem(404, "not-found");
    a.patch(&one, json!({})).await.expect_problem(404, "not-found");
    expect_code(call(&app, &robot.signed(), &words("x")).await, 300_001);
    assert_eq!(newest(&app, "b", &group).await["sender_name"], "发布");
    assert_eq!(a.get(&format!("/channels/{group}")).await.expect(200)["member_count"], 2);
    let kept = app.client("root", &["admin"]).get("/audit").await.expect(200);
    let actions: Vec<&str> =
        kept["items"].as_array().unwrap().iter().filter_map(|e| e["action"].as_str()).collect();
    assert_eq!(actions, ["robot-removed", "robot-rotated", "robot-changed", "robot-created"]);
}

#[tokio::test]
async fn a_robot_that_sends_too_much_is_told_in_its_own_words() {
    let settings = "robot_per_minute = 3\nrobots_per_group = 2\n";
    let app = TestApp::start_with(settings).await;
    let replica = TestApp::start_on(app.database.clone(), settings).await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let (one, other) = (made(&app, "a", &group).await, made(&app, "a", &group).await);
    app.person("a").post(&robots(&group), json!({"name": BUILD})).await.expect_problem(409, "conflict");
    // What is no message takes no place.
    for _ in 0..4 {
        expect_code(call(&app, &one.signed(), &json!({"msgtype": "text"})).await, 40_035);
    }
    // All at once, and by two replicas.
    let (signed, body) = (one.signed(), words("x"));
    let calls = (0..10).map(|n| call(if n % 2 == 0 { &app } else { &replica }, &signed, &body));
    let mut answers = futures_util::future::join_all(calls).await;
    answers.sort_by_key(|reply| reply.body["errcode"].as_i64());
    for reply in answers.split_off(3) {
        let wait: u64 = reply.header("retry-after").parse().expect("seconds");
        assert!((1..=60).contains(&wait), "{wait}");
        assert_eq!(expect_code(reply, 130_101), "send too fast, exceed 3 times per minute");
    }
    for reply in answers {
        expect_code(reply, 0);
    }
    let reply = call(&app, &one.wecom, &body).await;
    assert!(!reply.header("retry-after").is_empty());
    assert!(expect_code(reply, 45_009).starts_with("api freq out of limit"));
    expect_code(call(&app, &other.signed(), &body).await, 0);
    assert_eq!(app.seqs("b", &group, "").await.len(), 4);
    // A minute later there is room again.
    let past =
        "UPDATE t_im_robot SET sent_at = ARRAY(SELECT at - interval '61 seconds' FROM unnest(sent_at) AS at)";
    app.sql().await.batch_execute(past).await.unwrap();
    expect_code(call(&app, &one.signed(), &body).await, 0);
}

#[tokio::test]
async fn a_robot_belongs_to_its_group_alone() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let (group, other) = (app.group(&["a", "b"]).await, app.group(&["a", "b"]).await);
    let robot = made(&app, "a", &group).await;
    let a = app.person("a");
    let member = format!("/channels/{group}/members/{}", robot.user_id);
    a.delete(&member).await.expect_problem(409, "conflict");
    a.put(&format!("{member}/role"), json!({"role": "admin"})).await.expect_problem(409, "conflict");
    a.post(&format!("/channels/{group}/owner"), json!({"user_id": robot.user_id}))
        .await
        .expect_problem(422, "invalid-field");
    let added = json!({"user_ids": [robot.user_id]});
    a.post(&format!("/channels/{other}/members"), added).await.expect_problem(422, "invalid-field");
    let direct = json!({"type": "direct", "members": [robot.user_id]});
    a.post("/channels", direct).await.expect_problem(422, "invalid-field");
    let foreign = format!("{}/{}", robots(&other), robot.robot_id);
    a.delete(&foreign).await.expect_problem(404, "not-found");
    // Also where admins alone send.
    a.patch(&format!("/channels/{group}"), json!({"who_sends": "admins"})).await.expect(200);
    expect_code(call(&app, &robot.signed(), &words("x")).await, 0);
    // The last person who leaves dissolves the group.
    app.person("b").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    a.post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    assert_eq!(expect_code(call(&app, &robot.signed(), &words("x")).await, 400_013), "群已被解散");
    expect_code(call(&app, &robot.wecom, &words("x")).await, 93_008);
}

#[tokio::test]
async fn a_robot_stays_in_the_group_of_a_department() {
    let app = TestApp::start().await;
    let hr = app.client("hr", &["directory"]);
    let told =
        |users: Value| json!({"departments": [{"department_id": "rd", "name": "研发部"}], "users": users});
    let both =
        json!([{"user_id": "a", "name": "a"}, {"user_id": "b", "name": "b", "department_ids": ["rd"]}]);
    hr.post("/directory/changes", told(both)).await.expect(200);
    let group =
        text(&hr.post("/departments/rd/group", json!({"owner": "a"})).await.expect(201)["channel_id"]);
    let robot = made(&app, "a", &group).await;
    let more = json!([{"user_id": "c", "name": "c", "department_ids": ["rd"]}]);
    hr.post("/directory/changes", told(more)).await.expect(200);
    let members = "SELECT member_count::bigint FROM t_im_channel WHERE channel_id = $1";
    let id: i64 = group.parse().unwrap();
    app.until_with(members, &[&id], 4).await;
    expect_code(call(&app, &robot.signed(), &words("x")).await, 0);
    assert_eq!(newest(&app, "c", &group).await["sender"], robot.user_id);
}

#[tokio::test]
async fn every_receiver_of_a_large_group_gets_what_a_robot_sends() {
    // Two slots to a batch. The robot shares its stretch with one person.
    let app = TestApp::start_with("callback_batch_pairs = 2\n").await;
    app.people(&["a", "b", "c"]).await;
    let group = app.group(&["a", "b", "c"]).await;
    let robot = made(&app, "a", &group).await;
    expect_code(call(&app, &robot.signed(), &words("x")).await, 0);
    let ms_id = text(&newest(&app, "c", &group).await["ms_id"]);
    app.gateway.wait_for(|record| record.receivers_of(&ms_id) == 3, LONG).await;
    app.settled().await;
    app.say("c", &group, "y").await;
    app.settled().await;
}

#[tokio::test]
async fn a_picture_is_read_by_those_who_see_the_message() {
    let app = TestApp::start().await;
    app.people(&["a", "b", "stranger"]).await;
    let group = app.group(&["a", "b"]).await;
    let robot = made(&app, "a", &group).await;
    let bytes = picture();
    let image = |bytes: &[u8]| json!({"msgtype": "image", "image": {"base64": BASE64_STANDARD.encode(bytes), "md5": "x"}});
    expect_code(call(&app, &robot.wecom, &image(&bytes)).await, 0);
    let message = newest(&app, "b", &group).await;
    assert_eq!(message["type"], "picture");
    let path = format!("/files/{}/content", text(&message["content"]["file_id"]));
    let (reply, read) = app.person("b").raw("GET", &path, &[], &[]).await;
    assert_eq!((reply.status, read == bytes), (200, true));
    app.person("stranger").raw("GET", &path, &[], &[]).await.0.expect_problem(404, "not-found");
    let told = expect_code(call(&app, &robot.wecom, &image(b"no picture")).await, 40_009);
    assert!(told.starts_with("invalid image size"), "{told}");
    let at = json!({"msgtype": "image", "image": {"picURL": "https://ci.example/42.png"}});
    expect_code(call(&app, &robot.signed(), &at).await, 0);
    assert_eq!(newest(&app, "b", &group).await["content"]["url"], "https://ci.example/42.png");
    let bad = json!({"msgtype": "image", "image": {"picURL": "javascript:alert(1)"}});
    expect_code(call(&app, &robot.signed(), &bad).await, 40_035);
    // Refused pictures leave no file.
    let files = "SELECT count(*) FROM t_im_file";
    assert_eq!(app.count(files, &[]).await, 1);
    app.person("a").delete(&format!("/channels/{group}")).await.expect(204);
    expect_code(call(&app, &robot.wecom, &image(&bytes)).await, 93_008);
    assert_eq!(app.count(files, &[]).await, 1);
    app.until("SELECT count(*) FROM t_im_file_object WHERE drop_after IS NOT NULL", 0).await;
    let (reply, _) = app.person("b").raw("GET", &path, &[], &[]).await;
    assert_eq!(reply.status, 200, "the picture of a message stays");
}

/// A small PNG.
fn picture() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(3, 2).write_to(&mut bytes, image::ImageFormat::Png).expect("a picture");
    bytes.into_inner()
}

#[tokio::test]
async fn a_body_that_cannot_be_a_message_is_refused_with_a_code() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let robot = made(&app, "a", &group).await;
    for (body, dingtalk, wecom) in [
        (json!([]), 40_035, 44_004),
        (json!({"msgtype": "voice", "voice": {"media_id": "x"}}), 400_105, 40_008),
        (words(" "), 40_035, 44_004),
        (words(&"长".repeat(20_001)), 460_101, 45_002),
        (words("a\0"), 40_035, 40_058),
    ] {
        expect_code(call(&app, &robot.signed(), &body).await, dingtalk);
        expect_code(call(&app, &robot.wecom, &body).await, wecom);
    }
    let outside = Client::anonymous(&app.base);
    for headers in [&[][..], &[("content-type", "application/x-www-form-urlencoded")]] {
        let (reply, _) = outside.raw("POST", &robot.wecom, headers, b"{").await;
        expect_code(reply, 47_001);
        let (reply, _) = outside.raw("POST", &robot.wecom, headers, words("x").to_string().as_bytes()).await;
        expect_code(reply, 0);
    }
    outside.get(robot.bare()).await.expect_problem(405, "method-not-allowed");
    expect_code(call(&app, "/api/v1/robots/impr_x?key=y", &words("x")).await, 93_000);
    expect_code(call(&app, "/api/v1/robots/x", &words("x")).await, 300_001);
    assert_eq!(app.seqs("b", &group, "").await.len(), 2);
}

#[tokio::test]
async fn a_robot_takes_no_quote_out_of_the_pushes_of_its_group() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let first = text(&app.say("a", &group, "before the robot").await["ms_id"]);
    made(&app, "a", &group).await;
    let reply = json!({"type": "text", "content": {"text": "yes"}, "reply_to": first});
    let path = format!("/channels/{group}/messages");
    let reply = text(&app.person("b").post(&path, reply).await.expect(201)["ms_id"]);
    app.gateway.wait_for(|record| record.seen(&reply, "a") == 1, LONG).await;
    let quote = app.gateway.read(|record| {
        let mut messages = record.batches().flat_map(|batch| &batch.messages);
        messages.find(|message| message.ms_id == reply).expect("pushed").reply_to.clone()
    });
    assert_eq!(quote.expect("a quote")["preview"], "before the robot");
}
