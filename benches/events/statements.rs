//! (b) SQL statements a receiver, as `pg_stat_statements` counts them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use tokio_postgres::Client;

use super::Bench;
use super::http::Request;
use super::load::Work;
use super::report::{Figure, Report};
use super::takers::{OPEN, Takers, observe};
use super::telling::{self, tell};
use super::world::World;

const RATE: usize = 1_000;
const WARM: Duration = Duration::from_secs(2);
const GROUPS: usize = 64;
const MEMBERS: i32 = 20;
const TARGET: f64 = 0.1;
const READ: &str = "SELECT query, calls FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid \
                    WHERE d.datname = current_database() AND query NOT LIKE '%pg_stat_statements%'";
const RESET: &str = "SELECT pg_stat_statements_reset()";

pub async fn measure(bench: &Bench, report: &mut Report) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("sql");
    let names = Names::read(&folder);
    for members in [2, MEMBERS] {
        let takers = Takers::start(2);
        let world = World::open_with(&bench.cluster, &takers.url(0), OPEN).await;
        world.sql.batch_execute("CREATE EXTENSION pg_stat_statements").await.expect("Debian's contrib");
        let (what, work) = if members == 2 {
            let senders = telling::directs(&world).await;
            ("direct channels".to_owned(), telling::work(&senders, 1))
        } else {
            (format!("groups of {members}"), groups(&world).await)
        };
        observe(&world, &takers.url(1)).await;
        tell(&world, &takers, work.clone(), (WARM, RATE, 1)).await;
        world.sql.batch_execute(RESET).await.expect("statements are forgotten");
        let told = tell(&world, &takers, work, (bench.length, RATE, 1)).await;
        let counted = Counted::read(&world.sql, &names).await;
        let pairs = told.sent * (members - 1) as usize;
        counted.add_to(report, &what, (told.sent, pairs));
        if !told.all {
            report.note(format!("(b) {what}: NOT ALL ARRIVED in time"));
        }
        world.close().await;
    }
    report.note(format!(
        "(b) {RATE} messages a second, one by one, each told to one observer and pushed to the gateway for its receivers. \
         Counted is every statement the service ran from the first send until all had arrived, BEGIN, SET LOCAL and \
         COMMIT too, but for those of the sends themselves (sql/message, with a BEGIN and a COMMIT each; identity): \
         sequencing, claiming, loading and settling, and every look that found nothing. A receiver is a person that a \
         message is pushed for, or the observer that is told of it"
    ));
}

async fn groups(world: &World<'_>) -> Vec<Work> {
    world.people(MEMBERS).await;
    let mut work = Vec::new();
    for n in 0..GROUPS {
        let group = world.group(MEMBERS).await;
        work.push(vec![Request::send(group, &format!("u{:07}", n % MEMBERS as usize + 1))]);
    }
    world.settle_down().await;
    work
}

/// Statements by their first line, which says what each is for.
struct Names(HashMap<String, String>);

impl Names {
    fn read(folder: &Path) -> Self {
        let (mut names, mut folders) = (HashMap::new(), vec![folder.to_owned()]);
        while let Some(inner) = folders.pop() {
            for entry in std::fs::read_dir(&inner).expect("our own statements").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("a statement");
                let name = path.with_extension("");
                let name = name.strip_prefix(folder).expect("in it").to_string_lossy().into_owned();
                names.insert(text.lines().next().unwrap_or_default().to_owned(), name);
            }
        }
        Self(names)
    }

    fn of<'a>(&'a self, query: &'a str) -> &'a str {
        let first = query.lines().next().unwrap_or_default();
        self.0.get(first).map_or(first, String::as_str)
    }
}

/// Calls by statement, the most frequent first.
struct Counted(Vec<(String, i64)>);

impl Counted {
    async fn read(sql: &Client, names: &Names) -> Self {
        let mut calls: HashMap<String, i64> = HashMap::new();
        for row in sql.query(READ, &[]).await.expect("statements") {
            *calls.entry(names.of(row.get(0)).to_owned()).or_default() += row.get::<_, i64>(1);
        }
        let mut calls: Vec<_> = calls.into_iter().collect();
        calls.sort_by_key(|(_, calls)| -calls);
        Self(calls)
    }

    fn sum(&self, of: impl Fn(&str) -> bool) -> i64 {
        self.0.iter().filter(|(name, _)| of(name)).map(|(_, calls)| calls).sum()
    }

    fn add_to(&self, report: &mut Report, what: &str, (events, pairs): (usize, usize)) {
        let all = self.sum(|_| true);
        let sends = self
            .sum(|name| ["message/", "identity/", "directory/"].iter().any(|m| name.starts_with(m)))
            + 2 * self.sum(|name| name == "chat/message/lock_channels");
        let telling = (all - sends) as f64;
        let each = telling / (events + pairs) as f64;
        report.add(
            Figure::new(format!("(b) statements a receiver, {what}"), format!("{each:.3}"))
                .beside(format!("{:.2} a message told and pushed", telling / events as f64), each / TARGET)
                .target(format!("< {TARGET}"), each < TARGET),
        );
        let most: Vec<String> =
            self.0.iter().take(16).map(|(name, calls)| format!("{name} {calls}")).collect();
        report.note(format!(
            "(b) {what}: {events} events told, {pairs} receivers pushed for, {all} statements, {sends} of them the sends'; \
             {}; load of the machine {}",
            most.join(", "),
            super::load_average()
        ));
    }
}
