//! The page of "why did a person not get it" in Chromium, for what is wrong with the gateway and with its deliveries.

use serde_json::{Value, json};

use super::browse;
use crate::app::{TestApp, text};
use crate::records::diagnosis::{
    behind_another, finding_becomes, forget_dead_letters, forget_what_waits, given_up, leaves, patch_gateway,
    push_off,
};
use crate::support::Answer;

/// The page of a finding has its sentence, what to do, and the line of what happened.
pub fn page(ms_id: &str, user: &str, finding: &str, wants: [&str; 2]) -> Value {
    // No POST could bring it to a user who is no receiver.
    let receives_none = ["sender", "never_member", "joined_later", "left_before", "not_receiver"];
    let posts = ["POST to the gateway", "推送到网关"];
    let lacks: &[&str] = if receives_none.contains(&finding) { &posts } else { &[] };
    json!({
        "name": format!("why-{finding}"), "address": format!("why?ms_id={ms_id}&user_id={user}"),
        "wants": wants, "lacks": lacks, "has": [format!("[data-finding={finding}]"), "ol.line li"],
    })
}

/// Waits for the finding, and looks at its page in both languages.
async fn look(app: &TestApp, (ms_id, user): (&Value, &str), finding: &str, wants: [[&str; 2]; 2]) {
    finding_becomes(app, ms_id, user, finding).await;
    let session = |(lang, scheme, width, wants): (&str, &str, u32, [&str; 2])| {
        json!({
            "user": "desk", "roles": "support", "lang": lang, "scheme": scheme, "width": width, "reason": "ticket 7",
            "visits": [page(&text(ms_id), user, finding, wants)],
        })
    };
    let [en, zh] = wants;
    let sessions = [("en", "dark", 390, en), ("zh", "light", 1280, zh)].map(session);
    let pictures = std::env::var("PICTURES").ok();
    let found = browse(&json!({"base": app.base, "sessions": sessions, "pictures": pictures})).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{finding}: {problems:#?}");
    assert_eq!(found["seen"][format!("why-{finding}")], 2, "{found}");
}

#[tokio::test]
async fn what_keeps_the_gateway_from_getting_it_is_shown() {
    let app = TestApp::start().await;
    app.people(&["ann", "bob"]).await;
    let (direct, root) = (app.direct("ann", "bob").await, app.client("root", &["admin"]));
    patch_gateway(&root, "paused").await;
    let first = app.say("ann", &direct, "one").await["ms_id"].clone();
    let paused = [["has paused the gateway", "presses Resume"], ["管理员已暂停网关", "点击“恢复”"]];
    look(&app, (&first, "bob"), "gateway_paused", paused).await;
    app.gateway.answer(|_| Answer::status(503));
    patch_gateway(&root, "active").await;
    let failing = [["does not answer as it should", "answered 503"], ["网关没有正常应答", "answered 503"]];
    look(&app, (&first, "bob"), "gateway_failing", failing).await;
    app.gateway.answer(|_| Answer::All);
    finding_becomes(&app, &first, "bob", "received").await;
    let (next, gate) = behind_another(&app, &direct).await;
    let waiting = [["waits for its turn", "in a few seconds"], ["正在排队", "几秒后重新打开"]];
    look(&app, (&next, "bob"), "waiting", waiting).await;
    gate.open();
    finding_becomes(&app, &next, "bob", "received").await;

    patch_gateway(&root, "paused").await;
    let last = app.say("ann", &direct, "four").await["ms_id"].clone();
    finding_becomes(&app, &last, "bob", "gateway_paused").await;
    leaves(&app, "bob").await;
    patch_gateway(&root, "active").await;
    let left = [["BOB had left the company", "Nothing needs"], ["BOB 当时已离职", "无需处理"]];
    look(&app, (&last, "bob"), "left_company", left).await;
}

#[tokio::test]
async fn what_was_given_up_is_shown() {
    let (app, lost) = given_up().await;
    let dead = [["failed for too long", "replays the dead letter"], ["服务已放弃", "重放死信"]];
    look(&app, (&lost, "bob"), "dead_letter", dead).await;
    forget_dead_letters(&app).await;
    let gone =
        [["no push waits any more", "at the next sign-in"], ["也没有等待中的推送", "下次登录时会收到"]];
    look(&app, (&lost, "bob"), "not_delivered", gone).await;
}

#[tokio::test]
async fn a_gateway_that_is_not_there_and_a_robot_are_shown() {
    let (app, ms_id, robot) = push_off().await;
    let none = [["No gateway is configured", "sets callback_url"], ["尚未配置网关", "设置 callback_url"]];
    look(&app, (&ms_id, "bob"), "no_gateway", none).await;
    forget_what_waits(&app).await;
    let off = [["Push is turned off", "If push is wanted"], ["推送已关闭", "如需推送"]];
    look(&app, (&ms_id, "bob"), "push_off", off).await;
    let sends = [["receives no messages there", "A robot only sends"], ["是频道中的机器人", "机器人只发送"]];
    look(&app, (&ms_id, &robot), "not_receiver", sends).await;
}
