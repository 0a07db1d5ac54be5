//! Which of the listeners of a socket takes a connection or request.

use crate::hosts::Hosts;

/// The listeners of one bind, by host name. GEP-1713 and the Gateway's listener isolation: the most specific listener takes it
/// (exact, longest wildcard, none), and no other is asked afterwards.
#[derive(Clone)]
pub struct ListenerIndex<V> {
    hosts: Hosts<V>,
}

impl<V> ListenerIndex<V> {
    /// From the listeners' host names (lower-case; `None` takes every host) and what stands for them. The last of two with the same
    /// name counts; `translate` lets only one of them through.
    pub fn new<'a>(listeners: impl IntoIterator<Item = (Option<&'a str>, V)>) -> Self {
        let mut hosts = Hosts::default();
        for (hostname, value) in listeners {
            hosts.insert(hostname, value);
        }
        ListenerIndex { hosts }
    }

    /// The listener for a host name or SNI (lower-case, without port). A connection without SNI asks with an empty one.
    pub fn find(&self, host: &[u8]) -> Option<&V> {
        self.hosts.first(host, Some)
    }

    /// The listener with exactly this host name.
    pub fn get(&self, hostname: Option<&str>) -> Option<&V> {
        self.hosts.get(hostname)
    }

    /// All listeners, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &V> {
        self.hosts.values()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::ListenerIndex;

    #[test]
    fn the_most_specific_listener_takes_it() {
        let names = [None, Some("a.example.com"), Some("*.example.com"), Some("*.b.example.com"), Some("*.com")];
        let index = ListenerIndex::new(names.map(|n| (n, n.unwrap_or("any"))));
        for (host, expected) in [
            ("a.example.com", "a.example.com"),
            ("b.example.com", "*.example.com"),
            ("x.b.example.com", "*.b.example.com"),
            ("x.y.b.example.com", "*.b.example.com"),
            ("example.com", "*.com"),
            ("com", "any"),
            (".com", "any"),
            (".b.example.com", "*.example.com"),
            ("example.org", "any"),
            ("", "any"),
            ("xa.example.com", "*.example.com"),
        ] {
            assert_eq!(index.find(host.as_bytes()), Some(&expected), "{host}");
        }
        assert_eq!(index.len(), 5);
    }

    #[test]
    fn nothing_takes_what_no_listener_names() {
        let index = ListenerIndex::new([(Some("a.example.com"), 1), (Some("*.example.org"), 2)]);
        assert_eq!(index.find(b"example.org"), None);
        assert_eq!(index.find(b"b.example.com"), None);
        assert_eq!(index.find(b"b.example.org"), Some(&2));
    }
}
