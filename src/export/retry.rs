//! How long to wait: Retry-After in all its spellings, and back-off.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// What the server asks to wait, by its `Retry-After` (RFC 9110, 10.2.3): seconds, or a date in any of the three
/// spellings of HTTP. `None` where it asks for nothing that can be waited for: no header, garbage, zero, a negative
/// number, a date that is past. Servers also send instants as numbers (the reference server: seconds or milliseconds
/// since 1970); they come out as years, which [`Backoff`] cuts.
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Duration::from_secs(text.parse().unwrap_or(u64::MAX))
    } else {
        let date = Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
        Duration::try_from(date.duration_since(now)).ok()?
    };
    (!wait.is_zero()).then_some(wait)
}

/// Waits that double from a floor to a ceiling, each a little different from those of others, so that requests that
/// failed together do not come back together.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    floor: Duration,
    ceiling: Duration,
    /// The next wait without its jitter.
    next: Duration,
    /// State of the jitter.
    noise: u64,
}

/// The longest addition of jitter, as a part of the wait: a quarter.
const JITTER: f64 = 0.25;

/// What doubles where the floor is nothing.
const SHORTEST: Duration = Duration::from_millis(1);

impl Backoff {
    /// Waits from `floor` to `ceiling`; a ceiling below the floor is the floor.
    pub(super) fn new(floor: Duration, ceiling: Duration) -> Self {
        /// Other waits in each back-off of a process …
        static MADE: AtomicU64 = AtomicU64::new(0);
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        // … and in each process.
        let noise = (u64::from(std::process::id()) << 32) ^ made;
        Self { floor, ceiling: ceiling.max(floor), next: floor, noise }
    }

    /// How long to wait now. What the server `asked` for counts, within floor and ceiling; otherwise each wait is
    /// twice the one before, plus up to a quarter of it.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        if let Some(asked) = asked {
            return asked.clamp(self.floor, self.ceiling);
        }
        let jitter = self.next.mul_f64(JITTER * self.draw());
        let wait = self.next.saturating_add(jitter).min(self.ceiling);
        self.next = self.next.max(SHORTEST).saturating_mul(2).min(self.ceiling);
        wait
    }

    /// Begins at the floor again: something succeeded.
    pub(super) fn reset(&mut self) {
        self.next = self.floor;
    }

    /// A number from 0 to 1 (SplitMix64: a step, then a mix of its bits).
    fn draw(&mut self) -> f64 {
        self.noise = self.noise.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.noise;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((bits ^ (bits >> 31)) >> 32) as f64 / f64::from(u32::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn retry_after_in_all_spellings() {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap();
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(37)),
            ("Sun Nov  6 08:49:37 1994", Some(37)),
            ("1795409190", Some(1_795_409_190)),
            ("1795409189266", Some(1_795_409_189_266)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("0", None),
            ("-5", None),
            ("", None),
            ("soon", None),
            ("1.5", None),
            ("Sun, 06 Nov 1994", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    /// F5, F6: whatever the server says, the wait is between floor and ceiling.
    #[test]
    fn what_the_server_asks_for_is_clamped() {
        let mut backoff = Backoff::new(SECOND, 300 * SECOND);
        for (asked, expected) in [
            (Duration::ZERO, SECOND),
            (7 * SECOND, 7 * SECOND),
            (1_795_409_190 * SECOND, 300 * SECOND),
            (Duration::MAX, 300 * SECOND),
        ] {
            assert_eq!(backoff.next(Some(asked)), expected, "{asked:?}");
        }
    }

    #[test]
    fn waits_double_from_floor_to_ceiling() {
        let mut backoff = Backoff::new(SECOND, 20 * SECOND);
        for round in ["first", "after a success"] {
            for least in [1, 2, 4, 8, 16, 20, 20] {
                let wait = backoff.next(None);
                let most = (SECOND * least).mul_f64(1.0 + JITTER).min(20 * SECOND);
                assert!(wait >= SECOND * least && wait <= most, "{round}: {wait:?} for {least}");
            }
            backoff.reset();
        }
    }

    #[test]
    fn odd_bounds_still_wait() {
        for (floor, ceiling, waits) in [
            (10 * SECOND, SECOND, [10 * SECOND, 10 * SECOND]),
            (Duration::ZERO, Duration::ZERO, [Duration::ZERO, Duration::ZERO]),
        ] {
            let mut backoff = Backoff::new(floor, ceiling);
            assert_eq!([backoff.next(None), backoff.next(None)], waits, "{floor:?} {ceiling:?}");
        }
        let mut from_nothing = Backoff::new(Duration::ZERO, SECOND);
        let waits: Vec<_> = (0..20).map(|_| from_nothing.next(None)).collect();
        assert_eq!((waits[0], waits[19]), (Duration::ZERO, SECOND));
    }

    #[test]
    fn two_that_failed_together_come_back_apart() {
        let waits: Vec<_> =
            (0..20).map(|_| Backoff::new(SECOND, 300 * SECOND).next(None)).collect();
        let mut different = waits.clone();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), waits.len());
    }
}
