//! Cron expressions in a time zone, and the bounds of a day. A scheduler wakes workers at these times. A
//! worker then asks the database's clock whether it is due, so a lost timer cannot end a schedule.

mod alarms;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use time::OffsetDateTime;

pub use alarms::Alarms;

/// Longer than any gap in local time.
const GAP_MINUTES_MAX: i64 = 2 * 24 * 60;

/// A cron expression in a time zone.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// As the settings have it.
    text: String,
    cron: Cron,
    zone: Tz,
}

impl Schedule {
    /// `cron` has five fields, or six with seconds first. `zone` is a name of the IANA database.
    pub fn parse(text: &str, zone: &str) -> Result<Self, String> {
        let cron = croner::parser::CronParser::builder()
            .seconds(croner::parser::Seconds::Optional)
            .build()
            .parse(text)
            .map_err(|e| e.to_string())?;
        let Zone(zone) = Zone::parse(zone)?;
        let schedule = Self { text: text.to_owned(), cron, zone };
        match schedule.next_after(OffsetDateTime::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err("the schedule never occurs".to_owned()),
        }
    }

    /// The expression with seconds, as the scheduler needs it.
    fn with_seconds(&self) -> String {
        match self.text.split_whitespace().count() {
            5 => format!("0 {}", self.text),
            _ => self.text.clone(),
        }
    }

    /// The first occurrence after a time.
    pub fn next_after(&self, moment: OffsetDateTime) -> Option<OffsetDateTime> {
        let moment = DateTime::<Utc>::from_timestamp(moment.unix_timestamp(), 0)?.with_timezone(&self.zone);
        let next = match self.names_hours() {
            true => self.next_shown(&moment)?,
            false => self.cron.find_next_occurrence(&moment, false).ok()?,
        };
        OffsetDateTime::from_unix_timestamp(next.timestamp()).ok()
    }

    /// The first occurrence in local time, across changes of the clock. A local time that occurs twice counts
    /// the first time. One that is skipped counts as the end of the gap.
    fn next_shown(&self, moment: &DateTime<Tz>) -> Option<DateTime<Tz>> {
        let mut shown = moment.naive_local().and_utc();
        loop {
            shown = self.cron.find_next_occurrence(&shown, false).ok()?;
            let minutes_on =
                (0..GAP_MINUTES_MAX).map(|minutes| shown.naive_utc() + TimeDelta::minutes(minutes));
            let next =
                minutes_on.into_iter().find_map(|time| self.zone.from_local_datetime(&time).earliest())?;
            if next > *moment {
                return Some(next);
            }
        }
    }

