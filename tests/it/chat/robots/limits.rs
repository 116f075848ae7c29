//! What a robot may cost: its mentions, its bodies, its minute and its files.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{call, expect_code, made, newest, picture, words};
use crate::app::{LONG, TestApp, text};

const MEANT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/chat/robot/meant.sql"));
const MEMBERS: i64 = 5_000;
/// Most buffers (pages of 8 KiB) of a mention of one user and one phone: a few index probes each.
const BUFFERS_MAX: u64 = 100;

/// The buffers that a plan has touched, from its first line about them.
fn buffers(plan: &str) -> u64 {
    let counts = plan.lines().find_map(|line| line.trim().strip_prefix("Buffers: shared ")).expect(plan);
    counts.split([' ', '=']).filter_map(|word| word.parse::<u64>().ok()).sum()
}

#[tokio::test]
async fn a_mention_looks_people_up_by_key_however_large_the_group_is() {
    let app = TestApp::start().await;
    app.people(&["boss", "stranger"]).await;
    let crowd = app.crowd(MEMBERS).await;
    let group = app.person("boss").post("/groups", json!({"name": "all", "members": crowd})).await;
    let group = text(&group.expect(201)["channel_id"]);
    let sql = app.sql().await;
    let phones = "UPDATE t_im_user SET phone = '+86 138-' || substr(user_id, 2, 1) || '000-' || substr(user_id, 3) \
                  WHERE user_id LIKE 'u%'; \
                  UPDATE t_im_user SET phone = '13900000000' WHERE user_id = 'stranger'; \
                  UPDATE t_im_user SET phone = '110' WHERE user_id = 'u00009'";
    sql.batch_execute(phones).await.unwrap();
    let robot = made(&app, "boss", &group).await;
    let mut body = words("x");
    // With a country code and without. Strangers and short numbers mean nobody.
    body["at"] = json!({"atUserIds": ["u00007", "u00007", "nobody", "stranger"],
        "atMobiles": ["13800000008", "86-13800000010", "+8613800000010", "00000011", "13900000000", "110", "13700000012"]});
    expect_code(call(&app, &robot.signed(), &body).await, 0);
    let mentions = newest(&app, "boss", &group).await["mentions"].clone();
    assert_eq!(mentions, json!(["u00007", "u00008", "u00010", "u00011"]));

    for state in ["", "ANALYZE; SET plan_cache_mode = force_generic_plan"] {
        sql.batch_execute(&format!("{state}; PREPARE it AS {MEANT}")).await.unwrap();
        let explain =
            format!("EXPLAIN (ANALYZE, BUFFERS) EXECUTE it({group}, '{{u00007}}', '{{13800000008}}', 200)");
        let rows = sql.query(&explain, &[]).await.unwrap();
        let plan = rows.iter().fold(String::new(), |plan, row| plan + row.get::<_, &str>(0) + "\n");
        assert!(buffers(&plan) <= BUFFERS_MAX && !plan.contains("Seq Scan"), "{state}\n{plan}");
        sql.batch_execute("DEALLOCATE it").await.unwrap();
    }
}

#[tokio::test]
async fn a_stranger_is_answered_before_the_body_comes() {
    let app = TestApp::start().await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let robot = made(&app, "a", &group).await;
    let nowhere = format!("/api/v1/robots/impr_{}", "x".repeat(43));
    for (address, code) in [(nowhere.as_str(), 300_001), (robot.bare(), 310_000)] {
        let mut stream = TcpStream::connect(app.base.trim_start_matches("http://")).await.unwrap();
        let head = format!(
            "POST {address} HTTP/1.1\r\nHost: im\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        let read = tokio::time::timeout(LONG / 2, stream.read_to_string(&mut answer)).await;
        assert!(read.is_ok() && answer.contains(&format!("\"errcode\":{code},")), "{address}: {answer}");
    }
}

#[tokio::test]
async fn the_clock_of_the_database_judges_signatures_and_counts_the_minute() {
    let mut app = TestApp::start_with("robot_per_minute = 1\n").await;
    app.gateway.ignore_time();
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    app.clock("2 hours").await;
    let robot = made(&app, "a", &group).await;
    expect_code(call(&app, &robot.signed(), &words("x")).await, 310_000);
    let now = app.store.now().await.unwrap();
    expect_code(call(&app, &robot.signed_at(now), &words("x")).await, 0);
    expect_code(call(&app, &robot.signed_at(now), &words("y")).await, 130_101);
    let counted = "SELECT count(*) FROM t_im_robot WHERE im_clock() - sent_at[1] BETWEEN '0' AND '1 minute'";
    assert_eq!(app.count(counted, &[]).await, 1);
}

#[tokio::test]
async fn a_robot_whose_files_are_full_is_told_what_helps() {
    let app = TestApp::start_with("file_quota_files = 1\nfile_remove_with_message = true\n").await;
    app.people(&["a", "b"]).await;
    let group = app.group(&["a", "b"]).await;
    let robot = made(&app, "a", &group).await;
    let image: Value = json!({"msgtype": "image", "image": {"base64": BASE64_STANDARD.encode(picture())}});
    expect_code(call(&app, &robot.wecom, &image).await, 0);
    let told = expect_code(call(&app, &robot.wecom, &image).await, 40_058);
    assert!(told.starts_with("the files of the robot are full: replace it by another robot"), "{told}");
    let other = made(&app, "a", &group).await;
    expect_code(call(&app, &other.wecom, &image).await, 0);
    // With this setting a recall makes room, too.
    let pictures = app.person("b").get(&format!("/channels/{group}/messages")).await.expect(200);
    let pictures = pictures["items"].as_array().expect("messages").clone();
    let of_robot = pictures.iter().find(|message| message["sender"] == robot.user_id).expect("a picture");
    let recall = format!("/messages/{}/recall", text(&of_robot["ms_id"]));
    app.client("root", &["admin"]).post(&recall, json!({"reason": "room"})).await.expect(200);
    app.until_with("SELECT count(*) FROM t_im_file WHERE owner = $1", &[&robot.user_id], 0).await;
    expect_code(call(&app, &robot.wecom, &image).await, 0);
}
