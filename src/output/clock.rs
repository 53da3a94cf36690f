//! Times as text. A clock that is wrong is no reason to fail.

use std::time::{SystemTime, UNIX_EPOCH};

/// Seconds from 1970 to the first and the last second that RFC 3339 can write: years 0000 to 9999.
const RFC_3339_S: [i64; 2] = [-62_167_219_200, 253_402_300_799];

/// A time in RFC 3339, UTC, to the second; the nearest that it can write for a clock that is further off.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_secs()).map_or(i64::MIN, |s| -s),
    };
    let seconds = seconds.clamp(RFC_3339_S[0], RFC_3339_S[1]);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil_date(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years from 0000-03-01, so that the leap day is the last of its year (H. Hinnant, civil_from_days).
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_written_as_rfc_3339() {
        // date -u -d @N +%FT%TZ
        for (seconds, text) in [
            (0_i64, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_795_765_445, "2026-11-27T07:44:05Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (-2_208_988_800, "1900-01-01T00:00:00Z"),
            (-62_167_219_200, "0000-01-01T00:00:00Z"),
            (-62_167_219_201, "0000-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
            (253_402_300_800, "9999-12-31T23:59:59Z"),
            (1_000_000_000_000, "9999-12-31T23:59:59Z"),
        ] {
            let since = Duration::from_secs(seconds.unsigned_abs());
            let time = if seconds < 0 { UNIX_EPOCH - since } else { UNIX_EPOCH + since };
            assert_eq!(timestamp(time), text, "{seconds}");
        }
    }
}
