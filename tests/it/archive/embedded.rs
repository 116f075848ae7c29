//! The archive of a single machine: the conformance of every archive.

use std::ops::Deref;

use im_push_gateway::archive::Archive;
use im_push_gateway::archive::embedded::Embedded;
use tempfile::TempDir;

use super::conformance::conforms;

/// An archive, gone with its folder.
struct InFolder {
    archive: Embedded,
    _folder: TempDir,
}

impl Deref for InFolder {
    type Target = dyn Archive;

    fn deref(&self) -> &Self::Target {
        &self.archive
    }
}

fn fresh(_: &str) -> Option<InFolder> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = Embedded::open(folder.path()).expect("an empty archive");
    Some(InFolder { archive, _folder: folder })
}

conforms!(fresh);

#[test]
fn a_folder_that_was_indexed_otherwise_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    drop(Embedded::open(folder.path()).expect("an empty archive"));
    drop(Embedded::open(folder.path()).expect("the same again"));
    let file = folder.path().join("archive-id");
    let id = std::fs::read_to_string(&file).expect("its id");
    std::fs::write(&file, id.lines().next().expect("an id")).expect("as an earlier version wrote it");
    let refused = Embedded::open(folder.path()).err().expect("refused");
    assert!(refused.detail.contains("archive adopt"), "{refused}");
}
