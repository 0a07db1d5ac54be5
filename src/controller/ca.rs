//! The push channel's CA: kept in a Secret of the controller's namespace, shared by all replicas, renewed by the one that leads.

use anyhow::Context as _;
use fairlead_publish::ca::Authority;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// Name of the Secret.
const NAME: &str = "fairlead-ca";
/// How often the Secret is looked at: a renewed CA is used only after it has spread for longer than this.
const LOOK: Duration = Duration::from_secs(60);
/// After a failure at the start.
const RETRY: Duration = Duration::from_secs(2);

/// Reads and writes the Secret.
pub struct Keeper {
    secrets: Api<Secret>,
    leading: watch::Receiver<bool>,
    authority: watch::Sender<Arc<Authority>>,
    bundle: watch::Sender<Arc<str>>,
}

impl Keeper {
    /// Reads the CA, or makes one. Tries until the API server lets it.
    pub async fn open(client: Client, namespace: &str, leading: watch::Receiver<bool>) -> Keeper {
        let secrets: Api<Secret> = Api::namespaced(client, namespace);
        let mut said = String::new();
        let authority = loop {
            match read_or_make(&secrets).await {
                Ok(authority) => break authority,
                Err(error) => {
                    let text = format!("{error:#}");
                    if text != said {
                        tracing::warn!(error = text, "no CA for the push channel yet: Secret {namespace}/{NAME}");
                        said = text;
                    }
                    tokio::time::sleep(RETRY).await;
                }
            }
        };
        let bundle = watch::Sender::new(Arc::from(authority.bundle()));
        Keeper { secrets, leading, authority: watch::Sender::new(Arc::new(authority)), bundle }
    }

    /// The CA, whenever it changes.
    pub fn authority(&self) -> watch::Receiver<Arc<Authority>> {
        self.authority.subscribe()
    }

    /// The certificates that proxies are to trust, PEM, whenever they change.
    pub fn bundle(&self) -> watch::Receiver<Arc<str>> {
        self.bundle.subscribe()
    }

    /// Follows the Secret, and renews the CA in time while this replica leads.
    pub async fn run(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            if let Err(error) = Box::pin(self.look()).await {
                tracing::warn!("the push channel's CA can't be looked after: {error:#}");
            }
        }
    }

    async fn look(&self) -> anyhow::Result<()> {
        let secret = match self.secrets.get_opt(NAME).await? {
            Some(secret) if !is_empty(&secret) => secret,
            // Somebody deleted it: what is used goes on to be.
            gone => {
                let known = self.authority.borrow().clone();
                write(&self.secrets, gone, &known).await?;
                return Ok(());
            }
        };
        let mut authority = parse(&secret)?;
        if *self.leading.borrow()
            && let Some(renewed) = authority.rotate(SystemTime::now())?
        {
            let mut secret = secret;
            secret.data = manifest(&renewed).data;
            // Refused when another replica was faster; the next look finds its result.
            self.secrets.replace(NAME, &PostParams::default(), &secret).await?;
            tracing::info!("the push channel's CA was renewed");
            authority = renewed;
        }
        let bundle: Arc<str> = authority.bundle().into();
        if authority.to_data() != self.authority.borrow().to_data() {
            self.authority.send_replace(Arc::new(authority));
        }
        self.bundle.send_if_modified(|known| {
            let differs = *known != bundle;
            *known = bundle;
            differs
        });
        Ok(())
    }
}

async fn read_or_make(secrets: &Api<Secret>) -> anyhow::Result<Authority> {
    let found = match secrets.get_opt(NAME).await? {
        Some(secret) if !is_empty(&secret) => return parse(&secret),
        found => found,
    };
    let authority = Authority::generate(SystemTime::now())?;
    match write(secrets, found, &authority).await {
        Ok(()) => Ok(authority),
        // Another replica was faster.
        Err(kube::Error::Api(status)) if status.code == 409 => parse(&secrets.get(NAME).await?),
        Err(error) => Err(error.into()),
    }
}

/// Writes a CA into the Secret that there is, or into a new one. Refused when somebody else wrote since.
async fn write(secrets: &Api<Secret>, there: Option<Secret>, authority: &Authority) -> kube::Result<()> {
    let params = PostParams::default();
    match there {
        Some(there) => {
            secrets.replace(NAME, &params, &Secret { data: manifest(authority).data, ..there }).await?;
        }
        None => {
            secrets.create(&params, &manifest(authority)).await?;
        }
    }
    Ok(())
}

/// The chart makes it so, that it goes with the release.
fn is_empty(secret: &Secret) -> bool {
    secret.data.as_ref().is_none_or(std::collections::BTreeMap::is_empty)
}

fn parse(secret: &Secret) -> anyhow::Result<Authority> {
    let data = secret.data.iter().flatten().map(|(name, ByteString(value))| (name, value));
    Authority::from_data(data).context("delete the Secret to have a new CA made")
}

fn manifest(authority: &Authority) -> Secret {
    let data = authority.to_data().into_iter().map(|(name, value)| (name, ByteString(value.into_bytes())));
    let metadata = ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() };
    Secret { metadata, data: Some(data.collect()), type_: Some("Opaque".to_owned()), ..Secret::default() }
}
