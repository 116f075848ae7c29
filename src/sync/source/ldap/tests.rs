//! DNs and ids as Active Directory has them.

use std::collections::HashMap;

use super::*;

/// 00112233-4455-6677-8899-aabbccddeeff as a stored GUID: the first three parts are reversed.
const GUID: [u8; 16] =
    [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

#[test]
fn an_id_is_a_uuid_as_text_or_the_bytes_of_a_guid() {
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    let text = HashMap::from([("entryuuid".to_owned(), vec![uuid.to_uppercase()])]);
    let entry = SearchEntry { dn: String::new(), attrs: text, bin_attrs: HashMap::new() };
    assert_eq!(id_of(&entry, "entryUUID"), Ok(uuid.to_owned()));
    assert!(id_of(&entry, "objectGUID").is_err(), "an entry without an id is refused");
    let bytes = HashMap::from([("objectGUID".to_owned(), vec![GUID.to_vec()])]);
    let entry = SearchEntry { dn: String::new(), attrs: HashMap::new(), bin_attrs: bytes };
    assert_eq!(id_of(&entry, "objectGUID"), Ok(uuid.to_owned()));
}

#[test]
fn an_entry_is_found_by_its_id_whatever_is_in_it() {
    let uuid = "00112233-4455-6677-8899-aabbccddeeff";
    assert_eq!(is("entryUUID", uuid), format!("entryUUID={uuid}"));
    let guid: String = GUID.iter().map(|byte| format!("\\{byte:02x}")).collect();
    assert_eq!(is("objectGUID", uuid), format!("objectGUID={guid}"));
    assert_eq!(is("entryUUID", "*)(uid=zs"), "entryUUID=\\2a\\29\\28uid=zs");
}
