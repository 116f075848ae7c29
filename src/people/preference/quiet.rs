//! Quiet hours: windows of local time, across midnight and across changes of the clock.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};

/// Quiet hours that never end hold a reminder for so long.
pub const HOLD_MAX: Duration = Duration::days(8);
/// Longer than any gap in local time.
const GAP_MINUTES_MAX: i64 = 2 * 24 * 60;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// Quiet hours as a user sets them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiet {
    /// The local time at which they begin: `22:00`.
    pub from: String,
    /// The local time at which they end. If it is not after `from`, it is a time of the next day.
    pub to: String,
    /// The days on which they begin: `mon` to `sun`. None: every day.
    #[serde(default)]
    pub days: Option<Vec<String>>,
    /// A name of the IANA database.
    pub time_zone: String,
}

/// Quiet hours, ready to be compared with a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    from: NaiveTime,
    to: NaiveTime,
    /// Whether they begin on each day of the week, from Monday.
    days: [bool; 7],
    zone: Tz,
}

/// The field that is wrong, and why.
type Fault = (String, String);

impl Quiet {
    /// The window of these quiet hours.
    pub fn window(&self) -> Result<Window, Fault> {
        let clock = |field: &str, text: &str| {
            clock(text).ok_or_else(|| (field.to_owned(), "must be a time of day, 00:00 to 23:59".to_owned()))
        };
        let (from, to) = (clock("from", &self.from)?, clock("to", &self.to)?);
        let zone = self.time_zone.parse().map_err(|_| {
            ("time_zone".to_owned(), "must be a name of the IANA database, such as Asia/Shanghai".to_owned())
        })?;
        let mut days = [self.days.is_none(); 7];
        for (place, name) in self.days.iter().flatten().enumerate() {
            match DAYS.iter().position(|day| day == name) {
                Some(day) if !days[day] => days[day] = true,
                Some(_) => return Err((format!("days/{place}"), "is named twice".to_owned())),
                None => return Err((format!("days/{place}"), format!("must be one of {}", DAYS.join(", ")))),
            }
        }
        if days == [false; 7] {
            return Err((
                "days".to_owned(),
                "must name at least one day; leave it out for every day".to_owned(),
            ));
        }
        Ok(Window { from, to, days, zone })
    }
}

impl Window {
    /// When the window that contains `moment` ends.
    fn end_of(&self, moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = moment.with_timezone(&self.zone).date_naive();
        // A window lasts a day, or an hour more when the clock goes back.
        let begun = [today.checked_sub_days(Days::new(1)), Some(today)];
        let ends = begun.into_iter().flatten().filter_map(|day| {
            let (begin, end) = self.on(day)?;
            (begin <= moment && moment < end).then_some(end)
        });
        ends.max()
    }

    /// The window that begins on a day. A local time that occurs twice begins it the first time and ends it the second
    /// time, so that it is quiet whenever the clock shows so.
    fn on(&self, day: NaiveDate) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        if !self.days[day.weekday().num_days_from_monday() as usize] {
            return None;
        }
        let last = if self.to > self.from { day } else { day.checked_add_days(Days::new(1))? };
        let begin = self.at(day, self.from, |found| found.earliest())?;
        let end = self.at(last, self.to, |found| found.latest())?;
        Some((begin, end))
    }

    /// A local time. One that the clock skips is the end of the gap.
    fn at(
        &self,
        day: NaiveDate,
        time: NaiveTime,
        choose: impl Fn(chrono::LocalResult<DateTime<Tz>>) -> Option<DateTime<Tz>>,
    ) -> Option<DateTime<Utc>> {
        let found = (0..GAP_MINUTES_MAX).find_map(|minutes| {
            choose(self.zone.from_local_datetime(&(day.and_time(time) + TimeDelta::minutes(minutes))))
        });
        Some(found?.with_timezone(&Utc))
    }
}

/// Whether `now` is within one of the windows.
pub fn is_quiet(windows: &[Window], now: OffsetDateTime) -> bool {
    let moment = DateTime::<Utc>::from_timestamp(now.unix_timestamp(), 0);
    moment.is_some_and(|moment| windows.iter().any(|window| window.end_of(moment).is_some()))
}

/// When it is no longer quiet, if `now` is within one of the windows. Windows that follow one another count as one.
pub fn quiet_until(windows: &[Window], now: OffsetDateTime) -> Option<OffsetDateTime> {
    let last = now + HOLD_MAX;
    let mut until = None;
    let mut moment = DateTime::<Utc>::from_timestamp(now.unix_timestamp(), 0)?;
    while let Some(end) = windows.iter().filter_map(|window| window.end_of(moment)).max() {
        let end_at = OffsetDateTime::from_unix_timestamp(end.timestamp()).ok()?;
        if end_at >= last {
            return Some(last);
        }
        (moment, until) = (end, Some(end_at));
    }
    until
}

