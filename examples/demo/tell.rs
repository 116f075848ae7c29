//! The output of the demo: aligned lines, in colour on a terminal.

use std::io::IsTerminal;
use std::sync::LazyLock;
use std::time::Instant;

use serde_json::Value;

use crate::books::Counts;
use crate::company;
use crate::proof::Row;
use crate::stage::Stage;
use crate::support::Reply;

/// Columns of a line, of the caller's name, and of a string inside JSON.
const LINE: usize = 116;
const CALLER: usize = 18;
const STRING: usize = 34;
/// The indent of text that does not fit beside a call.
const INDENT: usize = 3 + CALLER + 1;
/// Keys that are printed first in JSON.
const FIRST: [&str; 6] = ["client_id", "channel_id", "user_id", "department_id", "type", "name"];
const BAR: usize = 40;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const CYAN: &str = "36";

static COLOURS: LazyLock<bool> =
    LazyLock::new(|| std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none());
static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Columns on a terminal. East Asian characters take two.
pub fn width(text: &str) -> usize {
    let wide = |c: char| {
        matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}')
    };
    text.chars().map(|c| 1 + usize::from(wide(c))).sum()
}

pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

pub fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut short = String::new();
    for c in text.chars() {
        if width(&short) + 3 > columns {
            break;
        }
        short.push(c);
    }
    short + "…"
}

fn paint(colour: &str, text: &str) -> String {
    if *COLOURS { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_owned() }
}

pub fn seconds() -> f64 {
    BEGAN.elapsed().as_secs_f64()
}

pub fn chapter(title: &str) {
    let time = format!("{:.1} s", seconds());
    let rule = "─".repeat(LINE.saturating_sub(width(title) + width(&time) + 6));
    println!("\n{} {} {}", paint(BOLD, &format!("── {title}")), paint(DIM, &rule), paint(DIM, &time));
}

pub fn note(text: &str) {
    println!("   {text}");
}

/// A line of a chat.
pub fn quote(speaker: &str, seq: i64, text: &str) {
    let speaker = pad(&cut(speaker, CALLER), CALLER);
    println!("   {} {} {text}", paint(DIM, &format!("#{seq:<4}")), paint(BOLD, &speaker));
}

/// A message, marked as hot or cold.
pub fn placed(place: &str, message: &Value, text: &str) {
    let colour = if place == "cold" { CYAN } else { YELLOW };
    let seq = message["seq"].as_i64().unwrap_or_default();
    let speaker = message["sender_name"].as_str().unwrap_or_default();
    let speaker = pad(&cut(speaker, CALLER), CALLER);
    let at = message["server_time"].as_str().and_then(|time| time.get(..10)).unwrap_or_default();
    let (place, seq) = (paint(colour, &pad(place, 4)), paint(DIM, &format!("#{seq:<4}")));
    println!("   {place} {} {seq} {} {text}", paint(DIM, at), paint(BOLD, &speaker));
}

/// The text of a hit, with the search words in brackets.
pub fn highlighted(hit: &Value) -> String {
    let pieces = hit["highlight"].as_array().expect("pieces");
    let piece = |piece: &Value| {
        let text = piece["text"].as_str().unwrap_or_default();
        if piece["hit"] == true { paint(YELLOW, &format!("【{text}】")) } else { text.to_owned() }
    };
    pieces.iter().map(piece).collect()
}

/// A call, and the fields `shown` of its answer.
pub fn call(caller: &str, (method, path): (&str, &str), body: &Value, answer: (&Reply, &[&str])) {
    let (reply, shown) = answer;
    let mut line =
        format!("   {} {} {path}", paint(BOLD, &pad(&cut(caller, CALLER), CALLER)), paint(CYAN, method));
    let mut used = INDENT + width(method) + 1 + width(path);
    // Text that does not fit goes on the next line.
    let mut append = |text: &str, columns: usize| {
        if used + 1 + columns > LINE {
            line.push('\n');
            line.push_str(&" ".repeat(INDENT));
            used = INDENT + columns;
        } else {
            line.push(' ');
            used += 1 + columns;
        }
        line.push_str(text);
    };
    if !body.is_null() {
        let body = cut(&brief(body), LINE - INDENT);
        append(&paint(DIM, &body), width(&body));
    }
    let fields: Vec<(String, String)> = shown.iter().map(|pointer| field(reply, pointer)).collect();
    let columns = 5 + fields.iter().map(|(name, value)| width(name) + width(value) + 3).sum::<usize>();
    let fields: String =
        fields.iter().map(|(name, value)| format!("  {} {value}", paint(DIM, name))).collect();
    let colour = if reply.status < 300 { GREEN } else { YELLOW };
    let status = paint(colour, &reply.status.to_string());
    append(&format!("→ {status}{fields}"), columns);
    println!("{line}");
}

/// The last part of a pointer into the answer, and the value there. Of a list only its length.
fn field(reply: &Reply, pointer: &str) -> (String, String) {
    let name = pointer.rsplit('/').next().unwrap_or_default().to_owned();
    let value = match reply.body.pointer(&format!("/{pointer}")) {
        Some(Value::Array(items)) => format!("[{}]", items.len()),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "none".to_owned(),
    };
    (name, value)
}

