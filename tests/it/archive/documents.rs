//! Documents to archive.

use im_push_gateway::archive::{Document, Group, Ledger, Recalled};
use im_push_gateway::base::number::{ChannelId, MsId};
use serde_json::json;
use time::{Duration, OffsetDateTime};

/// When the first message of every story was sent: half a minute before a month (UTC) ends.
const BEGIN_SECONDS: i64 = 1_769_903_970;
/// Bits of an ms_id below its milliseconds.
const SHIFT: u32 = 22;

/// The id of the n-th message, one a second.
pub fn ms_id(n: i64) -> MsId {
    MsId(((BEGIN_SECONDS + n) * 1000) << SHIFT)
}

fn sent(n: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(BEGIN_SECONDS + n).expect("a time") + Duration::microseconds(n)
}

/// The n-th message, by one of three senders into one of four channels, not yet final.
pub fn document(n: i64) -> Document {
    Document {
        ms_id: ms_id(n),
        part: 0,
        version: 1,
        channel_id: ChannelId(n % 4 + 1),
        seq: n / 4 + 1,
        server_time: sent(n),
        sender: format!("sender-{}", n % 3),
        sender_count: 1,
        ms_type: "text".to_owned(),
        content: json!({ "text": format!("第{n}条消息 message {n}") }),
        extra: Default::default(),
        recalled: None,
        ledger: None,
        set_aside: false,
    }
}

/// Receivers `who`, each some milliseconds after the one before.
pub fn group(who: &[&str]) -> Group {
    let at = (1..).map(|n| n * 1_234_567).take(who.len()).collect();
    Group { receivers: who.iter().map(|&id| id.to_owned()).collect(), after_us: at, reasons: Vec::new() }
}

/// The n-th message as it is in the end, with whatever a document may have in it.
pub fn final_document(n: i64) -> Document {
    let texts =
        ["你好，世界 🙂", "Ünïcödé & <b>\"quoted\"</b> \\ \u{2028}\u{7f}", "_ _ *:*", "𠮷野家 한국어", ""];
    let everybody: Vec<String> = (0..n % 40).map(|who| format!("员工{who:05}")).collect();
    let everybody: Vec<&str> = everybody.iter().map(String::as_str).collect();
    let mut rejected = group(&["r1", "r2"]);
    rejected.reasons = vec![Some("没有设备".to_owned()), None];
    Document {
        version: 1 << 40,
        content: json!({
            "text": texts[n as usize % texts.len()],
            "numbers": [n, -n, n as f64 / 7.0, 1e300, 1e-7, 1.0, u64::MAX, i64::MIN],
            "deep": { "a": [{}, [], null, true, { "b": "" }], "z": 1, "m": 2 },
        }),
        recalled: (n % 5 == 0).then(|| Recalled { by: "admin".to_owned(), at: sent(n + 60) }),
        ledger: Some(Ledger {
            unreceived: group(&["u1"]),
            offline: group(&[]),
            rejected: if n % 7 == 0 { rejected } else { Group::default() },
            received: group(&["x\u{0301}", "Σ", "ς"]),
            read: group(&everybody),
        }),
        ..document(n)
    }
}

/// What can be said at a glance of what was found.
pub fn ids(found: &[Document]) -> Vec<(MsId, u32)> {
    found.iter().map(|document| (document.ms_id, document.part)).collect()
}

/// The sum that tells sets of documents apart.
pub fn checksum(documents: &[Document]) -> u128 {
    documents.iter().fold(0, |sum: u128, document| sum.wrapping_add(document.checksum()))
}