    /// A moment in the time zone of the schedule, to the second.
    pub fn local(&self, moment: OffsetDateTime) -> Option<String> {
        let moment = DateTime::<Utc>::from_timestamp(moment.unix_timestamp(), 0)?.with_timezone(&self.zone);
        Some(moment.format("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// Whether the expression names hours. Then an hour that occurs twice counts once.
    fn names_hours(&self) -> bool {
        match self.with_seconds().split_whitespace().nth(2) {
            Some(hours) => !hours.contains('*'),
            None => self.text != "@hourly",
        }
    }

    /// Since when a job last begun at `begun` is due again, or none. It stays due until it begins. It is also
    /// due if the clock went back behind `begun` by more than one period.
    pub fn due(&self, begun: OffsetDateTime, now: OffsetDateTime) -> Option<OffsetDateTime> {
        let next = self.next_after(begun)?;
        let turned_back = begun > now && self.next_after(now)? < begun;
        if turned_back { Some(now) } else { Some(next).filter(|next| *next <= now) }
    }
}

/// A time zone, for the bounds of days.
#[derive(Debug, Clone, Copy)]
pub struct Zone(Tz);

impl Zone {
    /// By its name in the IANA database.
    pub fn parse(name: &str) -> Result<Self, String> {
        name.parse().map(Self).map_err(|_| format!("unknown time zone {name}"))
    }

    /// The begin and end of a day (2026-11-29). None if the text is not a date.
    pub fn day(self, text: &str) -> Option<(OffsetDateTime, OffsetDateTime)> {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        // Refuses 2026-11-9.
        if day.format("%Y-%m-%d").to_string() != text {
            return None;
        }
        Some((self.beginning(day)?, self.beginning(day.checked_add_days(Days::new(1))?)?))
    }

    /// Midnight, or the first minute after it if the clock skips it.
    fn beginning(self, day: NaiveDate) -> Option<OffsetDateTime> {
        let first = (0..24 * 60).find_map(|minute| {
            let clock = day.and_time(NaiveTime::MIN) + TimeDelta::minutes(minute);
            clock.and_local_timezone(self.0).earliest()
        })?;
        OffsetDateTime::from_unix_timestamp(first.timestamp()).ok()
    }
}

#[cfg(test)]
mod tests {
    use time::Duration;
    use time::macros::datetime;

    use super::*;

    fn nightly() -> Schedule {
        Schedule::parse("30 2 * * *", "Asia/Shanghai").expect("a schedule")
    }

    #[test]
    fn a_time_zone_counts() {
        let next = nightly().next_after(datetime!(2026-11-21 12:00 UTC));
        assert_eq!(next, Some(datetime!(2026-11-21 18:30 UTC)));
    }

    #[test]
    fn a_late_tick_finds_it_due_once() {
        let schedule = nightly();
        let begun = datetime!(2026-11-18 18:30 UTC);
        let late = datetime!(2026-11-21 20:00 UTC);
        assert_eq!(schedule.due(begun, datetime!(2026-11-19 18:29 UTC)), None);
        assert_eq!(schedule.due(begun, late), Some(datetime!(2026-11-19 18:30 UTC)));
        assert_eq!(schedule.due(late, late + Duration::minutes(1)), None);
        assert!(schedule.due(late, datetime!(2026-11-22 18:30 UTC)).is_some());
    }

    #[test]
    fn a_clock_that_goes_back_does_not_end_it() {
        let schedule = nightly();
        let begun = datetime!(2027-11-21 18:30 UTC);
        let back = datetime!(2026-11-21 12:00 UTC);
        assert_eq!(schedule.due(begun, back), Some(back), "a year ahead was wrong: it is due now");
        assert_eq!(
            schedule.due(begun, begun - Duration::minutes(5)),
            None,
            "a small step back begins nothing twice"
        );
    }

    #[test]
    fn summer_time_neither_skips_a_night_nor_doubles_it() {
        let schedule = Schedule::parse("30 2 * * *", "Europe/Berlin").expect("a schedule");
        let mut now = datetime!(2026-03-27 12:00 UTC);
        let mut days = Vec::new();
        for _ in 0..4 {
            now = schedule.next_after(now).expect("it comes");
            days.push(now.date().day());
        }
        assert_eq!(days, [28, 29, 30, 31], "2:30 does not exist on the 29th, and it still comes");
    }

    /// The occurrences within a day of a schedule in Berlin, in UTC.
    fn times(cron: &str, from: OffsetDateTime) -> Vec<OffsetDateTime> {
        let schedule = Schedule::parse(cron, "Europe/Berlin").expect("a schedule");
        let next = |last: &OffsetDateTime| schedule.next_after(*last);
        let all = std::iter::successors(schedule.next_after(from), next);
        all.take_while(|time| *time < from + Duration::DAY).collect()
    }

    #[test]
    fn autumn_repeats_only_what_comes_every_hour() {
        // On 25 October, 3:00 summer time is 2:00 winter time: the hour from 2:00 to 3:00 occurs twice, at
        // 0:00 and 1:00 UTC.
        let evening = datetime!(2026-10-24 20:00 UTC);
        let at = |hour: u8, minute: u8| {
            datetime!(2026-10-25 0:00 UTC) + Duration::minutes(60 * i64::from(hour) + i64::from(minute))
        };
        assert_eq!(times("30 2 * * *", evening), [at(0, 30)]);
        assert_eq!(times("0 2 * * *", evening), [at(0, 0)]);
        assert_eq!(times("0,30 2 * * *", evening), [at(0, 0), at(0, 30)]);
        assert_eq!(times("30 1,2,3 * * *", evening).len(), 3);
        let hourly = times("30 * * * *", evening);
        assert!(hourly.contains(&at(0, 30)) && hourly.contains(&at(1, 30)), "{hourly:?}");
    }

    #[test]
    fn spring_brings_what_lies_in_the_gap_right_after_it() {
        // On 29 March, the clock jumps from 2:00 to 3:00, at 1:00 UTC.
        let evening = datetime!(2026-03-28 20:00 UTC);
        let ends = datetime!(2026-03-29 1:00 UTC);
        for cron in ["30 2 * * *", "0,30 2 * * *"] {
            assert_eq!(times(cron, evening), [ends], "{cron}");
        }
        assert_eq!(
            times("30 1,2,3 * * *", evening),
            [ends - Duration::minutes(30), ends, ends + Duration::minutes(30)]
        );
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        assert!(Schedule::parse("every night", "UTC").is_err());
        assert!(Schedule::parse("30 2 * * *", "Mars/Olympus").is_err());
        assert!(Schedule::parse("0 0 31 2 *", "UTC").is_err(), "the 31st of February never comes");
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_has_it() {
        let day = |zone: &str, day: &str| Zone::parse(zone).expect("a zone").day(day);
        assert_eq!(
            day("Asia/Shanghai", "2026-11-29"),
            Some((datetime!(2026-11-28 16:00 UTC), datetime!(2026-11-29 16:00 UTC)))
        );
        // 25 hours, then 23; then a day without a midnight.
        for (zone, text, hours) in [
            ("Europe/Berlin", "2026-10-25", 25),
            ("Europe/Berlin", "2026-03-29", 23),
            ("Africa/Cairo", "2026-04-24", 23),
        ] {
            let (from, to) = day(zone, text).expect("a day");
            assert_eq!(to - from, Duration::hours(hours), "{text}");
        }
        for none in ["2026-02-30", "2026-11-9", "26-11-29", "2026-11-29T00:00:00Z", "", "today"] {
            assert_eq!(day("UTC", none), None, "{none}");
        }
        assert!(Zone::parse("Mars/Base").is_err());
    }
}
