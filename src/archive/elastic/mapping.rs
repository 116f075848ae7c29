//! The mapping of the indices.
//!
//! It saves disk space: of a ledger row, only its place in the compressed source and a postings entry are
//! stored. Only the order of the hits is kept in columns.

use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::base::number::MsId;

/// Bits of an ms_id below its milliseconds since 1970.
const MS_ID_SHIFT: u32 = 22;
/// Higher than the priority of any template that matches every index.
const PRIORITY: usize = 1_000;

/// The month (UTC) in which a message was sent. Indices are named after it.
pub fn month(ms_id: MsId) -> String {
    let seconds = (ms_id.0 >> MS_ID_SHIFT) / 1000;
    let sent = OffsetDateTime::from_unix_timestamp(seconds).expect("41 bits of milliseconds end in 2039");
    format!("{:04}-{:02}", sent.year(), u8::from(sent.month()))
}

/// The alias through which a month is written. Documents are written only through it.
pub fn target(index: &str, month: &str) -> String {
    format!("{index}-{month}-write")
}

/// The template of the monthly indices. If two index names share a prefix, the longer one wins.
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

/// The index that holds only the archive's id.
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
        // Hits come newest first, so a search ends when its page is full.
        "sort.field": ["ms_id", "part"],
        "sort.order": ["desc", "desc"],
        "analysis": {
            "analyzer": {
                "words": { "type": "custom", "tokenizer": "words", "filter": ["beside", "no_holes"] },
            },
            "tokenizer": { "words": { "type": "whitespace", "max_token_length": 32_766 } },
            "filter": {
                // The terms of one position.
                "beside": { "type": "pattern_capture", "preserve_original": false, "patterns": ["([^|]+)"] },
                // Removes the filler term; its position stays.
                "no_holes": { "type": "stop", "stopwords": ["_"] },
            },
        },
    })
}

fn mappings() -> Value {
    let unindexed = json!({ "type": "object", "enabled": false });
    let kept = json!({ "type": "long", "index": false, "doc_values": false });
    // Searchable, but not sorted or counted by.
    let found = json!({ "type": "keyword", "doc_values": false });
    let group = json!({ "properties": { "receivers": found, "after_us": unindexed, "reasons": unindexed } });
    json!({
        "dynamic": "strict",
        "_source": { "excludes": ["words", "marks"] },
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
            "extra": unindexed,
            "marks": found,
            "set_aside": { "type": "boolean", "index": false, "doc_values": false },
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
