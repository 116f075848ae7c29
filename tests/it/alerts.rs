//! Each alert fires by its real cause. A fault is made on real servers, the metrics of the replica are scraped before
//! it and during it, and `promtool test rules` decides on the alerts of the chart.
//!
//! A new alert needs a row in the table below: the fault that makes it fire.

mod archive;
mod database;
mod push;
mod requests;
mod watched;

use std::collections::BTreeSet;

/// The alerts as they are shipped.
const FILE: &str = include_str!("../../charts/im-push-gateway/files/alerts.yaml");

/// The table: a test, the fault that it makes, and the alerts that must fire.
macro_rules! faults {
    ($($test:ident: $fault:path => $($alert:literal),+;)*) => {
        const SHOWN: &[&str] = &[$($($alert),+),*];

        $(
            #[tokio::test]
            async fn $test() {
                $fault().await.fires(&[$($alert),+]);
            }
        )*
    };
}

faults! {
    a_killed_replica_is_down: requests::killed => "ImPushGatewayDown";
    sends_that_wait_for_a_lock_are_slow: requests::slow_sends => "ImPushGatewaySendsSlow";
    a_replica_with_too_much_to_do_sheds: requests::shed => "ImPushGatewaySheds";
    a_certificate_with_the_key_of_another_is_refused: requests::certificate => "ImPushGatewayCertificateRefused";
    a_certificate_of_ten_days_expires_soon: requests::ten_days => "ImPushGatewayCertificateExpiresSoon";
    a_certificate_of_two_days_expires: requests::two_days => "ImPushGatewayCertificateExpires";
    searches_that_wait_for_the_archive_are_shed: archive::hanging => "ImPushGatewaySearchesShed";
    a_gate_that_answers_with_an_error_gives_no_answer: push::no_verdict => "ImPushGatewayGateUnanswered";
    keys_at_an_address_where_nothing_listens_are_unreachable: requests::keys => "ImPushGatewayKeysUnreachable";
    a_database_that_is_killed_is_errors_and_failing_workers: database::killed
        => "ImPushGatewayErrors", "ImPushGatewayWorkerFails", "ImPushGatewayUnready";
    a_table_that_stays_locked_exhausts_the_pool: database::exhausted => "ImPushGatewayPoolExhausted";
    many_partitions_leave_few_locks: database::partitions => "ImPushGatewayLocksLow";
    a_gateway_that_is_away_is_a_push_that_is_behind: push::away => "ImPushGatewayPushBehind";
    a_batch_that_the_gateway_always_refuses_is_a_dead_letter: push::refused => "ImPushGatewayDeadLetters";
    an_observer_that_is_gone_is_disabled: push::gone => "ImPushGatewayObserverDisabled";
    events_for_an_observer_that_hangs_for_days_are_lost: push::lost => "ImPushGatewayEventsLost";
    a_notification_that_always_fails_is_given_up: push::poisoned => "ImPushGatewayNotificationFailed";
    a_replica_with_another_gateway_has_changed_it: push::changed => "ImPushGatewayGatewayChanged";
    an_archive_that_lost_a_day_fails_its_verification: archive::unverified
        => "ImPushGatewayArchiveFailed", "ImPushGatewayArchiveIncomplete";
    an_older_copy_of_the_archive_has_gaps_and_holds_receipts_up: archive::older_copy
        => "ImPushGatewayArchiveIncomplete", "ImPushGatewayReceiptsHeldUp";
    a_day_that_waits_for_its_push_is_overdue: archive::held => "ImPushGatewayArchiveFailed";
    an_archive_that_is_away_leaves_the_search_behind: archive::away => "ImPushGatewaySearchBehind";
    a_directory_that_does_not_answer_fails_its_run: archive::directory => "ImPushGatewayDirectoryFailed";
}

#[test]
fn every_alert_has_a_fault_that_fires_it() {
    let alerts = FILE.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: "));
    assert_eq!(alerts.collect::<BTreeSet<_>>(), SHOWN.iter().copied().collect());
}
