//! The preview of a message: one text that is ready to show, in every language. A symbol stands for the type.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{Content, Location, Text};

/// Characters of a preview, without the symbol.
const PREVIEW_CHARS: usize = 120;
/// Stands for a message that only the clients of the channel can read.
const ENCRYPTED: &str = "🔒 加密消息 · Encrypted message";

impl Content {
    /// The text that stands for the message where there is no room for it, or where its type is not known.
    pub fn preview(&self) -> String {
        match self {
            Self::Text(Text { text }) => cut(text),
            Self::Markdown(Text { text }) => cut(&plain(text)),
            Self::Picture(picture) => marked("🖼️", picture.name.as_deref()),
            Self::File(file) => marked("📄", file.name.as_deref()),
            Self::Voice(voice) => marked("🎤", Some(&duration(voice.duration_ms))),
            Self::Video(video) => marked("🎬", video.duration_ms.map(duration).as_deref()),
            Self::Location(location) => marked("📍", Some(&location.shown())),
            Self::Link(link) => marked("🔗", Some(&link.title)),
            Self::Card(card) => marked("🗂️", Some(card.title())),
            Self::Mls(_) => ENCRYPTED.to_owned(),
        }
    }

    /// The content as the conversation list shows it: `text` is the preview.
    pub fn short(&self) -> Value {
        let mut short = match self {
            // What is encrypted says nothing in a list.
            Self::Text(_) | Self::Markdown(_) | Self::Mls(_) => json!({}),
            // A list needs no buttons.
            Self::Card(card) => json!({"title": card.title(), "version": card.version()}),
            other => other.to_json(),
        };
        short["text"] = self.preview().into();
        short
    }
}

impl Location {
    fn shown(&self) -> String {
        let named = self.name.as_ref().or(self.address.as_ref());
        named.cloned().unwrap_or_else(|| format!("{:.5}, {:.5}", self.latitude, self.longitude))
    }
}

/// A text as a preview shows it.
pub fn cut(text: &str) -> String {
    text.chars().take(PREVIEW_CHARS).collect()
}

fn marked(symbol: &str, text: Option<&str>) -> String {
    text.map_or_else(|| symbol.to_owned(), |text| format!("{symbol} {}", cut(text)))
}

/// Minutes and seconds, or hours before them.
pub fn duration(ms: u64) -> String {
    let seconds = (ms.saturating_add(500) / 1_000).max(1);
    let mut shown = String::new();
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let written = match hours {
        0 => write!(shown, "{minutes}"),
        _ => write!(shown, "{hours}:{minutes:02}"),
    };
    let _ = written.and_then(|()| write!(shown, ":{:02}", seconds % 60));
    shown
}

/// The words of CommonMark in one line. Signs of emphasis, headings, lists, quotes, code and links are left out.
fn plain(markdown: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut chars = 0;
    for line in markdown.lines() {
        let line = inline(block(line));
        let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
        if line.is_empty() {
            continue;
        }
        chars += line.chars().count();
        words.push(line);
        if chars > PREVIEW_CHARS {
            break;
        }
    }
    // A text of nothing but signs is shown as it is.
    if words.is_empty() { markdown.trim().to_owned() } else { words.join(" ") }
}

/// A line without the signs of a block at its beginning.
fn block(line: &str) -> &str {
    let mut rest = line.trim_start();
    if rest.starts_with("```") || rest.starts_with("~~~") {
        return "";
    }
    if rest.len() > 2 && rest.bytes().all(|b| b"-=* _".contains(&b)) {
        return "";
    }
    while let Some(after) = rest.strip_prefix('>') {
        rest = after.trim_start();
    }
    for sign in ["- ", "* ", "+ "] {
        rest = rest.strip_prefix(sign).unwrap_or(rest).trim_start();
    }
    let heading = rest.trim_start_matches('#');
    if heading.starts_with(' ') { heading.trim_start() } else { rest }
}

/// Text without the signs of emphasis and code; of a link or picture only its words.
fn inline(text: &str) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '`', '[', '!', '\\']) {
        shown.push_str(&rest[..at]);
        let found = &rest[at..];
        rest = match link(found.strip_prefix('!').unwrap_or(found)) {
            Some((words, after)) => {
                shown.push_str(words);
                after
            }
            None => {
                let mut signs = found.chars();
                match signs.next() {
                    // The next character stands for itself.
                    Some('\\') => shown.extend(signs.next()),
                    Some(sign @ ('[' | '!')) => shown.push(sign),
                    _ => {}
                }
                signs.as_str()
            }
        };
    }
    shown.push_str(rest);
    shown
}

/// The words of `[words](target)`, and what follows.
fn link(text: &str) -> Option<(&str, &str)> {
    let (words, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (_, after) = rest.split_once(')')?;
    (!words.contains(['[', '\n'])).then_some((words, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview(ms_type: &str, content: Value) -> String {
        Content::parse(ms_type, content, "").expect("a content").preview()
    }

    #[test]
    fn every_type_has_a_text_that_is_ready_to_show() {
        for (ms_type, content, shown) in [
            ("text", json!({"text": "收到"}), "收到"),
            ("picture", json!({"url": "/p"}), "🖼️"),
            ("mls", json!({"mls": "AAEC", "kind": "application"}), ENCRYPTED),
            ("picture", json!({"url": "/p", "name": "白板.png"}), "🖼️ 白板.png"),
            ("file", json!({"url": "/f", "name": "a.pdf", "size": 1, "media_type": "a/b"}), "📄 a.pdf"),
            ("voice", json!({"url": "/v", "duration_ms": 12_499, "media_type": "audio/ogg"}), "🎤 0:12"),
            ("voice", json!({"url": "/v", "duration_ms": 1, "media_type": "audio/ogg"}), "🎤 0:01"),
            ("video", json!({"url": "/v"}), "🎬"),
            ("video", json!({"url": "/v", "duration_ms": 3_723_000}), "🎬 1:02:03"),
            (
                "location",
                json!({"latitude": 31.23, "longitude": 121.4737, "name": "人民广场"}),
                "📍 人民广场",
            ),
            ("location", json!({"latitude": -31.23, "longitude": 121.4737}), "📍 -31.23000, 121.47370"),
            ("link", json!({"url": "https://a", "title": "新闻", "text": "more"}), "🔗 新闻"),
            ("markdown", json!({"text": "# 周报\n\n- **done**: `tests`"}), "周报 done: tests"),
        ] {
            assert_eq!(preview(ms_type, content.clone()), shown, "{content}");
        }
        assert_eq!(preview("text", json!({"text": "长".repeat(500)})).chars().count(), PREVIEW_CHARS);
    }

    #[test]
    fn markdown_is_shown_by_its_words() {
        for (markdown, shown) in [
            ("> quoted\n>> twice", "quoted twice"),
            ("see [the plan](https://a/b) and ![a cat](/cat.png)!", "see the plan and a cat!"),
            ("[not a link] a[1]", "[not a link] a[1]"),
            ("```rust\nlet a_b = 1;\n```", "let a_b = 1;"),
            ("a\n\n---\n\nb", "a b"),
            ("#tag stays", "#tag stays"),
            ("\\*as it is\\*", "*as it is*"),
            ("***", "***"),
        ] {
            assert_eq!(plain(markdown), shown, "{markdown}");
        }
    }
}
