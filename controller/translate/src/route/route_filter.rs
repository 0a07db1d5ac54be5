//! `RouteFilter`s: what `ExtensionRef` names.

use super::{headers, matches};
use crate::reader::Reader;
use crate::status::{Fault, Reason};
use fairlead_crds::Kind;
use fairlead_crds::core::ConfigMap;
use fairlead_crds::v1alpha1::{
    DirectResponse, HostnameRewrite, HostnameRewriteType, PathRewrite as PathSpec, PathRewriteType, ResponseBody,
    ResponseBodyType, RouteFilter,
};
use fairlead_ir::{DirectResponse as Direct, Filter, HostRewrite, PathRewrite, Rewrite};
use fairlead_store::Key;

/// Bytes of a body.
const MAX_BODY: usize = 64 * 1024;

fn wrong(path: impl Into<String>, message: impl Into<String>) -> Fault {
    Fault::new(Reason::Invalid, path, message)
}

/// What is wrong with a RouteFilter by itself.
pub(crate) fn check(key: &Key, filter: &RouteFilter, reader: &mut Reader<'_>) -> Result<(), Fault> {
    compile(key, filter, reader).map(|_| ())
}

/// The filters that a RouteFilter stands for.
pub(super) fn compile(key: &Key, filter: &RouteFilter, reader: &mut Reader<'_>) -> Result<Vec<Filter>, Fault> {
    let mut filters = Vec::new();
    if let Some(spec) = &filter.spec.url_rewrite {
        let hostname = spec.hostname.as_ref().map(hostname).transpose()?;
        let path = spec.path.as_ref().map(path).transpose()?;
        if hostname.is_none() && path.is_none() {
            return Err(wrong("spec.urlRewrite", "hostname or path is needed"));
        }
        filters.push(Filter::Rewrite(Rewrite { hostname, path }));
    }
    if let Some(spec) = &filter.spec.direct_response {
        filters.push(Filter::DirectResponse(direct(key, spec, reader)?));
    }
    match filters.len() {
        0 => Err(wrong("spec", "one of urlRewrite and directResponse is needed")),
        1 => Ok(filters),
        _ => Err(wrong("spec", "urlRewrite has no use beside directResponse, which answers at once")),
    }
}

fn hostname(spec: &HostnameRewrite) -> Result<HostRewrite, Fault> {
    match (&spec.type_, spec.header.as_deref()) {
        (HostnameRewriteType::Backend, None) => Ok(HostRewrite::Backend),
        (HostnameRewriteType::Header, Some(name)) if headers::is_name(name) => {
            Ok(HostRewrite::Header(name.to_ascii_lowercase().into()))
        }
        (HostnameRewriteType::Header, Some(name)) => {
            Err(wrong("spec.urlRewrite.hostname.header", format!("{name:?} is not a header name")))
        }
        (HostnameRewriteType::Header, None) => {
            Err(wrong("spec.urlRewrite.hostname.header", "is needed for type Header"))
        }
        (HostnameRewriteType::Backend, Some(_)) => {
            Err(wrong("spec.urlRewrite.hostname.header", "is for type Header only"))
        }
        (HostnameRewriteType::Other(other), _) => {
            Err(wrong("spec.urlRewrite.hostname.type", format!("{other:?} is neither Header nor Backend")))
        }
    }
}

