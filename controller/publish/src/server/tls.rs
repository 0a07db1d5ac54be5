//! The server's TLS: its certificate, and whom it believes. Made anew when the CA changes and at half of the certificate's life.

use super::StartError;
use super::judge::Judge;
use super::warnings::Warnings;
use crate::ca::{Authority, LIFETIME};
use fairlead_wire::{ALPN, Clock, crypto};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// How often it is looked whether the certificate is valid: the clock may jump.
const LOOK: Duration = Duration::from_secs(60);

/// Makes the first configuration, and sees to those that follow.
pub(super) fn start(
    names: Vec<String>,
    mut authority: watch::Receiver<Arc<Authority>>,
    clock: Clock,
    warnings: Arc<Warnings>,
    mut stopped: watch::Receiver<bool>,
) -> Result<watch::Receiver<Arc<ServerConfig>>, StartError> {
    let first = authority.borrow_and_update().clone();
    let (config, mut validity) = make(&first, &names, &clock, &warnings)?;
    let (tell, told) = watch::channel(config);
    tokio::spawn(async move {
        let mut renew = Instant::now() + LIFETIME / 2;
        let mut known = true;
        loop {
            tokio::select! {
                changed = authority.changed(), if known => known = changed.is_ok(),
                () = sleep_until(renew.min(Instant::now() + LOOK)) => {
                    if Instant::now() < renew && validity.contains(&clock.now()) {
                        continue;
                    }
                }
                _ = stopped.wait_for(|stopped| *stopped) => return,
            }
            let latest = authority.borrow_and_update().clone();
            match make(&latest, &names, &clock, &warnings) {
                Ok((config, valid)) => {
                    validity = valid;
                    renew = Instant::now() + LIFETIME / 2;
                    tell.send_replace(config);
                }
                Err(error) => {
                    tracing::error!(%error, "cannot renew the push server's certificate");
                    renew = Instant::now() + LOOK;
                }
            }
        }
    });
    Ok(told)
}

type Validity = std::ops::Range<std::time::SystemTime>;

fn make(
    authority: &Authority,
    names: &[String],
    clock: &Clock,
    warnings: &Arc<Warnings>,
) -> Result<(Arc<ServerConfig>, Validity), StartError> {
    let now = clock.now();
    let own = authority.issue(names, now)?;
    let mut roots = RootCertStore::empty();
    for root in authority.roots() {
        roots.add(root)?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), crypto());
    let verifier = verifier.allow_unauthenticated().build()?;
    let mut config = ServerConfig::builder_with_details(crypto(), Arc::new(clock.clone()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(Judge { verifier, warnings: warnings.clone() }))
        .with_single_cert(vec![own.certificate], own.key)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    // A resumed session would not be judged anew.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), now..own.not_after))
}
