//! Moments as people write them, and as they read them: always UTC.

use strandline_types::Timestamp;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Reads `2026-01-31`, `2026-01-31T12:30`, `2026-01-31T12:30:05.250Z`, or how long ago: `15m`,
/// `2h`, `7d`.
pub(crate) fn parse(text: &str, now: Timestamp) -> Option<Timestamp> {
    parse_ago(text, now).or_else(|| parse_date(text))
}

/// The moment so long ago: `15m`, `2h`, `7d`.
pub(crate) fn parse_ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    let unit = text.chars().last()?;
    let millis = match unit {
        's' => 1_000,
        'm' => 60_000,
        'h' => 3_600_000,
        'd' => MILLIS_PER_DAY,
        _ => return None,
    };
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    Some(now.saturating_add_millis(-count.checked_mul(millis)?))
}

fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let (date, time) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (clock, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    if !(0..24).contains(&hour) || !(0..60).contains(&minute) || !(0..60).contains(&second) {
        return None;
    }
    let is_fraction = fraction.len() <= 3 && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let millis: i64 = format!("{fraction:0<3}").parse().ok().filter(|_| is_fraction)?;
    let seconds = hour * 3600 + minute * 60 + second;
    Some(Timestamp(days_since_1970(year, month, day) * MILLIS_PER_DAY + seconds * 1000 + millis))
}

/// `2026-01-31T12:30:05.250Z`.
pub(crate) fn show(timestamp: Timestamp) -> String {
    let millis = timestamp.as_millis();
    let (days, of_day) = (millis.div_euclid(MILLIS_PER_DAY), millis.rem_euclid(MILLIS_PER_DAY));
    let (year, month, day) = date_of(days);
    let (seconds, fraction) = (of_day / 1000, of_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day comes
/// last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_moments() {
        let now = Timestamp(1_700_000_000_000);
        for (text, shown) in [
            ("2023-11-14", "2023-11-14T00:00:00.000Z"),
            ("2024-02-29T23:59", "2024-02-29T23:59:00.000Z"),
            ("1999-12-31 01:02:03.25Z", "1999-12-31T01:02:03.250Z"),
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"),
            ("0s", "2023-11-14T22:13:20.000Z"),
            ("2h", "2023-11-14T20:13:20.000Z"),
            ("7d", "2023-11-07T22:13:20.000Z"),
        ] {
            assert_eq!(parse(text, now).map(show).as_deref(), Some(shown), "{text}");
        }
        for bad in ["", "yesterday", "2023-13-01", "2023-11-14T25:00", "-3h", "3w", "1.5"] {
            assert_eq!(parse(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn every_day_is_found_again() {
        for days in (0..200_000).step_by(37) {
            let (year, month, day) = date_of(days);
            assert_eq!(days_since_1970(year, month, day), days);
        }
    }
}
