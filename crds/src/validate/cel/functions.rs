//! The functions that Kubernetes adds to CEL, as far as rules of the Gateway API and our own use them: strings, regular
//! expressions, IP addresses, CIDRs, URLs, durations and named formats.
//! (<https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries>)

use std::any::Any;
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::HashMap;

use cel::common::functions::Function;
use cel::common::traits::Comparer;
use cel::common::types::{CelBool, CelList, CelOptional, CelString, STRING_TYPE, Type};
use cel::common::value::{CowVal, StaticVal, Val};
use cel::{DeclarationError, Env, ExecutionError};
use regex::Regex;

use crate::validate::format;

/// The standard library, the strings extension and the functions below.
pub(super) fn env() -> Env {
    let mut env = Env::stdlib();
    let declared = env.add_extension(cel::extensions::strings).and_then(|()| declare(&mut env));
    // Two overloads of one name and signature: a mistake in this file, which the tests of any rule show.
    debug_assert!(declared.is_ok(), "{declared:?}");
    env
}

fn declare(env: &mut Env) -> Result<(), DeclarationError> {
    let text = || vec![STRING_TYPE];
    let global: [(&str, Function); 4] =
        [("isIP", is_ip), ("isCIDR", is_cidr), ("isURL", is_url), ("duration", duration)];
    for (name, function) in global {
        env.add_overload(name, &format!("{name}_string"), text(), function)?;
    }
    env.add_overload("matches", "matches", vec![STRING_TYPE, STRING_TYPE], matches)?;
    env.add_member_overload("matches", "string_matches", STRING_TYPE, text(), matches)?;
    env.add_member_overload("find", "string_find", STRING_TYPE, text(), find)?;
    let formats: [(&str, Function); 6] = [
        ("format.dns1123Label", |_| named("dns1123Label")),
        ("format.dns1123Subdomain", |_| named("dns1123Subdomain")),
        ("format.dns1035Label", |_| named("dns1035Label")),
        ("format.qualifiedName", |_| named("qualifiedName")),
        ("format.labelValue", |_| named("labelValue")),
        ("format.uri", |_| named("uri")),
    ];
    for (name, function) in formats {
        env.add_overload(name, name, vec![], function)?;
    }
    env.add_member_overload("validate", "format_validate", FORMAT_TYPE, text(), validate)
}

/// The text of an argument; the overload's signature has made sure that it is one.
fn text<'a>(arguments: &'a [CowVal<'_, '_>], index: usize) -> Result<&'a str, ExecutionError> {
    let argument = arguments.get(index).ok_or(ExecutionError::MissingArgumentOrTarget)?;
    match argument.downcast_ref::<CelString>() {
        Some(text) => Ok(text.inner()),
        None => Err(ExecutionError::UnexpectedType {
            got: argument.get_type().name().to_owned(),
            want: "string".to_owned(),
        }),
    }
}

fn bool<'b, 'v>(value: bool) -> Result<CowVal<'b, 'v>, ExecutionError> {
    Ok(CowVal::owned(CelBool::from(value)))
}

fn is_ip<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    bool(format::is_ip(text(&arguments, 0)?))
}

fn is_cidr<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    bool(format::is_cidr(text(&arguments, 0)?))
}

fn is_url<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    bool(format::is_url(text(&arguments, 0)?))
}

fn matches<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (value, pattern) = (text(&arguments, 0)?, text(&arguments, 1)?);
    with_regex(pattern, |regex| regex.is_match(value)).and_then(bool)
}

fn find<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let (value, pattern) = (text(&arguments, 0)?, text(&arguments, 1)?);
    let found = with_regex(pattern, |regex| regex.find(value).map_or("", |found| found.as_str()))?;
    Ok(CowVal::owned(CelString::from(found.to_owned())))
}

/// Rules have literal patterns, so a thread meets few of them: all are kept, up to a limit.
fn with_regex<T>(pattern: &str, run: impl FnOnce(&Regex) -> T) -> Result<T, ExecutionError> {
    const LIMIT: usize = 256;
    thread_local! {
        static REGEXES: RefCell<HashMap<Box<str>, Regex>> = RefCell::new(HashMap::new());
    }
    REGEXES.with_borrow_mut(|regexes| {
        if let Some(regex) = regexes.get(pattern) {
            return Ok(run(regex));
        }
        let regex = Regex::new(pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
        if regexes.len() >= LIMIT {
            regexes.clear();
        }
        let result = run(&regex);
        regexes.insert(pattern.into(), regex);
        Ok(result)
    })
}

/// A length of time in nanoseconds, for comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Length(i64);

static LENGTH_TYPE: Type = Type::new_unspecified_type("google.protobuf.Duration");

impl Val for Length {
    fn get_type(&self) -> &Type {
        &LENGTH_TYPE
    }

    fn cel_type() -> &'static Type {
        &LENGTH_TYPE
    }

    fn as_comparer(&self) -> Option<&dyn Comparer> {
        Some(self)
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>() == Some(self)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Length {}

impl Comparer for Length {
    fn compare(&self, other: &dyn Val) -> Result<Ordering, ExecutionError> {
        match other.downcast_ref::<Self>() {
            Some(other) => Ok(self.cmp(other)),
            None => Err(ExecutionError::UnexpectedType {
                got: other.get_type().name().to_owned(),
                want: LENGTH_TYPE.name().to_owned(),
            }),
        }
    }
}

fn duration<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let written = text(&arguments, 0)?;
    match format::go_duration(written) {
        Some(nanoseconds) => Ok(CowVal::owned(Length(nanoseconds))),
        None => Err(ExecutionError::function_error("duration", format!("not a duration: {written:?}"))),
    }
}

/// A named format, as `format.dns1123Label()` gives it.
#[derive(Clone, Copy, Debug)]
struct Format(&'static str);

const FORMAT_TYPE: Type = Type::new_unspecified_type("kubernetes.NamedFormat");
static STATIC_FORMAT_TYPE: Type = FORMAT_TYPE;

impl Val for Format {
    fn get_type(&self) -> &Type {
        &STATIC_FORMAT_TYPE
    }

    fn cel_type() -> &'static Type {
        &STATIC_FORMAT_TYPE
    }

    fn equals(&self, other: &dyn Val) -> bool {
        other.downcast_ref::<Self>().is_some_and(|other| other.0 == self.0)
    }

    fn clone_as_boxed<'v>(&self) -> Box<dyn Val + 'v>
    where
        Self: 'v,
    {
        Box::new(*self)
    }

    fn as_any(&self) -> Option<&dyn Any> {
        Some(self)
    }
}

impl StaticVal for Format {}

fn named<'b, 'v>(name: &'static str) -> Result<CowVal<'b, 'v>, ExecutionError> {
    Ok(CowVal::owned(Format(name)))
}

/// `optional.none()` when the text has the format, else a list of what is wrong.
fn validate<'b, 'v>(arguments: Vec<CowVal<'b, 'v>>) -> Result<CowVal<'b, 'v>, ExecutionError> {
    let format = arguments.first().and_then(|format| format.downcast_ref::<Format>());
    let name = format.ok_or(ExecutionError::MissingArgumentOrTarget)?.0;
    let optional = match format::named(name, text(&arguments, 1)?) {
        Ok(()) => CelOptional::none(),
        Err(problem) => {
            let problem: Box<dyn Val> = Box::new(CelString::from(problem.to_owned()));
            CelOptional::of(Box::new(CelList::from(vec![problem])))
        }
    };
    Ok(CowVal::owned(optional))
}
