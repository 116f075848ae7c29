//! `/search/messages` and `/support/messages`: search, and the export for support.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json as Reply, Router};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{Instrument, Span};
use unicode_normalization::UnicodeNormalization;

use super::messages::MessageView;
use super::wire::{LIMIT_MAX, Page, Query, check_limit, check_reason, read_cursor, write_cursor};
use super::{Api, Now, Person, Proven, Viewer, clock};
use crate::base::analyzer;
use crate::base::audit::{self, Action, Entry};
use crate::base::cron::Zone;
use crate::base::error::{Error, Result};
use crate::base::extra::{self, ALL, MENTIONS_ALL};
use crate::base::number::{self, ChannelId, MsId};
use crate::base::store::Store;
use crate::base::text::is_blank;
use crate::chat::message::{Content, FORWARD, TOPIC_RULE, is_topic};
use crate::delivery::status::Status;
use crate::identity::{Caller, Role};
use crate::people::contacts::{self, NamedUser};
use crate::records::search::{Hit, Scope, Search, Searching};

const LIMIT_DEFAULT: i64 = 50;
/// Most characters of a search text.
const QUERY_MAX_CHARS: usize = 200;
/// Hits that an export reads at once.
const EXPORT_STEP: usize = 200;
/// Longest text that a spreadsheet accepts inside a formula.
const NUMBER_MAX_CHARS: usize = 255;
/// The byte order mark makes spreadsheets read the file as UTF-8.
const CSV_HEAD: &str = "\u{feff}ms_id,channel_id,seq,server_time,sender,sender_name,type,content,recalled_by,recalled_at,status,mentions\r\n";

pub fn routes() -> Router<Api> {
    Router::new()
        .route("/search/messages", get(own))
        .route("/support/messages", get(everybody))
        .route("/support/messages/export", get(export))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchQuery {
    q: Option<String>,
    sender: Option<String>,
    receiver: Option<String>,
    channel_id: Option<String>,
    #[serde(rename = "type")]
    ms_type: Option<String>,
    from: Option<String>,
    to: Option<String>,
    status: Option<String>,
    direction: Option<String>,
    mentions: Option<String>,
    topic: Option<String>,
    reason: Option<String>,
    format: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Serialize)]
struct HitView {
    #[serde(flatten)]
    message: MessageView,
    highlight: Vec<PieceView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
}

#[derive(Serialize)]
struct PieceView {
    text: String,
    hit: bool,
}

/// The `ms_id` below which the next page begins.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Below {
    #[serde(with = "number::plain")]
    below: MsId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    Ndjson,
}

impl From<Hit> for HitView {
    fn from(hit: Hit) -> Self {
        let piece = |p: analyzer::Piece| PieceView { text: p.text, hit: p.hit };
        Self {
            message: hit.message.into(),
            highlight: hit.highlight.into_iter().map(piece).collect(),
            status: hit.status.map(Status::as_str),
        }
    }
}

impl SearchQuery {
    /// Replaces user names by user ids.
    async fn name_people(&mut self, store: &Store, viewer: &contacts::Viewer) -> Result<()> {
        for (name, said) in [("sender", &mut self.sender), ("receiver", &mut self.receiver)] {
            if let Some(typed) = said {
                *typed = meant(store, viewer, name, typed).await?;
            }
        }
        Ok(())
    }

    fn search(&self, zone: Zone) -> Result<Search> {
        let status = match self.status.as_deref() {
            None => None,
            Some(text) => Some(
                Status::parse(text)
                    .ok_or_else(|| Error::parameter("status", "must be unreceived, received or read"))?,
            ),
        };
        if self.ms_type.as_deref().is_some_and(|t| !Content::TYPES.contains(&t) && t != FORWARD) {
            return Err(Error::parameter("type", format!("{}, or {FORWARD}", Content::TYPE_RULE)));
        }
        if self.topic.as_deref().is_some_and(|topic| !is_topic(topic)) {
            return Err(Error::parameter("topic", TOPIC_RULE));
        }
        let channel_id = match self.channel_id.as_deref() {
            None => None,
            Some(id) => Some(
                ChannelId::parse(id)
                    .ok_or_else(|| Error::parameter("channel_id", "must be a decimal string"))?,
            ),
        };
        Ok(Search {
            words: self.words()?,
            sender: self.sender.clone(),
            not_sender: None,
            receiver: self.receiver.clone(),
            status,
            channel_id,
            ms_type: self.ms_type.clone(),
            mentioned: None,
            topic: self.topic.clone(),
            from: moment("from", self.from.as_deref(), |text| zone.day(text).map(|day| day.0))?,
            to: moment("to", self.to.as_deref(), |text| zone.day(text).map(|day| day.1))?,
        })
    }

