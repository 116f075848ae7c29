//! The bodies of DingTalk's and WeCom's robots, and what they become here.
//!
//! Clients differ in details, so nothing is refused that can be shown. Unknown fields are ignored.

mod markdown;

use std::fmt::Write;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::Refusal;
use crate::base::text::is_blank;
use crate::chat::message::{Content, MENTIONS_MAX, TEXT_MAX_CHARS};
use markdown::{bold, escaped, linked, unwrapped, with_plain_links, without_tags};

/// The largest picture in a body, as at WeCom.
const PICTURE_MAX_BYTES: usize = 2 * 1024 * 1024;
/// Most links or buttons of a body that are shown.
const LINKS_MAX: usize = 50;

type Read<T> = std::result::Result<T, Refusal>;

/// A body, as far as it is understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Body {
    pub said: Said,
    pub mentions: Mentions,
}

/// What a body says.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Text(String),
    Markdown(String),
    Link(Link),
    /// A picture at an address.
    PictureAt(String),
    /// The bytes of a picture.
    Picture(Vec<u8>),
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Link {
    title: String,
    text: String,
    url: String,
    picture: String,
}

/// The users that a body mentions.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    pub user_ids: Vec<String>,
    /// Numbers of phones, digits alone.
    pub phones: Vec<String>,
    pub all: bool,
}

impl Body {
    pub fn parse(bytes: &[u8]) -> Read<Self> {
        let body: Value = serde_json::from_slice(bytes).map_err(|_| Refusal::NotJson)?;
        let kind = text(&body, "/msgtype").ok_or(Refusal::Missing("msgtype"))?;
        let mut mentions = Mentions::of(&body);
        let said = match kind {
            "text" => Said::Text(needed(&body, "/text/content", "text.content")?.to_owned()),
            "markdown" | "markdown_v2" => Said::Markdown(markdown(&body, kind, &mut mentions)?),
            "link" => Said::Link(link(&body)?),
            "actionCard" => Said::Markdown(action_card(&body)?),
            "feedCard" => Said::Markdown(links(&body, "/feedCard/links", "feedCard.links")?),
            "news" => news(&body)?,
            "image" => picture(&body)?,
            "template_card" => Said::Markdown(template_card(&body)?),
            _ => return Err(Refusal::UnknownType),
        };
        Ok(Self { said, mentions })
    }
}

impl Said {
    /// The content of the message. The bytes of a picture need an address first.
    pub fn content(&self) -> Read<Content> {
        match self {
            Self::Text(text) => of_text("text", text),
            Self::Markdown(text) => of_text("markdown", text),
            Self::Link(link) => link.content(),
            Self::PictureAt(url) => Self::picture(json!({"url": url})),
            Self::Picture(_) => Err(Refusal::BadPicture),
        }
    }

    /// The content of a message with a picture at an address, or with an uploaded one.
    pub fn picture(content: Value) -> Read<Content> {
        Ok(Content::parse("picture", content, "")?)
    }
}

fn of_text(ms_type: &str, text: &str) -> Read<Content> {
    if text.chars().count() > TEXT_MAX_CHARS {
        return Err(Refusal::TooLong);
    }
    Ok(Content::parse(ms_type, json!({"text": text}), "")?)
}

impl Link {
    fn of(item: &Value, [title, text_of, url, picture]: [&str; 4]) -> Self {
        let said = |at: &str| text(item, at).unwrap_or_default().to_owned();
        Self { title: said(title), text: said(text_of), url: unwrapped(&said(url)), picture: said(picture) }
    }

    /// A link. What is none, such as one without a title or with an address of another kind, is shown as Markdown.
    fn content(&self) -> Read<Content> {
        let given = |text: &str| (!is_blank(text)).then(|| text.to_owned());
        let link = json!({"title": self.title, "url": self.url, "text": given(&self.text), "picture": given(&self.picture)});
        match Content::parse("link", link, "") {
            Ok(link) => Ok(link),
            Err(_) => of_text("markdown", &self.as_markdown()),
        }
    }

