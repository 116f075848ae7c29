//! What every archive must do, whatever it is made of.

use im_push_gateway::archive::{Archive, Document, Find, Ledger, Order, Parts, Span};
use im_push_gateway::base::analyzer::parse_query;
use im_push_gateway::base::number::ChannelId;
use serde_json::json;

use super::documents::{checksum, document, final_document, group, ids, ms_id};
use crate::archive::queries::{QUERIES, TEXTS};

async fn keep(archive: &dyn Archive, documents: &[Document]) {
    archive.write(documents).await.expect("it is stored");
    archive.refresh().await.expect("it is seen");
}

async fn found(archive: &dyn Archive, find: &Find) -> Vec<Document> {
    archive.find(find).await.expect("it is searched")
}

/// The numbers of the messages found, oldest first.
async fn numbers(archive: &dyn Archive, find: Find) -> Vec<i64> {
    let find = Find { order: Order::Oldest, ..find };
    let number = |document: Document| (0..).find(|n| ms_id(*n) == document.ms_id).expect("one of ours");
    found(archive, &find).await.into_iter().map(number).collect()
}

fn everything() -> Find {
    Find { parts: Parts::All, ..Find::newest(usize::MAX) }
}

pub async fn an_empty_archive_answers(archive: &dyn Archive) {
    assert_eq!(found(archive, &everything()).await, []);
    archive.refresh().await.expect("nothing is seen at once");
    archive.write(&[]).await.expect("nothing is stored at once");
    assert_eq!(found(archive, &Find::message(ms_id(1))).await, []);
    keep(archive, &[document(1)]).await;
    assert_eq!(found(archive, &Find::newest(0)).await, []);
}

pub async fn it_keeps_its_identity(archive: &dyn Archive) {
    let identity = archive.identity().await.unwrap();
    assert!(identity.len() >= 16, "{identity} is no identity");
    keep(archive, &[document(1)]).await;
    assert_eq!(archive.identity().await.unwrap(), identity);
    assert_eq!(found(archive, &everything()).await.len(), 1, "the identity is no message");
}

pub async fn only_a_later_version_replaces(archive: &dyn Archive) {
    let saying = |version, text: &str| Document { version, content: json!({ "text": text }), ..document(1) };
    keep(archive, &[saying(1, "first")]).await;
    keep(archive, &[saying(3, "third")]).await;
    // Late, beside one that is new.
    keep(archive, &[saying(2, "second"), document(2)]).await;
    // Again.
    keep(archive, &[saying(3, "third"), saying(3, "third")]).await;
    assert_eq!(found(archive, &Find::message(ms_id(1))).await, [saying(3, "third")]);
    assert_eq!(numbers(archive, everything()).await, [1, 2]);
    for (word, expected) in [("first", 0), ("second", 0), ("third", 1)] {
        let find = Find { words: parse_query(word), ..everything() };
        assert_eq!(found(archive, &find).await.len(), expected, "{word}");
    }
    // Two versions in one writing, in either order.
    keep(archive, &[saying(5, "fifth"), saying(4, "fourth")]).await;
    keep(archive, &[saying(6, "sixth"), saying(7, "seventh")]).await;
    assert_eq!(found(archive, &Find::message(ms_id(1))).await, [saying(7, "seventh")]);
}

pub async fn a_message_has_its_parts(archive: &dyn Archive) {
    let part = |part| Document {
        part,
        ledger: Some(Ledger { read: group(&[&format!("reader-{part}")]), ..Ledger::default() }),
        ..document(2)
    };
    keep(archive, &[part(2), document(1), part(0), part(1), document(3)]).await;
    assert_eq!(found(archive, &Find::message(ms_id(2))).await, [part(0), part(1), part(2)]);
    assert_eq!(numbers(archive, Find::newest(10)).await, [1, 2, 3]);
    assert_eq!(numbers(archive, everything()).await, [1, 2, 2, 2, 3]);
    let read_by = |who: &str| Some((who.to_owned(), Ledger::READ));
    let find = Find { receiver: read_by("reader-2"), ..everything() };
    assert_eq!(found(archive, &find).await, [part(2)]);
    assert_eq!(found(archive, &Find { parts: Parts::First, ..find }).await, []);
}

pub async fn what_is_set_aside_is_found_only_when_asked_for(archive: &dyn Archive) {
    keep(archive, &[final_document(1), final_document(2)]).await;
    let aside = Document { set_aside: true, version: (1 << 40) + 1, ..final_document(2) };
    keep(archive, std::slice::from_ref(&aside)).await;
    assert_eq!(numbers(archive, everything()).await, [1]);
    assert_eq!(found(archive, &Find::message(ms_id(2))).await, []);
    let all = Find { set_aside: true, ..everything() };
    assert_eq!(numbers(archive, all.clone()).await, [1, 2]);
    let marked = Find { marks: vec![vec!["set-aside".to_owned()]], ..all };
    assert_eq!(found(archive, &marked).await, [aside]);
    keep(archive, &[Document { version: (1 << 40) + 2, ..final_document(2) }]).await;
    assert_eq!(numbers(archive, everything()).await, [1, 2], "and it can come back");
}

