//! How many file descriptors the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Lifts the limit as far as the process itself may (`RLIMIT_NOFILE`, soft to hard), and answers it. Systems leave the soft limit at 1,024
/// for programs that use `select`; a connection that is proxied takes two.
pub fn lift_descriptor_limit() -> usize {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let lifted = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = lifted {
        tracing::warn!(limit = current, %error, "cannot lift the limit of file descriptors");
    }
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_what_may_be_had() {
        let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
        let lifted = lift_descriptor_limit();
        assert_eq!(Some(lifted as u64), maximum.or(Some(u64::MAX)));
        assert_eq!(lift_descriptor_limit(), lifted);
    }
}