    fn is_empty(&self) -> bool {
        [&self.title, &self.text, &self.url].into_iter().all(|said| is_blank(said))
    }

    /// The link as Markdown: the title leads to the address.
    fn as_markdown(&self) -> String {
        let title = if is_blank(&self.title) { &self.url } else { &self.title };
        let mut line = if is_blank(&self.url) { escaped(title) } else { linked(title, &self.url) };
        if !is_blank(&self.text) {
            let _ = write!(line, "\n\n{}", self.text);
        }
        line
    }
}

impl Mentions {
    /// `at` of DingTalk, and the lists of WeCom beside the text.
    fn of(body: &Value) -> Self {
        let all = match &body["at"]["isAtAll"] {
            Value::Bool(all) => *all,
            Value::String(all) => all == "true" || all == "1",
            Value::Number(all) => all.as_i64() == Some(1),
            _ => false,
        };
        let mut mentions = Self { all, ..Self::default() };
        let kind = text(body, "/msgtype").unwrap_or_default();
        for list in [&body["at"]["atUserIds"], &body[kind]["mentioned_list"]] {
            words(list).for_each(|user_id| mentions.add_user(&user_id));
        }
        for list in [&body["at"]["atMobiles"], &body[kind]["mentioned_mobile_list"]] {
            words(list).for_each(|phone| mentions.add_phone(&phone));
        }
        mentions
    }

    fn add_user(&mut self, user_id: &str) {
        if user_id == "@all" {
            self.all = true;
        } else if self.user_ids.len() < MENTIONS_MAX && !user_id.is_empty() {
            self.user_ids.push(user_id.to_owned());
        }
    }

    fn add_phone(&mut self, phone: &str) {
        let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
        if phone == "@all" {
            self.all = true;
        } else if self.phones.len() < MENTIONS_MAX && !digits.is_empty() {
            self.phones.push(digits);
        }
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The texts and numbers of a list.
fn words(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().into_iter().flatten().filter_map(|word| match word {
        Value::String(word) => Some(word.trim().to_owned()),
        Value::Number(word) => Some(word.to_string()),
        _ => None,
    })
}

/// A text that is there and shows something.
fn text<'a>(body: &'a Value, pointer: &str) -> Option<&'a str> {
    body.pointer(pointer)?.as_str().filter(|text| !is_blank(text))
}

fn needed<'a>(body: &'a Value, pointer: &str, field: &'static str) -> Read<&'a str> {
    text(body, pointer).ok_or(Refusal::Missing(field))
}

fn items<'a>(body: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    body.pointer(pointer).and_then(Value::as_array).into_iter().flatten().take(LINKS_MAX)
}

/// DingTalk has `title` and `text`; the title stands in the list of conversations alone. WeCom has `content`.
fn markdown(body: &Value, kind: &str, mentions: &mut Mentions) -> Read<String> {
    let said = [format!("/{kind}/text"), format!("/{kind}/content"), format!("/{kind}/title")];
    let said =
        said.iter().find_map(|pointer| text(body, pointer)).ok_or(Refusal::Missing("markdown.text"))?;
    Ok(without_tags(&with_plain_links(said), mentions))
}

fn link(body: &Value) -> Read<Link> {
    let link = Link::of(&body["link"], ["/title", "/text", "/messageUrl", "/picUrl"]);
    if link.is_empty() { Err(Refusal::Missing("link.title")) } else { Ok(link) }
}

fn action_card(body: &Value) -> Read<String> {
    let card = &body["actionCard"];
    let mut said = text(card, "/text").or_else(|| text(card, "/title")).unwrap_or_default().to_owned();
    let single = json!({"title": card["singleTitle"], "actionURL": card["singleURL"]});
    for button in std::iter::once(&single).chain(items(card, "/btns")) {
        let button = Link::of(button, ["/title", "", "/actionURL", ""]);
        if !button.is_empty() {
            let _ = write!(said, "\n\n{}", button.as_markdown());
        }
    }
    if is_blank(&said) { Err(Refusal::Missing("actionCard.text")) } else { Ok(said) }
}