    fn words(&self) -> Result<Vec<analyzer::Phrase>> {
        let Some(q) = &self.q else {
            return Ok(Vec::new());
        };
        if q.chars().count() > QUERY_MAX_CHARS {
            return Err(Error::parameter("q", format!("must have at most {QUERY_MAX_CHARS} characters")));
        }
        let words = analyzer::parse_query(q);
        if words.is_empty() {
            return Err(Error::parameter(
                "q",
                "must contain a letter, a digit or a symbol such as 😀; punctuation is not searched",
            ));
        }
        Ok(words)
    }

    /// Search by a user. `direction` and `status` refer to the caller.
    async fn own(&mut self, api: &Api, caller: &Caller) -> Result<Search> {
        for (name, given) in [("reason", &self.reason), ("format", &self.format)] {
            if given.is_some() {
                return Err(Error::parameter(name, "can only be used in /support/messages"));
            }
        }
        let Viewer(viewer) = Viewer::of(api, caller).await?;
        self.name_people(&api.store, &viewer).await?;
        let caller = &caller.user_id;
        let mut search = self.search(api.zone()?)?;
        search.mentioned = match self.mentions.as_deref() {
            None => None,
            Some("me") => Some(caller.to_owned()),
            Some(_) => return Err(Error::parameter("mentions", "must be me")),
        };
        match self.direction.as_deref() {
            None if search.status.is_some() && search.receiver.is_none() => {
                search.receiver = Some(caller.to_owned());
            }
            None => {}
            Some("from_me") if search.sender.is_none() => search.sender = Some(caller.to_owned()),
            Some("to_me") if search.receiver.is_none() => search.receiver = Some(caller.to_owned()),
            Some("from_me") => {
                return Err(Error::parameter("direction", "from_me cannot be combined with `sender`"));
            }
            Some("to_me") => {
                return Err(Error::parameter("direction", "to_me cannot be combined with `receiver`"));
            }
            Some(_) => return Err(Error::parameter("direction", "must be from_me or to_me")),
        }
        if search.status.is_some() && search.receiver.is_none() {
            return Err(Error::parameter("status", "requires `receiver`"));
        }
        Ok(search)
    }

    async fn support(&mut self, api: &Api) -> Result<(Search, String)> {
        if self.direction.is_some() {
            return Err(Error::parameter("direction", "cannot be used here; use `sender` or `receiver`"));
        }
        if self.mentions.is_some() {
            return Err(Error::parameter("mentions", "can only be used in /search/messages"));
        }
        let reason = check_reason(self.reason.as_deref())?
            .ok_or_else(|| Error::parameter("reason", "is required: the audit records why you search"))?
            .to_owned();
        self.name_people(&api.store, &contacts::Viewer::default()).await?;
        let search = self.search(api.zone()?)?;
        if search.status.is_some() && search.receiver.is_none() {
            return Err(Error::parameter("status", "requires `receiver`"));
        }
        Ok((search, reason))
    }

    fn format(&self) -> Result<Format> {
        match self.format.as_deref() {
            Some("csv") => Ok(Format::Csv),
            Some("ndjson") => Ok(Format::Ndjson),
            _ => Err(Error::parameter("format", "must be csv or ndjson")),
        }
    }

    fn below(&self) -> Result<MsId> {
        let place: Option<Below> = self.cursor.as_deref().map(read_cursor).transpose()?;
        Ok(place.map_or(MsId::MAX, |place| place.below))
    }

