//! The same rows by hand: one COPY into a table without a log, one MERGE into the people, their memberships.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::SinkExt;
use tokio_postgres::Client;

use super::{Bench, person};

const STAGE: &str = "CREATE UNLOGGED TABLE raw (user_id text, name text, login_name text, employee_number text, title text, \
     email text, department_id text); \
     CREATE UNLOGGED TABLE raw_department (department_id text, name text, parent_id text)";
const DEPARTMENTS: &str = "MERGE INTO t_im_department d USING raw_department r ON d.department_id = r.department_id \
     WHEN MATCHED THEN UPDATE SET name = r.name, parent_id = r.parent_id \
     WHEN NOT MATCHED THEN INSERT (department_id, name, parent_id, source_parent_id, source) \
          VALUES (r.department_id, r.name, r.parent_id, r.parent_id, 'raw')";
const PEOPLE: &str = "MERGE INTO t_im_user u USING raw r ON u.user_id = r.user_id \
     WHEN MATCHED THEN UPDATE SET name = r.name, title = r.title \
     WHEN NOT MATCHED THEN INSERT (user_id, source, external_id, name, login_name, employee_number, title, email, department_id, updated_at) \
          VALUES (r.user_id, 'raw', r.user_id, r.name, r.login_name, r.employee_number, r.title, r.email, r.department_id, now())";
const MEMBERSHIPS: &str = "INSERT INTO t_im_department_user (department_id, user_id) \
     SELECT department_id, user_id FROM raw ON CONFLICT DO NOTHING";

/// How long it takes, with the settings of a person at psql.
pub async fn write(bench: &Bench, sql: &Client) -> Duration {
    let people: Vec<String> = (0..bench.people).map(|n| line(bench, n)).collect();
    let departments: Vec<String> = (0..bench.departments)
        .map(|n| {
            let parent = if n > 0 { format!("d{:05}", (n - 1) / 8) } else { "\\N".to_owned() };
            format!("d{n:05}\tDepartment {n}\t{parent}\n")
        })
        .collect();
    sql.batch_execute(STAGE).await.expect("tables");
    let begun = Instant::now();
    sql.batch_execute("BEGIN").await.expect("a transaction");
    copy(sql, "COPY raw_department FROM STDIN", departments).await;
    copy(sql, "COPY raw FROM STDIN", people).await;
    for statement in [DEPARTMENTS, PEOPLE, MEMBERSHIPS, "COMMIT"] {
        sql.batch_execute(statement).await.expect(statement);
    }
    begun.elapsed()
}

fn line(bench: &Bench, n: usize) -> String {
    let person = person(bench, n, 0);
    let text = |attribute: &str| person[attribute].as_str().unwrap_or_default().to_owned();
    let department = person["department_ids"][0].as_str().unwrap_or_default();
    let columns = ["id", "name", "login_name", "employee_number", "title", "email"].map(text).join("\t");
    format!("{columns}\t{department}\n")
}

async fn copy(sql: &Client, statement: &str, lines: Vec<String>) {
    let mut sink = pin!(sql.copy_in::<_, Bytes>(statement).await.expect("a COPY"));
    for chunk in lines.chunks(1_000) {
        sink.send(Bytes::from(chunk.concat())).await.expect("rows");
    }
    sink.finish().await.expect("a COPY ends");
}
