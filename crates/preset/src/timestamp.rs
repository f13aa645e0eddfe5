//! Times in a list: RFC 3339 in UTC with whole seconds, `2026-11-20T00:00:00Z`, and nothing else.

use model::UnixTime;

/// Reads one; `None` if it is not of that form or is no day of the calendar.
pub fn parse_time(text: &str) -> Option<UnixTime> {
    let bytes = text.as_bytes();
    let form = b"0000-00-00T00:00:00Z";
    let fits = bytes.len() == form.len()
        && bytes.iter().zip(form).all(|(b, f)| if *f == b'0' { b.is_ascii_digit() } else { b == f });
    if !fits {
        return None;
    }
    let number =
        |from: usize, to: usize| bytes[from..to].iter().fold(0u64, |n, b| n * 10 + u64::from(b - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (hour, minute, second) = (number(11, 13), number(14, 16), number(17, 19));
    let good = year >= 1970
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    good.then(|| {
        let years: u64 = (1970..year).map(days_of).sum();
        let months: u64 = (1..month).map(|month| days_in(year, month)).sum();
        UnixTime((((years + months + day - 1) * 24 + hour) * 60 + minute) * 60 + second)
    })
}

/// Writes one.
pub fn format_time(time: UnixTime) -> String {
    let (mut days, second) = (time.0 / 86_400, time.0 % 86_400);
    let mut year = 1970;
    while year < 9999 && days >= days_of(year) {
        days -= days_of(year);
        year += 1;
    }
    let mut month = 1;
    while month < 12 && days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{:02}T{hour:02}:{minute:02}:{:02}Z", days.min(30) + 1, second % 60)
}

fn days_of(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

fn days_in(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56Z", 951_827_696),
            ("2026-11-20T00:00:00Z", 1_795_132_800),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(parse_time(text), Some(UnixTime(seconds)), "{text}");
            assert_eq!(format_time(UnixTime(seconds)), text);
        }
        for bad in [
            "",
            "2026-11-20",
            "2026-11-20T00:00:00",
            "2026-11-20T00:00:00+00:00",
            "2026-11-20T00:00:00.5Z",
            "2026-11-20t00:00:00z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-20T24:00:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-20T00:00:60Z",
        ] {
            assert_eq!(parse_time(bad), None, "{bad}");
        }
    }

    #[test]
    fn any_number_can_be_written() {
        assert!(format_time(UnixTime(u64::MAX)).starts_with("9999"));
    }
}
