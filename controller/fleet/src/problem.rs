//! What can be wrong with an object, and when to try again.

use fairlead_translate::fleet::ObjectKind;
use std::fmt;
use std::time::Duration;

/// Why an object of a Gateway's proxies is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Kind of the object.
    pub kind: ObjectKind,
    /// Its name; its namespace is the Gateway's.
    pub name: Box<str>,
    /// In one word.
    pub reason: ProblemReason,
    /// For people.
    pub message: Box<str>,
}

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemReason {
    /// There is an object of that name that we did not make.
    NotOurs,
    /// RBAC or an admission policy forbids it.
    Forbidden,
    /// A quota of the namespace is used up.
    QuotaExceeded,
    /// The API server takes the object for wrong.
    Invalid,
    /// The API server can't be reached, or fails.
    Unavailable,
    /// The Deployment is there, and its pods can't be made: a quota, or Pod Security.
    PodsRefused,
}

impl ProblemReason {
    /// As events have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            ProblemReason::NotOurs => "NotOurs",
            ProblemReason::Forbidden => "Forbidden",
            ProblemReason::QuotaExceeded => "QuotaExceeded",
            ProblemReason::Invalid => "Invalid",
            ProblemReason::Unavailable => "Unavailable",
            ProblemReason::PodsRefused => "PodsRefused",
        }
    }
}

impl Problem {
    /// What to do about it.
    pub fn advice(&self) -> String {
        let (group, _, plural) = self.kind.resource();
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        match self.reason {
            ProblemReason::NotOurs => "rename the Gateway, or delete that object".to_owned(),
            ProblemReason::Forbidden => format!(
                "let the controller's ServiceAccount get, list, watch, create, patch and delete {resource} in the Gateway's namespace; if a policy of admission says no, see its message"
            ),
            ProblemReason::QuotaExceeded => {
                "raise the ResourceQuota of the namespace, or ask for less in the ProxyClass".to_owned()
            }
            ProblemReason::Invalid => {
                "see what the ProxyClass and the Gateway's infrastructure and addresses say".to_owned()
            }
            ProblemReason::Unavailable => "it is tried again until it works".to_owned(),
            ProblemReason::PodsRefused => {
                "raise the ResourceQuota of the namespace, or see its Pod Security level".to_owned()
            }
        }
    }
}

/// `Deployment fairlead-web: Forbidden: …`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.kind.as_str(), self.name, self.reason.as_str(), self.message)
    }
}

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// `None`: nothing that a person should see to.
    pub reason: Option<ProblemReason>,
    pub message: String,
}

impl Failure {
    pub fn quiet(message: &str) -> Self {
        Failure { reason: None, message: message.to_owned() }
    }

    /// How long to wait after the `attempt`th failure in a row (from 1): an API server that fails is asked again soon, what a person has
    /// to solve each minute or less.
    pub fn pause(&self, attempt: u32) -> Duration {
        let (first, most) = match self.reason {
            Some(ProblemReason::Unavailable) => (200, 30_000),
            None => (1000, 10_000),
            _ => (1000, 60_000),
        };
        let pause = (first << attempt.saturating_sub(1).min(10)).min(most);
        // A little apart, so that those that failed together don't come back together.
        Duration::from_millis(pause + fastrand::u64(0..=pause / 5))
    }
}

impl From<&kube::Error> for Failure {
    fn from(error: &kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Failure { reason: Some(ProblemReason::Unavailable), message: chain(error) };
        };
        let cause = |reason: &str| {
            status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
        };
        let reason = match status.code {
            403 if cause("NamespaceTerminating") => None,
            403 if status.message.contains("exceeded quota") => Some(ProblemReason::QuotaExceeded),
            401 | 403 => Some(ProblemReason::Forbidden),
            // Its namespace is gone.
            404 if status.details.as_ref().is_some_and(|details| details.kind == "namespaces") => None,
            400 | 404 | 413 | 415 | 422 => Some(ProblemReason::Invalid),
            _ => Some(ProblemReason::Unavailable),
        };
        Failure { reason, message: status.message.clone() }
    }
}

/// An error with all that caused it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}
