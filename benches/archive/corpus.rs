//! What (b) and (c) read: a year of messages in Elasticsearch, written as the move writes them, and the
//! newest tenth in PostgreSQL, by set-based SQL.

use im_push_gateway::archive::{Archive, Document, Group, Ledger};
use im_push_gateway::base::number::{ChannelId, MsId};
use serde_json::json;
use time::OffsetDateTime;

use super::world::World;

pub const CHANNELS: i64 = 200;
/// Everybody is in so many of the channels, one in this many of them.
pub const PEOPLE: i64 = 100;
const RECEIVERS: i64 = 5;
const COLD_DAYS: i64 = 365;
pub const HOT_DAYS: i64 = 30;
const CHUNK: i64 = 4_000;
/// Who reads everything.
pub const READER: &str = "u0000001";

pub const FREQUENT: &str = "报告";
pub const RARE: &str = "验收";
pub const PHRASE: &str = "\"季度销售\"";

#[derive(Clone, Copy)]
pub struct Corpus {
    pub cold: i64,
    pub hot: i64,
    /// Midnight at the horizon, in milliseconds since 1970.
    pub horizon_ms: i64,
}

impl Corpus {
    pub async fn of(world: &World<'_>, messages: i64) -> Self {
        let sql = "SELECT (extract(epoch FROM date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' \
                   - interval '30 days') * 1000)::bigint";
        let hot = messages / 10 / CHANNELS * CHANNELS;
        Self { cold: messages / CHANNELS * CHANNELS - hot, hot, horizon_ms: world.number(sql).await }
    }

    pub fn horizon(&self) -> i64 {
        self.horizon_ms << 22
    }

    /// Seqs of every channel that are cold; and all.
    pub fn seqs(&self) -> (i64, i64) {
        (self.cold / CHANNELS, (self.cold + self.hot) / CHANNELS)
    }

    /// The moment of the `n`th cold message.
    fn cold_ms(&self, n: i64) -> i64 {
        let begin = self.horizon_ms - COLD_DAYS * 86_400_000;
        begin + (n as i128 * i128::from(COLD_DAYS * 86_400_000) / self.cold as i128) as i64
    }

    pub fn cold_ms_id(&self, channel: i64, seq: i64) -> MsId {
        let n = (seq - 1) * CHANNELS + channel;
        MsId((self.cold_ms(n) << 22) | (n & 0x3f_ffff))
    }

