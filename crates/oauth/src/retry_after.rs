//! When a server wants to be asked again (RFC 9110 section 10.2.3).

use std::time::Duration;

use chrono::DateTime;
use http::{HeaderMap, HeaderName, header};

/// No pause that a server asks for is longer.
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// `Retry-After`, 5 minutes at most. A date is read against the `Date` of the same answer, since this crate
/// has no clock and the server's may differ from ours; without one, a date says nothing.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &header::RETRY_AFTER)?;
    let seconds = if let Ok(seconds) = value.parse() {
        seconds
    } else {
        let (at, now) = (date(value)?, date(text(headers, &header::DATE)?)?);
        u64::try_from(at.saturating_sub(now)).unwrap_or(0)
    };
    Some(Duration::from_secs(seconds).min(LONGEST_PAUSE))
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// An IMF-fixdate (RFC 9110 section 5.6.7) in Unix seconds. The two obsolete forms are not read.
fn date(text: &str) -> Option<i64> {
    let rest = text.strip_suffix("GMT")?;
    DateTime::parse_from_rfc2822(&format!("{rest}+0000")).ok().map(|at| at.timestamp())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn read(value: &str, date: Option<&str>) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_bytes(value.as_bytes()).ok()?);
        if let Some(date) = date {
            headers.insert(header::DATE, HeaderValue::from_str(date).unwrap());
        }
        retry_after(&headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_read_and_nothing_is_longer_than_five_minutes() {
        let now = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        for (value, date, want) in [
            ("7", None, Some(7)),
            (" 7 ", None, Some(7)),
            ("0", now, Some(0)),
            ("86400", None, Some(300)),
            ("99999999999999999999", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", now, None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", now, Some(30)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", now, Some(0)),
            ("Mon, 07 Nov 1994 08:49:37 GMT", now, Some(300)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", None, None),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some("yesterday"), None),
            ("Sunday, 06-Nov-94 08:50:07 GMT", now, None),
            ("Sun, 06 Nov 1994 08:50:07 +0200", now, None),
        ] {
            assert_eq!(read(value, date), want, "{value} {date:?}");
        }
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic_or_wait_longer(value in ".{0,60}", date in "[ -~]{0,60}") {
            prop_assert!(read(&value, Some(&date)).is_none_or(|pause| pause <= 300));
        }
    }
}
