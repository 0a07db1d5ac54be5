//! What fuzzers run: each target takes any bytes and panics when a promise is broken.
//!
//! A target checks more than that nothing panics: what is accepted is well-formed, means the same to another reader (httparse, hyper, or a
//! naive one here), does not depend on how bytes arrive, and survives being written and read again.

pub mod mutate;
pub mod targets;

/// A parser under test.
pub struct Target {
    /// Its name, also the libfuzzer bin's and the corpus directory's.
    pub name: &'static str,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
    /// Where mutation starts.
    pub seeds: &'static [&'static [u8]],
    /// What mutation inserts.
    pub tokens: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    targets::access_log::TARGET,
    targets::authorisation::TARGET,
    targets::authority::TARGET,
    targets::chunks::TARGET,
    targets::client_hello::TARGET,
    targets::connection::TARGET,
    targets::path::TARGET,
    targets::request_head::TARGET,
    targets::response_head::TARGET,
    targets::trace_context::TARGET,
];

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_and_some_mutants_keep_the_promises() {
        for target in super::TARGETS {
            let mut mutator = super::mutate::Mutator::new(target, 1);
            for seed in target.seeds {
                (target.run)(seed);
            }
            for _ in 0..2000 {
                (target.run)(&mutator.next());
            }
        }
    }
}