pub async fn everything_that_is_given_must_hold(archive: &dyn Archive) {
    let mut documents: Vec<Document> = (0..12).map(document).collect();
    documents[5].ms_type = "file".to_owned();
    documents[5].content = json!({ "name": "报告.pdf", "url": "secret" });
    keep(archive, &documents).await;
    let all = everything;
    let (one, file) = (Some("sender-1".to_owned()), Some("file".to_owned()));
    let cases = [
        (Find { sender: one.clone(), ..all() }, vec![1, 4, 7, 10]),
        (Find { not_sender: one.clone(), ..all() }, vec![0, 2, 3, 5, 6, 8, 9, 11]),
        (Find { sender: one.clone(), not_sender: one.clone(), ..all() }, vec![]),
        (Find { sender: Some("sender".to_owned()), ..all() }, vec![]),
        (Find { sender: Some("SENDER-1".to_owned()), ..all() }, vec![]),
        (Find { ms_type: file.clone(), ..all() }, vec![5]),
        (Find { ms_type: file, sender: one.clone(), ..all() }, vec![]),
        (Find { from: ms_id(3), below: ms_id(6), ..all() }, vec![3, 4, 5]),
        (Find { from: ms_id(3), below: ms_id(3), ..all() }, vec![]),
        (Find { from: ms_id(3), below: ms_id(11), sender: one, ..all() }, vec![4, 7, 10]),
        (Find { words: parse_query("报告"), ..all() }, vec![5]),
        (Find { words: parse_query("secret"), ..all() }, vec![]),
        (Find { words: parse_query("message 消息"), below: ms_id(2), ..all() }, vec![0, 1]),
    ];
    for (find, expected) in cases {
        assert_eq!(numbers(archive, find.clone()).await, expected, "{find:?}");
    }
}

pub async fn spans_are_channels_from_one_seq_to_another(archive: &dyn Archive) {
    keep(archive, &(0..16).map(document).collect::<Vec<_>>()).await;
    let span = |id, from_seq, to_seq| Span { channel_id: ChannelId(id), from_seq, to_seq };
    let whole = |channel_id| span(channel_id, 1, i64::MAX);
    let cases = [
        (vec![], vec![]),
        (vec![whole(2)], vec![1, 5, 9, 13]),
        (vec![whole(2), whole(4)], vec![1, 3, 5, 7, 9, 11, 13, 15]),
        (vec![span(1, 2, 3)], vec![4, 8]),
        (vec![span(1, 1, 1), span(1, 4, i64::MAX), whole(2)], vec![0, 1, 5, 9, 12, 13]),
        (vec![span(1, 3, 2)], vec![]),
        (vec![whole(99)], vec![]),
    ];
    for (spans, expected) in cases {
        let find = Find { spans: Some(spans), ..everything() };
        assert_eq!(numbers(archive, find.clone()).await, expected, "{find:?}");
    }
    // Somebody who is in everything, and joined half of it late.
    let many = (1..=2_000).map(|n| if n % 2 == 0 { whole(n) } else { span(n, 2, n + 2) }).collect();
    let find = Find { spans: Some(many), ..everything() };
    assert_eq!(numbers(archive, find).await, [1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15]);
}

pub async fn ledgers_come_where_they_are_wanted(archive: &dyn Archive) {
    let whole = final_document(9);
    keep(archive, std::slice::from_ref(&whole)).await;
    assert_eq!(found(archive, &Find::message(whole.ms_id)).await.as_slice(), std::slice::from_ref(&whole));
    let lean = Find { ledger: false, ..Find::message(whole.ms_id) };
    assert_eq!(found(archive, &lean).await, [Document { ledger: None, ..whole }]);
}

pub async fn a_receiver_is_in_one_of_the_groups(archive: &dyn Archive) {
    let of = |n, ledger| Document { ledger: Some(ledger), ..document(n) };
    let none = Ledger::default;
    keep(
        archive,
        &[
            document(0),
            of(1, Ledger { unreceived: group(&["ann", "bob"]), ..none() }),
            of(2, Ledger { offline: group(&["ann"]), received: group(&["bob"]), ..none() }),
            of(3, Ledger { rejected: group(&["ann"]), read: group(&["bob"]), ..none() }),
            of(4, Ledger { received: group(&["ann"]), ..none() }),
            of(5, Ledger { read: group(&["ann", "Ann"]), ..none() }),
        ],
    )
    .await;
    let cases = [
        ("ann", Ledger::UNRECEIVED, vec![1, 2, 3]),
        ("ann", Ledger::RECEIVED, vec![4]),
        ("ann", Ledger::READ, vec![5]),
        ("ann", Ledger::ANY, vec![1, 2, 3, 4, 5]),
        ("bob", Ledger::ANY, vec![1, 2, 3]),
        ("Ann", Ledger::ANY, vec![5]),
        ("an", Ledger::ANY, vec![]),
        ("ann", &[], vec![]),
    ];
    for (who, groups, expected) in cases {
        let find = Find { receiver: Some((who.to_owned(), groups)), ..everything() };
        assert_eq!(numbers(archive, find).await, expected, "{who} in {groups:?}");
    }
}

