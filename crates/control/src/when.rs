//! Times as the API writes them: `2026-11-24 08:00:00`, without a zone, in the zone of the settings.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{Span, Timestamp};
use model::Millis;

/// What stands where there is no time.
pub(crate) const NEVER: &str = "0000-00-00 00:00:00";

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// Writes a moment, in whole seconds.
pub(crate) fn write(at: Millis, utc_offset_seconds: i32) -> String {
    let offset = Offset::from_seconds(utc_offset_seconds).unwrap_or(Offset::UTC);
    let Ok(moment) = Timestamp::from_second(at.seconds()) else { return NEVER.to_owned() };
    let time = offset.to_datetime(moment);
    let mut text = String::with_capacity(NEVER.len());
    // By hand: a page of tasks has forty times, and the formatting machinery would be most of its cost.
    let mut push = |before: &str, number: i16, digits: u32| {
        text.push_str(before);
        for place in (0..digits).rev() {
            let digit = (number / 10_i16.pow(place) % 10).unsigned_abs() as u8;
            text.push(char::from(b'0' + digit));
        }
    };
    push("", time.year(), 4);
    push("-", time.month().into(), 2);
    push("-", time.day().into(), 2);
    push(" ", time.hour().into(), 2);
    push(":", time.minute().into(), 2);
    push(":", time.second().into(), 2);
    text
}

/// Reads a moment; `None` where the text is not one.
pub(crate) fn read(text: &str, utc_offset_seconds: i32) -> Option<Millis> {
    // A leap second is not a time here, though some read it.
    let fits = !text.ends_with(":60")
        && text.len() == NEVER.len()
        && text.bytes().zip(NEVER.bytes()).all(|(got, shape)| got == shape || (shape == b'0' && got.is_ascii_digit()));
    if !fits {
        return None;
    }
    let time: DateTime = text.parse().ok()?;
    let offset = Offset::from_seconds(utc_offset_seconds).ok()?;
    // The last day that can be written is beyond what a timestamp holds.
    let moment = offset.to_timestamp(time).unwrap_or(Timestamp::MAX);
    Some(Millis::from_seconds(moment.as_second()))
}

/// Writes the day of a moment: `2026-11-24`.
pub(crate) fn write_day(at: Millis, utc_offset_seconds: i32) -> String {
    write(at, utc_offset_seconds)[..10].to_owned()
}

/// Writes the time of day of a moment, in whole minutes: `08:00`.
pub(crate) fn write_clock(at: Millis, utc_offset_seconds: i32) -> String {
    write(at, utc_offset_seconds)[11..16].to_owned()
}

/// Writes a minute of the day: `08:00`.
pub(crate) fn write_minute(minute: i64) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// Reads a day, as the moment at which it begins.
pub(crate) fn read_day(text: &str, utc_offset_seconds: i32) -> Option<Millis> {
    read(&format!("{text} 00:00:00"), utc_offset_seconds)
}

/// The moment at which the day of another one began.
pub(crate) fn midnight(at: Millis, utc_offset_seconds: i32) -> Millis {
    let offset = i64::from(utc_offset_seconds) * 1000;
    Millis(at.0.saturating_add(offset).div_euclid(DAY) * DAY - offset)
}

/// Reads a time of day, `08:00` or `08:00:00`, in seconds.
pub(crate) fn read_clock(text: &str) -> Option<i64> {
    let seconds = if text.len() == "08:00".len() { ":00" } else { "" };
    read(&format!("1970-01-01 {text}{seconds}"), 0).map(Millis::seconds)
}

/// Reads a minute of the day: `08:00` alone.
pub(crate) fn read_minute(text: &str) -> Option<i64> {
    read_clock(text).filter(|_| text.len() == "08:00".len()).map(|seconds| seconds / 60)
}

/// The moment so many months later by the calendar of that zone: the same time of the same day, or of the month's last
/// day where it has no such day. In whole seconds. `None` beyond the last time that there is.
pub(crate) fn add_months(at: Millis, months: i64, utc_offset_seconds: i32) -> Option<Millis> {
    let offset = Offset::from_seconds(utc_offset_seconds).ok()?;
    let begin = offset.to_datetime(Timestamp::from_second(at.seconds()).ok()?);
    let end = begin.checked_add(Span::new().try_months(months).ok()?).ok()?;
    Some(Millis::from_seconds(offset.to_timestamp(end).ok()?.as_second()))
}