    /// The search parameters as the audit records them.
    fn filter(&self) -> Value {
        let given = [
            ("q", &self.q),
            ("sender", &self.sender),
            ("receiver", &self.receiver),
            ("channel_id", &self.channel_id),
            ("type", &self.ms_type),
            ("from", &self.from),
            ("to", &self.to),
            ("status", &self.status),
            ("topic", &self.topic),
            ("format", &self.format),
            ("cursor", &self.cursor),
        ];
        given.into_iter().filter_map(|(name, value)| Some((name, json!(value.as_ref()?)))).collect()
    }
}

/// The user that an id or a name refers to.
pub async fn meant(store: &Store, viewer: &contacts::Viewer, parameter: &str, typed: &str) -> Result<String> {
    let people = contacts::by_name(store, viewer, typed).await?;
    match &people[..] {
        [one] => Ok(one.user_id.clone()),
        // For an external user, a user that they cannot see does not exist. The search then finds no
        // messages.
        [] if viewer.external().is_some() => Ok(typed.to_owned()),
        [] => Err(Error::parameter(parameter, "no user has this id, or a name that begins with it")),
        several => {
            let left = |one: &NamedUser| if one.active { "" } else { ", has left" };
            let one = |one: &NamedUser| format!("{} ({}{})", one.user_id, one.name, left(one));
            let listed: Vec<String> = several.iter().map(one).collect();
            Err(Error::parameter(
                parameter,
                format!("several users have this name; use the user_id of one: {}", listed.join(", ")),
            ))
        }
    }
}

/// A time, or the start of a day.
fn moment(
    name: &'static str,
    given: Option<&str>,
    of_day: impl Fn(&str) -> Option<OffsetDateTime>,
) -> Result<Option<OffsetDateTime>> {
    let parse = |text| {
        of_day(text).or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok()).ok_or_else(|| {
            Error::parameter(
                name,
                "must be a date, such as 2026-11-21, or an RFC 3339 time, such as 2026-11-21T08:00:00Z",
            )
        })
    };
    given.map(parse).transpose()
}

async fn own(
    State(api): State<Api>,
    Person(caller): Person,
    Query(mut query): Query<SearchQuery>,
) -> Result<Reply<Page<HitView>>> {
    let search = query.own(&api, &caller).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    page(&api, Scope::Own(&caller.user_id), &search, (query.below()?, limit)).await.map(Reply)
}

async fn everybody(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    Query(mut query): Query<SearchQuery>,
) -> Result<Reply<Page<HitView>>> {
    caller.must_be(Role::Support)?;
    if query.format.is_some() {
        return Err(Error::parameter("format", "can only be used in an export"));
    }
    let (search, reason) = query.support(&api).await?;
    let limit = check_limit(query.limit, LIMIT_DEFAULT, LIMIT_MAX)?;
    let page = page(&api, Scope::Everybody, &search, (query.below()?, limit)).await?;
    let entry = Entry {
        at: now,
        actor: &caller.0.user_id,
        action: Action::Search,
        reason: Some(&reason),
        filter: query.filter(),
        results: Some(page.items.len() as i64),
    };
    audit::append(&api.store, entry).await?;
    Ok(Reply(page))
}

async fn page(
    api: &Api,
    scope: Scope<'_>,
    search: &Search,
    (below, limit): (MsId, i64),
) -> Result<Page<HitView>> {
    let searching = Searching { store: &api.store, archive: api.archive(), scope, search };
    let (hits, next) = searching.page(below, limit as usize).await?;
    metrics::counter!("impg_searches_total").increment(1);
    let next_cursor = next.map(|below| write_cursor(&Below { below }));
    Ok(Page { items: hits, next_cursor }.map(Into::into))
}

/// The state of a running export.
struct Export {
    api: Api,
    search: Arc<Search>,
    format: Format,
    actor: String,
    reason: String,
    filter: Value,
    /// Hits that were read and not written yet, and the `ms_id` below which the next read begins.
    hits: Vec<Hit>,
    next: Option<MsId>,
    written: i64,
    begun: bool,
    ended: bool,
    /// The span of the request, for log lines after the answer has begun.
    request: Span,
}

