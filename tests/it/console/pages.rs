//! Every page in Chromium: both languages, light and dark, wide and narrow.

use serde_json::{Value, json};

use super::browse;
use crate::app::{TestApp, text};
use crate::archive::moving::Aged;
use crate::records::diagnosis::{by_their_ids, finding_becomes};

/// Texts of the greatest length: more than a page has.
const LONG_TEXTS: usize = 51;

/// What a user calls himself, and what he says, to run a script on the page.
pub const INJECTED: &str = "<img src=x onerror=\"window.injected=1\"><script>window.injected=1</script>";

/// What the pages are about.
struct World {
    group: String,
    /// A group where people write long texts.
    long: String,
    /// A message of today, and one of the archive.
    ms_id: String,
    old: String,
}

async fn world(aged: &mut Aged) -> World {
    aged.app.clock("-40 days").await;
    let user =
        |id: &str, name: &str| json!({"user_id": id, "name": name, "title": "工程师", "department_id": "rd"});
    let departments = json!([{"department_id": "rd", "name": "研发部"}]);
    let users = json!([
        user("zhangsan", "张三"),
        user("lisi", "李四"),
        user("wangwu", "王五"),
        user("off", "赵六"),
        user("later", "Later Larry"),
        user("refused", "Refused Rita"),
        user("left", "周离"),
        user("new", "吴新"),
        user("never", "郑外"),
        user("mallory", INJECTED),
    ]);
    aged.client("hr", &["directory"])
        .post("/directory/changes", json!({"departments": departments, "users": users}))
        .await
        .expect(200);
    aged.gateway.answer(by_their_ids);
    let members = ["lisi", "wangwu", "off", "later", "refused", "left", "mallory"];
    let body = json!({"name": "项目组 Apollo", "members": members});
    let group = text(&aged.person("zhangsan").post("/groups", body).await.expect(201)["channel_id"]);
    aged.gateway.answer(|_| crate::support::Answer::All);
    let old = text(&aged.say("zhangsan", &group, "去年的季度报告在这里").await["ms_id"]);
    aged.settled().await;
    aged.app.clock("0").await;
    aged.move_all().await;

    aged.person("left").post(&format!("/channels/{group}/leave"), json!({})).await.expect(204);
    aged.gateway.answer(by_their_ids);
    for words in ["各位好，项目进展顺利", INJECTED, "Please find the quarterly report attached"] {
        aged.say("mallory", &group, words).await;
    }
    let ms_id = text(&aged.say("zhangsan", &group, "季度报告已发，请周五之前查收并回复意见").await["ms_id"]);
    let file =
        json!({"url": "/files/1", "name": "<b>季度报告</b>.pdf", "size": 1, "media_type": "application/pdf"});
    let body = json!({"type": "file", "content": file});
    aged.person("mallory").post(&format!("/channels/{group}/messages"), body).await.expect(201);
    let add = json!({"user_ids": ["new"]});
    aged.person("zhangsan").post(&format!("/channels/{group}/members"), add).await.expect(200);
    let id = json!(ms_id);
    finding_becomes(aged, &id, "wangwu", "received").await;
    finding_becomes(aged, &id, "later", "retrying").await;
    aged.person("lisi").post(&format!("/channels/{group}/read"), json!({"seq": 6})).await.expect(200);
    let body = json!({"name": "长文", "members": ["lisi"]});
    let long = text(&aged.person("zhangsan").post("/groups", body).await.expect(201)["channel_id"]);
    for n in 0..LONG_TEXTS {
        aged.say("zhangsan", &long, &format!("{n:02}{}", "长".repeat(19_998))).await;
    }
    aged.indexed().await;
    aged.until("SELECT count(*) FROM t_im_user WHERE words_due", 0).await;
    World { group, long, ms_id, old }
}

