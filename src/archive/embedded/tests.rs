mod merges;

use std::io::{BufRead, BufReader};

use proptest::prelude::*;
use serde_json::json;
use time::OffsetDateTime;

use super::super::document::Group;
use super::super::{Ledger, Order, Parts, Span};
use super::*;
use crate::base::analyzer as text;
use crate::base::number::{ChannelId, MsId};

fn document(ms_id: i64, version: i64, text: &str) -> Document {
    Document {
        ms_id: MsId(ms_id),
        part: 0,
        version,
        channel_id: ChannelId(ms_id % 3),
        seq: ms_id / 3 + 1,
        server_time: OffsetDateTime::UNIX_EPOCH + time::Duration::milliseconds(ms_id),
        sender: format!("u{}", ms_id % 5),
        sender_count: ms_id,
        ms_type: if ms_id % 2 == 0 { "text" } else { "file" }.into(),
        content: json!({"text": text}),
        extra: Default::default(),
        recalled: None,
        ledger: None,
        set_aside: false,
    }
}

fn places(found: &[Document]) -> Vec<(i64, u32)> {
    found.iter().map(|document| (document.ms_id.0, document.part)).collect()
}

fn ids(found: &[Document]) -> Vec<i64> {
    found.iter().map(|document| document.ms_id.0).collect()
}

/// An archive with messages 0..n, written in batches out of order.
async fn filled(n: i64) -> (tempfile::TempDir, Embedded) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    for batch in 0..4 {
        let some = (0..n).filter(|i| i % 4 == batch).rev();
        let some: Vec<Document> = some.map(|i| document(i, 1, &format!("message {i} 报告"))).collect();
        archive.write(&some).await.unwrap();
    }
    (dir, archive)
}

#[tokio::test]
async fn only_a_higher_version_replaces_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    let text = async || {
        let found = archive.find(&Find::message(MsId(7))).await.unwrap();
        assert_eq!(found.len(), 1);
        (found[0].version, found[0].searchable().into_owned())
    };
    archive
        .write(&[document(7, 2, "second"), document(7, 3, "third"), document(7, 1, "first")])
        .await
        .unwrap();
    assert_eq!(text().await, (3, "third".into()));
    archive.write(&[document(7, 2, "late")]).await.unwrap();
    archive.write(&[document(7, 3, "again")]).await.unwrap();
    assert_eq!(text().await, (3, "third".into()));
    archive.write(&[document(7, 4, "fourth"), document(8, 1, "another")]).await.unwrap();
    assert_eq!(text().await, (4, "fourth".into()));
    let gone = Find { words: text::parse_query("third"), ..Find::newest(9) };
    assert!(archive.find(&gone).await.unwrap().is_empty());
    archive.write(&[]).await.unwrap();
}

#[tokio::test]
async fn parts_are_found_with_their_message_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    let part = |ms_id, part| Document { part, ..document(ms_id, 1, "long") };
    archive.write(&[part(1, 0), part(2, 2), part(2, 0), part(3, 0)]).await.unwrap();
    archive.write(&[part(2, 1), part(2, 3)]).await.unwrap();
    assert_eq!(
        places(&archive.find(&Find::message(MsId(2))).await.unwrap()),
        [(2, 0), (2, 1), (2, 2), (2, 3)]
    );
    assert_eq!(places(&archive.find(&Find::newest(9)).await.unwrap()), [(3, 0), (2, 0), (1, 0)]);
    let all = Find { parts: Parts::All, after: Some((MsId(2), 2)), ..Find::newest(2) };
    assert_eq!(places(&archive.find(&all).await.unwrap()), [(2, 1), (2, 0)]);
    let all = Find { order: Order::Oldest, after: Some((MsId(1), 0)), ..all };
    assert_eq!(places(&archive.find(&all).await.unwrap()), [(2, 0), (2, 1)]);
}

