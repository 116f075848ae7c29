//! What the indices are made of.
//!
//! Small on disk before all: of a ledger row stays its place in the compressed source and an entry in
//! a postings list. Nothing but the order of the hits is kept in columns.

use serde_json::{Value, json};
use time::OffsetDateTime;

/// Bits of an ms_id below its milliseconds since 1970.
const MS_ID_SHIFT: u32 = 22;
/// Above what anybody gives a template that fits every index.
const PRIORITY: usize = 1_000;

/// The month (UTC) in which a message was sent, as its index is called by it.
pub fn month(ms_id: i64) -> String {
    let seconds = (ms_id >> MS_ID_SHIFT) / 1000;
    let sent = OffsetDateTime::from_unix_timestamp(seconds).expect("41 bits of milliseconds end in 2039");
    format!("{:04}-{:02}", sent.year(), u8::from(sent.month()))
}

/// The name that a month is written by: an alias, and nothing else may be written to.
pub fn target(index: &str, month: &str) -> String {
    format!("{index}-{month}-write")
}

/// The template of the monthly indices. The longer of two names wins, should one begin like the other.
pub fn template(index: &str, replicas: u32) -> Value {
    json!({
        "index_patterns": [format!("{index}-*-*")],
        "priority": PRIORITY + index.len(),
        "template": {
            "settings": settings(replicas),
            "mappings": mappings(),
        },
    })
}

/// The index that holds nothing but the archive's id.
pub fn identity(replicas: u32) -> Value {
    json!({
        "settings": { "number_of_shards": 1, "number_of_replicas": replicas },
        "mappings": {
            "dynamic": "strict",
            "properties": { "uuid": { "type": "keyword" }, "analysis": { "type": "integer" } },
        },
    })
}

fn settings(replicas: u32) -> Value {
    json!({
        "number_of_shards": 1,
        "number_of_replicas": replicas,
        "codec": "best_compression",
        "refresh_interval": "1s",
        "soft_deletes.retention_lease.period": "30s",
        // Hits come newest first: a search can end where its page is full.
        "sort.field": ["ms_id", "part"],
        "sort.order": ["desc", "desc"],
        "analysis": {
            "analyzer": {
                "words": { "type": "custom", "tokenizer": "words", "filter": ["beside", "no_holes"] },
            },
            "tokenizer": { "words": { "type": "whitespace", "max_token_length": 32_766 } },
            "filter": {
                // Terms of one place.
                "beside": { "type": "pattern_capture", "preserve_original": false, "patterns": ["([^|]+)"] },
                // A hole goes, the place it took stays.
                "no_holes": { "type": "stop", "stopwords": ["_"] },
            },
        },
    })
}

fn mappings() -> Value {
    let unindexed = json!({ "type": "object", "enabled": false });
    let kept = json!({ "type": "long", "index": false, "doc_values": false });
    // Found by, and neither sorted nor counted by.
    let found = json!({ "type": "keyword", "doc_values": false });
    let group = json!({ "properties": { "who": found, "at": unindexed, "why": unindexed } });
    json!({
        "dynamic": "strict",
        "_source": { "excludes": ["words"] },
        "properties": {
            "ms_id": { "type": "long" },
            "part": { "type": "integer" },
            "version": kept,
            "channel_id": found,
            "seq": { "type": "long", "doc_values": false },
            "server_time": kept,
            "sender": found,
            "sender_count": kept,
            "ms_type": found,
            "content": unindexed,
            "recalled": unindexed,
            "ledger": { "properties": {
                "unreceived": group,
                "offline": group,
                "rejected": group,
                "received": group,
                "read": group,
            }},
            "words": { "type": "text", "analyzer": "words", "norms": false },
        },
    })
}