/// The links of a feed, one a line.
fn links(body: &Value, pointer: &str, field: &'static str) -> Read<String> {
    let links = items(body, pointer).map(|item| Link::of(item, ["/title", "", "/messageURL", "/picURL"]));
    let lines: Vec<String> =
        links.filter(|link| !link.is_empty()).map(|link| format!("- {}", link.as_markdown())).collect();
    if lines.is_empty() { Err(Refusal::Missing(field)) } else { Ok(lines.join("\n")) }
}

/// One article is a link. Several are a list.
fn news(body: &Value) -> Read<Said> {
    let article = |item: &Value| Link::of(item, ["/title", "/description", "/url", "/picurl"]);
    let mut articles: Vec<Link> =
        items(body, "/news/articles").map(article).filter(|link| !link.is_empty()).collect();
    match (articles.pop(), articles.is_empty()) {
        (None, _) => Err(Refusal::Missing("news.articles")),
        (Some(only), true) => Ok(Said::Link(only)),
        (Some(last), false) => {
            let all = articles.iter().chain([&last]).map(Link::as_markdown);
            Ok(Said::Markdown(all.collect::<Vec<_>>().join("\n\n")))
        }
    }
}

/// WeCom has the bytes in base64. Some clients of DingTalk send an address.
fn picture(body: &Value) -> Read<Said> {
    if let Some(url) = text(body, "/image/picURL") {
        return Ok(Said::PictureAt(unwrapped(url)));
    }
    let encoded: String = needed(body, "/image/base64", "image.base64")?.split_ascii_whitespace().collect();
    let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| Refusal::BadPicture)?;
    if bytes.is_empty() || bytes.len() > PICTURE_MAX_BYTES {
        return Err(Refusal::BadPicture);
    }
    Ok(Said::Picture(bytes))
}

/// The title, the description, the fields and the links of a card.
fn template_card(body: &Value) -> Read<String> {
    let card = &body["template_card"];
    let heads = ["/main_title/title", "/emphasis_content/title"].map(|at| text(card, at).map(bold));
    let rest = ["/main_title/desc", "/emphasis_content/desc", "/quote_area/quote_text", "/sub_title_text"];
    let rest = rest.map(|at| text(card, at).map(str::to_owned));
    let field = |item: &Value| Some(format!("- {}: {}", text(item, "/keyname")?, text(item, "/value")?));
    let fields = items(card, "/horizontal_content_list").map(field);
    let jump = |item: &Value| {
        let link = Link::of(item, ["/title", "", "/url", ""]);
        (!link.is_empty()).then(|| link.as_markdown())
    };
    let action = json!({"title": card["main_title"]["title"], "url": card["card_action"]["url"]});
    let action = text(&action, "/url").and_then(|_| jump(&action));
    let parts = heads
        .into_iter()
        .chain(rest)
        .chain(fields)
        .chain(items(card, "/jump_list").map(jump))
        .chain([action]);
    let said = parts.flatten().collect::<Vec<_>>().join("\n\n");
    if is_blank(&said) { Err(Refusal::Missing("template_card.main_title")) } else { Ok(said) }
}

#[cfg(test)]
mod tests {
    use super::markdown::{TAG_MAX_BYTES, without_tags_by};
    use super::*;

    fn parsed(body: &Value) -> Body {
        Body::parse(body.to_string().as_bytes()).unwrap_or_else(|e| panic!("{body}: {e:?}"))
    }

    fn refused(body: &str) -> String {
        format!("{:?}", Body::parse(body.as_bytes()).expect_err("a refusal"))
    }

