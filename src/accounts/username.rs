//! Usernames: which are allowed, and when two are the same or look the same (RFC 8265, UTS #39).

use unicode_normalization::UnicodeNormalization;
use unicode_security::{GeneralSecurityProfile, RestrictionLevel, RestrictionLevelDetection, skeleton};

use crate::base::text::fold;

const CHARS_MIN: usize = 2;
const CHARS_MAX: usize = 64;
/// Longest username that a sign-in looks up. Longer ones cannot exist.
const TYPED_MAX_CHARS: usize = 255;
/// Marks inside a username.
const MARKS: [char; 3] = ['.', '_', '-'];
/// Names that speak for the service. Only administrators on the server give them.
const RESERVED: [&str; 12] = [
    "admin",
    "administrator",
    "root",
    "system",
    "support",
    "security",
    "moderator",
    "official",
    "service",
    "webmaster",
    "postmaster",
    "help",
];

/// A username in the forms that are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Username {
    /// As its owner wrote it, in compatibility form.
    pub shown: String,
    /// Without case. Two usernames with the same folded form are the same.
    pub folded: String,
    /// What it looks like: `paypal` and `раураl` have the same shape.
    pub shape: String,
}

impl Username {
    /// Reads the username of a new account.
    ///
    /// # Errors
    /// What is wrong with it, for the caller.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.chars().count() > TYPED_MAX_CHARS {
            return Err("must have 2 to 64 characters");
        }
        let shown: String = text.nfkc().collect();
        if !(CHARS_MIN..=CHARS_MAX).contains(&shown.chars().count()) {
            return Err("must have 2 to 64 characters");
        }
        let allowed = |c: char| match c.is_ascii() {
            true => c.is_ascii_alphanumeric() || MARKS.contains(&c),
            false => c.identifier_allowed(),
        };
        if !shown.chars().all(allowed) {
            return Err("must consist of letters, digits, `.`, `_` and `-`");
        }
        if !shown.starts_with(|c: char| c.is_alphanumeric()) || shown.ends_with(MARKS) {
            return Err("must begin with a letter or a digit, and end with one");
        }
        if !shown.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return Err("must not mix scripts that look alike, such as Latin and Cyrillic");
        }
        let folded = fold(&shown);
        // The shape of a capital differs from that of its small letter, so both sides are folded.
        let shape = fold(&skeleton(&folded).collect::<String>());
        Ok(Self { shown, folded, shape })
    }

    /// Whether it speaks for the service.
    pub fn is_reserved(&self) -> bool {
        RESERVED.iter().any(|name| fold(&skeleton(name).collect::<String>()) == self.shape)
    }
}

/// What a sign-in looks up. None: no username is so long.
pub fn typed(text: &str) -> Option<String> {
    (text.chars().count() <= TYPED_MAX_CHARS).then(|| fold(&text.nfkc().collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> String {
        Username::new(text).unwrap_or_else(|why| panic!("{text:?} {why}")).shape
    }

    #[test]
    fn usernames_of_many_scripts_are_allowed() {
        for name in [
            "zhangsan",
            "li.si",
            "Maria_Weber-2",
            "张三",
            "张san",
            "müller",
            "алексей",
            "さとう",
            "김철수",
            "42",
        ] {
            assert!(Username::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn what_hides_or_mixes_is_refused() {
        let long = "a".repeat(65);
        for name in [
            "",
            "a",
            "a b",
            " ab",
            "ab\u{a0}",
            "a@b",
            "a/b",
            "a,b",
            "ab\n",
            "ab\0",
            ".ab",
            "ab-",
            "--",
            "a\u{200b}b",
            "a\u{202e}b",
            "pаypal",
            "раyраl",
            "ab\u{301}\u{202a}",
            "😀😀",
            "a\u{ad}b",
            "ab\u{3164}",
            &long,
        ] {
            assert!(Username::new(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn case_and_width_make_no_other_name() {
        for (one, other) in [
            ("ZhangSan", "zhangsan"),
            ("ｚｈａｎｇｓａｎ", "zhangsan"),
            ("MÜLLER", "mu\u{308}ller"),
            ("ⅷab", "VIIIab"),
        ] {
            let [one, other] = [one, other].map(|name| Username::new(name).expect("a username"));
            assert_eq!(one.folded, other.folded);
            assert_eq!(typed(&one.shown.to_uppercase()), Some(other.folded));
        }
    }

    #[test]
    fn look_alikes_have_one_shape() {
        for (one, other) in
            [("paypal", "paypa1"), ("lino", "lin0"), ("modern", "modem"), ("сора", "copa"), ("ill", "i11")]
        {
            assert_eq!(shape(one), shape(other), "{one} {other}");
        }
        for (one, other) in [("zhangsan", "zhangsen"), ("张三", "张二"), ("anna", "hanna")] {
            assert_ne!(shape(one), shape(other), "{one} {other}");
        }
        for reserved in ["ROOT", "Support", "r00t", "аdmіn"] {
            assert!(
                Username::new(reserved).is_err()
                    || Username::new(reserved).is_ok_and(|name| name.is_reserved()),
                "{reserved}"
            );
        }
        assert!(!Username::new("rooter").expect("a username").is_reserved());
    }
}