/// The page of each finding, with its sentence and what to do.
fn findings(world: &World, lang: &str) -> Vec<Value> {
    let all = [
        ("zhangsan", "sender", ["张三 sent this message", "Nothing needs"], ["张三 自己发送的", "无需处理"]),
        (
            "lisi",
            "read",
            ["李四 has received and read it", "Nothing needs"],
            ["李四 已收到并已读", "无需处理"],
        ),
        (
            "wangwu",
            "received",
            ["has not read it", "open the channel"],
            ["王五 已收到，但尚未阅读", "请对方打开频道"],
        ),
        ("off", "offline", ["赵六 was offline", "Ask the person to sign in"], ["赵六 不在线", "请对方登录"]),
        (
            "refused",
            "rejected",
            ["The gateway refused it for", "the reason and"],
            ["网关拒收了发给 Refused Rita", "原因和批次编号"],
        ),
        ("later", "retrying", ["had no success so far", "the answers below"], ["尚未成功", "查看下面的应答"]),
        (
            "left",
            "left_before",
            ["周离 had left the channel", "Forward"],
            ["周离 在这条消息之前已退出", "转发"],
        ),
        (
            "new",
            "joined_later",
            ["吴新 joined the channel after", "Forward"],
            ["吴新 在这条消息之后才加入", "转发"],
        ),
        (
            "never",
            "never_member",
            ["郑外 was never a member", "Add the person"],
            ["郑外 从未加入", "将对方加入频道"],
        ),
    ];
    let page = |(user, finding, en, zh): (&str, &str, [&'static str; 2], [&'static str; 2])| {
        super::findings::page(&world.ms_id, user, finding, if lang == "zh" { zh } else { en })
    };
    all.into_iter().map(page).collect()
}

fn page(name: &str, address: String, wants: &[&str]) -> Value {
    json!({"name": name, "address": address, "wants": wants})
}

/// A page with a part.
fn with(mut page: Value, css: &str) -> Value {
    page["has"] = json!([css]);
    page
}

fn visits_of_people(lang: &str) -> Vec<Value> {
    let none = if lang == "zh" { "没有匹配的用户" } else { "No user matches" };
    vec![
        page("people", "people?q=%E6%9D%8E".into(), &["李四", "工程师"]),
        page("departments", "people".into(), &["研发部"]),
        page("department", "people?department_id=rd".into(), &["研发部", "李四"]),
        page("people-none", "people?q=xyzxyz".into(), &[none]),
        page("person", "person?user_id=lisi".into(), &["李四", "项目组 Apollo"]),
        page("person-injected", "person?user_id=mallory".into(), &["<img src=x"]),
    ]
}

fn visits(world: &World, lang: &str) -> Vec<Value> {
    let World { group, long, ms_id, old } = world;
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let mut all = vec![
        page("search-empty", "search".into(), &[word("Fill in what you know", "填写已知的信息")]),
        with(
            page(
                "search",
                "search?q=%E5%AD%A3%E5%BA%A6%E6%8A%A5%E5%91%8A".into(),
                &[
                    "季度报告已发",
                    "去年的季度报告",
                    "<b>季度报告</b>.pdf",
                    word("Export CSV", "导出 CSV"),
                    word("is recorded in the audit", "记入审计日志"),
                ],
            ),
            "mark",
        ),
        page("search-none", "search?q=nothingsuch".into(), &[word("No message matches", "没有匹配的消息")]),
        page(
            "search-refused",
            "search?sender=nobody-here".into(),
            &[word("from: no user", "发送人: no user")],
        ),
        page("search-injected", format!("search?q=onerror&sender=mallory&channel_id={group}"), &["onerror"]),
        with(
            page(
                "channel",
                format!("channel?channel_id={group}&around={ms_id}"),
                &["项目组 Apollo", "<img src=x"],
            ),
            "li.hit#hit",
        ),
        with(
            page(
                "channel-old",
                format!("channel?channel_id={group}&around={old}"),
                &["去年的季度报告在这里"],
            ),
            "li.hit#hit",
        ),
        page("channel-members", format!("channel?channel_id={group}&view=members"), &["李四", "周离"]),
        with(
            page(
                "message",
                format!("message?ms_id={ms_id}"),
                &["李四", word("Refused", "被拒收"), "no device"],
            ),
            "svg.counts",
        ),
        // A list shows the beginning of a long text, so that the page stays small.
        with(
            page(
                "search-long",
                format!("search?channel_id={long}&go=1"),
                &["长…", word("Whole text", "查看全文")],
            ),
            "li.row:nth-child(50)",
        ),
        page("channel-long", format!("channel?channel_id={long}"), &["长…", word("Whole text", "查看全文")]),
        page("message-unread", format!("message?ms_id={ms_id}&status=received"), &["王五"]),
        page("message-old", format!("message?ms_id={old}"), &["李四"]),
        page("why", "why".into(), &[word("Give the message and the person", "填写消息和人员")]),
        page("why-old", format!("why?ms_id={old}&user_id=lisi"), &[word("Archived", "已归档")]),
    ];
    all.extend(visits_of_people(lang));
    all.extend(findings(world, lang));
    let missing = word("Not found", "未找到");
    all.push(json!({"name": "not-found", "address": "message?ms_id=99", "status": 404, "wants": [missing]}));
    all.extend(acts(ms_id));
    all
}

