//! Header names and values that may go on the wire.

use crate::status::{Fault, Reason};
use fairlead_crds::gateway::HTTPHeaderFilter;
use fairlead_ir::{HeaderMods, HeaderValue};

/// Fields that frame or route a message: they are the proxy's own. The host is changed with `URLRewrite`.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "upgrade",
    "te",
    "trailer",
];

/// RFC 9110 §5.6.2.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c))
}

/// RFC 9110 §5.5, without the obsolete forms.
pub(crate) fn is_value(value: &str) -> bool {
    value.bytes().all(|c| c == b'\t' || (0x20..0x7f).contains(&c) || c >= 0x80)
}

/// A filter that changes headers. Within a list the first of equal names counts; a name in two lists is an error.
pub(super) fn modifier(spec: &HTTPHeaderFilter, path: &str) -> Result<HeaderMods, Fault> {
    let mut seen: Vec<(Box<str>, &'static str)> = Vec::new();
    let mut take = |name: &str, list: &'static str, i: usize| -> Result<Option<Box<str>>, Fault> {
        let wrong = |message: String| Fault::new(Reason::UnsupportedValue, format!("{path}.{list}[{i}]"), message);
        let lower: Box<str> = name.to_ascii_lowercase().into();
        if !is_name(name) {
            return Err(wrong(format!("{name:?} is not a header name")));
        }
        if OURS.contains(&&*lower) {
            let hint = if &*lower == "host" { "; use a URLRewrite filter with hostname" } else { "" };
            return Err(wrong(format!("{name} can't be changed by a filter{hint}")));
        }
        match seen.iter().find(|(other, _)| *other == lower) {
            Some((_, other)) if *other == list => Ok(None),
            Some((_, other)) => Err(wrong(format!("{name} is in {other} already; only one action for each header"))),
            None => {
                seen.push((lower.clone(), list));
                Ok(Some(lower))
            }
        }
    };
    let mut mods = HeaderMods::default();
    for (list, from, to) in [("set", &spec.set, &mut mods.set), ("add", &spec.add, &mut mods.add)] {
        for (i, header) in from.iter().enumerate() {
            let Some(name) = take(&header.name, list, i)? else { continue };
            if !is_value(&header.value) {
                let message = format!("the value of {name} has characters that no header may have");
                return Err(Fault::new(Reason::UnsupportedValue, format!("{path}.{list}[{i}].value"), message));
            }
            to.push(HeaderValue { name, value: header.value.trim_matches([' ', '\t']).into() });
        }
    }
    for (i, name) in spec.remove.iter().enumerate() {
        mods.remove.extend(take(name, "remove", i)?);
    }
    Ok(mods)
}
