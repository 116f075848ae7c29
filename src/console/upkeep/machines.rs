//! The schedule of the jobs, and the replicas with the work that they hold.

use crate::console::operations::{self, Tab};
use std::collections::BTreeSet;

use maud::{Markup, html};

use super::super::frame::{Frame, moment};
use super::super::texts::Upkeep;
use super::answers::{Job, Lease, Replica, Replicas, Schedule};

pub fn schedule(frame: &Frame<'_>, schedule: &Schedule) -> String {
    let t = frame.lang.upkeep();
    let body = html! {
        h1 { (t.schedule) }
        @if schedule.items.is_empty() { p.empty { (t.no_jobs) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.schedule) {
                table {
                    thead { tr {
                        th scope="col" { (t.job) } th scope="col" { (t.cron) } th scope="col" { (t.last_begun) }
                        th scope="col" { (t.next_here) } th scope="col" { (t.next_there) }
                    } }
                    tbody { @for job in &schedule.items { (job_line(t, job)) } }
                }
            }
            p.soft { (t.schedule_note) }
        }
    };
    operations::page(frame, Tab::Schedule, t.schedule, &body)
}

fn job_line(t: &Upkeep, job: &Job) -> Markup {
    let name = match job.job.as_str() {
        "archive" => t.j_archive,
        "directory" => t.j_directory,
        "directory_full" => t.j_directory_full,
        other => other,
    };
    html! {
        tr data-row data-job=(job.job) {
            td { (name) " " code { (job.setting) } }
            td { @match &job.cron { Some(cron) => { code { (cron) } } None => { span.chip { (t.never) } } } }
            td { @match job.last_begun_at { Some(at) => { (moment(at)) } None => { span.soft { (t.not_yet) } } } }
            td {
                @if let Some(at) = job.next_at { (moment(at)) }
                @if let Some(since) = job.due_since { div { span.chip.received { (t.due_since) " " (moment(since)) } } }
            }
            td { @if let Some(at) = &job.next_local { (at) " " span.soft { (job.time_zone) } } }
        }
    }
}

pub fn replicas(frame: &Frame<'_>, found: &Replicas) -> String {
    let t = frame.lang.upkeep();
    let versions: BTreeSet<&str> = found.replicas.iter().map(|one| one.version.as_str()).collect();
    let body = html! {
        h1 { (t.replicas) }
        div data-live {
            @if versions.len() > 1 { section.notice.open { p { (t.versions_differ) } } }
            @if found.replicas.iter().any(|one| one.is_silent) { section.notice.bad { p { (t.silent_do) } } }
            @if found.replicas.is_empty() { p.empty { (t.no_replicas) } }
            @else {
                div.scroll tabindex="0" role="region" aria-label=(t.replicas) {
                    table {
                        thead { tr {
                            th scope="col" { (t.replica) } th scope="col" { (t.version) } th scope="col" { (t.since) }
                            th scope="col" { (t.seen) } th scope="col" { (t.holds) } th scope="col" { (t.workers) }
                        } }
                        tbody { @for one in &found.replicas { (replica_line(t, one, &found.leases)) } }
                    }
                }
            }
            h2 { (t.leases) }
            p.soft { (t.leases_lead) }
            (leases(t, found))
        }
    };
    operations::page(frame, Tab::Replicas, t.replicas, &body)
}

fn replica_line(t: &Upkeep, one: &Replica, leases: &[Lease]) -> Markup {
    let holds =
        |lease: &&Lease| lease.is_held && lease.replica_id.as_deref() == Some(one.replica_id.as_str());
    html! {
        tr data-row {
            td { @if !one.host.is_empty() { (one.host) " " } div.id { (one.replica_id) } }
            td { (one.version) }
            td { (moment(one.started_at)) }
            td { (moment(one.seen_at)) @if one.is_silent { " " span.chip.bad { (t.silent) } } }
            td { @for lease in leases.iter().filter(holds) { span.chip { (lease.work) } " " } }
            td {
                @if one.failing.is_empty() { span.chip.read { (t.workers_work) } }
                @for worker in &one.failing { div { span.chip.bad { (worker.worker) } " " (t.failures) " " (worker.failures) } }
            }
        }
    }
}

fn leases(t: &Upkeep, found: &Replicas) -> Markup {
    let host = |id: &str| found.replicas.iter().find(|one| one.replica_id == id).map(|one| one.host.as_str());
    html! {
        @if found.leases.is_empty() { p.empty { (t.no_leases) } }
        @else {
            div.scroll tabindex="0" role="region" aria-label=(t.leases) {
                table {
                    thead { tr { th scope="col" { (t.work) } th scope="col" { (t.held_by) } th scope="col" { (t.until) } } }
                    tbody {
                        @for lease in &found.leases {
                            tr data-row {
                                td { code { (lease.work) } }
                                td {
                                    @if !lease.is_held { span.chip { (t.not_held) } }
                                    @else if let Some(id) = &lease.replica_id { (host(id).unwrap_or_default()) " " span.id { (id) } }
                                    @else { span.soft { (t.unknown_holder) } }
                                }
                                td { (moment(lease.until)) }
                            }
                        }
                    }
                }
            }
        }
    }
}
