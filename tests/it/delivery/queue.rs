//! The statements that make batches out of commits and queue rows, against a plain model: every item is delivered
//! once, a channel's items in order, and no two batches under way share a channel.

use std::collections::{BTreeMap, BTreeSet};

use time::OffsetDateTime;
use uuid::Uuid;

use crate::app::TestApp;
use crate::torture::dice::Dice;

const CLAIM_COMMITS: &str = include_str!("../../../sql/delivery/push/claim_commits.sql");
const CLAIM_QUEUE: &str = include_str!("../../../sql/delivery/push/claim_new.sql");
const FINISH: &str = include_str!("../../../sql/delivery/push/finish.sql");
/// One commit with an item for each channel and number of pairs. `from_ms_id` numbers the items.
const STORE: &str = "INSERT INTO t_im_push_commit (pairs, bytes, from_ms_id, held, queued_at, items) \
    SELECT sum(pairs), sum(10), min(id), false, now(), \
           array_agg(ROW(NULL, 'gateway', channel_id, id, id, id, id, NULL, NULL, NULL, NULL, pairs, 10, 0, true, false, 0, \
                         now(), now(), NULL, false, NULL)::t_im_push_queue ORDER BY id) \
    FROM unnest($1::bigint[], $2::bigint[], $3::integer[]) AS item (id, channel_id, pairs)";
const ITEMS: &str = "SELECT item.channel_id, item.from_ms_id, item.pairs \
    FROM t_im_push_batch b CROSS JOIN LATERAL unnest(b.items) WITH ORDINALITY AS item WHERE b.batch_id = $1 \
    ORDER BY item.ordinality";
const CHANNELS: usize = 6;
const MOST_ITEMS: i32 = 5;
const MOST_PAIRS: i32 = 20;
const MOST_BYTES: i32 = 1_000;

/// What was stored, what is under way and what is done, as the model has it.
#[derive(Default)]
struct Model {
    stored: BTreeMap<i64, BTreeSet<i64>>,
    under_way: Vec<(Uuid, Vec<(i64, i64)>)>,
    next_id: i64,
}

impl Model {
    /// Notes a batch: its items are the next ones of their channels, and no other batch has these channels.
    fn begin(&mut self, batch_id: Uuid, items: Vec<(i64, i64, i32)>) {
        let pairs: i32 = items.iter().map(|(.., pairs)| pairs).sum();
        assert!(!items.is_empty() && (items.len() == 1 || pairs <= MOST_PAIRS), "{items:?}");
        assert!(items.len() <= MOST_ITEMS as usize, "{items:?}");
        let busy: BTreeSet<i64> =
            self.under_way.iter().flat_map(|(_, items)| items).map(|(channel, _)| *channel).collect();
        for (channel, id, _) in &items {
            assert!(!busy.contains(channel), "channel {channel} is in two batches");
            let stored = self.stored.get_mut(channel).expect("a channel");
            assert_eq!(stored.pop_first(), Some(*id), "channel {channel} is out of order");
        }
        self.under_way.push((batch_id, items.into_iter().map(|(channel, id, _)| (channel, id)).collect()));
    }

    fn left(&self) -> usize {
        self.stored.values().map(BTreeSet::len).sum()
    }
}

#[tokio::test]
async fn every_item_of_a_commit_is_delivered_once_and_in_order() {
    let mut app = TestApp::start().await;
    app.halt().await;
    let sql = app.sql().await;
    let claims = [sql.prepare(CLAIM_COMMITS).await.unwrap(), sql.prepare(CLAIM_QUEUE).await.unwrap()];
    let (store, items, finish) = (
        sql.prepare(STORE).await.unwrap(),
        sql.prepare(ITEMS).await.unwrap(),
        sql.prepare(FINISH).await.unwrap(),
    );
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let mut model = Model::default();
        for turn in 0.. {
            let storing = turn < 60;
            if !storing && model.left() == 0 && model.under_way.is_empty() {
                break;
            }
            assert!(turn < 2_000, "seed {seed}: {} items are left", model.left());
            match dice.below(if storing { 4 } else { 3 }) {
                claim @ (0 | 1) => {
                    let (id, now) =
                        (Uuid::from_u128((u128::from(seed) << 64) + turn), OffsetDateTime::UNIX_EPOCH);
                    let claimed = sql
                        .query_opt(
                            &claims[claim],
                            &[&"gateway", &id, &now, &now, &MOST_ITEMS, &MOST_PAIRS, &MOST_BYTES],
                        )
                        .await
                        .unwrap();
                    if let Some(batch_id) = claimed.and_then(|row| row.get::<_, Option<Uuid>>("batch_id")) {
                        let rows = sql.query(&items, &[&batch_id]).await.unwrap();
                        model.begin(
                            batch_id,
                            rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
                        );
                    }
                }
                2 if !model.under_way.is_empty() => {
                    let done = dice.below(model.under_way.len());
                    let (batch_id, _) = model.under_way.swap_remove(done);
                    assert_eq!(sql.execute(&finish, &[&batch_id]).await.unwrap(), 1);
                }
                3 => {
                    let parts = 1 + dice.below(8);
                    let (mut ids, mut channels, mut pairs) = (Vec::new(), Vec::new(), Vec::new());
                    for _ in 0..parts {
                        let channel = dice.below(CHANNELS) as i64;
                        model.next_id += 1;
                        model.stored.entry(channel).or_default().insert(model.next_id);
                        ids.push(model.next_id);
                        channels.push(channel);
                        pairs.push(1 + dice.below(12) as i32);
                    }
                    sql.execute(&store, &[&ids, &channels, &pairs]).await.unwrap();
                }
                _ => {}
            }
        }
        for table in ["t_im_push_commit", "t_im_push_queue", "t_im_push_batch"] {
            assert_eq!(
                app.count(&format!("SELECT count(*) FROM {table}"), &[]).await,
                0,
                "seed {seed}: {table}"
            );
        }
    }
}
