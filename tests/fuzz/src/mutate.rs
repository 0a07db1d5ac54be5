//! Random changes to known inputs: enough to find shallow faults in seconds without instrumentation.

use crate::Target;

/// Makes inputs for a target, the same ones for the same seed.
pub struct Mutator {
    rng: fastrand::Rng,
    pool: Vec<Vec<u8>>,
    tokens: &'static [&'static str],
}

impl Mutator {
    /// Starts from the target's seeds.
    pub fn new(target: &Target, seed: u64) -> Mutator {
        let mut pool: Vec<Vec<u8>> = target.seeds.iter().map(|s| s.to_vec()).collect();
        pool.push(Vec::new());
        Mutator { rng: fastrand::Rng::with_seed(seed), pool, tokens: target.tokens }
    }

    /// The next input. Now and then one is kept, to be changed further.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Vec<u8> {
        let mut input = self.pool[self.rng.usize(..self.pool.len())].clone();
        for _ in 0..1 << self.rng.u32(0..4) {
            self.change(&mut input);
        }
        input.truncate(LONGEST);
        if self.rng.u32(0..64) == 0 {
            if self.pool.len() < POOL {
                self.pool.push(input.clone());
            } else {
                let at = self.rng.usize(POOL / 2..POOL);
                self.pool[at].clone_from(&input);
            }
        }
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let rng = &mut self.rng;
        let at = rng.usize(..=input.len());
        let end = at + rng.usize(..=(input.len() - at).min(16));
        match rng.u32(0..9) {
            0 if at < input.len() => input[at] ^= 1 << rng.u32(0..8),
            1 if at < input.len() => input[at] = rng.u8(..),
            2 => input.insert(at, rng.u8(..)),
            3 => drop(input.drain(at..end)),
            4 => {
                let piece = input[at..end].to_vec();
                let to = rng.usize(..=input.len());
                input.splice(to..to, piece);
            }
            5 => {
                let other = &self.pool[rng.usize(..self.pool.len())];
                let from = rng.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 => input.insert(at, b"\r\n\t \0:;,%/\\.#?\"0+-"[rng.usize(..18)]),
            _ if !self.tokens.is_empty() => {
                let token = self.tokens[rng.usize(..self.tokens.len())];
                let end = if rng.bool() { end } else { at };
                input.splice(at..end, token.bytes());
            }
            _ => {}
        }
    }
}

const LONGEST: usize = 4096;
const POOL: usize = 512;
