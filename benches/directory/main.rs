//! `make bench`, fourth part: a run of the directory beside the same rows written by hand, what a run does to
//! sends, and contacts found, on a real PostgreSQL and an HR service over HTTP.
//!
//! `cargo bench --bench directory -- a c` runs only those sections. `DIRECTORY_BENCH_PEOPLE=200000` are the
//! people, in a fortieth as many departments. Nothing is asserted.

#[allow(dead_code)]
#[path = "../ledger/http.rs"]
mod http;
#[allow(dead_code)]
#[path = "../ledger/load.rs"]
mod load;
mod raw;
#[path = "../ledger/report.rs"]
mod report;
mod running;
mod searching;
mod sending;
#[path = "../../tests/support/mod.rs"]
mod support;
#[allow(dead_code)]
#[path = "../ledger/world.rs"]
mod world;

use std::time::Instant;

use http::Receiver;
use report::Report;
use serde_json::{Value, json};
use support::{Cluster, Hr};
use tokio::runtime::{Builder, Handle};

/// As in the other parts.
const SERVER: &[(&str, &str)] = &[
    ("shared_buffers", "1GB"),
    ("max_wal_size", "8GB"),
    ("checkpoint_timeout", "15min"),
    ("wal_compression", "lz4"),
];
const PEOPLE: usize = 200_000;

pub struct Bench {
    pub cluster: Cluster,
    pub receiver: Receiver,
    pub people: usize,
    pub departments: usize,
    hr_runtime: Handle,
}

impl Bench {
    /// HR with everybody in its books, on a thread of its own: the load is never late because a page is written.
    pub async fn hr(&self) -> Hr {
        let hr = self.hr_runtime.spawn(Hr::start()).await.expect("HR starts");
        found(self, &hr);
        hr
    }
}

fn main() {
    let runtime = |workers| {
        Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime")
    };
    let hr_runtime = runtime(1);
    runtime(2).block_on(run(hr_runtime.handle().clone()));
}

async fn run(hr_runtime: Handle) {
    let begun = Instant::now();
    let sections: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wanted = |section: &str| sections.is_empty() || sections.iter().any(|s| s == section);
    let people = std::env::var("DIRECTORY_BENCH_PEOPLE").ok().and_then(|n| n.parse().ok()).unwrap_or(PEOPLE);
    let bench = Bench {
        cluster: Cluster::start_with(SERVER),
        receiver: Receiver::start().await,
        people,
        departments: (people / 40).max(1),
        hr_runtime,
    };
    let mut report = Report::default();
    if wanted("a") || wanted("b") {
        running::measure(&bench, &mut report).await;
    }
    if wanted("c") {
        sending::measure(&bench, &mut report).await;
    }
    if wanted("d") {
        searching::measure(&bench, &mut report).await;
    }
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    report.note(format!(
        "Conditions: {cores} cores shared by HR, service, load and PostgreSQL (fsync on); load of the machine at the end {}; \
         the whole run took {:.0} s.",
        std::fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or_default(),
        begun.elapsed().as_secs_f64()
    ));
    report.print();
}

/// Somebody of the company, as HR tells of them; `turn` changes their title.
pub fn person(bench: &Bench, n: usize, turn: usize) -> Value {
    const FAMILY: [&str; 12] = ["王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙"];
    const GIVEN: [&str; 16] =
        ["伟", "芳", "娜", "敏", "静", "丽", "强", "磊", "军", "洋", "勇", "艳", "杰", "娟", "涛", "明"];
    let name = format!("{}{}{}", FAMILY[n % 12], GIVEN[n / 12 % 16], GIVEN[n / 192 % 16]);
    json!({
        "id": format!("u{:07}", n + 1), "name": name, "active": true, "login_name": format!("login{n}"),
        "employee_number": format!("{n:07}"), "title": format!("engineer {turn}"), "email": format!("p{n}@corp.example"),
        "department_ids": [format!("d{:05}", n % bench.departments)],
    })
}

/// Everybody and every department enter HR's books.
fn found(bench: &Bench, hr: &Hr) {
    let mut books = hr.books();
    for n in 0..bench.departments {
        let parent = (n > 0).then(|| format!("d{:05}", (n - 1) / 8));
        books.put_department(
            json!({"id": format!("d{n:05}"), "name": format!("Department {n}"), "parent_id": parent}),
        );
    }
    for n in 0..bench.people {
        books.put(person(bench, n, 0));
    }
}
