use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, date_time_ymd};

use crate::testing::Ca;
use crate::tls::{Identity, IdentityError, Roots, RootsError};

fn refused(chain: &str, key: &str) -> IdentityError {
    Identity::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err()
}

#[test]
fn tells_what_is_wrong_with_pem() {
    let ca = Ca::new("ca");
    let (a, b) = (ca.issue(&["a.example"]), ca.issue(&["b.example"]));
    assert_eq!(refused("", &a.key), IdentityError::NoCertificate);
    assert_eq!(refused(&a.key, &a.key), IdentityError::NoCertificate);
    assert_eq!(refused(&a.chain, ""), IdentityError::NoKey);
    assert_eq!(refused(&a.chain, &a.chain), IdentityError::NoKey);
    assert_eq!(refused(&a.chain, &b.key), IdentityError::Mismatch);
    assert_eq!(refused(&format!("{}{}", ca.pem, a.chain), &a.key), IdentityError::Order { number: 2 });
    assert!(Identity::from_pem(format!("{}{}", a.chain, ca.pem).as_bytes(), a.key.as_bytes()).is_ok());

    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIBpj==\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(refused(&a.chain, encrypted), IdentityError::EncryptedKey);
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    assert_eq!(refused(&a.chain, old), IdentityError::EncryptedKey);

    let cut = a.chain.split_inclusive('\n').filter(|l| !l.contains("END")).collect::<String>();
    let e = refused(&cut, &a.key);
    assert_eq!(e.to_string(), "certificate 1 of the chain is invalid: the PEM section has no -----END line");
    let e = refused("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &a.key);
    assert!(matches!(e, IdentityError::Certificate { number: 1, .. }), "{e:?}");
    let second_bad = format!("{}-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n", a.chain);
    let e = refused(&second_bad, &a.key);
    assert_eq!(e.to_string(), "certificate 2 of the chain is invalid: the PEM section is not valid base64");
    let broken = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n";
    let e = refused(&a.chain, broken);
    assert_eq!(e, IdentityError::Key("the PEM section is not valid base64".into()));
    let nonsense = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    assert_eq!(refused(&a.chain, nonsense), IdentityError::UnsupportedKey);
}

#[test]
fn knows_names_and_validity_and_keeps_the_key_to_itself() {
    let ca = Ca::new("ca");
    let issued = ca.issue_with(&["A.example", "*.b.example", "spiffe://c/d"], |params| {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    });
    let identity = issued.identity();
    assert_eq!(identity.names(), [Box::from("a.example"), Box::from("*.b.example")]);
    assert_eq!(identity.not_after(), SystemTime::UNIX_EPOCH + Duration::from_secs(1_609_459_200));
    assert!(!identity.is_valid_at(SystemTime::now()), "expired, yet accepted");
    assert!(identity.is_valid_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000)));
    let debug = format!("{identity:?} {:?}", ca.roots());
    assert!(debug.contains("[redacted]") && !debug.to_lowercase().contains("pkcs"), "{debug}");
}

#[test]
fn takes_keys_of_all_usual_kinds() {
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519, &rcgen::PKCS_RSA_SHA256]
    {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = rcgen::CertificateParams::new(["x.example".to_owned()]).unwrap().self_signed(&key).unwrap();
        Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
    }
}

#[test]
fn roots_join_bundles_and_refuse_empty_ones() {
    let (a, b) = (Ca::new("a"), Ca::new("b"));
    let both = format!("# two of them\n{}\n{}", a.pem, b.pem);
    assert_eq!(Roots::from_pem([both.as_bytes()]).unwrap().len(), 2);
    assert_eq!(Roots::from_pem([a.pem.as_bytes(), b.pem.as_bytes()]).unwrap().len(), 2);
    let none = RootsError::Pem(IdentityError::NoCertificate);
    assert_eq!(Roots::from_pem([a.pem.as_bytes(), b"no PEM at all"]).unwrap_err(), none);
    assert_eq!(Roots::from_pem([]).unwrap_err(), none);
    assert!(Roots::insecure().is_empty());
}
