use super::*;
use crate::{AccessLog, Record, Upstream};
use fairlead_http::RequestHead;

struct Card {
    names: Vec<String>,
    ips: Vec<IpAddr>,
}

fn card() -> Card {
    Card { names: vec!["a".into(), "b\"c".into()], ips: vec![[192, 0, 2, 7].into(), "2001:db8::1".parse().unwrap()] }
}

impl Certificate for Card {
    fn der(&self) -> &[u8] {
        &[0xfb; 50]
    }
    fn subject(&self) -> &str {
        "CN=me"
    }
    fn issuer(&self) -> &str {
        ""
    }
    fn serial(&self) -> &str {
        "0abc"
    }
    fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        Some((Timestamp(0), Timestamp(1_721_060_999_000_000)))
    }
    fn uris(&self) -> &[String] {
        &[]
    }
    fn dns(&self) -> &[String] {
        &self.names
    }
    fn emails(&self) -> &[String] {
        &[]
    }
    fn ips(&self) -> &[IpAddr] {
        &self.ips
    }
    fn sha1(&self) -> [u8; 20] {
        [0x1f; 20]
    }
    fn sha256(&self) -> [u8; 32] {
        [0xa0; 32]
    }
}

fn line(log: &AccessLog, card: Option<&dyn Certificate>) -> String {
    let request = RequestHead::new();
    let upstream = Upstream { certificate: card, ..Upstream::default() };
    let record = Record { certificate: card, upstream: Some(upstream), ..Record::new(Timestamp(9_000_000), &request) };
    let mut out = Vec::new();
    log.write(&record, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn certificates_tell_what_they_are_asked() {
    let pem = "%2B%2Fv7".to_owned() + &"%2B%2Fv7".repeat(15);
    let cases = [
        ("SUBJECT", "CN=me"),
        ("SUBJECT:2", "CN"),
        ("ISSUER", "-"),
        ("SERIAL", "0abc"),
        ("FINGERPRINT_1", &"1f".repeat(20)),
        ("FINGERPRINT_256", &"a0".repeat(32)),
        ("FINGERPRINT_256:4", "a0a0"),
        ("URI_SAN", "-"),
        ("DNS_SAN", "a,b\\\"c"),
        ("DNS_SAN:3", "a,b"),
        ("DNS_SAN:1", "a"),
        ("EMAIL_SAN", "-"),
        ("IP_SAN", "192.0.2.7,2001:db8::1"),
        ("CERT_V_START", "1970-01-01T00:00:00.000Z"),
        ("CERT_V_END(%Y)", "2024"),
        ("CERT", &format!("-----BEGIN%20CERTIFICATE-----%0A{}%0A%2B%2Fs%3D%0A-----END%20CERTIFICATE-----%0A", pem)),
    ];
    let card = card();
    for side in ["DOWNSTREAM", "UPSTREAM"] {
        for (name, expected) in &cases {
            let log = AccessLog::text(&format!("%{side}_PEER_{name}%")).unwrap();
            assert_eq!(line(&log, Some(&card)), format!("{expected}\n"), "{side} {name}");
            assert_eq!(line(&log, None), "-\n", "{side} {name}");
        }
    }
}

#[test]
fn names_stay_within_their_json() {
    let log = AccessLog::json(&[("dns", "%DOWNSTREAM_PEER_DNS_SAN%"), ("ips", "%DOWNSTREAM_PEER_IP_SAN%")]).unwrap();
    assert_eq!(line(&log, Some(&card())), "{\"dns\":\"a,b\\\"c\",\"ips\":\"192.0.2.7,2001:db8::1\"}\n");
    assert_eq!(line(&log, None), "{\"dns\":null,\"ips\":null}\n");
}

/// The validity of two certificates and the start of the request are three different times.
#[test]
fn validity_has_stamps_of_its_own() {
    let log = AccessLog::text("%START_TIME(%s)% %UPSTREAM_PEER_CERT_V_END(%s)% %START_TIME(%s)%").unwrap();
    assert_eq!(line(&log, Some(&card())), "9 1721060999 9\n");
}
