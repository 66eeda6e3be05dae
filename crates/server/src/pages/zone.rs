//! The time zone in which someone reads: their browser says it in a cookie; without a script times are in UTC.

use annals_model::time::Time;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use jiff::Zoned;
use jiff::tz::TimeZone;

use crate::auth::plain_cookie;

/// The cookie that the page's script sets.
const COOKIE: &str = "annals_zone";
/// Bytes of the name of a zone.
const NAME_BYTES_MAX: usize = 64;

/// A time zone by name.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    zone: TimeZone,
    /// Such as `UTC` or `Europe/Berlin`.
    pub(super) name: String,
}

impl Zone {
    pub(super) fn utc() -> Zone {
        Zone { zone: TimeZone::UTC, name: "UTC".to_owned() }
    }

    /// The zone of a name; UTC for one that nobody knows.
    fn named(name: &str) -> Zone {
        if name.len() > NAME_BYTES_MAX {
            return Zone::utc();
        }
        match TimeZone::get(name) {
            Ok(zone) => Zone { name: zone.iana_name().unwrap_or("UTC").to_owned(), zone },
            Err(_) => Zone::utc(),
        }
    }

    /// Calendar and clock of a moment here.
    pub(super) fn at(&self, time: Time) -> Zoned {
        let moment = jiff::Timestamp::from_microsecond(time.as_micros())
            .expect("the range of `Time` lies inside the range of the library");
        moment.to_zoned(self.zone.clone())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Zone {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Zone, Self::Rejection> {
        let named = plain_cookie(&parts.headers, COOKIE);
        let decoded =
            named.map(|name| percent_encoding::percent_decode_str(&name).decode_utf8_lossy().into_owned());
        Ok(decoded.map_or_else(Zone::utc, |name| Zone::named(&name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_have_their_summer_and_nonsense_is_utc() {
        let clock = |zone: &str, time: &str| {
            Zone::named(zone).at(Time::parse(time).unwrap()).strftime("%H:%M").to_string()
        };
        assert_eq!(clock("Europe/Berlin", "2026-07-01T12:00:00Z"), "14:00");
        assert_eq!(clock("Europe/Berlin", "2026-12-01T12:00:00Z"), "13:00");
        assert_eq!(clock("Asia/Kolkata", "2026-12-01T12:00:00Z"), "17:30");
        for name in ["", "Nowhere/Land", "../../etc/passwd", "<script>"] {
            assert_eq!(Zone::named(name).name, "UTC", "{name}");
        }
    }
}
