use super::*;
use rcgen::CertificateParams;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const DAY: Duration = Duration::from_secs(86_400);

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn identity() -> Identity {
    Identity { gateway: "shop/edge".into(), pod: "p".into() }
}

/// Whether a certificate is by a CA of the bundle.
fn trusts(authority: &Authority, certificate: &CertificateDer<'_>) -> bool {
    let (_, leaf) = X509Certificate::from_der(certificate).unwrap();
    authority.roots().iter().any(|root| {
        let (_, root) = X509Certificate::from_der(root).unwrap();
        leaf.issuer() == root.subject()
    })
}

fn server(authority: &Authority, now: SystemTime) -> CertificateDer<'static> {
    authority.issue(&["controller.svc".into()], now).unwrap().certificate
}

#[test]
fn it_is_the_same_after_it_was_kept() {
    let mut authority = Authority::generate(start()).unwrap();
    for days in [0, 250, 251, 252] {
        let now = start() + days * DAY;
        authority = authority.rotate(now).unwrap().unwrap_or(authority);
        let kept = Authority::from_data(authority.to_data()).unwrap();
        assert_eq!(kept.to_data(), authority.to_data());
        assert_eq!(kept.roots(), authority.roots());
        assert_eq!(kept.next_rotation(), authority.next_rotation());
        assert!(trusts(&authority, &server(&kept, now)));
        assert_eq!(fairlead_wire::certificates(kept.bundle().as_bytes()).unwrap(), kept.roots());
    }
    assert!(!format!("{authority:?}").contains("PRIVATE"));
}

#[test]
fn a_damaged_secret_is_said_where() {
    let good = Authority::generate(start()).unwrap().to_data();
    let other = Authority::generate(start()).unwrap().to_data();
    let with = |name: &str, text: &str| {
        let mut data = good.clone();
        data.insert(name.into(), text.into());
        Authority::from_data(data).map(drop).unwrap_err().to_string()
    };
    assert_eq!(with("tls.key", &other["tls.key"]), "tls.key of the CA's Secret: not the key of tls.crt");
    assert_eq!(with("tls.crt", ""), "tls.crt of the CA's Secret: no certificate in it");
    assert_eq!(with("next.crt", &other["tls.crt"]), "the CA's Secret lacks next.key");
    assert!(with("tls.key", "x").starts_with("tls.key of the CA's Secret: "));
    let both = format!("{}{}", good["tls.crt"], other["tls.crt"]);
    assert_eq!(with("tls.crt", &both), "tls.crt of the CA's Secret: must be one certificate");
    let nothing = Authority::from_data::<&str, &[u8]>([]).map(drop).unwrap_err().to_string();
    assert_eq!(nothing, "the CA's Secret lacks tls.crt");
    let leaf = rcgen::generate_simple_self_signed(["a".to_string()]).unwrap();
    let data = [("tls.crt", leaf.cert.pem()), ("tls.key", leaf.signing_key.serialize_pem())];
    assert_eq!(Authority::from_data(data).map(drop).unwrap_err().to_string(), "tls.crt of the CA's Secret: not a CA");
    let mut more = good.clone();
    more.insert("ca.crt".into(), "whatever".into());
    assert!(Authority::from_data(more).is_ok());
}

#[test]
fn a_proxys_certificate_names_what_the_controller_says() {
    let authority = Authority::generate(start()).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["kubernetes.default".to_string()]).unwrap();
    params.is_ca = rcgen::IsCa::NoCa;
    let request = params.serialize_request(&key).unwrap();
    let certificate = authority.sign(request.der(), &identity(), start()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&certificate).unwrap();
    let names = &parsed.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(**names, [GeneralName::URI("fairlead://shop/edge/p")], "nothing of what was asked for");
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth);
    let seconds = |at: SystemTime| at.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert_eq!(parsed.validity().not_before.timestamp(), seconds(start() - BACKDATE));
    assert_eq!(parsed.validity().not_after.timestamp(), seconds(start() + LIFETIME));

    let mut forged = request.der().to_vec();
    let last = forged.len() - 1;
    forged[last] ^= 1;
    assert!(matches!(authority.sign(&forged, &identity(), start()), Err(Error::Request(_))));
    assert!(matches!(authority.sign(b"x", &identity(), start()), Err(Error::Request(_))));
    assert!(matches!(authority.sign(&[0; 20_000], &identity(), start()), Err(Error::Request(_))));
}

#[test]
fn a_new_ca_is_spread_before_it_signs_and_the_old_one_is_trusted_until_it_ends() {
    let first = Authority::generate(start()).unwrap();
    assert_eq!(first.next_rotation(), start() + CA_RENEWAL);
    assert!(first.rotate(start() + CA_RENEWAL - DAY).unwrap().is_none());

    let now = first.next_rotation();
    let both = first.rotate(now).unwrap().unwrap();
    assert_eq!(both.roots().len(), 2);
    assert!(trusts(&first, &server(&both, now)), "the old one signs: not all trust the new one yet");
    assert_eq!(both.next_rotation(), now + SPREAD);
    assert!(both.rotate(now + SPREAD / 2).unwrap().is_none());

    let now = both.next_rotation();
    let new = both.rotate(now).unwrap().unwrap();
    assert!(!trusts(&first, &server(&new, now)) && trusts(&both, &server(&new, now)));
    assert!(trusts(&new, &server(&first, now)), "what the old one signed is good");
    assert_eq!(new.next_rotation(), start() + CA_LIFETIME);

    let now = new.next_rotation();
    let alone = new.rotate(now).unwrap().unwrap();
    assert_eq!(alone.roots().len(), 1);
    assert!(trusts(&alone, &server(&new, now)));
    assert!(alone.rotate(now).unwrap().is_none());
}

#[test]
fn a_ca_that_is_not_valid_is_replaced_at_once() {
    let first = Authority::generate(start()).unwrap();
    // The controller was off for more than a year.
    let now = start() + 2 * CA_LIFETIME;
    let new = first.rotate(now).unwrap().unwrap();
    assert!(new.roots().len() == 1 && new.rotate(now).unwrap().is_none());
    assert!(!trusts(&first, &server(&new, now)));
    // The clock was ahead when the CA was made, and is right again.
    let now = start() - 30 * DAY;
    let new = first.rotate(now).unwrap().unwrap();
    assert!(new.roots().len() == 2 && new.rotate(now).unwrap().is_none());
    assert!(!trusts(&first, &server(&new, now)));
    // A clock that is a little behind does no harm.
    assert!(first.rotate(start() - BACKDATE / 2).unwrap().is_none());
}

#[test]
fn no_certificate_outlives_its_ca() {
    let authority = Authority::generate(start()).unwrap();
    let now = start() + CA_LIFETIME - Duration::from_secs(3600);
    let pair = authority.issue(&["a".into()], now).unwrap();
    assert_eq!(pair.not_after, start() + CA_LIFETIME);
}