fn path(spec: &PathSpec) -> Result<PathRewrite, Fault> {
    match (&spec.type_, &spec.replace_regex_match) {
        (PathRewriteType::ReplaceRegexMatch, Some(replace)) => {
            let field = "spec.urlRewrite.path.replaceRegexMatch";
            let invalid = |fault: Fault| Fault { reason: Reason::Invalid, ..fault };
            let groups = matches::regex(&replace.pattern, &format!("{field}.pattern")).map_err(invalid)?;
            substitution(&replace.substitution, groups)
                .map_err(|message| wrong(format!("{field}.substitution"), message))?;
            let (pattern, substitution) = (replace.pattern.as_str().into(), replace.substitution.as_str().into());
            Ok(PathRewrite::Regex { pattern, substitution })
        }
        (PathRewriteType::ReplaceRegexMatch, None) => {
            Err(wrong("spec.urlRewrite.path.replaceRegexMatch", "is needed for type ReplaceRegexMatch"))
        }
        (PathRewriteType::Other(other), _) => {
            Err(wrong("spec.urlRewrite.path.type", format!("{other:?} is not ReplaceRegexMatch")))
        }
    }
}

/// `\0` to `\9` are groups of the pattern, `\\` is a backslash; all else goes into a path.
fn substitution(text: &str, groups: usize) -> Result<(), String> {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next().map(|next| (next, next.to_digit(10))) {
                Some(('\\', _)) => {}
                Some((_, Some(group))) if (group as usize) < groups => {}
                Some((_, Some(group))) => {
                    return Err(format!("\\{group} is beyond the {} groups of the pattern", groups - 1));
                }
                _ => return Err("a backslash needs a digit or another backslash behind it".to_owned()),
            },
            other if other.is_ascii_graphic() && other != '#' => {}
            other => return Err(format!("{other:?} is no character of a path")),
        }
    }
    Ok(())
}

fn direct(key: &Key, spec: &DirectResponse, reader: &mut Reader<'_>) -> Result<Direct, Fault> {
    let status = spec.status_code.unwrap_or(200);
    let status = u16::try_from(status).ok().filter(|status| (200..600).contains(status));
    let status = status.ok_or_else(|| wrong("spec.directResponse.statusCode", "must be 200 to 599"))?;
    if spec.content_type.as_deref().is_some_and(|value| !headers::is_value(value)) {
        return Err(wrong("spec.directResponse.contentType", "has characters that no header may have"));
    }
    let body = spec.body.as_ref().map(|body| self::body(key, body, reader)).transpose()?;
    if body.as_ref().is_some_and(|body| body.len() > MAX_BODY) {
        return Err(wrong("spec.directResponse.body", "is longer than 64 KiB"));
    }
    Ok(Direct { status, content_type: spec.content_type.as_deref().map(Into::into), body })
}

fn body(key: &Key, spec: &ResponseBody, reader: &mut Reader<'_>) -> Result<Box<str>, Fault> {
    let path = "spec.directResponse.body";
    let reference = match (&spec.type_, &spec.inline, &spec.value_ref) {
        (ResponseBodyType::Inline, Some(inline), None) => return Ok(inline.as_str().into()),
        (ResponseBodyType::ValueRef, None, Some(reference)) => reference,
        (ResponseBodyType::Other(other), ..) => {
            return Err(wrong(format!("{path}.type"), format!("{other:?} is neither Inline nor ValueRef")));
        }
        _ => {
            return Err(wrong(
                path,
                "inline is needed for type Inline, valueRef for type ValueRef, and only one of them",
            ));
        }
    };
    let path = format!("{path}.valueRef");
    if Kind::of_group(&reference.group, &reference.kind) != Some(Kind::ConfigMap) {
        return Err(wrong(
            path,
            format!("kind {} of group {:?} can't hold a body; use a ConfigMap", reference.kind, reference.group),
        ));
    }
    let name = Key::new(key.namespace.clone(), reference.name.as_str());
    let Some(map) = reader.find::<ConfigMap>(&name) else {
        return Err(wrong(path, format!("there is no ConfigMap {name}")));
    };
    let data = map.data.as_ref();
    let only = || data.filter(|data| data.len() == 1).and_then(|data| data.values().next());
    match data.and_then(|data| data.get("response.body")).or_else(only) {
        Some(body) => Ok(body.as_str().into()),
        None => Err(wrong(path, format!("ConfigMap {name} has no key response.body"))),
    }
}
