//! Certificates that have ended or not begun, in words: TLS libraries count seconds.

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{CertificateError, Error};

/// What is wrong with the time of a certificate that was refused, with its date and that of the clock it was judged by. `None`: it was refused
/// for another reason.
pub fn out_of_time(error: &Error) -> Option<String> {
    let Error::InvalidCertificate(problem) = error else { return None };
    match problem {
        CertificateError::ExpiredContext { time, not_after } => Some(format!(
            "it has expired: it was valid until {}, and the clock here says {}",
            date(*not_after),
            date(*time)
        )),
        CertificateError::NotValidYetContext { time, not_before } => Some(format!(
            "it is not valid yet: it is valid from {}, and the clock here says {}",
            date(*not_before),
            date(*time)
        )),
        _ => None,
    }
}

fn date(at: UnixTime) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s after 1970"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn both_dates_are_said() {
        let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        let expired = CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_799_996_400) };
        assert_eq!(
            out_of_time(&expired.into()).unwrap(),
            "it has expired: it was valid until 2027-01-15T07:00:00Z, and the clock here says 2027-01-15T08:00:00Z"
        );
        let early = CertificateError::NotValidYetContext { time: at(0), not_before: at(u64::MAX) };
        let text = out_of_time(&early.into()).unwrap();
        assert!(text.contains("not valid yet") && text.contains("clock here says 1970-01-01T00:00:00Z"), "{text}");
        assert_eq!(out_of_time(&CertificateError::UnknownIssuer.into()), None);
        assert_eq!(out_of_time(&Error::DecryptError), None);
    }
}
