//! Host names of listeners and routes.

use std::fmt;
use std::sync::Arc;

/// A host name, exact or `*.suffix`; lower-case. A wildcard stands for one or more labels, so `*.example.com` takes
/// `a.example.com` and `a.b.example.com`, not `example.com`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Host(Arc<str>);

impl Host {
    /// RFC 1123 with a wildcard as first label; no IP addresses. What is wrong comes back as text.
    pub fn parse(text: &str) -> Result<Host, String> {
        let name = text.to_ascii_lowercase();
        let rest = name.strip_prefix("*.").unwrap_or(&name);
        if rest.is_empty() || name.len() > 253 {
            return Err(format!("{text:?} is not a host name: it must have 1 to 253 characters"));
        }
        if rest.parse::<std::net::IpAddr>().is_ok() {
            return Err(format!("{text:?} is an IP address; host names only"));
        }
        match rest.split('.').find(|label| !is_label(label)) {
            Some(label) => {
                Err(format!("{text:?} is not a host name: label {label:?} must be letters, digits and inner hyphens"))
            }
            None => Ok(Host(name.into())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What a wildcard ends with, without `*.`.
    pub fn suffix(&self) -> Option<&str> {
        self.0.strip_prefix("*.")
    }

    /// Whether some name belongs to both.
    pub fn intersects(&self, other: &Host) -> bool {
        match (self.suffix(), other.suffix()) {
            (None, None) => self == other,
            (None, Some(suffix)) => is_below(&self.0, suffix),
            (Some(suffix), None) => is_below(&other.0, suffix),
            (Some(a), Some(b)) => a == b || is_below(a, b) || is_below(b, a),
        }
    }

    /// The wildcards that take all names of this one, itself excluded, the most specific first.
    pub fn covers(&self) -> impl Iterator<Item = Host> + '_ {
        let name = self.suffix().unwrap_or(&self.0);
        name.match_indices('.').map(|(at, _)| Host(format!("*{}", &name[at..]).into()))
    }
}

/// Whether `name` is a proper subdomain of `suffix`.
fn is_below(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() + 1 && name.ends_with(suffix) && name.as_bytes()[name.len() - suffix.len() - 1] == b'.'
}

fn is_label(label: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    (1..=63).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a listener without a host name is called in messages.
pub(crate) fn display(host: Option<&Host>) -> &str {
    host.map_or("every host", Host::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Host {
        Host::parse(text).unwrap()
    }

    #[test]
    fn names_are_checked_and_lowered() {
        assert_eq!(host("Shop.Example.COM").as_str(), "shop.example.com");
        for bad in ["", "*.", "*", "a..b", "-a.b", "a-.b", "1.2.3.4", "a_b.c", "a.*.b", "fe80::1", &"a.".repeat(200)] {
            assert!(Host::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn intersection_is_by_whole_labels() {
        for (a, b, expected) in [
            ("a.com", "a.com", true),
            ("a.com", "b.com", false),
            ("x.a.com", "*.a.com", true),
            ("x.y.a.com", "*.a.com", true),
            ("a.com", "*.a.com", false),
            ("xa.com", "*.a.com", false),
            ("*.b.a.com", "*.a.com", true),
            ("*.a.com", "*.b.com", false),
            ("*.ba.com", "*.a.com", false),
        ] {
            assert_eq!(host(a).intersects(&host(b)), expected, "{a} {b}");
            assert_eq!(host(b).intersects(&host(a)), expected, "{b} {a}");
        }
    }

    #[test]
    fn covers_goes_up() {
        let names = |h: &str| host(h).covers().map(|h| h.to_string()).collect::<Vec<_>>();
        assert_eq!(names("a.b.com"), ["*.b.com", "*.com"]);
        assert_eq!(names("*.b.com"), ["*.com"]);
        assert!(names("com").is_empty());
    }
}
