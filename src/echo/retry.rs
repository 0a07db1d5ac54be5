//! A backend that fails a few times before it works, as the conformance suite's retry tests want it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;

use super::wish::{duration, parameter, status};

/// Attempts by the `uuid` that clients make up; shared by all workers.
#[derive(Debug, Default)]
pub struct Retries(Mutex<HashMap<String, u32>>);

/// What to do with an attempt.
#[derive(Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Echo.
    Succeed,
    /// Wait, then fail: with a status, or by resetting the connection.
    Fail { delay: Option<Duration>, status: Option<StatusCode> },
}

impl Retries {
    /// Counts a request to `/retry/…` and says how to answer it; the error is a sentence for the client.
    pub fn attempt(&self, query: Option<&str>) -> Result<Attempt, &'static str> {
        let uuid = parameter(query, "uuid").filter(|u| !u.is_empty()).ok_or("uuid is required")?;
        let succeed_after: u32 =
            parameter(query, "succeedAfter").and_then(|n| n.parse().ok()).ok_or("succeedAfter is required")?;
        let mut attempts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if attempts.len() >= MAX_REMEMBERED && !attempts.contains_key(&*uuid) {
            attempts.clear();
        }
        let count = attempts.entry(uuid.into_owned()).or_default();
        if *count >= succeed_after {
            return Ok(Attempt::Succeed);
        }
        *count += 1;
        let delay = match parameter(query, "delayRetry").filter(|d| !d.is_empty()) {
            Some(text) => Some(duration(&text).ok_or("delayRetry is no duration")?),
            None => None,
        };
        Ok(Attempt::Fail { delay, status: parameter(query, "responseCode").and_then(|c| status(&c)) })
    }
}

/// A client that makes up new ids for ever must not fill the memory.
const MAX_REMEMBERED: usize = 100_000;
