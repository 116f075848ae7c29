//! A trial: support staff find a message, say why one of 200 users did not get it, and export a case.

use serde_json::{Value, json};

use crate::app::text;
use crate::archive::moving::Aged;
use crate::records::diagnosis::{by_their_ids, finding_becomes};
use crate::support::{Answer, run_script};

/// The most clicks of a task, with the one after the reason of the case.
const CLICKS_MAX: u64 = 6;
const GROUP: usize = 200;
const REASON: &str = "工单 4711";

/// A group of 200. One of them is offline: 赵六, whose name is also the beginning of another one.
async fn world(aged: &mut Aged) {
    aged.app.clock("-40 days").await;
    let user = |id: &str, name: &str| json!({"user_id": id, "name": name});
    let named = [("zhangsan", "张三"), ("zhangsansan", "张三三"), ("off", "赵六"), ("zhaoliuliu", "赵六六")];
    let mut users: Vec<Value> = named.iter().map(|(id, name)| user(id, name)).collect();
    users.extend((named.len()..GROUP).map(|n| user(&format!("u{n}"), &format!("员工 {n}"))));
    let members: Vec<String> = users[1..].iter().map(|one| text(&one["user_id"])).collect();
    aged.client("hr", &["directory"]).post("/directory/changes", json!({"users": users})).await.expect(200);
    aged.until("SELECT count(*) FROM t_im_user WHERE words_due", 0).await;
    let body = json!({"name": "项目组 Apollo", "members": members});
    let group = text(&aged.person("zhangsan").post("/groups", body).await.expect(201)["channel_id"]);
    aged.gateway.answer(|_| Answer::All);
    aged.say("zhangsan", &group, "上个月的季度预算在这里").await;
    aged.settled().await;
    aged.app.clock("0").await;
    aged.move_all().await;

    aged.gateway.answer(by_their_ids);
    aged.say("zhangsansan", &group, "季度预算我下周再看").await;
    aged.say("u9", &group, "Please review section 4 of the release notes").await;
    let ms_id =
        aged.say("zhangsan", &group, "请周五之前把季度预算表填好，发给财务部审核").await["ms_id"].clone();
    finding_becomes(aged, &ms_id, "off", "offline").await;
    aged.indexed().await;
}

/// The tasks, in the words of one language.
fn tasks(lang: &str) -> Value {
    let word = |en: &'static str, zh: &'static str| if lang == "zh" { zh } else { en };
    let reason = [
        json!({"write": [word("Reason, such as a ticket number", "理由，例如工单号"), REASON]}),
        json!({"press": word("Continue", "继续")}),
    ];
    let search = |words: &str, sender: &str| {
        [
            json!({"write": [word("Messages with the words", "包含文字"), words]}),
            json!({"write": [word("from", "发送人"), sender]}),
            json!({"press": word("Search", "搜索")}),
        ]
    };
    let task = |name: &str, steps: Vec<Value>| {
        let steps: Vec<Value> = reason.iter().cloned().chain(steps).collect();
        json!({"name": name, "steps": steps})
    };
    // The beginning of a name that two users have.
    let mut find = search("把季度预算表填好", "张").to_vec();
    find.push(json!({"press": "张三"}));
    find.push(json!({"sees": "请周五之前"}));
    let mut why = search("季度预算表", "zhangsan").to_vec();
    why.extend([
        json!({"press": word("Why not received?", "为何未收到？")}),
        json!({"write": [word("Name or user id", "姓名或用户编号"), "赵六"]}),
        json!({"press": word("Find out", "查明原因")}),
        json!({"sees": word("赵六 was offline", "赵六 不在线")}),
    ]);
    // The same by the list of those who have not received it.
    let mut listed = search("季度预算表", "zhangsan").to_vec();
    listed.extend([
        json!({"press": word("Receivers", "接收情况")}),
        json!({"press": word("Not received 1", "未收到 1")}),
        json!({"press": word("What happened", "经过")}),
        json!({"sees": word("赵六 was offline", "赵六 不在线")}),
    ]);
    let mut export = search("季度预算", "zhangsan").to_vec();
    export.push(json!({"saves": word("Export CSV", "导出 CSV")}));
    let mut whole = search("release notes", "").to_vec();
    whole.push(json!({"press": word("In its channel", "查看上下文")}));
    whole.push(json!({"saves": word("Export CSV", "导出 CSV")}));
    json!([
        task("find", find),
        task("why", why),
        task("why-by-list", listed),
        task("export", export),
        task("export-channel", whole),
    ])
}

#[tokio::test]
async fn support_does_each_of_three_tasks_in_six_clicks_at_most() {
    let mut aged = Aged::embedded().await;
    world(&mut aged).await;
    let trial = |lang: &str, width: u32| json!({"lang": lang, "width": width, "tasks": tasks(lang)});
    let plan = json!({
        "base": aged.base, "user": "desk", "roles": "support", "trials": [trial("zh", 1280), trial("en", 390)],
        "pictures": std::env::var("PICTURES").ok(),
    });
    let found = run_script("trial", &plan).await;
    let problems = found["problems"].as_array().expect("a list");
    assert!(problems.is_empty(), "{}", problems.iter().map(|one| text(one) + "\n\n").collect::<String>());
    let clicks = found["clicks"].as_object().expect("clicks");
    assert_eq!(clicks.len(), 10, "{found}");
    for (task, count) in clicks {
        assert!(count.as_u64().is_some_and(|count| (1..=CLICKS_MAX).contains(&count)), "{task}: {count}");
    }
    for lang in ["zh", "en"] {
        let case = text(&found["saved"][format!("export-{lang}")]);
        assert!(case.contains("请周五之前") && case.contains("上个月的季度预算"), "hot and cold: {case}");
        assert!(!case.contains("我下周再看"), "of one sender: {case}");
        let channel = text(&found["saved"][format!("export-channel-{lang}")]);
        assert!(channel.contains("section 4") && channel.contains("我下周再看"), "{channel}");
    }
}