pub async fn pages_follow_each_other_in_either_order(archive: &dyn Archive) {
    let parts = |n| (0..=(n % 3) as u32).map(move |part| Document { part, ..document(n) });
    let documents: Vec<Document> = (0..60).flat_map(parts).collect();
    keep(archive, &documents).await;
    for (order, parts) in [
        (Order::Newest, Parts::All),
        (Order::Oldest, Parts::All),
        (Order::Newest, Parts::First),
        (Order::Oldest, Parts::First),
    ] {
        let counts = |document: &&Document| parts == Parts::All || document.part == 0;
        let mut expected: Vec<_> = documents.iter().filter(counts).cloned().collect();
        expected.sort_by_key(|document| (document.ms_id, document.part));
        if order == Order::Newest {
            expected.reverse();
        }
        let whole = Find { order, parts, ..everything() };
        assert_eq!(ids(&found(archive, &whole).await), ids(&expected));
        let mut paged: Vec<Document> = Vec::new();
        loop {
            let after = paged.last().map(|last| (last.ms_id, last.part));
            let page = found(archive, &Find { after, limit: 7, ..whole.clone() }).await;
            assert!(page.len() <= 7);
            // What comes meanwhile beyond the page read last shows, before it does not.
            if paged.is_empty() {
                keep(archive, &[Document { version: 2, ..documents[0].clone() }]).await;
            }
            if page.is_empty() {
                break;
            }
            paged.extend(page);
        }
        assert_eq!(ids(&paged), ids(&expected), "{order:?} {parts:?}");
    }
}

pub async fn what_was_written_comes_back_to_the_bit(archive: &dyn Archive) {
    let documents: Vec<Document> = (0..2_000).map(final_document).collect();
    // As they were when they were sent: the same without a ledger, written before and after.
    let early: Vec<Document> = (0..2_000).map(document).collect();
    archive.write(&early[..1_000]).await.unwrap();
    archive.write(&documents).await.unwrap();
    keep(archive, &early).await;
    let back = found(archive, &Find { order: Order::Oldest, ..everything() }).await;
    assert_eq!(back.len(), documents.len());
    for (back, document) in back.iter().zip(&documents) {
        assert_eq!(back, document);
    }
    assert_eq!(checksum(&back), checksum(&documents));
    assert_ne!(checksum(&back), checksum(&early));
}

pub async fn words_find_the_texts_of_the_table(archive: &dyn Archive) {
    let texts = TEXTS.iter().zip(0..).map(|((ms_type, text), n)| Document {
        ms_type: (*ms_type).to_owned(),
        content: json!({ (if *ms_type == "text" { "text" } else { "name" }): text }),
        ..document(n)
    });
    keep(archive, &texts.collect::<Vec<_>>()).await;
    for (query, expected) in QUERIES {
        let find = Find { words: parse_query(query), ..everything() };
        // Of a query without a word everything is found; callers refuse it.
        if find.words.is_empty() {
            continue;
        }
        let expected: Vec<i64> = expected.iter().map(|n| *n as i64).collect();
        assert_eq!(numbers(archive, find).await, expected, "{query}");
    }
}

/// Every story as a test of the module it is named in, on the archive that `$open` gives, if any.
macro_rules! conforms {
    ($open:ident) => {
        $crate::archive::conformance::conforms!($open:
            an_empty_archive_answers
            it_keeps_its_identity
            only_a_later_version_replaces
            a_message_has_its_parts
            everything_that_is_given_must_hold
            spans_are_channels_from_one_seq_to_another
            ledgers_come_where_they_are_wanted
            a_receiver_is_in_one_of_the_groups
            pages_follow_each_other_in_either_order
            what_was_written_comes_back_to_the_bit
            words_find_the_texts_of_the_table
            what_is_set_aside_is_found_only_when_asked_for
        );
    };
    ($open:ident: $($story:ident)*) => {
        $(
            #[tokio::test]
            async fn $story() {
                if let Some(archive) = $open(stringify!($story)) {
                    $crate::archive::conformance::$story(&*archive).await;
                }
            }
        )*
    };
}
pub(crate) use conforms;
