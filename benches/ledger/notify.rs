//! (i) Notifications to 20,000: receivers a second, and sends beside them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::direct::{beside_alone, drain_time, seeded, work};
use super::load::{Load, paced};
use super::report::{Figure, Report, count};
use super::support::Client;
use super::world::World;

const RECEIVERS: i32 = 20_000;
const SENDERS: usize = 16;
/// Sends a second that are timed, alone and beside notifications.
const PACE: f64 = 200.0;
const LENGTH: Duration = Duration::from_secs(10);
/// How often the sends are timed, alone and beside notifications.
const ROUNDS: u32 = 3;
const RATE_TARGET: f64 = 5_000.0;
const LOOK: Duration = Duration::from_millis(5);
const MOST: Duration = Duration::from_secs(300);

pub async fn measure(world: &World<'_>, report: &mut Report) {
    let senders = seeded(world, SENDERS).await;
    let crowd = "INSERT INTO t_im_user (user_id, name, updated_at, words_due, kind) \
                 SELECT 'n' || lpad(n::text, 7, '0'), 'Receiver ' || n, now(), false, 'internal' \
                 FROM generate_series(1, $1::integer) AS n \
                 UNION ALL SELECT 'oa', 'OA', now(), false, 'application'";
    world.sql.execute(crowd, &[&RECEIVERS]).await.expect("receivers");
    world.settle_down().await;
    let names: Vec<String> = (1..=RECEIVERS).map(|n| format!("n{n:07}")).collect();
    let client = Client::new(&world.service.api(), "oa", &[]);

    // The first creates 20,000 direct channels, the second finds them.
    for (turn, what) in ["new channels", "channels that are there"].into_iter().enumerate() {
        let rate = f64::from(RECEIVERS) / notify(world, &client, turn, &names).await.as_secs_f64();
        let figure = Figure::new(
            format!("(i) a notification to 20,000, {what}"),
            format!("{} receivers/s", count(rate)),
        );
        let target = format!("≥ {} receivers/s", count(RATE_TARGET));
        report.add(figure.target(target, rate >= RATE_TARGET));
        let left = drain_time(world, report).await;
        report.note(format!("(i) pushed and answered {left} later"));
    }

    let (mut alone, mut beside) = (Load::default(), Load::default());
    let (mut turn, mut under_way) = (2, Duration::ZERO);
    // By turns, so that what else changes falls on both. Each begins when nothing is left to push.
    for _ in 0..ROUNDS {
        assert!(world.drained(MOST).await, "(i): pushes are left");
        alone.add(paced(world.address(), work(&senders), LENGTH, PACE).await);
        assert!(world.drained(MOST).await, "(i): pushes are left");
        let notifying = async {
            let begun = Instant::now();
            while begun.elapsed() < LENGTH {
                let left = LENGTH.saturating_sub(begun.elapsed());
                under_way += notify(world, &client, turn, &names).await.min(left);
                turn += 1;
            }
        };
        let (sends, ()) = tokio::join!(paced(world.address(), work(&senders), LENGTH, PACE), notifying);
        beside.add(sends);
    }
    let (mut alone, mut beside) = (alone.or_panic("sends alone"), beside.or_panic("sends beside"));
    report.add(beside_alone("(i) direct sends beside notifications", &mut beside, &mut alone));
    let share = under_way.as_secs_f64() / (LENGTH * ROUNDS).as_secs_f64();
    report.note(format!(
        "(i) {} sends beside and {} alone at {PACE}/s; {} notifications to 20,000 meanwhile, under way {:.0} % of the time",
        beside.latencies.len(),
        alone.latencies.len(),
        turn - 2,
        share * 100.0,
    ));
    let sent = "SELECT count(*) FROM (SELECT channel_id FROM t_im_message WHERE sender = 'oa' GROUP BY channel_id \
                HAVING count(*) = (SELECT count(*) FROM t_im_notification)) AS whole";
    assert_eq!(
        world.number(sent).await,
        i64::from(RECEIVERS),
        "(i): each receiver has each notification once"
    );
    let all = "SELECT count(*) FROM t_im_message WHERE sender = 'oa'";
    let wanted = i64::from(RECEIVERS) * i64::try_from(turn).expect("not that many");
    assert_eq!(world.number(all).await, wanted, "(i): and nothing else");
    assert!(share > 0.9, "(i): notifications were under way {share:.2} of the time alone");
}

/// The time from the call to the commit of the last message, the time of its call included.
async fn notify(world: &World<'_>, client: &Client, turn: usize, names: &[String]) -> Duration {
    let body: Value = json!({
        "client_id": turn.to_string(), "to": {"user_ids": names}, "type": "text",
        "content": {"text": "The minutes of this morning are on the board, please check."},
    });
    let begun = Instant::now();
    let made = client.post("/notifications", body).await.expect(202);
    assert_eq!(made["receivers"], RECEIVERS);
    while world.number("SELECT count(*) FROM t_im_notification WHERE is_open").await > 0 {
        assert!(begun.elapsed() < MOST, "(i): the notification is not done");
        tokio::time::sleep(LOOK).await;
    }
    begun.elapsed()
}
