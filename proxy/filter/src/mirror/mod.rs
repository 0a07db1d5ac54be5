//! RequestMirror: where copies go, and which requests are copied. The copying is not done here.

#[cfg(test)]
mod tests;

use crate::Problem;
use fairlead_ir::{self as ir, Id};

/// A mirror, compiled.
#[derive(Clone, Debug)]
pub struct Mirror {
    cluster: Id,
    /// Numbers below it are copied, of 2⁶⁴; `None` is all of them.
    threshold: Option<u64>,
}

impl Mirror {
    pub(crate) fn compile(source: &ir::Mirror) -> Result<Self, Problem> {
        let ir::Fraction { numerator, denominator } = source.fraction;
        if denominator == 0 {
            return Err(Problem::new("fraction.denominator", "it is 0"));
        }
        // Rounded down: a share of less than 2⁻⁶⁴ is none.
        let threshold = (u128::from(numerator) << 64) / u128::from(denominator);
        Ok(Mirror { cluster: source.cluster.clone(), threshold: u64::try_from(threshold).ok() })
    }

    /// Id of the cluster that gets the copies.
    pub fn cluster(&self) -> &Id {
        &self.cluster
    }

    /// Whether a request is copied, given a uniformly distributed number of its own.
    pub fn draws(&self, random: u64) -> bool {
        self.threshold.is_none_or(|threshold| random < threshold)
    }
}
