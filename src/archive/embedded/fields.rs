//! The index fields of a document: only what is searched, counted or compared.

use tantivy::schema::{
    Field, IndexRecordOption, NumericOptions, STORED, Schema, TextFieldIndexing, TextOptions, Value,
};
use tantivy::tokenizer::{PreTokenizedString, RAW_TOKENIZER_NAME, Token};
use tantivy::{DocAddress, DocSet, Searcher, TERMINATED, TantivyDocument, TantivyError, Term};

use super::super::document::{Document, Ledger};
use crate::base::analyzer as text;
use crate::base::number::MsId;

/// Documents are sorted by it.
pub(super) const MS_ID: &str = "ms_id";
pub(super) const PART: &str = "part";
const VERSION: &str = "version";

pub(super) struct Fields {
    /// `ms_id.part`: a document replaces the one with the same key.
    key: Field,
    ms_id: Field,
    part: Field,
    version: Field,
    pub channel_id: Field,
    pub seq: Field,
    pub sender: Field,
    pub ms_type: Field,
    /// The marks of [`Document::marks`].
    pub marks: Field,
    /// The terms of [`text::index_form`] at their positions.
    pub words: Field,
    /// The receivers of each ledger group, by group name.
    groups: Vec<(&'static str, Field)>,
    /// The document without its ledger, and the ledger, as JSON.
    source: Field,
    ledger: Field,
}

impl Fields {
    pub fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        // A fast field is read by document; an indexed one finds documents. There are no norms because hits
        // are not scored.
        let fast = NumericOptions::default().set_fast();
        let indexing = |record| {
            let raw = TextFieldIndexing::default().set_tokenizer(RAW_TOKENIZER_NAME);
            TextOptions::default().set_indexing_options(raw.set_fieldnorms(false).set_index_option(record))
        };
        let whole = indexing(IndexRecordOption::Basic);
        let fields = Self {
            key: schema.add_text_field("key", whole.clone()),
            ms_id: schema.add_i64_field(MS_ID, fast.clone()),
            part: schema.add_i64_field(PART, fast.clone()),
            version: schema.add_i64_field(VERSION, fast.clone()),
            channel_id: schema.add_i64_field("channel_id", NumericOptions::default().set_indexed()),
            seq: schema.add_i64_field("seq", fast),
            sender: schema.add_text_field("sender", whole.clone()),
            ms_type: schema.add_text_field("ms_type", whole.clone()),
            marks: schema.add_text_field("marks", whole.clone()),
            words: schema.add_text_field("words", indexing(IndexRecordOption::WithFreqsAndPositions)),
            groups: Ledger::ANY
                .iter()
                .map(|name| (*name, schema.add_text_field(name, whole.clone())))
                .collect(),
            source: schema.add_bytes_field("source", STORED),
            ledger: schema.add_bytes_field("ledger", STORED),
        };
        (schema.build(), fields)
    }

    /// The document as it is indexed.
    pub fn indexed(&self, document: &Document) -> serde_json::Result<TantivyDocument> {
        let mut indexed = TantivyDocument::new();
        indexed.add_text(self.key, key(document.ms_id, document.part));
        indexed.add_i64(self.ms_id, document.ms_id.0);
        indexed.add_i64(self.part, document.part.into());
        indexed.add_i64(self.version, document.version);
        indexed.add_i64(self.channel_id, document.channel_id.0);
        indexed.add_i64(self.seq, document.seq);
        indexed.add_text(self.sender, &document.sender);
        indexed.add_text(self.ms_type, &document.ms_type);
        for mark in document.marks() {
            indexed.add_text(self.marks, mark);
        }
        indexed.add_pre_tokenized_text(self.words, terms(&document.words()));
        for (name, group) in document.ledger.iter().flat_map(Ledger::groups) {
            let field = self.group(name).filter(|_| !group.is_empty());
            for (field, receiver) in
                field.iter().flat_map(|field| group.receivers.iter().map(move |r| (field, r)))
            {
                indexed.add_text(*field, receiver);
            }
        }
        let source = Document { ledger: None, ..document.clone() };
        indexed.add_bytes(self.source, &serde_json::to_vec(&source)?);
        if let Some(ledger) = &document.ledger {
            indexed.add_bytes(self.ledger, &serde_json::to_vec(ledger)?);
        }
        Ok(indexed)
    }

    /// The field of a ledger group.
    pub fn group(&self, name: &str) -> Option<Field> {
        self.groups.iter().find(|(group, _)| *group == name).map(|(_, field)| *field)
    }

    pub fn key_term(&self, ms_id: MsId, part: u32) -> Term {
        Term::from_field_text(self.key, &key(ms_id, part))
    }

    pub fn stored_version(
        &self,
        searcher: &Searcher,
        ms_id: MsId,
        part: u32,
    ) -> tantivy::Result<Option<i64>> {
        let term = self.key_term(ms_id, part);
        for segment in searcher.segment_readers() {
            let index = segment.inverted_index(self.key)?;
            let Some(mut documents) = index.read_postings(&term, IndexRecordOption::Basic)? else {
                continue;
            };
            while documents.doc() != TERMINATED {
                if !segment.is_deleted(documents.doc()) {
                    return Ok(segment.fast_fields().i64(VERSION)?.first(documents.doc()));
                }
                documents.advance();
            }
        }
        Ok(None)
    }

    /// The stored document, on request with its ledger.
    pub fn document(
        &self,
        searcher: &Searcher,
        address: DocAddress,
        with_ledger: bool,
    ) -> tantivy::Result<Document> {
        let stored: TantivyDocument = searcher.doc(address)?;
        let wrong = |e: serde_json::Error| TantivyError::InternalError(e.to_string());
        let source = stored.get_first(self.source).and_then(|source| source.as_bytes()).unwrap_or_default();
        let mut document: Document = serde_json::from_slice(source).map_err(wrong)?;
        let ledger = stored.get_first(self.ledger).filter(|_| with_ledger);
        if let Some(ledger) = ledger.and_then(|ledger| ledger.as_bytes()) {
            document.ledger = Some(serde_json::from_slice(ledger).map_err(wrong)?);
        }
        Ok(document)
    }
}

fn key(ms_id: MsId, part: u32) -> String {
    format!("{ms_id}.{part}")
}

/// The terms of an index form. A position without a term still counts.
fn terms(form: &str) -> PreTokenizedString {
    let places = form.split_whitespace().enumerate().filter(|(_, place)| *place != text::FILLER);
    let tokens = places
        .flat_map(|(position, place)| place.split(text::BESIDE).map(move |term| (position, term)))
        .map(|(position, term)| Token { position, text: term.to_owned(), ..Token::default() })
        .collect();
    PreTokenizedString { text: String::new(), tokens }
}
