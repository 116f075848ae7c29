//! (d) Contacts found by two initials, among everybody.

use super::Bench;
use super::http::Request;
use super::load::closed;
use super::report::{Figure, Report, count, spread};
use super::running::{PATIENCE, open, run, words_are_down};

const SEARCHES: usize = 4_000;
const TARGET_MS: f64 = 20.0;
/// As surnames and given names begin.
const FAMILY: &str = "wlzcyhxs";
const GIVEN: &str = "wfnmjlqyt";

pub async fn measure(bench: &Bench, report: &mut Report) {
    let hr = bench.hr().await;
    let world = open(bench, &hr).await;
    run(&world, "full").await;
    let words = words_are_down(&world).await;
    world.sql.batch_execute("VACUUM ANALYZE t_im_user, t_im_user_word").await.expect("a vacuum");
    let initials =
        FAMILY.chars().flat_map(|family| GIVEN.chars().map(move |given| format!("{family}{given}")));
    let searches: Vec<Request> =
        initials.map(|q| Request::get(&format!("/users?q={q}&limit=20"), "u0000001")).collect();
    // Connections and statements are new at first.
    closed(world.address(), vec![searches.clone()], PATIENCE, searches.len()).await.or_panic("searches");
    let mut load = closed(world.address(), vec![searches], PATIENCE, SEARCHES).await.or_panic("searches");
    let p99 = load.percentile(0.99);
    report.add(
        Figure::new(
            format!("(d) contacts by two initials, {} people", count(bench.people as f64)),
            spread(&mut load),
        )
        .target(format!("p99 {TARGET_MS:.0} ms"), p99 < TARGET_MS),
    );
    report.note(format!(
        "(d) one caller, {} searches of 20 each, over HTTP; the words of everybody were put down {:.0} s after the run.",
        count(SEARCHES as f64),
        words.as_secs_f64()
    ));
    world.close().await;
}
