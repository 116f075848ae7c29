//! The rules of passwords, after NIST SP 800-63B: a length, no composition, no common ones.

use std::collections::HashSet;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;

use crate::base::config::AccountSettings;
use crate::base::error::{Error, Result};
use crate::base::text::fold;

/// The commonest passwords of 8 characters and more, folded.
const COMMON: &str = include_str!("common-passwords.txt");
/// Bytes of a character before normalization, at most: a bound on the work before it.
const BYTES_A_CHAR: usize = 16;

static COMMON_SET: LazyLock<HashSet<&str>> =
    LazyLock::new(|| COMMON.lines().filter(|line| !line.is_empty()).collect());

/// A password as it is hashed: the same for every keyboard that writes it.
///
/// # Errors
/// `Kind::InvalidField` if no password is so long.
pub fn normalized(settings: &AccountSettings, password: &str, at: &str) -> Result<String> {
    let most = settings.password_max_chars;
    let normalized: Option<String> =
        (password.len() <= most * BYTES_A_CHAR).then(|| password.nfkc().collect());
    let short = normalized.filter(|password| password.chars().count() <= most);
    short.ok_or_else(|| Error::field(at, format!("must have at most {most} characters")))
}

/// A new password as it is hashed.
///
/// # Errors
/// `Kind::InvalidField` with what to do.
pub fn chosen(settings: &AccountSettings, password: &str, username: &str, at: &str) -> Result<String> {
    let normalized = normalized(settings, password, at)?;
    let least = settings.password_min_chars;
    if normalized.chars().count() < least {
        return Err(Error::field(
            at,
            format!("must have at least {least} characters; a sentence is easy to remember"),
        ));
    }
    let folded = fold(&normalized);
    let first = folded.chars().next();
    if COMMON_SET.contains(folded.as_str()) || folded.chars().all(|c| Some(c) == first) {
        return Err(Error::field(at, "is one of the passwords that are tried first: choose another one"));
    }
    if folded.contains(&fold(username)) && folded.chars().count() < fold(username).chars().count() + least / 2
    {
        return Err(Error::field(at, "is little more than the username: choose another one"));
    }
    Ok(normalized)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::config::Config;

    fn choose(password: &str) -> Result<String> {
        let config = Config::from_toml("database_url = \"postgresql://localhost/x\"").expect("settings");
        chosen(&config.accounts, password, "Zhang.San", "/password")
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        for good in ["correct horse", "长长长长短短短短", "        x", "qpalzmwo", &"xy".repeat(64)] {
            assert!(choose(good).is_ok(), "{good:?}");
        }
        for bad in [
            "",
            "Sh0rt!1",
            "password",
            "PassWord",
            "12345678",
            "１２３４５６７８",
            "aaaaaaaa",
            "zhang.san",
            "zhang.san1",
            &"xy".repeat(65),
        ] {
            let refused = choose(bad).expect_err(bad);
            assert_eq!(refused.pointer.as_deref(), Some("/password"), "{bad:?}");
            // The word itself is in each answer.
            let is_repeated = refused.detail.contains(bad) && !["", "password"].contains(&bad);
            assert!(!is_repeated, "no answer repeats a password");
        }
    }

    #[test]
    fn every_keyboard_writes_the_same_password() {
        assert_eq!(choose("Ｚürichsee").unwrap(), choose("Zu\u{308}richsee").unwrap());
        assert_ne!(choose("zürichsee").unwrap(), choose("Zürichsee").unwrap(), "case counts");
    }

    #[test]
    fn the_list_is_folded_and_long_enough_to_matter() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 100);
        assert!(lines.iter().all(|line| fold(line) == *line && line.chars().count() >= 8), "{lines:?}");
    }
}
