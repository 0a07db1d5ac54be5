use super::*;
use k8s_openapi::ByteString;
use rcgen::{CertificateParams, KeyPair as Rcgen, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};

fn secret(crt: &str, key: &str) -> Arc<Secret> {
    let data = [("tls.crt", crt), ("tls.key", key)].map(|(k, v)| (k.to_owned(), ByteString(v.as_bytes().to_vec())));
    Arc::new(Secret { data: Some(data.into()), ..Secret::default() })
}

fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> (String, String) {
    let key = Rcgen::generate_for(algorithm).unwrap();
    let names = ["shop.example.com".to_owned(), "*.cdn.example.com".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    (certificate.pem(), key.serialize_pem())
}

#[test]
fn pairs_of_every_algorithm_are_read() {
    for algorithm in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519, &PKCS_RSA_SHA256] {
        let (crt, key) = generate(algorithm);
        let pair = key_pair(&Key::new("shop", "tls"), &secret(&crt, &key)).unwrap();
        assert_eq!(&*pair.secret.id, "secret/shop/tls");
        assert_eq!(pair.names.iter().map(Host::as_str).collect::<Vec<_>>(), ["shop.example.com", "*.cdn.example.com"]);
    }
}

#[test]
fn a_foreign_key_is_refused() {
    for (a, b) in [
        (&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P256_SHA256),
        (&PKCS_RSA_SHA256, &PKCS_RSA_SHA256),
        (&PKCS_RSA_SHA256, &PKCS_ECDSA_P256_SHA256),
        (&PKCS_ED25519, &PKCS_RSA_SHA256),
    ] {
        let error = key_pair(&Key::new("a", "b"), &secret(&generate(a).0, &generate(b).1)).unwrap_err();
        assert_eq!(error, "tls.key is not the key of the first certificate in tls.crt");
    }
}

#[test]
fn what_is_wrong_is_named() {
    let (crt, key) = generate(&PKCS_ECDSA_P256_SHA256);
    let name = Key::new("a", "b");
    let error = |crt: &str, key: &str| key_pair(&name, &secret(crt, key)).unwrap_err();
    assert_eq!(error("Hello world\n", &key), "tls.crt holds no certificate in PEM");
    assert!(error(&crt, "Hello world\n").starts_with("tls.key holds no private key"));
    assert!(error(&crt.replace("MII", "MIJ"), &key).starts_with("tls.crt"));
    assert_eq!(key_pair(&name, &Secret::default()).unwrap_err(), "it has no key tls.crt");
}

/// Statuses are read by more people than Secrets are.
#[test]
fn no_part_of_a_key_is_in_what_is_said_of_it() {
    let (crt, key) = generate(&PKCS_RSA_SHA256);
    let (body, half) = (key.lines().nth(1).unwrap(), key.len() / 2);
    let broken = [
        key.replace('\n', ""),
        key.replace('\n', " "),
        key[..half].to_owned(),
        key.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN PRIVATE KEY-"),
        key.replace("-----BEGIN PRIVATE KEY-----\n", "-----BEGIN "),
        key.replacen(body, &format!("{body}*"), 1),
        format!("-----BEGIN {}", key.replace('\n', "")),
    ];
    for private in &broken {
        // A chain with its key behind it is a file of other servers.
        for secret in [secret(&crt, private), secret(&format!("{crt}{private}"), &key), secret(private, &key)] {
            let Err(error) = key_pair(&Key::new("a", "b"), &secret) else { continue };
            let numbers = body.as_bytes()[..4].iter().map(u8::to_string).collect::<Vec<_>>().join(", ");
            assert!(!error.contains(&body[..4]) && !error.contains(&numbers), "{error}");
            assert!(error.len() < 250, "{error}");
        }
    }
}

#[test]
fn validity_is_judged_by_a_given_time() {
    let validity = Validity { from: 100 * 86_400, until: 200 * 86_400 };
    assert_eq!(validity.problem(None), None);
    assert_eq!(validity.problem(Some(150 * 86_400)), None);
    assert!(validity.problem(Some(203 * 86_400)).unwrap().contains("expired 3 days ago"));
    assert!(validity.problem(Some(0)).unwrap().contains("not valid before"));
}

#[test]
fn the_vault_asks_once() {
    let (crt, key) = generate(&PKCS_ECDSA_P256_SHA256);
    let mut vault = Vault::default();
    let (name, object) = (Key::new("a", "b"), secret(&crt, &key));
    let first = vault.key_pair(&name, &object).unwrap();
    assert!(Arc::ptr_eq(&first, &vault.key_pair(&name, &object).unwrap()));
    assert!(!Arc::ptr_eq(&first, &vault.key_pair(&name, &secret(&crt, &key)).unwrap()));
}
