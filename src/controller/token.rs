//! Whose a proxy's token is: asked of the API server.

use fairlead_publish::{Denied, Identity};
use fairlead_translate::fleet;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch;

/// Gateways by namespace and name of their proxies' ServiceAccount.
pub type Accounts = Arc<BTreeMap<(Arc<str>, Arc<str>), fairlead_ir::Id>>;

/// Judges a token: it must be of a pod of a Gateway's proxies.
pub async fn judge(client: Client, accounts: watch::Receiver<Accounts>, token: String) -> Result<Identity, Denied> {
    let spec = TokenReviewSpec { audiences: Some(vec![fleet::AUDIENCE.to_owned()]), token: Some(token) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviews: Api<TokenReview> = Api::all(client);
    let answer = reviews.create(&PostParams::default(), &review).await;
    let answer =
        answer.map_err(|error| Denied::Unavailable(format!("the API server does not judge tokens: {error}")))?;
    let status = answer.status.unwrap_or_default();
    let heard = status.audiences.unwrap_or_default();
    if status.authenticated != Some(true) || !heard.iter().any(|audience| audience == fleet::AUDIENCE) {
        let why = status.error.unwrap_or_else(|| "it is not valid for this channel".to_owned());
        return Err(Denied::Token(format!("the token was refused: {why}")));
    }
    let user = status.user.unwrap_or_default();
    let name = user.username.unwrap_or_default();
    let Some((namespace, account)) =
        name.strip_prefix("system:serviceaccount:").and_then(|account| account.split_once(':'))
    else {
        return Err(Denied::Token(format!("{name:?} is no ServiceAccount")));
    };
    let pod = user.extra.unwrap_or_default().remove(POD).and_then(|names| names.into_iter().next());
    let Some(pod) = pod else {
        return Err(Denied::Token(format!("the token of {namespace}/{account} is not bound to a pod")));
    };
    match accounts.borrow().get(&(namespace.into(), account.into())) {
        Some(gateway) => Ok(Identity { gateway: gateway.clone(), pod: pod.into() }),
        None => {
            Err(Denied::Token(format!("{namespace}/{account} is the ServiceAccount of none of our Gateways' proxies")))
        }
    }
}

const POD: &str = "authentication.kubernetes.io/pod-name";
