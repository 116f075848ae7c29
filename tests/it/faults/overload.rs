//! Five times as many sends as a replica can take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use super::scene::{PATIENCE, Scene};
use super::soak::{Row, seconds};
use crate::app::{LEFT_OVER, database, text};
use crate::support::{Client, Service, shared};

/// Callers who send one after another when the load is what the replica can take.
const CALLERS: usize = 32;
/// Requests at work at the same time, at most. The time of an answer rises with it.
const AT_WORK: usize = 2 * CALLERS;
/// How many times the load is what the replica can take.
const TIMES: f64 = 5.0;
/// Sends that the load has under way, at most.
const UNDER_WAY: usize = 400;
/// How long the load is measured that a replica can take, before and after.
const CALM: Duration = Duration::from_secs(3);
/// Memory of the replica during the overload, at most: so many times what it was, and so much.
const MEMORY_TIMES: f64 = 2.0;
const MEMORY_MORE: f64 = 64.0;
/// The limits of `make soak`, which needs a machine with nothing else to do.
const P99_TIMES: f64 = 3.0;
const BACK_S: f64 = 10.0;

/// Times of answers in milliseconds, by what they were.
#[derive(Default)]
struct Answers {
    accepted: Vec<f64>,
    refused: Vec<f64>,
}

/// What an overload did.
struct Measured {
    /// Accepted sends a second when the load is what the replica can take, and meanwhile.
    rates: [f64; 2],
    /// The slowest 1 % of accepted sends, before and meanwhile.
    accepted_p99: [f64; 2],
    refused: usize,
    refused_p99: f64,
    /// Resident megabytes before, and the most meanwhile.
    memory: [f64; 2],
    back: Duration,
}