fn clock(text: &str) -> Option<NaiveTime> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
    };
    NaiveTime::from_hms_opt(number(hours)?, number(minutes)?, 0)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn window(from: &str, to: &str, days: Option<&[&str]>, zone: &str) -> Window {
        let days = days.map(|days| days.iter().map(|day| (*day).to_owned()).collect());
        let quiet = Quiet { from: from.into(), to: to.into(), days, time_zone: zone.into() };
        quiet.window().expect("quiet hours")
    }

    fn until(window: &Window, now: OffsetDateTime) -> Option<OffsetDateTime> {
        quiet_until(std::slice::from_ref(window), now)
    }

    #[test]
    fn a_night_crosses_midnight() {
        let night = window("22:00", "07:00", None, "Asia/Shanghai");
        let morning = Some(datetime!(2026-11-29 23:00 UTC));
        assert_eq!(until(&night, datetime!(2026-11-29 13:59:59 UTC)), None);
        assert_eq!(until(&night, datetime!(2026-11-29 14:00 UTC)), morning);
        assert_eq!(until(&night, datetime!(2026-11-29 20:00 UTC)), morning, "after midnight there");
        assert_eq!(until(&night, datetime!(2026-11-29 22:59:59 UTC)), morning);
        assert_eq!(until(&night, datetime!(2026-11-29 23:00 UTC)), None);
    }

    #[test]
    fn a_day_is_that_on_which_a_window_begins() {
        // 27 November 2026 is a Friday.
        let friday = window("22:00", "07:00", Some(&["fri"]), "UTC");
        assert!(until(&friday, datetime!(2026-11-28 06:00 UTC)).is_some(), "Saturday's morning");
        assert_eq!(until(&friday, datetime!(2026-11-27 06:00 UTC)), None);
        assert_eq!(until(&friday, datetime!(2026-11-28 22:30 UTC)), None);
        let weekend = window("00:00", "00:00", Some(&["sat", "sun"]), "UTC");
        assert_eq!(until(&weekend, datetime!(2026-11-27 23:59 UTC)), None);
        let monday = Some(datetime!(2026-11-30 0:00 UTC));
        assert_eq!(until(&weekend, datetime!(2026-11-28 0:00 UTC)), monday, "two whole days are one");
        assert_eq!(until(&weekend, datetime!(2026-11-29 12:00 UTC)), monday);
        assert_eq!(until(&weekend, datetime!(2026-11-30 0:00 UTC)), None);
    }

    #[test]
    fn the_night_of_autumn_is_an_hour_longer() {
        // On 25 October the clock goes back from 3:00 to 2:00, at 1:00 UTC.
        let night = window("22:00", "07:00", None, "Europe/Berlin");
        assert_eq!(until(&night, datetime!(2026-10-24 20:00 UTC)), Some(datetime!(2026-10-25 6:00 UTC)));
        assert_eq!(until(&night, datetime!(2026-10-24 19:59 UTC)), None);
        assert_eq!(until(&night, datetime!(2026-10-25 5:59 UTC)), Some(datetime!(2026-10-25 6:00 UTC)));
        assert_eq!(until(&night, datetime!(2026-10-25 21:00 UTC)), Some(datetime!(2026-10-26 6:00 UTC)));
        // The clock shows 2:15 twice, and 2:45 twice.
        let short = window("02:15", "02:45", None, "Europe/Berlin");
        let end = Some(datetime!(2026-10-25 1:45 UTC));
        for quiet in
            [datetime!(2026-10-25 0:15 UTC), datetime!(2026-10-25 1:00 UTC), datetime!(2026-10-25 1:44 UTC)]
        {
            assert_eq!(until(&short, quiet), end);
        }
        assert_eq!(until(&short, datetime!(2026-10-25 0:14 UTC)), None);
        assert_eq!(until(&short, datetime!(2026-10-25 1:45 UTC)), None);
    }

    #[test]
    fn the_night_of_spring_is_an_hour_shorter() {
        // On 29 March the clock goes from 2:00 to 3:00, at 1:00 UTC.
        let night = window("22:00", "07:00", None, "Europe/Berlin");
        assert_eq!(until(&night, datetime!(2026-03-28 21:00 UTC)), Some(datetime!(2026-03-29 5:00 UTC)));
        assert_eq!(until(&night, datetime!(2026-03-28 20:59 UTC)), None);
        let skipped = window("01:30", "02:30", None, "Europe/Berlin");
        assert_eq!(until(&skipped, datetime!(2026-03-29 0:45 UTC)), Some(datetime!(2026-03-29 1:00 UTC)));
        let nothing = window("02:10", "02:50", None, "Europe/Berlin");
        assert_eq!(until(&nothing, datetime!(2026-03-29 1:00 UTC)), None, "it does not occur");
    }

    #[test]
    fn quiet_hours_that_never_end_are_bounded() {
        let always = window("08:00", "08:00", None, "UTC");
        let now = datetime!(2026-11-29 12:00 UTC);
        assert_eq!(until(&always, now), Some(now + HOLD_MAX));
        let halves = [window("00:00", "12:00", None, "UTC"), window("12:00", "00:00", None, "UTC")];
        assert_eq!(quiet_until(&halves, now), Some(now + HOLD_MAX));
        assert_eq!(quiet_until(&[], now), None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = Quiet { from: "22:00".into(), to: "07:00".into(), days: None, time_zone: "UTC".into() };
        let fault = |change: fn(&mut Quiet)| {
            let mut quiet = good.clone();
            change(&mut quiet);
            quiet.window().expect_err("a fault").0
        };
        for wrong in ["24:00", "7:00", "07:0", "07.00", "", "+7:00", "07:60", "七点"] {
            let quiet = Quiet { from: wrong.into(), ..good.clone() };
            assert_eq!(quiet.window().expect_err(wrong).0, "from");
        }
        assert_eq!(fault(|q| q.to = "25:00".into()), "to");
        assert_eq!(fault(|q| q.time_zone = "Mars/Base".into()), "time_zone");
        assert_eq!(fault(|q| q.days = Some(vec![])), "days");
        assert_eq!(fault(|q| q.days = Some(vec!["mon".into(), "Tue".into()])), "days/1");
        assert_eq!(fault(|q| q.days = Some(vec!["mon".into(), "mon".into()])), "days/1");
    }
}
