//! Times as the API writes them: `2026-11-24 08:00:00`, without a zone, in the zone of the settings.

use jiff::civil::DateTime;
use jiff::tz::Offset;
use model::Millis;

/// What stands where there is no time.
pub(crate) const NEVER: &str = "0000-00-00 00:00:00";

/// Writes a moment, in whole seconds.
pub(crate) fn write(at: Millis, utc_offset_seconds: i32) -> String {
    let offset = Offset::from_seconds(utc_offset_seconds).unwrap_or(Offset::UTC);
    let Ok(moment) = jiff::Timestamp::from_second(at.seconds()) else { return NEVER.to_owned() };
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
    let moment = offset.to_timestamp(time).unwrap_or(jiff::Timestamp::MAX);
    Some(Millis::from_seconds(moment.as_second()))
}

/// Whole days of a date before the digits of a deal's name: `20261124`.
pub(crate) fn write_date(at: Millis, utc_offset_seconds: i32) -> String {
    write(at, utc_offset_seconds)[..10].replace('-', "")
}

const MINUTE: i64 = 60_000;
const DAY: i64 = 24 * 60 * MINUTE;

/// The maintenance window that is open now, or else the next one: from when, and until when. A window is open from its
/// first moment on, and closed from its last one on. One that ends before it begins goes over midnight; one that ends
/// where it begins never closes.
#[cfg_attr(not(test), expect(dead_code, reason = "what waits for a window comes with the flows that can wait"))]
pub(crate) fn next_window(window: (i64, i64), now: Millis, utc_offset_seconds: i32) -> (Millis, Millis) {
    let offset = i64::from(utc_offset_seconds) * 1000;
    let opens_for = match (window.1 - window.0).rem_euclid(DAY / MINUTE) {
        0 => DAY,
        minutes => minutes * MINUTE,
    };
    // Midnight of today, where the window's minutes are counted; yesterday's window may still be open.
    let midnight = (now.0.saturating_add(offset)).div_euclid(DAY) * DAY - offset;
    let yesterday = midnight - DAY + window.0 * MINUTE;
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
