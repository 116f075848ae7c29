//! Documents as bulk requests.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde::Serialize;
use serde_json::json;

use super::mapping;
use crate::archive::Document;
use crate::base::error::{Error, Result};

/// Target size of a bulk request, and most documents in it.
const BULK_BYTES: usize = 5 << 20;
const BULK_DOCUMENTS: usize = 2_000;

/// The lines of one bulk request.
#[derive(Default)]
pub struct Batch {
    pub lines: String,
    pub documents: usize,
    pub months: BTreeSet<String>,
}

/// A document, with the fields that are indexed but not stored.
#[derive(Serialize)]
struct Indexed<'a> {
    #[serde(flatten)]
    document: &'a Document,
    words: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    marks: Vec<String>,
}

/// The bulk requests of `documents`, each with the months that it writes to.
pub fn batches(documents: &[Document], index: &str) -> Result<Vec<Batch>> {
    let mut batches: Vec<Batch> = Vec::new();
    for document in documents {
        let full = |last: &Batch| last.lines.len() >= BULK_BYTES || last.documents >= BULK_DOCUMENTS;
        if batches.last().is_none_or(full) {
            batches.push(Batch::default());
        }
        let batch = batches.last_mut().expect("pushed if there was none");
        let month = mapping::month(document.ms_id);
        let action = json!({ "index": {
            "_index": mapping::target(index, &month),
            "_id": format!("{}.{}", document.ms_id, document.part),
            "version": document.version,
            "version_type": "external",
        }});
        let source =
            serde_json::to_string(&Indexed { document, words: document.words(), marks: document.marks() });
        writeln!(batch.lines, "{action}\n{}", source.map_err(Error::internal)?).map_err(Error::internal)?;
        batch.documents += 1;
        batch.months.insert(month);
    }
    Ok(batches)
}
