//! What statements cost, by what the server counts and not by the clock.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::app::{LONG, TestApp};
use crate::support::Answer;

/// The statements of `sql/` by their first line, under which the server counts them.
fn statements() -> BTreeMap<String, (String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let mut named = BTreeMap::new();
    for module in std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
        for path in std::fs::read_dir(&module).unwrap().map(|entry| entry.unwrap().path()) {
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(&folder).unwrap().with_extension("").display().to_string();
            if !name.starts_with("schema/") {
                let line = text.lines().next().unwrap().to_owned();
                if let Some((other, as_it)) = named.insert(line, (name.clone(), text.clone())) {
                    assert_eq!(text, as_it, "{name} begins as {other} does");
                }
            }
        }
    }
    named
}

/// The buffers that each of the service's statements has touched since the last look, all its calls together.
async fn buffers(app: &TestApp) -> BTreeMap<String, i64> {
    let counted = "SELECT split_part(query, E'\\n', 1) AS line, \
                   sum(shared_blks_hit + shared_blks_read)::bigint AS buffers \
                   FROM pg_stat_statements JOIN pg_database d ON d.oid = dbid AND d.datname = current_database() \
                   GROUP BY line";
    let sql = app.sql().await;
    let rows = sql.query(counted, &[]).await.expect("the server counts");
    let reset =
        "SELECT pg_stat_statements_reset(0, oid, 0) FROM pg_database WHERE datname = current_database()";
    sql.execute(reset, &[]).await.expect("it counts anew");
    let named = statements();
    rows.iter()
        .filter_map(|row| {
            let (name, _) = named.get(row.get::<_, &str>("line"))?;
            Some((name.clone(), row.get("buffers")))
        })
        .collect()
}

#[tokio::test]
async fn a_batch_costs_the_same_on_a_day_that_has_grown_since_it_was_analysed() {
    let app = TestApp::start().await;
    let sql = app.sql().await;
    sql.batch_execute("CREATE EXTENSION pg_stat_statements").await.expect("PostgreSQL's contrib is there");
    app.people(&["boss"]).await;
    let crowd = app.crowd(20_000).await;
    let all = app.person("boss").post("/groups", json!({"name": "all", "members": crowd})).await.expect(201);
    let all = all["channel_id"].as_str().unwrap();
    let mut direct = Vec::new();
    for other in &crowd[..10] {
        direct.push(app.direct("boss", other).await);
    }

    // The day is small when it is analysed, and when the service makes its plans.
    app.say("boss", &direct[0], "good morning").await;
    app.settled().await;
    sql.batch_execute("ANALYZE").await.expect("statistics");
    app.say("boss", &direct[0], "good morning").await;
    app.settled().await;
    app.gateway.answer(|batch| {
        let away: Vec<&str> = batch.receivers().into_iter().collect();
        Answer::all_except(&away, &[])
    });
    for _ in 0..10 {
        app.say("boss", all, "nobody is at their desk").await;
    }
    app.gateway.wait_for(|record| record.pairs >= 200_000, LONG * 2).await;
    app.settled().await;

    app.gateway.answer(|_| Answer::All);
    buffers(&app).await;
    let sends: Vec<Value> = (0..500)
        .map(|i| json!({"channel_id": direct[i % 10], "type": "text", "content": {"text": "hello"}}))
        .collect();
    app.person("boss").post("/messages", json!(sends)).await.expect(200);
    app.settled().await;
    let settled = buffers(&app).await["push/settle"];
    assert!(settled <= 40 * 500, "{} buffers a receiver", settled / 500);
}
