//! What a file is, by its first bytes. What the uploader says does not count.

/// The number of first bytes that tell the type.
pub const HEAD_BYTES: usize = 64 * 1024;
const UNKNOWN: &str = "application/octet-stream";
const TEXT: &str = "text/plain";
const SVG: &str = "image/svg+xml";

/// The media type of a file with these first bytes.
pub fn media_type(head: &[u8]) -> &'static str {
    if is_svg(head) {
        return SVG;
    }
    match infer::get(head) {
        Some(kind) => kind.mime_type(),
        None if is_text(head) => TEXT,
        None => UNKNOWN,
    }
}

/// Whether a browser can show it in a page without running anything.
pub fn is_shown(media_type: &str) -> bool {
    let is_media = ["image/", "audio/", "video/"].iter().any(|kind| media_type.starts_with(kind));
    is_media && media_type != SVG
}

fn is_svg(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&head[..head.len().min(4_096)]);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    text.starts_with('<') && text.contains("<svg")
}

/// Text without control characters. A character may be cut at the end.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() => {
            std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.is_empty() && !text.chars().any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{c}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_what_its_bytes_say() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        for (head, expected) in [
            (&png[..], "image/png"),
            (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
            (b"%PDF-1.7", "application/pdf"),
            (b"MZ\x90\0\x03", "application/vnd.microsoft.portable-executable"),
            (b"<!DOCTYPE html><script>alert(1)</script>", "text/html"),
            (b"<?xml version=\"1.0\"?>\n<svg onload=\"alert(1)\"/>", SVG),
            ("\u{feff} <svg/>".as_bytes(), SVG),
            ("你好".as_bytes(), TEXT),
            (&"你好".as_bytes()[..5], TEXT),
            (b"a\0b", UNKNOWN),
            (b"\xff\xfe\xfd", UNKNOWN),
            (b"", UNKNOWN),
        ] {
            assert_eq!(media_type(head), expected, "{head:?}");
        }
    }

    #[test]
    fn what_can_run_is_not_shown() {
        for shown in ["image/png", "video/mp4", "audio/mpeg"] {
            assert!(is_shown(shown), "{shown}");
        }
        for kept in [SVG, "text/html", "application/pdf", TEXT, UNKNOWN] {
            assert!(!is_shown(kept), "{kept}");
        }
    }
}
