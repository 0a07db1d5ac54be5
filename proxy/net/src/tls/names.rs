//! Choosing by host name: exact names, then wildcards, longest first.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Identity;

/// Values by host name.
///
/// A wildcard `*.example.com` stands for any number of labels (Gateway API `Hostname`), the longest one that fits wins,
/// and an exact name beats all wildcards. Names are compared without regard to case or a final dot.
#[derive(Clone, Debug)]
pub struct NameMap<T> {
    exact: HashMap<Box<str>, T>,
    /// By what follows the `*.`.
    wildcard: HashMap<Box<str>, T>,
}

impl<T> Default for NameMap<T> {
    fn default() -> Self {
        NameMap { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> NameMap<T> {
    /// The value stored under `pattern` itself, made with `T::default` when there is none.
    pub fn entry(&mut self, pattern: &str) -> &mut T
    where
        T: Default,
    {
        let pattern = normal(pattern);
        match pattern.strip_prefix("*.") {
            Some(suffix) => self.wildcard.entry(suffix.into()).or_default(),
            None => self.exact.entry(pattern.into()).or_default(),
        }
    }

    /// The value for the most specific pattern that `host` fits.
    pub fn find(&self, host: &str) -> Option<&T> {
        self.matches(host).next()
    }

    /// The values of all patterns that `host` fits, most specific first.
    pub fn matches(&self, host: &str) -> impl Iterator<Item = &T> {
        let host = normal(host);
        let exact = self.exact.get(host.as_str());
        let dots: Vec<usize> = host.match_indices('.').map(|(i, _)| i).collect();
        let wildcards = dots.into_iter().filter_map(move |dot| self.wildcard.get(&host[dot + 1..]));
        exact.into_iter().chain(wildcards)
    }
}

fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

/// Chooses a server's certificate by SNI among those given, by the DNS names that the certificates themselves have.
///
/// Among certificates for the same name, the first one whose key the client can use is taken (RSA and ECDSA side by side).
/// A client without SNI, or with a name that no certificate has, gets the first of the list.
#[derive(Debug)]
pub(super) struct CertResolver {
    all: Vec<Arc<CertifiedKey>>,
    /// Indices into `all`.
    by_name: NameMap<Vec<usize>>,
}

impl CertResolver {
    pub(super) fn new(identities: &[Arc<Identity>]) -> CertResolver {
        let mut by_name = NameMap::<Vec<usize>>::default();
        for (i, identity) in identities.iter().enumerate() {
            for name in identity.names() {
                by_name.entry(name).push(i);
            }
        }
        CertResolver { all: identities.iter().map(|i| i.key.clone()).collect(), by_name }
    }
}

impl ResolvesServerCert for CertResolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let usable =
            |i: &&usize| self.all.get(**i).is_some_and(|c| c.key.choose_scheme(hello.signature_schemes()).is_some());
        let by_name = hello.server_name().and_then(|name| self.by_name.matches(name).flatten().find(usable)).copied();
        let index = by_name.or_else(|| (0..self.all.len()).find(|i| usable(&i))).unwrap_or(0);
        self.all.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::NameMap;

    #[test]
    fn exact_beats_long_wildcard_beats_short_wildcard() {
        let mut map = NameMap::<u32>::default();
        *map.entry("*.com") = 1;
        *map.entry("*.Example.com") = 2;
        *map.entry("shop.example.com.") = 3;
        for (host, want) in [
            ("shop.example.com", Some(&3)),
            ("SHOP.example.COM.", Some(&3)),
            ("a.shop.example.com", Some(&2)),
            ("other.example.com", Some(&2)),
            ("example.com", Some(&1)),
            ("com", None),
            ("example.org", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(map.find(host), want, "{host}");
        }
        assert_eq!(map.matches("shop.example.com").copied().collect::<Vec<_>>(), [3, 2, 1]);
    }
}