pub fn percentile(times: &mut [f64], share: f64) -> f64 {
    times.sort_by(f64::total_cmp);
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// The resident memory of a replica in megabytes.
pub fn memory(service: &Service) -> f64 {
    let pid = service.pid().expect("a service that runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0
}

struct Load {
    callers: Vec<(Client, String)>,
    next: AtomicUsize,
    accepted: AtomicUsize,
    answers: Mutex<Answers>,
}

impl Load {
    fn on(scene: &Scene) -> Arc<Self> {
        let api = scene.services[0].api();
        // One pool of connections for all.
        let anybody = Client::anonymous(&api);
        let caller = |n: usize| {
            let channel = &scene.channels[n % scene.channels.len()];
            (
                anybody.person(&channel.members[n % channel.members.len()]),
                format!("/channels/{}/messages", channel.id),
            )
        };
        let callers = (0..CALLERS).map(caller).collect();
        Arc::new(Self {
            callers,
            next: AtomicUsize::new(0),
            accepted: AtomicUsize::new(0),
            answers: Mutex::default(),
        })
    }

    async fn send(&self) {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (caller, path) = &self.callers[number % self.callers.len()];
        let body = json!({"type": "text", "content": {"text": "a message"}});
        let began = Instant::now();
        let reply = caller.try_call(Method::POST, path, Some(body)).await.expect("an answer");
        let took = began.elapsed().as_secs_f64() * 1000.0;
        let mut answers = self.answers.lock().expect("no panic while held");
        match reply.status {
            201 => {
                self.accepted.fetch_add(1, Ordering::Relaxed);
                answers.accepted.push(took);
            }
            _ => {
                assert_eq!(reply.header("retry-after"), "1");
                let problem = reply.expect_problem(503, "unavailable");
                assert!(text(&problem["detail"]).contains("too many requests"), "{problem}");
                answers.refused.push(took);
            }
        }
    }

    /// As many sends as the replica can take.
    async fn calm(self: &Arc<Self>, time: Duration) -> Answers {
        let until = Instant::now() + time;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            let load = self.clone();
            callers.spawn(async move {
                while Instant::now() < until {
                    load.send().await;
                }
            });
        }
        callers.join_all().await;
        std::mem::take(&mut *self.answers.lock().expect("no panic while held"))
    }

    /// So many sends a second, whether they are answered or not.
    async fn pour(self: &Arc<Self>, rate: f64, time: Duration) -> Answers {
        let (began, mut begun) = (Instant::now(), 0);
        let mut under_way = JoinSet::new();
        while began.elapsed() < time {
            let due = (began.elapsed().as_secs_f64() * rate) as usize;
            while begun < due && under_way.len() < UNDER_WAY {
                begun += 1;
                let load = self.clone();
                under_way.spawn(async move { load.send().await });
            }
            // What could not begin is not made up for.
            begun = due;
            tokio::time::sleep(Duration::from_millis(2)).await;
            while let Some(ended) = under_way.try_join_next() {
                ended.expect("each answer is one that a caller can use");
            }
        }
        under_way.join_all().await;
        std::mem::take(&mut *self.answers.lock().expect("no panic while held"))
    }
}

/// The most memory of a process until it is told to stop.
async fn most(service: &Service, meanwhile: impl Future<Output = Answers>) -> (Answers, f64) {
    let mut most = 0.0_f64;
    let mut meanwhile = std::pin::pin!(meanwhile);
    loop {
        most = most.max(memory(service));
        tokio::select! {
            answers = &mut meanwhile => return (answers, most),
            () = tokio::time::sleep(Duration::from_millis(100)) => {}
        }
    }
}

async fn measure(time: Duration) -> Measured {
    let at_work = AT_WORK.to_string();
    let settings = [
        ("requests_max", at_work.as_str()),
        ("user_requests_per_second", "0"),
        ("database_wait_ms", "30000"),
    ];
    let scene = Scene::start(&shared().url(&database().await), 1, &settings).await;
    let load = Load::on(&scene);
    load.calm(CALM / 3).await;
    let mut calm = load.calm(CALM).await;
    let rate = calm.accepted.len() as f64 / CALM.as_secs_f64();
    let before = memory(&scene.services[0]);
    let (mut poured, most) = most(&scene.services[0], load.pour(TIMES * rate, time)).await;
    let ended = Instant::now();
    let normal = percentile(&mut calm.accepted, 0.99);
    // Back: half a second in which nothing is refused, and answers come about as fast as before.
    let back = loop {
        let mut now = load.calm(Duration::from_millis(500)).await;
        if now.refused.is_empty() && percentile(&mut now.accepted, 0.5) <= 1.5 * normal {
            break ended.elapsed();
        }
        assert!(ended.elapsed() < PATIENCE, "it does not come back");
    };
    scene.until(LEFT_OVER, 0).await;
    // What was accepted is there once, and nothing of what was refused.
    let rows = scene.sql().await.query_one("SELECT count(*) FROM t_im_message", &[]).await.expect("a count");
    assert_eq!(rows.get::<_, i64>(0), load.accepted.load(Ordering::Relaxed) as i64);
    Measured {
        rates: [rate, poured.accepted.len() as f64 / time.as_secs_f64()],
        accepted_p99: [normal, percentile(&mut poured.accepted, 0.99)],
        refused: poured.refused.len(),
        refused_p99: percentile(&mut poured.refused, 0.99),
        memory: [before, most],
        back,
    }
}

/// What holds on any machine: answers that a caller can use, bounded memory, and well again without a hand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overload_is_refused_and_nothing_remains_of_it() {
    let measured = measure(Duration::from_secs(3)).await;
    let [before, most] = measured.memory;
    println!(
        "overload: {:.0} sends a second before, {:.0} accepted meanwhile, {} refused; p99 {:.0} ms before, {:.0} ms \
         accepted, {:.0} ms refused; {before:.0} MB before, at most {most:.0} MB; back after {:.1?}",
        measured.rates[0],
        measured.rates[1],
        measured.refused,
        measured.accepted_p99[0],
        measured.accepted_p99[1],
        measured.refused_p99,
        measured.back
    );
    assert!(measured.refused > 0 && measured.rates[1] > 0.0);
    assert!(most <= MEMORY_TIMES * before + MEMORY_MORE, "{before} MB before, {most} MB meanwhile");
}

/// The rows of `make soak` about an overload.
pub async fn rows() -> Vec<Row> {
    let measured = measure(Duration::from_secs(seconds().min(20))).await;
    let ([before, most], [calm, loaded]) = (measured.memory, measured.accepted_p99);
    vec![
        Row::told("overload: accepted sends a second", measured.rates),
        Row::held("overload: p99 of accepted sends, ms", [calm, loaded], loaded <= P99_TIMES * calm),
        Row::held(
            "overload: p99 of refusals, ms, beside accepted ones",
            [loaded, measured.refused_p99],
            measured.refused > 0 && measured.refused_p99 <= loaded,
        ),
        Row::held("overload: memory, MB", [before, most], most <= MEMORY_TIMES * before + MEMORY_MORE),
        Row::held(
            "overload: back to normal after, s",
            [0.0, measured.back.as_secs_f64()],
            measured.back.as_secs_f64() <= BACK_S,
        ),
    ]
}