/// Short JSON: long strings are cut, and a long list shows its first item and its length.
pub fn brief(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", cut(text, STRING)),
        Value::Array(items) if items.len() > 3 => {
            format!("[{}, … {} in total]", brief(&items[0]), items.len())
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(brief).collect();
            format!("[{}]", items.join(","))
        }
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            let place = |key: &str| FIRST.iter().position(|first| *first == key);
            fields.sort_by_key(|(key, _)| place(key).unwrap_or(FIRST.len()));
            let fields = fields.iter().map(|(key, value)| format!("\"{key}\":{}", brief(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// The ledger of one message, as a bar.
pub fn bar(counts: &Counts) {
    let Counts { unreceived, received, read } = *counts;
    let all = (unreceived + received + read).max(1);
    let part = |n: usize| (n * BAR).div_ceil(all);
    // Small shares stay visible: the middle part gets the rest.
    let left = part(read);
    let right = part(unreceived).min(BAR - left);
    let drawn = ["█".repeat(left), "▓".repeat(BAR - left - right), "░".repeat(right)].concat();
    println!(
        "   {} {}  ░ unreceived {unreceived:<4} ▓ received {received:<4} █ read {read}",
        pad("the ledger", CALLER),
        paint(CYAN, &drawn)
    );
}

/// A page of `GET /conversations`.
pub fn conversations(page: &Value) {
    let heads = [("unread", 7), ("conversation", 26), ("last message", 58), ("at (UTC)", 8)];
    let line: Vec<String> = heads.iter().map(|(head, columns)| pad(head, *columns)).collect();
    println!("   {}", paint(DIM, &line.join("  ")));
    for entry in page["items"].as_array().expect("items") {
        let text = |pointer: &str| entry.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let last = format!("{}: {}", text("/last_message/sender_name"), preview(&entry["last_message"]));
        let unread = entry["unread_count"].as_i64().unwrap_or_default();
        let unread = if unread > 0 { format!("({unread})") } else { String::new() };
        let at = text("/last_message/server_time").get(11..19).unwrap_or_default();
        println!(
            "   {}  {}  {}  {at}",
            paint(YELLOW, &pad(&unread, 7)),
            pad(&cut(text("/name"), 26), 26),
            pad(&cut(&last, 58), 58)
        );
    }
}

/// A message in one line, as the service has it ready.
pub fn preview(message: &Value) -> String {
    let shown = match message.get("preview") {
        Some(Value::String(shown)) => Some(shown.as_str()),
        Some(content) => content["text"].as_str(),
        None => message["content"]["text"].as_str(),
    };
    shown.unwrap_or_default().to_owned()
}

/// The table of promises.
pub fn table(rows: &[Row]) {
    let widest = |of: fn(&Row) -> &str| rows.iter().map(|row| width(of(row))).max().unwrap_or_default();
    let (promised, seen) = (widest(|row| row.promised), widest(|row| &row.seen));
    let rule = "─".repeat(promised + seen + 12);
    println!("   {}  {}  ok", pad("promised", promised), pad("seen", seen));
    println!("   {}", paint(DIM, &rule));
    for Row { promised: promise, seen: found, ok } in rows {
        let verdict = if *ok { paint(GREEN, "yes") } else { paint(RED, "NO") };
        println!("   {}  {}  {verdict}", pad(promise, promised), pad(found, seen));
    }
    println!("   {}", paint(DIM, &rule));
}

/// Prints the addresses to try. `site`: the page for visitors, with `DEMO=keep`.
pub fn look_at(stage: &Stage, site: Option<&str>) {
    let (api, docs) = (stage.service.api(), format!("{}/docs", stage.service.url()));
    let reader = &stage.people[0].user_id;
    println!();
    if let Some(site) = site {
        note("The demo keeps running; Ctrl-C stops it. Open this in a browser:");
        println!();
        note(&format!("{}    {site}/", paint(BOLD, "try it       ")));
        note(
            "                 Two users of the company, side by side. Write on the left, click on the right: read.",
        );
        note(
            "                 Go offline and come back; “+” has a card, a picture, a voice; 2,000 people are in one group.",
        );
        note(
            "                 Below is the HTTP of what you did, as curl, JavaScript and Java. 中文：右上角。",
        );
        note(&format!("{}    {site}/desk/console/   as a support person", paint(BOLD, "the console  ")));
        note(&format!("                 {site}/ops/console/    as an operator"));
        println!();
        note(&format!("documentation    {docs}   (OpenAPI: {}/openapi.json)", stage.service.url()));
        note(&format!("metrics          {}", stage.service.metrics_url()));
        note(&format!(
            "the gateway      {}   PUT /mode '\"fails\"', PUT /offline '[\"{reader}\"]'",
            stage.gateway.control_url
        ));
        note(&format!("the database     {}", stage.cluster.url(crate::stage::DATABASE)));
    } else {
        note("The demo is stopping. `DEMO=keep make demo` leaves it running, with the API");
        note(&format!("documentation at /docs (here it was {docs}). Calls to try:"));
    }
    println!();
    note(&format!("curl -H 'x-user-id: {reader}' {api}/conversations"));
    note(&format!(
        "curl -H 'x-user-id: {reader}' -H 'content-type: application/json' \\\n        -d '{{\"type\":\"direct\",\"members\":[\"{}\"]}}' {api}/channels",
        stage.people[4].user_id
    ));
    note(&format!("curl -H 'x-user-id: ops' -H 'x-user-roles: admin' {api}/callbacks"));
    println!();
    note(&format!(
        "The API gateway sets x-user-id. The service trusts it only from the gateway (here: 127.0.0.1). {} uses a token.",
        company::OA_NAME
    ));
}
