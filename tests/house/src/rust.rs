//! Rust sources as tokens: which files make a crate, what of them is test code, and what the rest holds.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files of a crate, found by its `mod` declarations, and what is in them.
#[derive(Debug, Default)]
pub struct Crate {
    /// Each file once; `true` when it is test code as a whole.
    pub files: Vec<(PathBuf, bool)>,
    /// What was found outside of test code.
    pub findings: Vec<Finding>,
    /// Files that could not be read.
    pub problems: Vec<String>,
}

/// Something that a rule may have an opinion on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: PathBuf,
    /// Counted from 1.
    pub line: usize,
    /// What it is.
    pub what: What,
}

/// Kinds of findings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// `.unwrap()`, `.expect("…")` and their kin.
    Unwrap(String),
    /// The keyword, in any role.
    Unsafe,
    /// `Instant::now`, `SystemTime::now`: a clock is read.
    Clock,
    /// Input, output, threads: `std::fs`, `std::net::TcpStream`, `std::process`, `std::thread`, `tokio`.
    Effect(String),
    /// A declared name: of a type, function or module.
    Name {
        /// `struct`, `mod`, `fn` …; `getter` for a function that takes only `self`.
        kind: String,
        /// The name.
        name: String,
    },
}

impl Crate {
    /// Reads a crate from its root file.
    pub fn read(root: &Path) -> Crate {
        let mut krate = Crate::default();
        let mut queue = vec![(root.to_path_buf(), parent(root), false)];
        let mut seen = BTreeSet::new();
        while let Some((file, dir, test)) = queue.pop() {
            if !seen.insert(file.clone()) {
                continue;
            }
            let tokens = std::fs::read_to_string(&file).map_err(|e| e.to_string()).and_then(|text| parse(&text));
            match tokens {
                Ok(tokens) => {
                    let mut scan =
                        Scan { file: &file, findings: &mut krate.findings, foreign: false, children: Vec::new() };
                    scan.items(tokens, &dir, test);
                    queue.extend(scan.children);
                }
                Err(problem) => krate.problems.push(format!("{}: {problem}", file.display())),
            }
            krate.files.push((file, test));
        }
        krate.files.sort();
        krate
    }
}

/// What a text holds outside of test code.
pub fn scan(text: &str) -> Vec<What> {
    let mut findings = Vec::new();
    let tokens = parse(text).unwrap_or_default();
    Scan { file: Path::new(""), findings: &mut findings, foreign: false, children: Vec::new() }.items(
        tokens,
        Path::new(""),
        false,
    );
    findings.into_iter().map(|finding| finding.what).collect()
}

fn parse(text: &str) -> Result<TokenStream, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.parse().map_err(|e: proc_macro2::LexError| format!("line {}: {e}", e.span().start().line))
}

fn parent(file: &Path) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).to_path_buf()
}

struct Scan<'a> {
    file: &'a Path,
    findings: &'a mut Vec<Finding>,
    /// Within the implementation of a trait: names are not ours.
    foreign: bool,
    /// File, folder of its own modules, whether it is test code.
    children: Vec<(PathBuf, PathBuf, bool)>,
}

