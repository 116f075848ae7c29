//! Markdown of DingTalk's and WeCom's bodies, and Markdown that is made of their fields.

use std::fmt::Write;

use super::Mentions;

/// The longest tag that is looked at.
pub(super) const TAG_MAX_BYTES: usize = 200;
/// How DingTalk's clients wrap an address, so that it opens beside the conversation.
const WRAPPED: &str = "dingtalk://dingtalkclient/page/link?";

/// Unwraps the addresses of a text.
pub(super) fn with_plain_links(text: &str) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(from) = rest.find(WRAPPED) {
        let (before, link) = rest.split_at(from);
        let end = link.find(|c: char| c == ')' || c == '>' || c.is_whitespace()).unwrap_or(link.len());
        plain.push_str(before);
        plain.push_str(&in_link(&unwrapped(&link[..end])));
        rest = &link[end..];
    }
    plain + rest
}

/// Removes the colours of WeCom, which are no Markdown. `<@lisi>` mentions a user.
pub(super) fn without_tags(text: &str, mentions: &mut Mentions) -> String {
    without_tags_by(text, |c| c == '>', mentions)
}

/// `is_end` finds the end of a tag. It looks at each character once at most.
pub(super) fn without_tags_by(
    text: &str,
    mut is_end: impl FnMut(char) -> bool,
    mentions: &mut Mentions,
) -> String {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    // Where the next tag ends, and how far the text is searched for that.
    let (mut end, mut searched) = (None, 0);
    while let Some(before) = rest.find('<') {
        let at = text.len() - rest.len() + before;
        plain.push_str(&rest[..before]);
        if end.is_none_or(|end| end < at) {
            let from = searched.max(at);
            end = text[from..].find(&mut is_end).map(|found| from + found);
            searched = end.map_or(text.len(), |end| end + 1);
        }
        let near = end.filter(|end| end - at < TAG_MAX_BYTES);
        let tag = near.map_or("", |end| &text[at + 1..end]);
        let name = tag.trim_start_matches('/');
        let is_colour = name == "font" || name.starts_with("font ");
        let after = match (near, tag.strip_prefix('@')) {
            (Some(end), Some(user_id)) if !user_id.is_empty() => {
                mentions.add_user(if user_id == "all" { "@all" } else { user_id });
                let _ = write!(plain, "@{user_id}");
                end + 1
            }
            (Some(end), _) if is_colour => end + 1,
            _ => {
                plain.push('<');
                at + 1
            }
        };
        rest = &text[after..];
    }
    plain + rest
}

pub(super) fn bold(text: &str) -> String {
    format!("**{}**", escaped(text))
}

/// A link of Markdown.
pub(super) fn linked(title: &str, url: &str) -> String {
    format!("[{}]({})", escaped(title), in_link(url))
}

/// An address that can stand in the brackets of a link.
fn in_link(url: &str) -> String {
    url.chars()
        .map(|c| match c {
            '(' => "%28".to_owned(),
            ')' => "%29".to_owned(),
            c if c.is_whitespace() || c.is_control() => "%20".to_owned(),
            c => c.to_string(),
        })
        .collect()
}

/// A text of one line in which nothing is Markdown.
pub(super) fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '[' | ']' | '*' | '_' | '`' | '<' | '>' => plain.extend(['\\', c]),
            c if c.is_control() => plain.push(' '),
            c => plain.push(c),
        }
    }
    plain
}

/// The address inside one of DingTalk's own.
pub(super) fn unwrapped(url: &str) -> String {
    let inner = url.strip_prefix(WRAPPED).and_then(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == "url")
            .map(|(_, url)| url.into_owned())
    });
    inner.unwrap_or_else(|| url.to_owned())
}
