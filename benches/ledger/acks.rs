//! (c) Acknowledgements beside groups of any size, and (e) memory with a group of 200,000.

use std::time::Duration;

use serde_json::json;

use super::direct::{seeded, work};
use super::group::memory;
use super::http::Request;
use super::load::{Load, paced};
use super::report::{Figure, Report, spread};
use super::support::Client;
use super::world::World;

/// Members of the groups. The first is to compare with.
const MEMBERS: [i32; 4] = [2, 1_000, 100_000, 200_000];
/// The group that is to be as fast.
const JUDGED: i32 = 100_000;
/// Direct senders of the load behind, a tenth of the peak together.
const BEHIND: usize = 64;
const SHARE_OF_PEAK: f64 = 0.1;
/// Sends into the group that are timed, a second.
const PROBES: f64 = 10.0;
const LENGTH: Duration = Duration::from_secs(15);
/// Of an acknowledgement into two: the median, and the 99th percentile.
const RATIO_TARGET: f64 = 1.3;
const P99_RATIO_TARGET: f64 = 1.5;
const MEMORY_TARGET: f64 = 150.0;

pub async fn measure(world: &World<'_>, peak: f64, report: &mut Report) {
    let senders = seeded(world, BEHIND).await;
    let have = i32::try_from(world.number("SELECT count(*) FROM t_im_user").await).expect("people");
    let more = "INSERT INTO t_im_user (user_id, name, updated_at, words_due) \
                SELECT 'u' || lpad(n::text, 7, '0'), 'Person ' || n, now(), false FROM generate_series($1::integer, $2::integer) AS n";
    let most = MEMBERS[MEMBERS.len() - 1];
    world.sql.execute(more, &[&(have + 1), &most]).await.expect("people");
    world.watch_memory();
    let mut groups = Vec::new();
    for members in MEMBERS {
        groups.push(create(world, members).await);
    }
    world.settle_down().await;
    let rate = peak * SHARE_OF_PEAK;
    report.note(format!(
        "(c) behind every figure: {rate:.0} direct sends a second, a tenth of the peak; {PROBES} timed sends a second"
    ));
    let mut first: Option<Load> = None;
    for (members, group) in MEMBERS.into_iter().zip(groups) {
        let (mut probes, mut direct) = tokio::join!(
            paced(world.address(), vec![vec![Request::send(group, "u0000001")]], LENGTH, PROBES),
            paced(world.address(), work(&senders), LENGTH, rate),
        );
        assert_eq!(probes.failed + direct.failed, 0, "(c): all sends are acknowledged");
        let judged = members == JUDGED;
        add(report, &format!("(c) ack into {members} members"), &mut probes, first.as_mut(), judged);
        add(report, "(c) ack of direct sends beside that", &mut direct, None, false);
        let receivers = format!(
            "SELECT coalesce(sum(bit_count(receivers)), 0)::bigint FROM t_im_ledger WHERE channel_id = {group}"
        );
        let expected = probes.latencies.len() as i64 * i64::from(members - 1);
        assert_eq!(world.number(&receivers).await, expected, "(c): every receiver is in the ledger by then");
        let pairs = world.backlog().await;
        let left = super::direct::drain_time(world, report).await;
        report.note(format!("(c) {members} members: backlog at the end {pairs} pairs, drained in {left}"));
        first.get_or_insert(probes);
    }
    report.add(memory("(e) memory, most with a 200,000-member group", world.memory_peak(), MEMORY_TARGET));
}

/// Through the interface, for what it costs in memory.
async fn create(world: &World<'_>, members: i32) -> i64 {
    let members: Vec<String> = (2..=members).map(|n| format!("u{n:07}")).collect();
    let body = json!({ "type": "group", "name": "All", "members": members });
    let reply = Client::new(&world.service.api(), "u0000001", &[]).post("/channels", body).await.expect(201);
    reply["channel_id"].as_str().and_then(|id| id.parse().ok()).expect("an id")
}

fn add(report: &mut Report, name: &str, load: &mut Load, first: Option<&mut Load>, judged: bool) {
    let mut figure = Figure::new(name, spread(load));
    if let Some(first) = first {
        let (p50, p99) = (load.percentile(0.5), load.percentile(0.99));
        let ratio = p50 / first.percentile(0.5);
        let p99_ratio = p99 / first.percentile(0.99);
        figure = figure.beside(format!("into 2: {}", spread(first)), ratio);
        if judged {
            figure = figure.target(
                format!("p50 ≤ {RATIO_TARGET} × into 2, p99 ≤ {P99_RATIO_TARGET} ×"),
                ratio <= RATIO_TARGET && p99_ratio <= P99_RATIO_TARGET,
            );
        }
    }
    report.add(figure);
}
