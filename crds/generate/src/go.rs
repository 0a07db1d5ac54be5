//! Reads the few facts that the OpenAPI document loses from the module's Go sources: the named type of each field, the
//! constants of each string type, and which structs are embedded in which.
//!
//! This is a line scanner for `gofmt`-ed API types, not a Go parser: one field per line, tags in back quotes.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// What one API package declares.
#[derive(Debug, Default)]
pub struct Package {
    /// Struct name → what it holds and where it was declared.
    pub structs: BTreeMap<String, Struct>,
    /// String type name → the values of its constants, in source order.
    pub constants: BTreeMap<String, Vec<String>>,
    /// Names of types declared as `string`, with the file stem that declares them.
    pub strings: BTreeMap<String, String>,
}

/// A Go struct.
#[derive(Debug, Default)]
pub struct Struct {
    /// The declaring file, without `_types.go`.
    pub file: String,
    /// JSON field name → Go type name, without pointers, slices and package.
    pub fields: BTreeMap<String, String>,
    /// Type names embedded with `json:",inline"`, without package.
    pub embedded: Vec<String>,
}

impl Package {
    /// Scans every `*_types.go` below `dir` (not its subfolders).
    pub fn read(dir: &Path) -> Result<Self> {
        let mut package = Self::default();
        let mut files: Vec<_> =
            std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?.collect::<Result<_, _>>()?;
        files.sort_by_key(std::fs::DirEntry::file_name);
        for file in files {
            let name = file.file_name().to_string_lossy().into_owned();
            if let Some(stem) = name.strip_suffix("_types.go") {
                let text = std::fs::read_to_string(file.path())?;
                package.scan(stem, &text);
            }
        }
        Ok(package)
    }

    /// The Go type of a JSON field, looking through embedded structs.
    pub fn field_type(&self, name: &str, field: &str) -> Option<&str> {
        let declared = self.structs.get(name)?;
        if let Some(found) = declared.fields.get(field) {
            return Some(found);
        }
        declared.embedded.iter().find_map(|inner| self.field_type(inner, field))
    }

    /// The struct that `name` merely renames, when it is nothing but one embedded struct.
    pub fn renames(&self, name: &str) -> Option<&str> {
        match self.structs.get(name) {
            Some(Struct { fields, embedded, .. }) if fields.is_empty() && embedded.len() == 1 => Some(&embedded[0]),
            _ => None,
        }
    }

    fn scan(&mut self, file: &str, text: &str) {
        let mut current: Option<(String, Struct)> = None;
        for line in text.lines() {
            let line = line.trim();
            if line.starts_with("//") || line.is_empty() {
                continue;
            }
            match current.take() {
                Some((name, done)) if line == "}" => {
                    self.structs.insert(name, done);
                }
                Some((name, mut open)) => {
                    scan_field(line, &mut open);
                    current = Some((name, open));
                }
                None => current = self.scan_declaration(file, line),
            }
        }
    }

    fn scan_declaration(&mut self, file: &str, line: &str) -> Option<(String, Struct)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["type", name, "struct", "{"] => {
                let open = Struct { file: file.to_owned(), ..Struct::default() };
                return Some(((*name).to_owned(), open));
            }
            ["type", name, "string"] => {
                self.strings.insert((*name).to_owned(), file.to_owned());
            }
            [_, of, "=", value, ..] | ["const", _, of, "=", value, ..] if value.starts_with('"') => {
                let value = value.trim_matches('"').to_owned();
                let values = self.constants.entry((*of).to_owned()).or_default();
                if !value.is_empty() && !values.contains(&value) {
                    values.push(value);
                }
            }
            _ => {}
        }
        None
    }
}

fn scan_field(line: &str, open: &mut Struct) {
    let Some((declaration, tag)) = line.split_once("`json:\"") else {
        return;
    };
    let json = tag.split(['"', ',']).next().unwrap_or_default();
    let bare = |written: &str| {
        let ident = written.trim_start_matches(['*', '[', ']']);
        ident.rsplit('.').next().unwrap_or(ident).to_owned()
    };
    match declaration.split_whitespace().collect::<Vec<_>>().as_slice() {
        [embedded] if json.is_empty() => open.embedded.push(bare(embedded)),
        [_, written] => {
            open.fields.insert(json.to_owned(), bare(written));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
// Comments and blank lines do not matter.
type Route struct {
	metav1.TypeMeta `json:",inline"`
	Common `json:",inline"`

	// +optional
	Kinds []other.Kind `json:"kinds,omitempty"` // why
}

type Common struct {
	// type Not struct {
	Mode *Mode `json:"mode,omitempty"`
}

type Renamed struct {
	Common `json:",inline"`
}

type Mode string

const (
	ModeOne Mode = "One"
	ModeTwo Mode = "Two"
	Untyped = "x"
	ModeEmpty Mode = ""
)
const ModeThree Mode = "Three"
"#;

    #[test]
    fn declarations_are_found() {
        let mut package = Package::default();
        package.scan("route", SOURCE);
        assert_eq!(package.field_type("Route", "kinds"), Some("Kind"));
        assert_eq!(package.field_type("Route", "mode"), Some("Mode"), "embedded structs are looked through");
        assert_eq!(package.field_type("Route", "other"), None);
        assert_eq!(package.renames("Renamed"), Some("Common"));
        assert_eq!(package.renames("Route"), None);
        assert_eq!(package.constants["Mode"], ["One", "Two", "Three"]);
        assert_eq!(package.structs["Common"].file, "route");
        assert!(package.strings.contains_key("Mode"));
    }
}
