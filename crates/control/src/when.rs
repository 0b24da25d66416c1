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

#[cfg(test)]
mod tests {
    use super::*;

    const BEIJING: i32 = 8 * 3600;

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
