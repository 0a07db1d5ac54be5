//! The certificate of the TLS ports: given, or made up.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead_net::tls::{ALPN_H2, ALPN_HTTP11, ClientAuth, Identity, Roots, ServerTls, ServerTlsBuilder, Tickets};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use super::Args;

/// Settings of the TLS ports.
#[derive(Clone, Debug)]
pub struct Settings {
    /// With ALPN for HTTP.
    pub http: ServerTls,
    /// Without ALPN.
    pub plain: ServerTls,
}

/// Compiles the settings that the arguments ask for.
pub fn settings(args: &Args) -> anyhow::Result<Settings> {
    let identity = Arc::new(match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Identity::from_pem(&read(certificate)?, &read(key)?)
            .with_context(|| format!("{} with {}", certificate.display(), key.display()))?,
        _ => made_up(args)?,
    });
    let client_auth = match &args.tls_client_ca {
        Some(path) => {
            let bundle = read(path)?;
            let roots = Roots::from_pem([bundle.as_slice()]).with_context(|| path.display().to_string())?;
            ClientAuth::Optional(roots)
        }
        None => ClientAuth::None,
    };
    let builder: ServerTlsBuilder = ServerTls::builder(&Tickets::new()?).identity(identity).client_auth(client_auth);
    let http = builder.clone().alpn([ALPN_H2, ALPN_HTTP11]).build()?;
    Ok(Settings { http, plain: builder.build()? })
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// A certificate signed by a CA that is made for it and then forgotten, so that clients verify as they do in production.
fn made_up(args: &Args) -> anyhow::Result<Identity> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "fairlead echo CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca_pem = ca.self_signed(&ca_key)?.pem();

    let (uris, names): (Vec<String>, Vec<String>) = args.tls_name.iter().cloned().partition(|n| n.contains("://"));
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names).context("--tls-name")?;
    for uri in uris {
        leaf.subject_alt_names.push(SanType::URI(uri.as_str().try_into().context("--tls-name")?));
    }
    leaf.distinguished_name.push(DnType::CommonName, "fairlead echo");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_pem = leaf.signed_by(&key, &Issuer::new(ca, ca_key))?.pem();

    if let Some(path) = &args.tls_self_signed_out {
        std::fs::write(path, &ca_pem).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(Identity::from_pem(leaf_pem.as_bytes(), key.serialize_pem().as_bytes())?)
}

/// A certificate in PEM, with lines of 64 characters as Go writes them.
pub fn pem(der: &[u8]) -> String {
    let lines = der.chunks(48).map(|line| STANDARD.encode(line) + "\n");
    format!("-----BEGIN CERTIFICATE-----\n{}-----END CERTIFICATE-----\n", lines.collect::<String>())
}