/// Streams the export in short reads. No connection is held between them.
async fn export(
    State(api): State<Api>,
    caller: Proven,
    Now(now): Now,
    Query(mut query): Query<SearchQuery>,
) -> Result<Response> {
    caller.must_be(Role::Support)?;
    for (name, given) in [("limit", query.limit.is_some()), ("cursor", query.cursor.is_some())] {
        if given {
            return Err(Error::parameter(name, "cannot be used in an export, which has all hits"));
        }
    }
    let format = query.format()?;
    let (search, reason) = query.support(&api).await?;
    let actor = caller.0.user_id.clone();
    let filter = query.filter();
    let entry = Entry {
        at: now,
        actor: &actor,
        action: Action::ExportBegun,
        reason: Some(&reason),
        filter: filter.clone(),
        results: None,
    };
    audit::append(&api.store, entry).await?;
    // The first read decides between an answer and a problem.
    let searching =
        Searching { store: &api.store, archive: api.archive(), scope: Scope::Everybody, search: &search };
    let (hits, next) = searching.page(MsId::MAX, EXPORT_STEP).await?;
    let search = Arc::new(search);
    let export = Export {
        api,
        search,
        format,
        actor,
        reason,
        filter,
        hits,
        next,
        written: 0,
        begun: false,
        ended: false,
        request: Span::current(),
    };
    let (media_type, name) = match format {
        Format::Csv => ("text/csv; charset=utf-8", "messages.csv"),
        Format::Ndjson => ("application/x-ndjson", "messages.ndjson"),
    };
    let chunks = stream::try_unfold(Some(export), |export| async move {
        match export {
            Some(export) => export.chunk().await.map(Some).map_err(|e| std::io::Error::other(e.to_string())),
            None => Ok(None),
        }
    });
    let disposition = format!("attachment; filename=\"{name}\"");
    let head = [(header::CONTENT_TYPE, media_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((head, Body::from_stream(chunks)).into_response())
}

impl Export {
    /// The next part of the body, and the export after it.
    async fn chunk(mut self) -> Result<(String, Option<Self>)> {
        let mut text = String::new();
        if !std::mem::replace(&mut self.begun, true) && self.format == Format::Csv {
            text.push_str(CSV_HEAD);
        }
        for hit in std::mem::take(&mut self.hits) {
            self.written += 1;
            match self.format {
                Format::Csv => text.push_str(&csv_line(&hit)),
                Format::Ndjson => {
                    text.push_str(&serde_json::to_string(&HitView::from(hit)).map_err(Error::internal)?);
                    text.push('\n');
                }
            }
        }
        let Some(below) = self.next else {
            self.end().await?;
            return Ok((text, None));
        };
        let searching = Searching {
            store: &self.api.store,
            archive: self.api.archive(),
            scope: Scope::Everybody,
            search: &self.search,
        };
        (self.hits, self.next) = searching.page(below, EXPORT_STEP).await?;
        Ok((text, Some(self)))
    }

    /// Records the end of the export and its number of hits in the audit.
    async fn end(&mut self) -> Result<()> {
        self.ended = true;
        ended(self.api.clone(), self.actor.clone(), self.reason.clone(), self.filter.clone(), self.written)
            .await
    }
}

impl Drop for Export {
    /// An interrupted export has shown messages too, so its end is recorded.
    fn drop(&mut self) {
        if !self.ended {
            let Self { api, actor, reason, filter, written, .. } = self;
            let end = ended(api.clone(), actor.clone(), reason.clone(), filter.clone(), *written);
            let end = async move {
                if let Err(error) = end.await {
                    tracing::error!(%error, "could not record the end of an export in the audit");
                }
            };
            tokio::spawn(end.instrument(self.request.clone()));
        }
    }
}

async fn ended(api: Api, actor: String, reason: String, filter: Value, written: i64) -> Result<()> {
    let entry = Entry {
        at: clock(),
        actor: &actor,
        action: Action::ExportEnded,
        reason: Some(&reason),
        filter,
        results: Some(written),
    };
    audit::append(&api.store, entry).await
}

/// One CSV line (RFC 4180).
fn csv_line(hit: &Hit) -> String {
    let m = &hit.message;
    let time = |time: OffsetDateTime| time.format(&Rfc3339).unwrap_or_default();
    let text = m
        .content
        .get("text")
        .and_then(Value::as_str)
        .filter(|_| m.content.as_object().is_some_and(|c| c.len() == 1));
    let content = text.map_or_else(|| m.content.to_string(), str::to_owned);
    let mentions: Vec<&str> =
        extra::mentioned(&m.extra).map(|user| if user == ALL { MENTIONS_ALL } else { user }).collect();
    let (recalled_by, recalled_at) =
        m.recalled.as_ref().map_or_else(Default::default, |r| (r.by.clone(), time(r.at)));
    let fields = [
        csv_field(&m.ms_id.to_string()),
        csv_field(&m.channel_id.to_string()),
        // Not quoted, so that a spreadsheet sorts it as a number.
        m.seq.to_string(),
        csv_field(&time(m.server_time)),
        csv_field(&m.sender),
        csv_field(&m.sender_name),
        csv_field(&m.ms_type),
        csv_field(if m.recalled.is_some() { "" } else { &content }),
        csv_field(&recalled_by),
        csv_field(&recalled_at),
        csv_field(hit.status.map(Status::as_str).unwrap_or_default()),
        // Ids have no commas.
        csv_field(&mentions.join(",")),
    ];
    fields.join(",") + "\r\n"
}

/// A quoted field that a spreadsheet reads as text. Leading zeros stay, and nothing runs as a formula.
fn csv_field(text: &str) -> String {
    let quoted = text.replace('"', "\"\"");
    if is_number_like(text) {
        return format!("\"=\"\"{quoted}\"\"\"");
    }
    format!("\"{}{quoted}\"", if is_formula_like(text) { "'" } else { "" })
}

/// Whether a spreadsheet would read the text as a number, a date or a time and reformat it.
fn is_number_like(text: &str) -> bool {
    let part_of_number = |c: char| c.is_ascii_digit() || ".,:/- eE%".contains(c);
    text.len() <= NUMBER_MAX_CHARS
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(part_of_number)
}

/// Whether the text begins like a formula after invisible characters, in any character width.
fn is_formula_like(text: &str) -> bool {
    let shown = text.trim_start_matches(|c: char| is_blank(c.encode_utf8(&mut [0; 4])));
    let begins = |c: char| c.nfkd().any(|c| "=+-@\u{2212}".contains(c));
    text.starts_with(['\t', '\r', '\n']) || shown.starts_with(begins)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_stays_one_field_and_is_no_formula() {
        assert_eq!(csv_field("a,b \"c\"\nd"), "\"a,b \"\"c\"\"\nd\"");
        assert_eq!(csv_field("=HYPERLINK(1)"), "\"'=HYPERLINK(1)\"");
        for formula in [
            "+1",
            "-1",
            "@SUM(1)",
            " =1",
            "\t=1",
            "\r=1",
            "\n=1",
            "\u{a0}=1",
            "\u{3000}＝1",
            "\u{200b}=1",
            "＝1",
            "＋1",
            "－1",
            "＠x",
            "﹦1",
            "−1",
            "\tx",
            "\u{feff}=1",
            "=1+cmd|' /C calc'!A0",
        ] {
            assert_eq!(csv_field(formula), format!("\"'{formula}\""));
        }
        for text in ["a=1", "李四", "", "收到 +1", "'=1", "(1)"] {
            assert_eq!(csv_field(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn digits_stay_as_they_are() {
        for digits in ["7488500809728000017", "00123", "1E5", "3-4", "12:30", "2026-11-29", "4,500", "95%"] {
            assert_eq!(csv_field(digits), format!("\"=\"\"{digits}\"\"\""));
        }
        for text in ["2026-07-30T08:00:00Z", "12 Uhr", "5㎏"] {
            assert_eq!(csv_field(text), format!("\"{text}\""));
        }
        assert_eq!(csv_field(&"1".repeat(300)), format!("\"{}\"", "1".repeat(300)));
    }
}