/// A span of months by the calendar: whole ones, and then a part of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Months {
    /// The whole ones.
    pub(crate) whole: i64,
    /// How long the part is, in milliseconds.
    pub(crate) part: i64,
    /// How long the month is of which it is a part, in milliseconds; never 0.
    pub(crate) of: i64,
}

/// The months from a moment to a later one; none where it is not later.
pub(crate) fn months_between(from: Millis, until: Millis, utc_offset_seconds: i32) -> Months {
    let month = |count: i64| add_months(from, count, utc_offset_seconds).filter(|end| *end <= until);
    // No month has more than 31 days.
    let mut whole = until.0.saturating_sub(from.0).max(0) / (31 * DAY);
    while month(whole + 1).is_some() {
        whole += 1;
    }
    let begin = add_months(from, whole, utc_offset_seconds).unwrap_or(until);
    let end = add_months(from, whole + 1, utc_offset_seconds).unwrap_or(begin);
    Months { whole, part: (until.0 - begin.0).max(0), of: (end.0 - begin.0).max(1) }
}

/// Whole days of a date before the digits of a deal's name: `20261124`.
pub(crate) fn write_date(at: Millis, utc_offset_seconds: i32) -> String {
    write(at, utc_offset_seconds)[..10].replace('-', "")
}

