//! Distinguished names (RFC 4514), as far as needed to find an entry's parent and ancestors.

use crate::base::text::fold;

/// The DN of the parent, as written; none at the top.
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

/// Whether an entry is below another one.
pub fn is_below(dn: &str, base: &str) -> bool {
    let base = folded(base);
    base.is_empty() || std::iter::successors(parent(dn), |dn| parent(dn)).any(|above| folded(above) == base)
}

/// A DN in one form: lower case, only needed escapes, no blanks around separators, single blanks elsewhere.
/// Servers fold more, but a server writes its own DNs in one form.
fn folded(dn: &str) -> String {
    let mut folded: Vec<u8> = Vec::with_capacity(dn.len());
    let mut bytes = dn.trim().bytes().peekable();
    let (mut blank, mut starts) = (false, true);
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\';
        let byte = if escaped { unescaped(&mut bytes) } else { byte };
        let separates = !escaped && matches!(byte, b',' | b'=' | b'+');
        if byte == b' ' {
            blank = true;
            continue;
        }
        if blank && !separates && !starts {
            folded.push(b' ');
        }
        if escaped && matches!(byte, b',' | b'=' | b'+') {
            folded.push(b'\\');
        }
        folded.push(byte);
        (blank, starts) = (false, separates);
    }
    fold(&String::from_utf8_lossy(&folded))
}

/// The byte of an escape: two hexadecimal digits, or the character itself.
fn unescaped(bytes: &mut std::iter::Peekable<impl Iterator<Item = u8> + Clone>) -> u8 {
    let digits: Vec<u8> = bytes.clone().take(2).collect();
    let byte = std::str::from_utf8(&digits).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
    match byte {
        Some(byte) if digits.len() == 2 => {
            bytes.nth(1);
            byte
        }
        _ => bytes.next().unwrap_or(b'\\'),
    }
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
            (r"uid=zs,ou=A\2C B", r"ou=a\,  b", true),
            (r"uid=zs,ou=\E7\A0\94", "ou=研", true),
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
