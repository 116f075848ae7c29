//! Many sockets at once: what each costs.

use std::fs;

use serde_json::json;

use super::message;
use crate::app::database;
use crate::support::{Client, Service, Socket, shared};

const BINARY: &str = env!("CARGO_BIN_EXE_im-push-gateway");
/// Idle sockets, and those that send.
const IDLE: usize = 10_000;
const BUSY: usize = 1_000;
/// Messages of each busy socket.
const MESSAGES: usize = 5;
/// Most memory of ours for an idle socket.
const BYTES_MAX: u64 = 10 * 1024;

/// Files that this process, and the service that it starts, can have open at least.
const FILES: u64 = 12_000;

/// How many files this process can have open. A process that it starts can have as many.
fn files() -> u64 {
    let limits = fs::read_to_string("/proc/self/limits").expect("limits");
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).expect("a limit");
    line.split_whitespace().next().and_then(|soft| soft.parse().ok()).unwrap_or(u64::MAX)
}

/// The memory of a process that is its own, in bytes.
fn memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// `make soak` runs it, by itself. The clients are in this process, and the service is another one, whose memory counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "opens 10,000 sockets"]
async fn ten_thousand_idle_sockets_take_little_memory_and_a_thousand_busy_ones_are_served() {
    let found = files();
    assert!(
        found >= FILES,
        "{FILES} open files are needed, and {found} are allowed: run `ulimit -n 65536` before"
    );
    let database = database().await;
    let url = shared().url(&database);
    let settings = [
        ("database_url", url.as_str()),
        ("callback_url", "none"),
        ("streams_max", "20000"),
        ("connections_max", "21000"),
        ("user_requests_per_second", "0"),
    ];
    let service = Service::start(BINARY, &settings).await;
    let sql = shared().connect(&database).await;
    sql.batch_execute(
        "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
         SELECT 'u' || i, 'n' || i, now(), false FROM generate_series(1, 11000) i",
    )
    .await
    .expect("a crowd");
    let pid = service.pid().expect("a process");
    let (base, mut sockets) = (service.url(), Vec::new());
    // The first ones take what is there once.
    for number in 1..=100 {
        sockets.push(Socket::open(&base, &format!("u{number}"), "").await);
    }
    let before = memory(pid);
    for number in 101..=IDLE {
        sockets.push(Socket::open(&base, &format!("u{number}"), "").await);
    }
    let each = memory(pid).saturating_sub(before) / (IDLE as u64 - 100);
    println!("{IDLE} idle sockets: {each} bytes each");
    let mut busy = Vec::new();
    let started = std::time::Instant::now();
    for number in IDLE + 1..=IDLE + BUSY {
        let base = base.clone();
        busy.push(tokio::spawn(async move {
            let (me, other) = (format!("u{number}"), format!("u{}", number - IDLE));
            let client = Client::new(&format!("{base}/api/v1"), &me, &[]);
            let made =
                client.post("/channels", json!({"type": "direct", "members": [other]})).await.expect(201);
            let channel = made["channel_id"].as_str().expect("an id").to_owned();
            let mut socket = Socket::open(&base, &me, "").await;
            for i in 0..MESSAGES {
                socket.call("send", message(&channel, &format!("{i}"))).await;
            }
            for _ in 0..MESSAGES {
                socket.until("message.created").await;
            }
        }));
    }
    for one in busy {
        one.await.expect("a busy socket");
    }
    println!("{BUSY} busy sockets, {MESSAGES} messages each: {:?}", started.elapsed());
    assert!(each < BYTES_MAX, "{each} bytes for an idle socket");
}
