//! A search: conditions as a query, and the first matches in order.

use std::cmp::Reverse;
use std::ops::{Bound, Range};
use std::sync::Arc;

use tantivy::columnar::ColumnValues;
use tantivy::query::{
    AllQuery, BooleanQuery, EnableScoring, Occur, PhraseQuery, Query, RangeQuery, TermQuery, TermSetQuery,
    Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DocAddress, DocId, Searcher, SegmentReader, TERMINATED, Term};

use super::super::document::SET_ASIDE;
use super::super::{Document, Find, Order, Parts, Phrase, Span};
use super::fields::{Fields, MS_ID, PART};
use crate::base::number::MsId;

/// How many documents are read at a time in a search for the oldest, at first and at most.
const STRETCH_DOCUMENTS: u32 = 4096;
const STRETCH_DOCUMENTS_MAX: u32 = 1 << 18;

pub(super) fn find(searcher: &Searcher, fields: &Fields, find: &Find) -> tantivy::Result<Vec<Document>> {
    if find.limit == 0 {
        return Ok(Vec::new());
    }
    let weight = query(fields, find).weight(EnableScoring::disabled_from_searcher(searcher))?;
    let mut search = RunningSearch::of(find);
    for segment in Segment::in_order(searcher, find.order)? {
        segment.collect(&*weight, &mut search)?;
        search.keep_first();
    }
    search.hits.iter().map(|(_, address)| fields.document(searcher, *address, find.ledger)).collect()
}

/// The conditions that the index answers. [`RunningSearch::fits`] checks the others.
fn query(fields: &Fields, find: &Find) -> BooleanQuery {
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    let mut must = |query| clauses.push((Occur::Must, query));
    if let Some(spans) = &find.spans {
        must(in_spans(fields, spans));
    }
    for phrase in &find.words {
        must(occurs(fields.words, phrase));
    }
    if let Some(sender) = &find.sender {
        must(is(fields.sender, sender));
    }
    if let Some(ms_type) = &find.ms_type {
        must(is(fields.ms_type, ms_type));
    }
    for marks in &find.marks {
        must(any(marks.iter().map(|mark| is(fields.marks, mark)).collect()));
    }
    if let Some((who, groups)) = &find.receiver {
        let groups = groups.iter().filter_map(|name| fields.group(name));
        must(any(groups.map(|group| is(group, who)).collect()));
    }
    if clauses.is_empty() {
        clauses.push((Occur::Must, Box::new(AllQuery)));
    }
    if let Some(sender) = &find.not_sender {
        clauses.push((Occur::MustNot, is(fields.sender, sender)));
    }
    if !find.set_aside {
        clauses.push((Occur::MustNot, is(fields.marks, SET_ASIDE)));
    }
    BooleanQuery::new(clauses)
}

fn is(field: Field, value: &str) -> Box<dyn Query> {
    Box::new(TermQuery::new(Term::from_field_text(field, value), IndexRecordOption::Basic))
}

fn any(queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    Box::new(BooleanQuery::union(queries))
}

fn occurs(words: Field, Phrase(terms): &Phrase) -> Box<dyn Query> {
    match terms.as_slice() {
        [] => any(Vec::new()),
        [(_, term)] => is(words, term),
        terms => {
            let term = |(at, term): &(u32, String)| (*at as usize, Term::from_field_text(words, term));
            Box::new(PhraseQuery::new_with_offset(terms.iter().map(term).collect()))
        }
    }
}

/// Whole channels, which can be very many, as one set; parts of channels one by one.
fn in_spans(fields: &Fields, spans: &[Span]) -> Box<dyn Query> {
    let channel = |span: &Span| Term::from_field_i64(fields.channel_id, span.channel_id.0);
    let seq = |seq| Bound::Included(Term::from_field_i64(fields.seq, seq));
    let (whole, partial): (Vec<&Span>, Vec<&Span>) =
        spans.iter().partition(|span| span.from_seq <= 1 && span.to_seq == i64::MAX);
    let mut queries: Vec<Box<dyn Query>> = Vec::new();
    if !whole.is_empty() {
        queries.push(Box::new(TermSetQuery::new(whole.into_iter().map(channel))));
    }
    for span in partial.into_iter().filter(|span| span.from_seq <= span.to_seq) {
        queries.push(Box::new(BooleanQuery::intersection(vec![
            Box::new(TermQuery::new(channel(span), IndexRecordOption::Basic)),
            Box::new(RangeQuery::new(seq(span.from_seq), seq(span.to_seq))),
        ])));
    }
    any(queries)
}

/// A position in the order of messages: `(ms_id, part)`.
type DocumentOrder = (MsId, u32);

/// A running search with its best matches so far.
struct RunningSearch<'a> {
    find: &'a Find,
    /// ms_id range. It narrows while matches are found.
    from: MsId,
    below: MsId,
    hits: Vec<(DocumentOrder, DocAddress)>,
}

impl<'a> RunningSearch<'a> {
    fn of(find: &'a Find) -> Self {
        let (mut from, mut below) = (find.from, find.below);
        match (find.order, find.after) {
            (Order::Newest, Some((ms_id, _))) => below = below.min(ms_id.next()),
            (Order::Oldest, Some((ms_id, _))) => from = from.max(ms_id),
            (_, None) => {}
        }
        Self { find, from, below, hits: Vec::new() }
    }