impl Scan<'_> {
    /// Walks tokens; `dir` is where modules declared here have their files.
    fn items(&mut self, tokens: TokenStream, dir: &Path, test: bool) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        let mut attributes = Attributes::default();
        let mut implements = Implements::default();
        while at < tokens.len() {
            if let Some((attribute, inner, len)) = attribute(&tokens[at..]) {
                if inner && attributes_say_test(attribute) {
                    return self.rest_is_test(&tokens[at + len..], dir);
                }
                attributes.add(attribute);
                at += len;
                continue;
            }
            let in_test = test || attributes.test;
            if let Some((name, body, len)) = module(&tokens[at..]) {
                self.module(name, body, &attributes, dir, in_test, &tokens[at]);
                at += len;
            } else if attributes.test && !test {
                // The whole item is skipped, but for modules in it.
                let len = item_len(&tokens[at..]);
                self.tokens(&tokens[at..at + len], dir, true);
                at += len;
            } else {
                let within_path = at > 0 && is_punct(&tokens[at - 1], ':');
                if !test {
                    self.look(&tokens[at..], within_path);
                }
                let outer = self.foreign;
                self.foreign |= implements.see(&tokens[at..]);
                self.tokens(&tokens[at..=at], dir, in_test);
                self.foreign = outer;
                at += 1;
            }
            attributes = Attributes::default();
        }
    }

    fn rest_is_test(&mut self, tokens: &[TokenTree], dir: &Path) {
        self.items(tokens.iter().cloned().collect(), dir, true);
    }

    /// Goes into groups.
    fn tokens(&mut self, tokens: &[TokenTree], dir: &Path, test: bool) {
        for token in tokens {
            if let TokenTree::Group(group) = token {
                self.items(group.stream(), dir, test);
            }
        }
    }

    fn module(
        &mut self,
        name: String,
        body: Option<Group>,
        attributes: &Attributes,
        dir: &Path,
        test: bool,
        at: &TokenTree,
    ) {
        if !test {
            self.push(at, What::Name { kind: "mod".into(), name: name.clone() });
        }
        let inside = dir.join(&name);
        if let Some(body) = body {
            return self.items(body.stream(), &inside, test);
        }
        if let Some(path) = &attributes.path {
            let file = parent(self.file).join(path);
            let own = parent(&file);
            return self.children.push((file, own, test));
        }
        let (flat, nested) = (dir.join(format!("{name}.rs")), inside.join("mod.rs"));
        let file = if nested.exists() { nested } else { flat };
        self.children.push((file, inside, test));
    }

    /// Looks at what begins here.
    fn look(&mut self, tokens: &[TokenTree], within_path: bool) {
        let found = match tokens {
            [TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(arguments), ..]
                if dot.as_char() == '.'
                    && arguments.delimiter() == Delimiter::Parenthesis
                    && panics(&name.to_string(), arguments) =>
            {
                return self.push(&tokens[1], What::Unwrap(name.to_string()));
            }
            [TokenTree::Ident(keyword), ..] if keyword == "unsafe" => Some(What::Unsafe),
            [TokenTree::Ident(kind), TokenTree::Ident(name), ..]
                if !self.foreign && DECLARES.iter().any(|k| kind == k) =>
            {
                let getter = matches!(tokens, [_, _, TokenTree::Group(arguments), ..] if only_self(arguments));
                let kind = if getter { "getter".to_string() } else { kind.to_string() };
                Some(What::Name { kind, name: name.to_string() })
            }
            _ if within_path => None,
            _ => path(tokens).and_then(|path| effect(&path)),
        };
        if let Some(what) = found {
            self.push(&tokens[0], what);
        }
    }

    fn push(&mut self, at: &TokenTree, what: What) {
        let line = at.span().start().line;
        self.findings.push(Finding { file: self.file.to_path_buf(), line, what });
    }
}

const DECLARES: [&str; 5] = ["struct", "enum", "trait", "type", "fn"];

/// Tells the body of `impl Trait for Type`, whose names are the trait's.
#[derive(Debug, Default)]
struct Implements {
    seen: Option<bool>,
}

impl Implements {
    /// Whether the token that comes next is such a body.
    fn see(&mut self, tokens: &[TokenTree]) -> bool {
        match tokens {
            [TokenTree::Ident(word), ..] if word == "impl" => self.seen = Some(false),
            [TokenTree::Ident(word), next, ..] if word == "for" && self.seen.is_some() && !is_punct(next, '<') => {
                self.seen = Some(true)
            }
            [TokenTree::Group(body), ..] if body.delimiter() == Delimiter::Brace => {
                return self.seen.take() == Some(true);
            }
            [token, ..] if is_punct(token, ';') => self.seen = None,
            _ => {}
        }
        false
    }
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == c)
}

/// `(self)`, `(&self)`, `(&mut self)`.
fn only_self(arguments: &Group) -> bool {
    let text: String = arguments.stream().into_iter().map(|token| token.to_string()).collect();
    ["self", "&self", "&mutself"].contains(&text.as_str())
}

/// `unwrap` without arguments; `expect` with a text (parsers have methods of that name that take something else).
fn panics(name: &str, arguments: &Group) -> bool {
    let first = arguments.stream().into_iter().next().map(|token| token.to_string());
    match name {
        "unwrap" | "unwrap_err" => first.is_none(),
        "expect" | "expect_err" => {
            first.is_some_and(|first| first.starts_with('"') || first.starts_with("r#") || first == "&")
        }
        _ => false,
    }
}

/// The path that begins here: `std::fs::File` as its segments. Only those that begin one.
fn path(tokens: &[TokenTree]) -> Option<Vec<String>> {
    let mut segments = Vec::new();
    let mut rest = tokens;
    while let [TokenTree::Ident(segment), after @ ..] = rest {
        segments.push(segment.to_string());
        match after {
            [TokenTree::Punct(a), TokenTree::Punct(b), next @ ..] if a.as_char() == ':' && b.as_char() == ':' => {
                rest = next
            }
            _ => break,
        }
    }
    (segments.len() > 1).then_some(segments)
}