    fn markdown_of(body: &Value) -> String {
        match parsed(body).said {
            Said::Markdown(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_mentions_in_the_ways_of_both() {
        let body = parsed(&json!({"msgtype": "text", "text": {"content": "磁盘满了 @138"},
            "at": {"atUserIds": ["lisi", 7], "atMobiles": ["+86 138-0000-0000", 139], "isAtAll": "true"}}));
        assert_eq!(body.said, Said::Text("磁盘满了 @138".into()));
        assert_eq!(body.mentions.user_ids, ["lisi", "7"]);
        assert_eq!(body.mentions.phones, ["8613800000000", "139"]);
        assert!(body.mentions.all);
        let body =
            parsed(&json!({"msgtype": "text", "text": {"content": "x", "mentioned_list": ["wangwu", "@all"],
            "mentioned_mobile_list": ["13800000000", "@all"]}}));
        assert_eq!((body.mentions.user_ids, body.mentions.all), (vec!["wangwu".to_owned()], true));
        for off in [json!(false), json!("false"), json!(0), Value::Null] {
            let body = json!({"msgtype": "text", "text": {"content": "x"}, "at": {"isAtAll": off}});
            assert!(parsed(&body).mentions.is_empty(), "{body}");
        }
    }

    #[test]
    fn markdown_loses_the_colours_of_wecom() {
        let body = json!({"msgtype": "markdown", "markdown": {
            "content": "告警 <font color=\"warning\">**3 台**</font> a < b <br> <@lisi> <@all>"}});
        let body = parsed(&body);
        assert_eq!(body.said, Said::Markdown("告警 **3 台** a < b <br> @lisi @all".into()));
        assert_eq!((body.mentions.user_ids, body.mentions.all), (vec!["lisi".to_owned()], true));
        let link = "[日志](dingtalk://dingtalkclient/page/link?url=https%3A%2F%2Fe.example%2F%28a%29&pc_slide=false) 好";
        let linked = json!({"msgtype": "markdown", "markdown": {"title": "t", "text": link}});
        assert_eq!(markdown_of(&linked), "[日志](https://e.example/%28a%29) 好");
        let body =
            json!({"msgtype": "markdown", "markdown": {"title": "杭州天气", "text": "#### 杭州天气\n> 9度"}});
        assert_eq!(markdown_of(&body), "#### 杭州天气\n> 9度");
        assert_eq!(markdown_of(&json!({"msgtype": "markdown_v2", "markdown_v2": {"content": "*x*"}})), "*x*");
    }

    #[test]
    fn however_many_tags_are_opened_each_character_is_searched_once() {
        let (open, far) = ("<".repeat(1 << 20), format!("<{}>", "x".repeat(TAG_MAX_BYTES)));
        for (text, wanted) in [
            (open.clone(), open.clone()),
            (format!("{open}>"), format!("{open}>")),
            (format!("{open}@li>{open}"), format!("{}@li{open}", &open[1..])),
            ("<font>".repeat(1_000), String::new()),
            ("<<font></font>>".repeat(1_000), "<>".repeat(1_000)),
            (format!("{far}<@lisi>"), format!("{far}@lisi")),
            ("好".repeat(1_000), "好".repeat(1_000)),
        ] {
            let (mut searched, mut mentions) = (0, Mentions::default());
            let is_end = |c| {
                searched += 1;
                c == '>'
            };
            let plain = without_tags_by(&text, is_end, &mut mentions);
            let start: String = text.chars().take(20).collect();
            assert!(plain == wanted, "{start}");
            assert!(searched <= text.chars().count(), "{start}: {searched}");
        }
    }

    #[test]
    fn more_are_meant_than_a_message_can_mention() {
        let many: Vec<String> = (0..=MENTIONS_MAX).map(|n| n.to_string()).collect();
        let body = parsed(&json!({"msgtype": "text", "text": {"content": "x"},
            "at": {"atUserIds": many, "atMobiles": many}}));
        assert_eq!((body.mentions.user_ids.len(), body.mentions.phones.len()), (MENTIONS_MAX, MENTIONS_MAX));
    }

    #[test]
    fn cards_and_feeds_become_markdown_with_links() {
        let wrapped =
            "dingtalk://dingtalkclient/page/link?url=https%3A%2F%2Fe.example%2Fa%3Fb%3D1&pc_slide=false";
        let single = json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "### 发布", "btnOrientation": "0",
            "singleTitle": "阅读[全文]", "singleURL": wrapped}});
        assert_eq!(markdown_of(&single), "### 发布\n\n[阅读\\[全文\\]](https://e.example/a?b=1)");
        let many = json!({"msgtype": "actionCard", "actionCard": {"title": "t", "text": "部署?",
            "btns": [{"title": "好", "actionURL": "https://e.example/(y)"}, {"title": "不", "actionURL": "https://e.example/n"}]}});
        assert_eq!(
            markdown_of(&many),
            "部署?\n\n[好](https://e.example/%28y%29)\n\n[不](https://e.example/n)"
        );
        let feed = json!({"msgtype": "feedCard", "feedCard": {"links": [
            {"title": "一", "messageURL": "https://e.example/1", "picURL": "https://e.example/1.png"},
            {"title": "二", "messageURL": "https://e.example/2", "picURL": ""}]}});
        assert_eq!(markdown_of(&feed), "- [一](https://e.example/1)\n- [二](https://e.example/2)");
        let card = json!({"msgtype": "template_card", "template_card": {"card_type": "text_notice",
            "main_title": {"title": "构建失败", "desc": "master"}, "horizontal_content_list": [{"keyname": "人", "value": "李四"}],
            "card_action": {"type": 1, "url": "https://ci.example/1"}}});
        assert_eq!(
            markdown_of(&card),
            "**构建失败**\n\nmaster\n\n- 人: 李四\n\n[构建失败](https://ci.example/1)"
        );
    }

