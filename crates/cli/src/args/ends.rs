//! When a pasted token ends, as a person says it.

use std::time::Duration;

use model::UnixTime;

/// A day, or a time from now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ends {
    /// The end of this day, UTC.
    On(UnixTime),
    /// So long from now.
    In(Duration),
}

impl Ends {
    /// `2027-01-31`, `90d`, `12h`, `30m`, `90s`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let what = || "write it as a day (2027-01-31) or a time from now (90d, 12h, 30m)".to_owned();
        if let Some(day) = day(text) {
            return Ok(Self::On(UnixTime((day + 1) * DAY - 1)));
        }
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(what)?;
        let (number, unit) = text.split_at(at);
        let unit = match unit {
            "d" => DAY,
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => return Err(what()),
        };
        let number = number.parse::<u64>().ok().filter(|number| *number > 0);
        let seconds = number.and_then(|number| number.checked_mul(unit)).ok_or_else(what)?;
        Ok(Self::In(Duration::from_secs(seconds)))
    }

    /// As a moment.
    pub(crate) fn at(self, now: UnixTime) -> UnixTime {
        match self {
            Self::On(end) => end,
            Self::In(time) => now.after(time),
        }
    }
}

/// Days since 1970-01-01 of a date of the Gregorian calendar (ISO 8601); `None` where there is no such day.
fn day(text: &str) -> Option<u64> {
    let mut parts = text.split('-');
    let mut number = |digits: usize| {
        let part =
            parts.next().filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse::<u64>().ok()
    };
    let (year, month, day) = (number(4)?, number(2)?, number(2)?);
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap(year) { 29 } else { 28 };
    let lengths = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let length = *lengths.get(index)?;
    if parts.next().is_some() || year < 1970 || day == 0 || day > length {
        return None;
    }
    let years = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum::<u64>();
    Some(years + lengths[..index].iter().sum::<u64>() + day - 1)
}

const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_times_are_read() {
        let on = |seconds| Ok(Ends::On(UnixTime(seconds)));
        assert_eq!(Ends::parse("1970-01-01"), on(86_399));
        assert_eq!(Ends::parse("2024-02-29"), on(1_709_251_199));
        assert_eq!(Ends::parse("2027-01-31"), on(1_801_439_999));
        assert_eq!(Ends::parse("90d").unwrap().at(UnixTime(10)), UnixTime(10 + 90 * 86_400));
        assert_eq!(Ends::parse("30m").unwrap().at(UnixTime(0)), UnixTime(1800));
        for bad in [
            "",
            "2027",
            "2027-02-29",
            "2027-13-01",
            "2027-00-10",
            "2027-01-32",
            "2027-1-1",
            "1969-12-31",
            "2027-01-01-01",
            "0d",
            "5",
            "5w",
            "-5d",
            "d",
            "99999999999999999999d",
            "9999999999999999d",
            "tomorrow",
        ] {
            assert!(Ends::parse(bad).is_err(), "{bad} was taken");
        }
    }
}