#[tokio::test]
async fn pages_follow_each_other_both_ways() {
    let (_dir, archive) = filled(100).await;
    for order in [Order::Newest, Order::Oldest] {
        let mut find = Find { order, from: MsId(10), below: MsId(90), ..Find::newest(7) };
        let mut seen = Vec::new();
        loop {
            let page = archive.find(&find).await.unwrap();
            let Some(last) = page.last() else { break };
            find.after = Some((last.ms_id, last.part));
            seen.extend(ids(&page));
        }
        let mut expected: Vec<i64> = (10..90).collect();
        if order == Order::Newest {
            expected.reverse();
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn conditions_all_hold() {
    let (_dir, archive) = filled(60).await;
    let found = async |find: Find| ids(&archive.find(&Find { order: Order::Oldest, ..find }).await.unwrap());
    let expected = |fits: &dyn Fn(i64) -> bool| (0..60).filter(|i| fits(*i)).collect::<Vec<_>>();
    let all = || Find::newest(1000);
    let channel = |id, from_seq, to_seq| Span { channel_id: ChannelId(id), from_seq, to_seq };
    assert_eq!(found(Find { spans: Some(vec![]), ..all() }).await, expected(&|_| false));
    assert_eq!(found(Find { spans: Some(vec![channel(1, 3, 2)]), ..all() }).await, expected(&|_| false));
    let whole = Some(vec![channel(1, 1, i64::MAX), channel(2, 0, i64::MAX), channel(9, 1, i64::MAX)]);
    assert_eq!(found(Find { spans: whole, ..all() }).await, expected(&|i| i % 3 != 0));
    let mixed = Some(vec![channel(0, 1, i64::MAX), channel(1, 3, 5), channel(1, 10, i64::MAX)]);
    assert_eq!(
        found(Find { spans: mixed.clone(), sender: Some("u2".into()), ..all() }).await,
        expected(
            &|i| i % 5 == 2 && (i % 3 == 0 || i % 3 == 1 && ([2, 3, 4].contains(&(i / 3)) || i / 3 >= 9))
        )
    );
    assert_eq!(found(Find { not_sender: Some("u2".into()), ..all() }).await, expected(&|i| i % 5 != 2));
    let file =
        Find { ms_type: Some("file".into()), words: text::parse_query("报告 \"message 7\""), ..all() };
    assert_eq!(found(file).await, [7]);
    assert_eq!(found(Find { from: MsId(50), below: MsId(40), ..all() }).await, expected(&|_| false));
    assert!(found(Find { limit: 0, ..all() }).await.is_empty());
    let ends = Find { from: MsId(i64::MIN), after: Some((MsId::MAX, u32::MAX)), ..all() };
    assert!(found(ends.clone()).await.is_empty());
    assert_eq!(archive.find(&ends).await.unwrap().len(), 60);
}

#[tokio::test]
async fn receivers_are_found_by_their_group() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    let group = |who: &[&str]| Group {
        receivers: who.iter().map(|who| (*who).into()).collect(),
        after_us: vec![5; who.len()],
        reasons: vec![],
    };
    let ledger = Ledger {
        unreceived: group(&["a"]),
        offline: group(&["b"]),
        received: group(&["c", "d"]),
        ..Ledger::default()
    };
    let sent = Document { ledger: Some(ledger), ..document(1, 1, "x") };
    let read = Ledger { read: group(&["a"]), ..Ledger::default() };
    let read = Document { ledger: Some(read), ..document(2, 1, "x") };
    archive.write(&[sent.clone(), read]).await.unwrap();
    let found = async |who: &str, groups| {
        let receiver = Some((who.to_owned(), groups));
        ids(&archive.find(&Find { receiver, ..Find::newest(9) }).await.unwrap())
    };
    assert_eq!(found("a", Ledger::UNRECEIVED).await, [1]);
    assert_eq!(found("a", Ledger::READ).await, [2]);
    assert_eq!(found("a", Ledger::ANY).await, [2, 1]);
    assert_eq!(found("b", Ledger::UNRECEIVED).await, [1]);
    assert_eq!(found("d", Ledger::RECEIVED).await, [1]);
    assert!(found("d", Ledger::READ).await.is_empty());
    assert!(found("A", Ledger::ANY).await.is_empty(), "ids are not folded");
    assert_eq!(archive.find(&Find::message(MsId(1))).await.unwrap(), [sent]);
}

#[tokio::test]
async fn one_at_a_time_has_it_open_and_the_next_finds_everything() {
    let (dir, archive) = filled(20).await;
    let id = archive.identity().await.unwrap();
    let refused = Embedded::open(dir.path()).err().unwrap();
    assert!(refused.detail.contains("in use by another replica"), "{refused}");
    drop(archive);
    let archive = Embedded::open(dir.path()).unwrap();
    assert_eq!(archive.identity().await.unwrap(), id);
    assert_eq!(archive.find(&Find::newest(100)).await.unwrap().len(), 20);
    archive.write(&[document(3, 1, "late")]).await.unwrap();
    archive.write(&[document(4, 2, "newer")]).await.unwrap();
    let newest = archive.find(&Find::message(MsId(4))).await.unwrap();
    assert_eq!(newest[0].searchable(), "newer");
    let late = Find { words: text::parse_query("late"), ..Find::newest(1) };
    assert!(archive.find(&late).await.unwrap().is_empty());
}

/// Opens the archive in `HOLD_ARCHIVE` and waits to be killed. A helper process of the next test; without the
/// variable it does nothing.
#[tokio::test]
async fn hold() {
    let Ok(dir) = std::env::var("HOLD_ARCHIVE") else { return };
    let archive = Embedded::open(Path::new(&dir)).unwrap();
    archive.write(&[document(1, 1, "kept")]).await.unwrap();
    println!("holding");
    std::future::pending().await
}

#[tokio::test]
async fn a_killed_owner_leaves_what_it_wrote_and_no_lock() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "archive::embedded::tests::hold"])
        .env("HOLD_ARCHIVE", dir.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("holding")));
    assert!(Embedded::open(dir.path()).is_err());
    owner.kill().unwrap();
    owner.wait().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    assert_eq!(ids(&archive.find(&Find::newest(9)).await.unwrap()), [1]);
}