    /// Checks the conditions on the position itself.
    fn fits(&self, place: DocumentOrder) -> bool {
        let beyond = match (self.find.order, self.find.after) {
            (Order::Newest, Some(after)) => place < after,
            (Order::Oldest, Some(after)) => place > after,
            (_, None) => true,
        };
        beyond && (self.find.parts == Parts::All || place.1 == 0)
    }

    /// Sorts the matches and drops those beyond the limit. Later matches beyond the last one are dropped too.
    fn keep_first(&mut self) {
        match self.find.order {
            Order::Newest => self.hits.sort_unstable_by_key(|(place, _)| Reverse(*place)),
            Order::Oldest => self.hits.sort_unstable_by_key(|(place, _)| *place),
        }
        self.hits.truncate(self.find.limit);
        if let Some(((ms_id, _), _)) = self.hits.last().filter(|_| self.hits.len() == self.find.limit) {
            match self.find.order {
                Order::Newest => self.from = self.from.max(*ms_id),
                Order::Oldest => self.below = self.below.min(ms_id.next()),
            }
        }
    }
}

/// A segment of the index. Its documents are sorted newest first; parts of one message are in any order.
struct Segment<'a> {
    ordinal: u32,
    reader: &'a SegmentReader,
    ms_ids: Arc<dyn ColumnValues<i64>>,
    parts: Arc<dyn ColumnValues<i64>>,
}

impl<'a> Segment<'a> {
    /// The segments, most promising ones first.
    fn in_order(searcher: &'a Searcher, order: Order) -> tantivy::Result<Vec<Self>> {
        let mut segments = Vec::new();
        for (ordinal, reader) in searcher.segment_readers().iter().enumerate() {
            let ms_ids = reader.fast_fields().i64(MS_ID)?.first_or_default_col(0);
            let parts = reader.fast_fields().i64(PART)?.first_or_default_col(0);
            segments.push(Self { ordinal: ordinal as u32, reader, ms_ids, parts });
        }
        match order {
            Order::Newest => segments.sort_by_key(|segment| Reverse(segment.ms_ids.max_value())),
            Order::Oldest => segments.sort_by_key(|segment| segment.ms_ids.min_value()),
        }
        Ok(segments)
    }

    /// Adds the segment's first matches: at least as many as the limit, if it has so many.
    fn collect(&self, weight: &dyn Weight, search: &mut RunningSearch) -> tantivy::Result<()> {
        // Documents before `start` are too new, those from `end` on too old.
        let start = self.first_below(search.below);
        let end = self.first_below(search.from);
        match search.find.order {
            Order::Newest => self.collect_stretch(weight, start..end, search),
            Order::Oldest => self.collect_backwards(weight, start..end, search),
        }
    }

    /// Matches can only be read forwards. So the oldest are searched in a stretch at the end, then in longer
    /// ones before it, until there are enough.
    fn collect_backwards(
        &self,
        weight: &dyn Weight,
        documents: Range<DocId>,
        search: &mut RunningSearch,
    ) -> tantivy::Result<()> {
        let before = search.hits.len();
        let (mut end, mut length) = (documents.end, STRETCH_DOCUMENTS);
        while end > documents.start && search.hits.len() - before < search.find.limit {
            let start = end.saturating_sub(length).max(documents.start);
            // A stretch contains all parts of a message, because they are in any order.
            let start = self.first_below(self.ms_id(start).next());
            self.collect_stretch(weight, start..end, search)?;
            end = start;
            length = (length * 4).min(STRETCH_DOCUMENTS_MAX);
        }
        Ok(())
    }

    /// Adds the matches of a stretch. For the newest it stops at the limit, after all parts of the last
    /// message.
    fn collect_stretch(
        &self,
        weight: &dyn Weight,
        documents: Range<DocId>,
        search: &mut RunningSearch,
    ) -> tantivy::Result<()> {
        if documents.is_empty() {
            return Ok(());
        }
        let stops = search.find.order == Order::Newest;
        let before = search.hits.len();
        let mut matches = weight.scorer(self.reader, 1.0)?;
        if matches.doc() < documents.start {
            matches.seek(documents.start);
        }
        while matches.doc() < documents.end && matches.doc() != TERMINATED {
            let document = matches.doc();
            let place = (self.ms_id(document), self.parts.get_val(document) as u32);
            let enough = stops && search.hits.len() - before >= search.find.limit;
            if enough && search.hits.last().is_some_and(|((last, _), _)| *last != place.0) {
                break;
            }
            if !self.reader.is_deleted(document) && search.fits(place) {
                search.hits.push((place, DocAddress::new(self.ordinal, document)));
            }
            matches.advance();
        }
        Ok(())
    }

    fn ms_id(&self, document: DocId) -> MsId {
        MsId(self.ms_ids.get_val(document))
    }

    /// The first document with an ms_id below this one.
    fn first_below(&self, ms_id: MsId) -> DocId {
        let mut documents = 0..self.reader.max_doc();
        while !documents.is_empty() {
            let middle = documents.start + (documents.end - documents.start) / 2;
            if self.ms_id(middle) < ms_id {
                documents.end = middle;
            } else {
                documents.start = middle + 1;
            }
        }
        documents.start
    }
}
