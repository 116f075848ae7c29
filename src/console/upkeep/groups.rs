//! Groups without an active owner, with a rescue, and the users who are suspended or have left.

use maud::{Markup, html};

use super::super::answers::{Attendance, Channel, Page};
use super::super::channel::title;
use super::super::frame::{Frame, kind_name, link, moment, person};
use super::answers::Absent;
use super::confirm::{self, Question};

/// Groups without an active owner.
pub fn list(frame: &Frame<'_>, groups: &Page<Channel>) -> String {
    let (all, t) = (frame.texts(), frame.lang.upkeep());
    let body = html! {
        h1 { (t.groups) }
        p.soft { (t.groups_lead) }
        @if groups.items.is_empty() && groups.next_cursor.is_none() { p.empty { (t.no_groups) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.groups) {
                table {
                    thead { tr { th scope="col" { (all.group) } th scope="col" { (all.owner) } th scope="col" { (all.members) } th scope="col" { (all.since) } td {} } }
                    tbody { @for one in &groups.items { (line(frame, one)) } }
                }
            }
        }
        (frame.more("groups", &[], groups.next_cursor.as_deref()))
        (frame.curl())
    };
    frame.page(t.groups, &body)
}

fn line(frame: &Frame<'_>, one: &Channel) -> Markup {
    let (all, t) = (frame.texts(), frame.lang.upkeep());
    html! {
        tr data-row {
            td { a href=(link("channel", &[("channel_id", &one.channel_id)])) { (title(all, one)) } " " span.id { (one.channel_id) } }
            td {
                @match &one.owner {
                    Some(owner) => { (person(&owner.user_id, &owner.name)) " " span.chip.bad { (t.not_active) } }
                    None => { span.chip.bad { (all.no_owner) } }
                }
            }
            td { (one.member_count) }
            td { @if let Some(at) = one.last_server_time { (moment(at)) } }
            td.end {
                @if frame.operates() { a href=(link("rescue", &[("channel_id", &one.channel_id)])) data-open { (t.rescue) } }
                @else { span.soft { (t.admin_rescues) } }
            }
        }
    }
}

/// The question before a group gets another owner, with the members to choose from.
pub fn rescue(frame: &Frame<'_>, group: &Channel, members: &Page<Attendance>) -> String {
    let (all, t) = (frame.texts(), frame.lang.upkeep());
    let what = html! {
        p { strong { (title(all, group)) } " " span.id { (group.channel_id) } " · " (group.member_count) " " (all.members) }
        p {
            (all.owner) ": "
            @match &group.owner { Some(owner) => { (person(&owner.user_id, &owner.name)) } None => { (all.no_owner) } }
        }
        p { (t.rescue_what) }
    };
    let can_own =
        |one: &&Attendance| one.active && one.intervals.iter().any(|interval| interval.to_seq.is_none());
    let input = html! {
        label for="new-owner" { (t.new_owner) }
        input #new-owner name="user_id" list="members" required autocomplete="off";
        datalist #members {
            @for one in members.items.iter().filter(can_own) { option value=(one.user_id) { (one.name) } }
        }
        label for="why" { (t.why_rescue) }
        input #why name="reason" value=(frame.reason.unwrap_or_default()) required maxlength="500" autocomplete="off";
    };
    let fields = [("channel_id", group.channel_id.as_str())];
    let question = Question {
        title: t.rescue_title,
        what,
        action: "rescue",
        fields: &fields,
        input: Some(input),
        button: t.rescue,
        is_grave: false,
        next: "groups",
        back: "groups",
    };
    confirm::page(frame, &question)
}

/// Users who are suspended or have left.
pub fn absent(frame: &Frame<'_>, users: &Page<Absent>, state: &str) -> String {
    let (all, t) = (frame.texts(), frame.lang.upkeep());
    let tabs = [("", all.all), ("suspended", t.suspended), ("left", t.left)];
    let body = html! {
        h1 { (t.absent) }
        nav.tabs aria-label=(t.state) {
            @for (one, name) in tabs {
                a href=(link("absent", &[("state", one)])) aria-current=[(one == state).then_some("page")] { (name) }
            }
        }
        @if users.items.is_empty() { p.empty { (t.no_absent) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.absent) {
                table {
                    thead { tr { th scope="col" { (all.person) } th scope="col" { (t.state) } th scope="col" { (all.since) } } }
                    tbody {
                        @for one in &users.items {
                            tr data-row {
                                td { (person(&one.user_id, &one.name)) @if one.kind != "internal" { " " span.chip { (kind_name(all, &one.kind)) } } }
                                td { (if one.state == "left" { t.left } else { t.suspended }) }
                                td { @if let Some(at) = one.left_at { (moment(at)) } }
                            }
                        }
                    }
                }
            }
        }
        (frame.more("absent", &[("state", state)], users.next_cursor.as_deref()))
        (frame.curl())
    };
    frame.page(t.absent, &body)
}
