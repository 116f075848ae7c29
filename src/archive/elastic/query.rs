//! A search as an Elasticsearch query. Everything is a filter: hits are not scored.

use serde_json::{Value, json};

use crate::archive::document::SET_ASIDE;
use crate::archive::{Find, Order, Parts, Span};
use crate::base::number::MsId;

/// Most terms of one filter; Elasticsearch takes 65,536.
const TERMS_MAX: usize = 50_000;

/// The body of a search for one page of `size` documents after `after`.
pub fn body(find: &Find, after: Option<(MsId, u32)>, size: usize) -> Value {
    let order = match find.order {
        Order::Newest => "desc",
        Order::Oldest => "asc",
    };
    let mut body = json!({
        "query": { "bool": { "filter": filters(find), "must_not": exclusions(find) } },
        "sort": [{ "ms_id": order }, { "part": order }],
        "size": size,
        "track_total_hits": false,
    });
    if !find.ledger {
        body["_source"] = json!({ "excludes": ["ledger"] });
    }
    if let Some((ms_id, part)) = after {
        body["search_after"] = json!([ms_id.0, part]);
    }
    body
}

fn filters(find: &Find) -> Vec<Value> {
    let mut filters = vec![json!({ "range": { "ms_id": { "gte": find.from.0, "lt": find.below.0 } } })];
    if find.parts == Parts::First {
        filters.push(json!({ "term": { "part": 0 } }));
    }
    if let Some(spans) = &find.spans {
        filters.push(any(in_spans(spans)));
    }
    for phrase in &find.words {
        filters.push(json!({ "match_phrase": { "words": phrase.to_query_text() } }));
    }
    for (field, wanted) in [("sender", &find.sender), ("ms_type", &find.ms_type)] {
        filters.extend(wanted.iter().map(|wanted| json!({ "term": { field: wanted } })));
    }
    filters.extend(find.marks.iter().map(|marks| json!({ "terms": { "marks": marks } })));
    if let Some((receiver, groups)) = &find.receiver {
        let of_group = |group: &&str| json!({ "term": { format!("ledger.{group}.receivers"): receiver } });
        filters.push(any(groups.iter().map(of_group).collect()));
    }
    filters
}

fn exclusions(find: &Find) -> Vec<Value> {
    let sender = find.not_sender.iter().map(|sender| json!({ "term": { "sender": sender } }));
    let aside = (!find.set_aside).then(|| json!({ "term": { "marks": SET_ASIDE } }));
    sender.chain(aside).collect()
}

/// Whole channels share one filter; parts of channels have a clause each.
fn in_spans(spans: &[Span]) -> Vec<Value> {
    let (whole, parts): (Vec<Span>, Vec<Span>) =
        spans.iter().partition(|span| span.from_seq <= 1 && span.to_seq == i64::MAX);
    let whole: Vec<i64> = whole.iter().map(|span| span.channel_id.0).collect();
    let mut clauses: Vec<Value> =
        whole.chunks(TERMS_MAX).map(|channels| json!({ "terms": { "channel_id": channels } })).collect();
    clauses.extend(parts.iter().map(|span| {
        json!({ "bool": { "filter": [
            { "term": { "channel_id": span.channel_id.0 } },
            { "range": { "seq": { "gte": span.from_seq, "lte": span.to_seq } } },
        ]}})
    }));
    clauses
}

/// At least one of these clauses must match. Without clauses, no document does.
fn any(clauses: Vec<Value>) -> Value {
    match clauses.is_empty() {
        true => json!({ "match_none": {} }),
        false => json!({ "bool": { "should": clauses, "minimum_should_match": 1 } }),
    }
}