fn effect(path: &[String]) -> Option<What> {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [.., "Instant" | "SystemTime" | "UtcDateTime", "now"] => Some(What::Clock),
        ["std", "fs" | "process" | "thread" | "env" | "io", ..]
        | ["std", "net", "TcpStream" | "TcpListener" | "UdpSocket", ..]
        | ["tokio", ..] => Some(What::Effect(path.join("::"))),
        _ => None,
    }
}

/// What the attributes before an item say.
#[derive(Debug, Default)]
struct Attributes {
    test: bool,
    path: Option<String>,
}

impl Attributes {
    fn add(&mut self, attribute: &Group) {
        self.test |= attributes_say_test(attribute);
        let mut tokens = attribute.stream().into_iter();
        if let (Some(TokenTree::Ident(name)), Some(_), Some(value)) = (tokens.next(), tokens.next(), tokens.next())
            && name == "path"
        {
            self.path = Some(value.to_string().trim_matches('"').to_string());
        }
    }
}

/// `#[test]`, `#[tokio::test]`, `#[cfg(test)]`, `#[cfg(any(test, …))]`; not `#[cfg(not(test))]`.
fn attributes_say_test(attribute: &Group) -> bool {
    let tokens: Vec<TokenTree> = attribute.stream().into_iter().collect();
    match tokens.as_slice() {
        [TokenTree::Ident(cfg), TokenTree::Group(condition)] if cfg == "cfg" => condition_says_test(condition.stream()),
        [.., TokenTree::Ident(test)] => test == "test" || test == "bench",
        [.., TokenTree::Ident(test), TokenTree::Group(_)] => test == "test",
        _ => false,
    }
}

fn condition_says_test(condition: TokenStream) -> bool {
    let mut negated = false;
    for token in condition {
        match token {
            TokenTree::Ident(word) if word == "test" => return true,
            TokenTree::Ident(word) => negated = word == "not",
            TokenTree::Group(group) if !negated && condition_says_test(group.stream()) => return true,
            _ => {}
        }
    }
    false
}

/// `#[…]` or `#![…]`: its content, whether it is an inner one, and its length.
fn attribute(tokens: &[TokenTree]) -> Option<(&Group, bool, usize)> {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && group.delimiter() == Delimiter::Bracket =>
        {
            Some((group, false, 2))
        }
        [TokenTree::Punct(hash), TokenTree::Punct(bang), TokenTree::Group(group), ..]
            if hash.as_char() == '#' && bang.as_char() == '!' =>
        {
            Some((group, true, 3))
        }
        _ => None,
    }
}

/// `pub(crate) mod name;` or `mod name { … }`: its name, body and length.
fn module(tokens: &[TokenTree]) -> Option<(String, Option<Group>, usize)> {
    let start = visibility_len(tokens);
    match &tokens[start..] {
        [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Punct(end), ..]
            if keyword == "mod" && end.as_char() == ';' =>
        {
            Some((name.to_string(), None, start + 3))
        }
        [TokenTree::Ident(keyword), TokenTree::Ident(name), TokenTree::Group(body), ..]
            if keyword == "mod" && body.delimiter() == Delimiter::Brace =>
        {
            Some((name.to_string(), Some(body.clone()), start + 3))
        }
        _ => None,
    }
}

fn visibility_len(tokens: &[TokenTree]) -> usize {
    match tokens {
        [TokenTree::Ident(word), TokenTree::Group(scope), ..]
            if word == "pub" && scope.delimiter() == Delimiter::Parenthesis =>
        {
            2
        }
        [TokenTree::Ident(word), ..] if word == "pub" => 1,
        _ => 0,
    }
}

/// An item or statement: to its braces or semicolon; a field, variant or match arm: to its comma.
fn item_len(tokens: &[TokenTree]) -> usize {
    const ITEMS: [&str; 16] = [
        "fn",
        "impl",
        "struct",
        "enum",
        "trait",
        "use",
        "const",
        "static",
        "type",
        "extern",
        "async",
        "unsafe",
        "union",
        "let",
        "macro_rules",
        "mod",
    ];
    let start = visibility_len(tokens);
    let item = matches!(tokens.get(start), Some(TokenTree::Ident(word)) if ITEMS.iter().any(|i| word == i));
    let use_or_let =
        matches!(tokens.get(start), Some(TokenTree::Ident(word)) if word == "use" || word == "let" || word == "static");
    for (i, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Punct(p) if p.as_char() == ';' => return i + 1,
            TokenTree::Punct(p) if p.as_char() == ',' && !item => return i + 1,
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace && !use_or_let => return i + 1,
            _ => {}
        }
    }
    tokens.len()
}

#[cfg(test)]
mod tests;
