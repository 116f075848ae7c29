//! The rules for ids of users, departments, gateway instances and other external names. Every place that
//! creates or names an id uses the same rule. So every valid id works in a login, a path and a list.

use crate::base::text::{is_blank, overrides_direction};

/// Longest id, in characters.
const ID_MAX_CHARS: usize = 128;
/// Longest login name, in characters.
const LOGIN_NAME_MAX_CHARS: usize = 255;
/// Path segments with another meaning: the caller, a search, and segments that clients and proxies resolve.
const RESERVED: [&str; 5] = ["me", ".search", ".server", ".", ".."];

/// Checks an id. A comma separates ids in lists and repeated headers. A slash separates path segments;
/// proxies decode `%2F` or refuse it. The greatest character is the end of open ranges of ids.
///
/// # Errors
/// The reason, as a text for the caller.
pub fn check_id(id: &str) -> Result<(), &'static str> {
    check_word(id, ID_MAX_CHARS, "must have 1 to 128 characters")?;
    refuse(&[
        (RESERVED.contains(&id), "must not be me, .search, .server, . or .."),
        (id.contains(','), "must not contain a comma"),
        (id.contains('/'), "must not contain a slash"),
        (id.contains(char::MAX), "must not contain U+10FFFF"),
        (is_blank(id), "must contain a visible character"),
        (overrides_direction(id), "must not contain directional overrides"),
    ])
}

/// Checks a login name. It appears in headers and claims, never in a path.
///
/// # Errors
/// The reason, as for [`check_id`].
pub fn check_login_name(name: &str) -> Result<(), &'static str> {
    check_word(name, LOGIN_NAME_MAX_CHARS, "must have 1 to 255 characters")
}

fn check_word(word: &str, most_chars: usize, length: &'static str) -> Result<(), &'static str> {
    refuse(&[
        (word.is_empty() || word.chars().count() > most_chars, length),
        (word.chars().any(char::is_control), "must not contain control characters"),
        (word.trim() != word, "must not begin or end with a blank"),
    ])
}

fn refuse(rules: &[(bool, &'static str)]) -> Result<(), &'static str> {
    rules.iter().find(|(broken, _)| *broken).map_or(Ok(()), |(_, reason)| Err(*reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_can_stand_in_a_path_a_header_and_a_list() {
        let longest = "长".repeat(128);
        for id in [
            "zhangsan",
            "maria.weber",
            "li.si@example.com",
            "张三",
            "CORP\\zs",
            "100%",
            "a b",
            "Me",
            "me2",
            "...",
            "-1",
            "a;b=c",
            "a?b#c",
            "\u{1f600}",
            &longest,
        ] {
            assert_eq!(check_id(id), Ok(()), "{id}");
        }
        let long = "长".repeat(129);
        for id in [
            "",
            " ",
            "me",
            ".",
            "..",
            ".search",
            "a,b",
            "a/b",
            "/",
            " a",
            "a\u{3000}",
            "a\nb",
            "a\u{0}",
            "a\u{85}",
            "\u{200b}",
            "\u{2800}",
            "a\u{202e}b",
            "a\u{10ffff}",
            &long,
        ] {
            assert!(check_id(id).is_err(), "{id:?}");
        }
    }

    #[test]
    fn a_login_name_is_what_directories_have() {
        for name in ["zs@corp.example", "zs/admin@CORP", "me", "Zhang, San", "CORP\\zs"] {
            assert_eq!(check_login_name(name), Ok(()), "{name}");
        }
        for name in ["", " zs", "zs\t", "a\u{0}b", &"x".repeat(256)] {
            assert!(check_login_name(name).is_err(), "{name:?}");
        }
    }
}