/// The maintenance window that is open now, or else the next one: from when, and until when. A window is open from its
/// first moment on, and closed from its last one on. One that ends before it begins goes over midnight; one that ends
/// where it begins never closes.
pub(crate) fn next_window(window: (i64, i64), now: Millis, utc_offset_seconds: i32) -> (Millis, Millis) {
    let opens_for = match (window.1 - window.0).rem_euclid(DAY / MINUTE) {
        0 => DAY,
        minutes => minutes * MINUTE,
    };
    // Yesterday's window may still be open.
    let yesterday = midnight(now, utc_offset_seconds).0 - DAY + window.0 * MINUTE;
    let open_at = (0..3).map(|days| yesterday + days * DAY).find(|open_at| open_at + opens_for > now.0);
    let open_at = open_at.unwrap_or(yesterday + 2 * DAY);
    (Millis(open_at), Millis(open_at + opens_for))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEIJING: i32 = 8 * 3600;

    /// The window, now, and from when until when it is open.
    fn check_window(window: (i64, i64), now: &str, from: &str, until: &str) {
        let now_at = read(now, BEIJING).unwrap();
        let (open_at, close_at) = next_window(window, now_at, BEIJING);
        assert_eq!((&*write(open_at, BEIJING), &*write(close_at, BEIJING)), (from, until), "{window:?} at {now}");
    }

    #[test]
    fn the_next_window_is_the_one_that_is_open_or_else_the_one_that_comes() {
        let night = (3 * 60, 4 * 60);
        let (today, tomorrow) =
            (["2026-11-24 03:00:00", "2026-11-24 04:00:00"], ["2026-11-25 03:00:00", "2026-11-25 04:00:00"]);
        check_window(night, "2026-11-24 00:00:00", today[0], today[1]);
        check_window(night, "2026-11-24 02:59:59", today[0], today[1]);
        check_window(night, "2026-11-24 03:00:00", today[0], today[1]);
        check_window(night, "2026-11-24 03:59:59", today[0], today[1]);
        check_window(night, "2026-11-24 04:00:00", tomorrow[0], tomorrow[1]);
        check_window(night, "2026-11-24 23:59:59", tomorrow[0], tomorrow[1]);
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        let window = (23 * 60 + 30, 60 + 30);
        let last = ["2026-11-23 23:30:00", "2026-11-24 01:30:00"];
        let next = ["2026-11-24 23:30:00", "2026-11-25 01:30:00"];
        check_window(window, "2026-11-23 23:30:00", last[0], last[1]);
        check_window(window, "2026-11-23 23:59:59", last[0], last[1]);
        check_window(window, "2026-11-24 00:00:00", last[0], last[1]);
        check_window(window, "2026-11-24 01:29:59", last[0], last[1]);
        check_window(window, "2026-11-24 01:30:00", next[0], next[1]);
        check_window(window, "2026-11-24 23:29:59", next[0], next[1]);
        // One that ends at midnight, and one that begins there.
        check_window((22 * 60, 0), "2026-11-24 00:00:00", "2026-11-24 22:00:00", "2026-11-25 00:00:00");
        check_window((0, 60), "2026-11-24 00:00:00", "2026-11-24 00:00:00", "2026-11-24 01:00:00");
    }

    #[test]
    fn a_window_is_counted_in_the_zone_of_the_service() {
        let noon = Millis::from_seconds(1_795_521_600);
        for offset in [-12 * 3600, -5 * 3600 - 1800, 0, BEIJING, 14 * 3600] {
            let (open_at, close_at) = next_window((180, 240), noon, offset);
            assert_eq!(&write(open_at, offset)[11..], "03:00:00", "{offset}");
            assert!(close_at > noon && open_at.0 - noon.0 < DAY && close_at.0 - open_at.0 == 3_600_000, "{offset}");
        }
    }

    #[test]
    fn times_read_back_as_they_are_written() {
        let at = Millis::from_seconds(1_795_486_138);
        assert_eq!(write(at, BEIJING), "2026-11-24 10:08:58");
        assert_eq!(read("2026-11-24 10:08:58", BEIJING), Some(at));
        assert_eq!(write_date(at, BEIJING), "20261124");
    }

    #[test]
    fn days_and_times_of_day_are_in_the_zone_of_the_service() {
        let at = Millis::from_seconds(1_795_486_138);
        assert_eq!((&*write_day(at, BEIJING), &*write_clock(at, BEIJING)), ("2026-11-24", "10:08"));
        assert_eq!(read_day("2026-11-24", BEIJING), read("2026-11-24 00:00:00", BEIJING));
        for text in ["", "2026-02-30", "2026-11-24 00:00:00", "24.11.2026"] {
            assert_eq!(read_day(text, BEIJING), None, "{text:?}");
        }
    }

    #[test]
    fn a_time_of_day_may_leave_its_seconds_out() {
        assert_eq!((read_clock("10:08:58"), read_clock("10:08")), (Some(36_538), Some(36_480)));
        assert_eq!((read_minute("00:00"), read_minute("23:59")), (Some(0), Some(1439)));
        assert_eq!((&*write_minute(0), &*write_minute(1439)), ("00:00", "23:59"));
        for text in ["", "24:00", "10:60", "1:00", "10:08:60", "10:08:5", "+1:00", "ab:cd"] {
            assert_eq!(read_clock(text), None, "{text:?}");
        }
        assert_eq!(read_minute("10:08:58"), None);
    }

    #[test]
    fn a_month_ends_on_the_same_day_or_on_the_last_one() {
        let check = |from: &str, months: i64, until: &str| {
            let end = add_months(read(from, BEIJING).unwrap(), months, BEIJING).unwrap();
            assert_eq!(write(end, BEIJING), until, "{months} months from {from}");
        };
        check("2026-11-24 10:08:58", 1, "2026-12-24 10:08:58");
        check("2026-11-24 10:08:58", 36, "2029-11-24 10:08:58");
        check("2027-01-31 03:00:00", 1, "2027-02-28 03:00:00");
        check("2028-01-31 03:00:00", 1, "2028-02-29 03:00:00");
        assert_eq!(add_months(read("9999-12-01 00:00:00", BEIJING).unwrap(), 1, BEIJING), None);
    }

    #[test]
    fn months_are_counted_by_the_calendar_and_the_rest_is_a_part_of_one() {
        let check = |from: &str, until: &str, whole: i64, part: i64, of: i64| {
            let months = months_between(read(from, BEIJING).unwrap(), read(until, BEIJING).unwrap(), BEIJING);
            assert_eq!((months.whole, months.part, months.of), (whole, part * DAY, of * DAY), "from {from} to {until}");
        };
        check("2026-11-24 10:00:00", "2026-12-24 10:00:00", 1, 0, 31);
        check("2026-11-24 10:00:00", "2026-12-09 10:00:00", 0, 15, 30);
        check("2027-01-31 00:00:00", "2027-02-28 00:00:00", 1, 0, 31);
        check("2026-11-24 10:00:00", "2029-11-24 10:00:00", 36, 0, 30);
        check("2026-11-24 10:00:00", "2026-11-24 10:00:00", 0, 0, 30);
        check("2026-11-24 10:00:00", "2020-01-01 00:00:00", 0, 0, 30);
    }

    #[test]
    fn the_last_time_that_can_be_written_is_in_the_far_future() {
        assert!(read("9999-12-31 23:59:59", BEIJING).is_some_and(|at| at.seconds() > 253_000_000_000));
    }

    #[test]
    fn what_is_not_a_time_is_refused() {
        for text in [
            "",
            "2026-11-24",
            "2026-13-01 00:00:00",
            "2026-11-24T10:08:58",
            "2026-02-30 00:00:00",
            "x",
            NEVER,
            "2026-01-01 23:59:60",
        ] {
            assert_eq!(read(text, BEIJING), None, "{text:?}");
        }
    }
}
