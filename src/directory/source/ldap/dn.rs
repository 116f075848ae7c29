//! Distinguished names (RFC 4514), as far as we need them: where an entry lies, and below what.

/// The name of the entry above, as it is written; none above the topmost.
pub fn parent(dn: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in dn.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => return Some(dn[at + 1..].trim_start()),
            _ => {}
        }
    }
    None
}

/// Whether an entry lies below another one.
pub fn is_below(dn: &str, base: &str) -> bool {
    let base = folded(base);
    base.is_empty() || std::iter::successors(parent(dn), |dn| parent(dn)).any(|above| folded(above) == base)
}

/// In one way of writing: no letter case, no blanks around what separates. Servers fold further; they also
/// write a name in one way.
fn folded(dn: &str) -> String {
    let mut folded = String::with_capacity(dn.len());
    let (mut escaped, mut blanks) = (false, 0);
    for c in dn.trim().chars() {
        let separates = !escaped && matches!(c, ',' | '=' | '+');
        if c == ' ' && !escaped {
            blanks += 1;
            continue;
        }
        let after = folded.chars().last().is_none_or(|last| matches!(last, ',' | '=' | '+'));
        if !separates && !after {
            folded.extend(std::iter::repeat_n(' ', blanks));
        }
        blanks = 0;
        folded.extend(c.to_lowercase());
        escaped = !escaped && c == '\\';
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_lies_below_what_its_name_ends_with() {
        for (dn, base, expected) in [
            ("uid=zs,ou=rd,dc=example", "dc=example", true),
            ("uid=zs, OU=R D , dc=Example", "ou=r d,dc=example", true),
            ("dc=example", "dc=example", false),
            ("dc=example", "", true),
            ("ou=xrd,dc=example", "ou=rd,dc=example", false),
            (r"cn=a\,ou=rd,dc=example", "ou=rd,dc=example", false),
        ] {
            assert_eq!(is_below(dn, base), expected, "{dn} below {base}");
        }
    }

    #[test]
    fn a_comma_that_is_escaped_separates_nothing() {
        assert_eq!(parent(r"cn=Li\, Si,ou=rd,dc=example"), Some("ou=rd,dc=example"));
        assert_eq!(parent(r"cn=a\\,ou=rd"), Some("ou=rd"));
        assert_eq!(parent("dc=example"), None);
    }
}