    fn document(&self, channels: &[ChannelId], n: i64) -> Document {
        let (channel, seq) = (n % CHANNELS, n / CHANNELS + 1);
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.cold_ms(n)) * 1_000_000);
        let person = |k: i64| format!("u{:07}", (channel * 7 + k * 13) % PEOPLE + 1);
        let mut who: Vec<String> = (1..=RECEIVERS).map(person).collect();
        who.sort();
        who.dedup();
        let at = who.iter().zip(1..).map(|(_, k)| (n * k * 7_919) % 9_000_000_000).collect();
        Document {
            ms_id: self.cold_ms_id(channel, seq),
            part: 0,
            version: 1_001,
            channel_id: channels[channel as usize],
            seq,
            server_time: moment.expect("a moment"),
            sender: person(seq % 5),
            sender_count: seq / 5,
            ms_type: "text".to_owned(),
            content: json!({ "text": text(n) }),
            extra: Default::default(),
            recalled: None,
            set_aside: false,
            ledger: Some(Ledger {
                read: Group { receivers: who, after_us: at, reasons: Vec::new() },
                ..Ledger::default()
            }),
        }
    }

    /// All that is cold, in chunks, two at a time.
    pub async fn write(&self, archive: &dyn Archive, channels: &[ChannelId]) {
        let mut from = 0;
        while from < self.cold {
            let chunk = |from: i64| -> Vec<Document> {
                (from..(from + CHUNK).min(self.cold)).map(|n| self.document(channels, n)).collect()
            };
            let (one, other) = (chunk(from), chunk(from + CHUNK));
            let written = tokio::join!(archive.write(&one), async {
                match other.is_empty() {
                    true => Ok(()),
                    false => archive.write(&other).await,
                }
            });
            written.0.and(written.1).expect("documents are written");
            from += 2 * CHUNK;
        }
        archive.refresh().await.expect("a refresh");
    }

    /// Everybody's channels, what is hot, and where it ends.
    pub async fn seed(&self, world: &World<'_>) -> Vec<ChannelId> {
        world.people(PEOPLE as i32).await;
        let (cold, all) = self.seqs();
        let (hot, horizon, horizon_ms) = (self.hot, self.horizon(), self.horizon_ms);
        let seed = format!(
            "SELECT im_make_partitions(((to_timestamp({horizon_ms} / 1000.0)) AT TIME ZONE 'UTC')::date + n) \
             FROM generate_series(0, {HOT_DAYS}) AS n; \
             INSERT INTO t_im_channel (channel_type, channel_name, creator, owner, create_time, member_count, last_seq, \
                 last_ms_id, last_server_time, last_sender, last_type, last_preview) \
             SELECT 'group', 'Group ' || n, '{READER}', '{READER}', now() - interval '400 days', 20, {all}, \
                 im_first_ms_id(now()), now(), '{READER}', 'text', '{{}}' FROM generate_series(1, {CHANNELS}) AS n; \
             INSERT INTO t_im_channel_user (channel_id, user_id, from_seq, from_ms_id, sees_from_seq, joined_at, \
                 read_seq, read_ms_id) \
             SELECT DISTINCT channel_id, person, 1, 0, 1, now() - interval '400 days', 0, 0 \
             FROM (SELECT channel_id, '{READER}' AS person FROM t_im_channel \
                   UNION SELECT channel_id, 'u' || lpad((channel_id * 7 % ({PEOPLE} / 10) * 10 + 2)::text, 7, '0') \
                   FROM t_im_channel) AS member; \
             INSERT INTO t_im_message (ms_id, channel_id, seq, server_time, sender, sender_count, ms_type, content) \
             SELECT (ms << 22) + n % 4194304, c.channel_id, {cold} + n / {CHANNELS} + 1, to_timestamp(ms / 1000.0), \
                 '{READER}', 1, 'text', jsonb_build_object('text', '今天的会议纪要 ' || n || ' 已放到群文件 please check') \
             FROM (SELECT n, {horizon_ms} + n * ({HOT_DAYS} * 86400000::bigint - 1) / {hot} AS ms \
                   FROM generate_series(0, {hot} - 1) AS n) AS said \
             JOIN (SELECT channel_id, row_number() OVER (ORDER BY channel_id) - 1 AS place FROM t_im_channel) AS c \
                 ON c.place = said.n % {CHANNELS}; \
             UPDATE t_im_horizon SET ms_id = {horizon}, sealed_ms_id = {horizon};"
        );
        world.sql.batch_execute(&seed).await.expect("a hot month");
        world.sql.batch_execute("VACUUM ANALYZE").await.expect("a vacuum");
        let rows = world.sql.query("SELECT channel_id FROM t_im_channel ORDER BY channel_id", &[]).await;
        rows.expect("channels").iter().map(|row| row.get(0)).collect()
    }
}

/// What is said: one in ten has the frequent word, one in a hundred the phrase, one in ten thousand
/// the rare word.
fn text(n: i64) -> String {
    let topic = ["会议纪要", "请假申请", "采购单", "项目进度", "值班安排", "客户反馈", "服务器巡检"];
    let topic = topic[(n / 3 % 7) as usize];
    // In no step with the channels.
    let dice = ((n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33) % 10_000;
    if dice == 0 {
        format!("第 {n} 号{topic}：验收通过，可以付款了")
    } else if dice <= 100 {
        format!("季度销售{topic} {n} 已更新，see the second sheet")
    } else if dice <= 1_100 {
        format!("{topic}的报告 {n} 已上传，请在周五前确认")
    } else {
        format!("各位同事，{topic} {n} 放到群文件了 please check it")
    }
}