/// What keys and buttons do.
fn acts(ms_id: &str) -> Vec<Value> {
    let focused = json!({"name": "key-search", "address": "search", "keys": ["/"], "focus": "#q"});
    let hit = json!({
        "name": "key-open", "address": "search?q=%E5%AD%A3%E5%BA%A6%E6%8A%A5%E5%91%8A", "keys": ["j", "j", "k", "Enter"],
        "leads": "channel?channel_id=",
    });
    let copies = json!({
        "name": "copy", "address": format!("why?ms_id={ms_id}&user_id=off"),
        "steps": [
            {"click": "[data-link]"}, {"copied": format!("/console/why?ms_id={ms_id}&user_id=off")},
            {"click": "details.curl summary"}, {"click": "[data-copy]"},
            {"copied": format!("$API/support/messages/{ms_id}/receivers/off?reason=$REASON")},
        ],
    });
    let help = json!({"name": "key-help", "address": "search", "keys": ["?"], "has": ["dialog[open]"]});
    vec![focused, hit, copies, help]
}

#[tokio::test]
async fn every_page_is_whole_in_both_languages_light_and_dark_wide_and_narrow() {
    let mut aged = Aged::embedded().await;
    let world = world(&mut aged).await;
    let mut sessions = Vec::new();
    for (lang, scheme, width) in super::LOOKS {
        let reason = "工单 4711：客户没有收到通知";
        sessions.push(json!({
            "user": "desk", "roles": "support", "lang": lang, "scheme": scheme, "width": width, "reason": reason,
            "visits": visits(&world, lang),
        }));
        let refused =
            |name: &str, status: u16| json!({"name": name, "address": "search?q=a", "status": status});
        let refusals = [("lisi", "user", refused("forbidden", 403)), ("", "", refused("unknown", 401))];
        for (user, roles, visit) in refusals {
            sessions.push(json!({
                "user": user, "roles": roles, "lang": lang, "scheme": scheme, "width": width, "visits": [visit],
            }));
        }
    }
    let pictures = std::env::var("PICTURES").ok();
    let plan = json!({"base": aged.base, "sessions": sessions, "pictures": pictures});
    let found = browse(&plan).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
    assert_eq!(found["seen"]["search"], super::LOOKS.len(), "{found}");
    assert_looks_are_kept(&aged).await;
}

/// Each look of a page is in the audit, with its reason.
async fn assert_looks_are_kept(app: &TestApp) {
    for action in ["search", "channels", "members", "messages", "receipts"] {
        let kept = "SELECT count(*) FROM t_im_audit \
                    WHERE action = $1 AND actor = 'desk' AND reason = '工单 4711：客户没有收到通知'";
        assert!(app.count(kept, &[&action]).await >= 4, "{action}");
    }
}