#[tokio::test]
async fn a_failed_commit_publishes_nothing_later() {
    let (dir, archive) = filled(4).await;
    // The writer breaks: no file can be created in the folder, as with a full disk.
    let hidden = dir.path().with_extension("away");
    fs::rename(dir.path(), &hidden).unwrap();
    let error = archive.write(&[document(10, 1, "lost"), document(1, 2, "lost")]).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    fs::rename(&hidden, dir.path()).unwrap();
    archive.write(&[document(11, 1, "kept")]).await.unwrap();
    assert_eq!(ids(&archive.find(&Find::newest(9)).await.unwrap()), [11, 3, 2, 1, 0]);
    assert_eq!(archive.find(&Find::message(MsId(1))).await.unwrap()[0].version, 1);
}

#[tokio::test]
async fn what_a_commit_left_behind_does_not_stop_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Embedded::open(dir.path()).unwrap();
    open().write(&[document(1, 1, "old"), document(2, 1, "old")]).await.unwrap();
    // Killed after the next commit has written everything except its list.
    let list = dir.path().join("meta.json");
    let before = fs::read(&list).unwrap();
    let newer = [document(1, 2, "newer")];
    open().write(&newer).await.unwrap();
    fs::write(&list, before).unwrap();
    let archive = open();
    archive.write(&newer).await.unwrap();
    let found = archive.find(&Find::newest(9)).await.unwrap();
    assert_eq!(found, [document(2, 1, "old"), document(1, 2, "newer")]);
}

#[tokio::test]
async fn order_and_versions_outlive_merges() {
    let dir = tempfile::tempdir().unwrap();
    let archive = Embedded::open(dir.path()).unwrap();
    let mut last = std::collections::BTreeMap::new();
    for batch in 0..60 {
        let some = (0..20).map(|i| (batch * 7919 + i * i * 31) % 400);
        let some: Vec<Document> =
            some.map(|ms_id| document(ms_id, batch, &format!("报告 {batch}"))).collect();
        last.extend(some.iter().map(|document| (document.ms_id.0, batch)));
        archive.write(&some).await.unwrap();
    }
    let expected: Vec<(i64, i64)> = last.into_iter().collect();
    let versions = |found: Vec<Document>| found.iter().map(|d| (d.ms_id.0, d.version)).collect::<Vec<_>>();
    let check = async |archive: &Embedded| {
        let words = text::parse_query("报告");
        let mut newest =
            versions(archive.find(&Find { words: words.clone(), ..Find::newest(999) }).await.unwrap());
        newest.reverse();
        assert_eq!(newest, expected);
        let oldest = Find { words, order: Order::Oldest, ..Find::newest(50) };
        assert_eq!(versions(archive.find(&oldest).await.unwrap()), expected[..50]);
    };
    check(&archive).await;
    drop(archive);
    let archive = Embedded::open(dir.path()).unwrap();
    let segments = archive.0.reader.searcher().segment_readers().len();
    assert!(segments < 30, "{segments} segments were left of 60");
    check(&archive).await;
}

/// Few different characters, so that phrases overlap and repeat.
fn sentence() -> impl Strategy<Value = String> {
    let some = prop::sample::select("哈哈报告书ab1 _-，".chars().collect::<Vec<_>>());
    prop::collection::vec(some, 0..12).prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_found_is_what_matches(
        texts in prop::collection::vec(sentence(), 1..30),
        queries in prop::collection::vec(sentence(), 30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let archive = Embedded::open(dir.path()).unwrap();
        let documents: Vec<Document> =
            texts.iter().enumerate().map(|(i, text)| document(i as i64, 1, text)).collect();
        for batch in documents.chunks(10) {
            runtime.block_on(archive.write(batch)).unwrap();
        }
        for words in queries.iter().map(|query| text::parse_query(query)) {
            let find = Find { words: words.clone(), order: Order::Oldest, ..Find::newest(99) };
            let found = runtime.block_on(archive.find(&find)).unwrap();
            let expected: Vec<i64> =
                (0..texts.len()).filter(|i| text::matches(&words, &texts[*i])).map(|i| i as i64).collect();
            prop_assert_eq!(ids(&found), expected, "{:?}", words);
        }
    }
}
