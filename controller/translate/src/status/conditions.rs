//! Conditions, and the faults that they are made of.

use super::Reason;
use serde::Serialize;
use std::fmt;

/// One condition. It has no `lastTransitionTime`: who writes it compares with what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why, for machines.
    pub reason: Reason,
    /// Why, for people: what, where (field path), what to do.
    pub message: Box<str>,
    /// `metadata.generation` of the object that it was computed from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// What a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum ConditionType {
    /// The object is valid enough to be served, at least in part.
    Accepted,
    /// The data plane is configured from it.
    Programmed,
    /// Its references resolve.
    ResolvedRefs,
    /// Listeners: another one claims the same requests.
    Conflicted,
    /// Listeners: another one's TLS settings may be used for its requests (GEP-3567).
    #[serde(rename = "OverlappingTLSConfig")]
    OverlappingTlsConfig,
    /// Gateway: each address that it asks for is there (GEP-5093).
    AddressesAssigned,
    /// Routes: some rules are invalid.
    PartiallyInvalid,
    /// GatewayClass: the CRDs' version.
    SupportedVersion,
    /// Gateway: clients without a valid certificate are let in (GEP-91).
    InsecureFrontendValidationMode,
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[allow(missing_docs)]
pub enum ConditionStatus {
    True,
    False,
}

/// A problem of an object: where, what, and the reason that its condition gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub reason: Reason,
    /// Field path; empty for the object as a whole.
    pub path: String,
    pub message: String,
}

impl Fault {
    pub fn new(reason: Reason, path: impl Into<String>, message: impl Into<String>) -> Self {
        Fault { reason, path: path.into(), message: message.into() }
    }

    /// One fault that tells of several, with the reason of the first; faults for another reason name it: `path: message (Reason)`.
    pub fn join(faults: &[Fault]) -> Option<Fault> {
        const SHOWN: usize = 6;
        let first = faults.first()?;
        let text = |fault: &Fault| match fault.reason == first.reason {
            true => fault.to_string(),
            false => format!("{fault} ({})", fault.reason),
        };
        let mut message = faults.iter().take(SHOWN).map(text).collect::<Vec<_>>().join("; ");
        if faults.len() > SHOWN {
            message.push_str(&format!("; and {} more", faults.len() - SHOWN));
        }
        Some(Fault::new(first.reason, "", message))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.path {
            "" => f.write_str(&self.message),
            path => write!(f, "{path}: {}", self.message),
        }
    }
}

impl Condition {
    pub(crate) fn new(kind: ConditionType, status: bool, reason: Reason, message: impl Into<Box<str>>) -> Self {
        let status = if status { ConditionStatus::True } else { ConditionStatus::False };
        Condition { kind, status, reason, message: message.into(), observed_generation: None }
    }

    /// True with the given reason, or false with the fault's.
    pub(crate) fn of(kind: ConditionType, fault: Option<&Fault>, reason: Reason, message: &str) -> Self {
        match fault {
            None => Condition::new(kind, true, reason, message),
            Some(fault) => Condition::new(kind, false, fault.reason, fault.to_string()),
        }
    }

    /// Whether it holds.
    pub fn is_true(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// Stamps conditions with the generation they were computed from.
pub(crate) fn observed(mut conditions: Vec<Condition>, generation: Option<i64>) -> Vec<Condition> {
    for condition in &mut conditions {
        condition.observed_generation = generation;
    }
    conditions
}