    #[test]
    fn links_articles_and_pictures_are_what_they_are() {
        let link = json!({"msgtype": "link", "link": {"title": "t", "text": "x", "messageUrl": "https://e.example", "picUrl": ""}});
        let wanted = Link {
            title: "t".into(),
            text: "x".into(),
            url: "https://e.example".into(),
            picture: String::new(),
        };
        assert_eq!(parsed(&link).said, Said::Link(wanted));
        let article = |n: u8| json!({"title": format!("t{n}"), "description": "d", "url": "https://e.example", "picurl": ""});
        let news = |articles: Value| json!({"msgtype": "news", "news": {"articles": articles}});
        assert!(matches!(parsed(&news(json!([article(1)]))).said, Said::Link(_)));
        let both = markdown_of(&news(json!([article(1), article(2)])));
        assert_eq!(both, "[t1](https://e.example)\n\nd\n\n[t2](https://e.example)\n\nd");
        let image = json!({"msgtype": "image", "image": {"base64": "iVBO\nRw0=", "md5": "x"}});
        assert_eq!(parsed(&image).said, Said::Picture(b"\x89PNG\r".to_vec()));
    }

    #[test]
    fn what_shows_nothing_is_refused() {
        for (body, told) in [
            ("", "NotJson"),
            ("{", "NotJson"),
            ("[]", "Missing(\"msgtype\")"),
            ("{\"msgtype\": 7}", "Missing(\"msgtype\")"),
            ("{\"msgtype\": \"voice\"}", "UnknownType"),
            ("{\"msgtype\": \"text\"}", "Missing(\"text.content\")"),
            ("{\"msgtype\": \"text\", \"text\": {\"content\": \" \"}}", "Missing(\"text.content\")"),
            ("{\"msgtype\": \"markdown\", \"markdown\": {}}", "Missing(\"markdown.text\")"),
            ("{\"msgtype\": \"link\", \"link\": {\"picUrl\": \"x\"}}", "Missing(\"link.title\")"),
            ("{\"msgtype\": \"actionCard\", \"actionCard\": 7}", "Missing(\"actionCard.text\")"),
            ("{\"msgtype\": \"feedCard\", \"feedCard\": {\"links\": [{}]}}", "Missing(\"feedCard.links\")"),
            ("{\"msgtype\": \"news\", \"news\": {\"articles\": []}}", "Missing(\"news.articles\")"),
            ("{\"msgtype\": \"image\", \"image\": {\"base64\": \"!\"}}", "BadPicture"),
        ] {
            assert_eq!(refused(body), told, "{body}");
        }
        let long = Said::Text("长".repeat(TEXT_MAX_CHARS + 1));
        assert!(matches!(long.content(), Err(Refusal::TooLong)));
        assert!(matches!(Said::Text("a\0".into()).content(), Err(Refusal::Invalid(_))));
    }
}
