//! Segments without overlap, as moved days make them, are merged while their owner is killed repeatedly.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::*;

const CHANNELS: i64 = 3;
const DAY_MS: i64 = 86_400_000;
const FINAL: i64 = 1_000;
const BATCH: usize = 6;
/// A document with this padding fills a block of the store: merges copy blocks unchanged.
const HEAVY: usize = STORE_BLOCK_BYTES;

/// Messages of about eleven days, written one by one, some recalled; then the final documents in batches,
/// some repeated after a late recall. Each write is a commit.
fn writes() -> Vec<Vec<Document>> {
    let mut state: u64 = 4;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let recalled = |told: &Document, version| Document { version, content: json!({}), ..told.clone() };
    let (mut told, mut writes, mut day, mut seqs) = (Vec::new(), Vec::new(), 20_600, [0; CHANNELS as usize]);
    for n in 0..76 {
        day += i64::from(random(7) == 0);
        let channel = random(seqs.len());
        seqs[channel] += 1;
        let padding = "x".repeat([0, 100, HEAVY, HEAVY][random(4)]);
        told.push(Document {
            ms_id: MsId(((day * DAY_MS + n * 1_000) << 22) | n),
            channel_id: ChannelId(channel as i64),
            seq: seqs[channel],
            content: json!({"text": format!("message {n}"), "padding": padding}),
            ..document(n, 1, "")
        });
        writes.push(told[told.len() - 1..].to_vec());
        if random(4) == 0 {
            writes.push(vec![recalled(&told[random(told.len())], 2)]);
        }
    }
    let day = |document: &Document| (document.ms_id.0 >> 22) / DAY_MS;
    for batch in told.chunk_by(|one, other| day(one) == day(other)).flat_map(|day| day.chunks(BATCH)) {
        writes.push(batch.iter().map(|told| Document { version: FINAL, ..told.clone() }).collect());
        if random(4) == 0 {
            writes.push(vec![recalled(&batch[random(batch.len())], FINAL + 1)]);
        }
    }
    writes
}

/// The documents that must be found.
type Model = BTreeMap<MsId, Document>;

fn learn(model: &mut Model, write: &[Document]) {
    for document in write {
        let stored = model.entry(document.ms_id).or_insert_with(|| document.clone());
        if document.version > stored.version {
            stored.clone_from(document);
        }
    }
}

/// Every document is found in its last version, by channel and by part of a channel, in both orders, page by
/// page.
async fn check(archive: &Embedded, model: &Model) {
    let span = |id, from_seq, to_seq| Span { channel_id: ChannelId(id), from_seq, to_seq };
    let horizon = model.keys().nth(model.len() / 2).copied().unwrap_or(MsId(1));
    let mut finds = vec![(None, MsId::MAX, 999)];
    for channel in 0..CHANNELS {
        finds.push((Some(vec![span(channel, 1, 999)]), horizon, 5));
        let whole = span((channel + 1) % CHANNELS, 1, i64::MAX);
        let parts = vec![span(channel, 1, 3), span(channel, 7, 7), span(channel, 9, 21), whole];
        finds.push((Some(parts), MsId::MAX, 999));
    }
    let both = finds.into_iter().flat_map(|find| [(find.clone(), Order::Newest), (find, Order::Oldest)]);
    for ((spans, below, limit), order) in both {
        let has =
            |s: &Span, d: &Document| s.channel_id == d.channel_id && (s.from_seq..=s.to_seq).contains(&d.seq);
        let fits = |d: &&Document| {
            d.ms_id < below && spans.as_ref().is_none_or(|spans| spans.iter().any(|span| has(span, d)))
        };
        let mut expected: Vec<&Document> = model.values().filter(fits).collect();
        if order == Order::Newest {
            expected.reverse();
        }
        let mut find = Find { spans: spans.clone(), below, order, ..Find::newest(limit) };
        let mut found: Vec<Document> = Vec::new();
        loop {
            let page = archive.find(&find).await.unwrap();
            let Some(last) = page.last() else { break };
            find.after = Some((last.ms_id, last.part));
            found.extend(page);
        }
        let place = |d: &Document| (d.ms_id, d.channel_id, d.seq, d.version);
        let places: Vec<_> = found.iter().map(place).collect();
        assert_eq!(places, expected.iter().map(|d| place(d)).collect::<Vec<_>>(), "{find:?}");
        assert!(found.iter().eq(expected), "{find:?}");
    }
}

/// Makes the writes from `WRITE_FROM` on and prints each. A helper process of the next test; without the
/// variable it does nothing.
#[tokio::test]
async fn write_on() {
    let Ok(dir) = std::env::var("WRITE_ARCHIVE") else { return };
    let from: usize = std::env::var("WRITE_FROM").unwrap().parse().unwrap();
    let archive = Embedded::open(Path::new(&dir)).unwrap();
    for write in &writes()[from..] {
        archive.write(write).await.unwrap();
        println!("\nwritten");
    }
}

#[tokio::test]
async fn days_outlive_merges_and_kills() {
    let dir = tempfile::tempdir().unwrap();
    let (all, mut done, mut model) = (writes(), 0, Model::new());
    for some in [37, 11, 29, 3, usize::MAX] {
        let mut owner = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", "archive::embedded::tests::merges::write_on"])
            .env("WRITE_ARCHIVE", dir.path())
            .env("WRITE_FROM", done.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BufReader::new(owner.stdout.take().unwrap()).lines();
        for _ in told.by_ref().filter(|line| line.as_ref().unwrap() == "written").take(some) {
            learn(&mut model, &all[done]);
            done += 1;
        }
        owner.kill().unwrap();
        owner.wait().unwrap();
        let archive = Embedded::open(dir.path()).unwrap();
        // A write that was made but not printed is there too, and each write is complete.
        let found = archive.find(&Find::newest(999)).await.unwrap();
        while done < all.len() && !found.iter().rev().eq(model.values()) {
            learn(&mut model, &all[done]);
            done += 1;
        }
        assert!(found.iter().rev().eq(model.values()));
        let segments = archive.0.reader.searcher().segment_readers().len();
        assert!(segments < 16, "{segments} segments after {done} writes: they are not merged");
    }
    assert_eq!(done, all.len());
    check(&Embedded::open(dir.path()).unwrap(), &model).await;
}
