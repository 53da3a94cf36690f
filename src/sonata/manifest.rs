//! A file of a configuration with the variables of its manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::config::read_json;
use crate::error::{Error, Result};

/// How deep variables of a manifest may name each other.
const MAX_NESTING: usize = 20;
/// Longest text that variables may stand for, bytes.
const MAX_TEXT: usize = 1 << 16;
/// Longest texts of all variables of a file together, bytes.
const MAX_TEXTS: usize = 1 << 22;

/// What a variable stands for; no other variable is in it.
#[derive(Clone, Debug)]
struct Variable {
    text: String,
    /// Whether it is a path from the root or from where the program runs, so that no folder belongs before it.
    is_whole: bool,
}

/// Variables by name; why there is no value where one that a text names is not set.
type Variables = BTreeMap<String, std::result::Result<Variable, String>>;

/// A JSON file with its variables.
pub(super) struct File {
    path: PathBuf,
    root: Value,
    variables: Variables,
}

impl File {
    /// Reads a file; `named_by` is the file that names it, whose variables it may use. `given` takes the place of its own.
    pub(super) fn read(
        path: &Path,
        named_by: Option<&Self>,
        given: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let root = read_json(path)?;
        if !root.is_object() {
            return Err(Error::file(path, "is no SONATA configuration: it is not a JSON object"));
        }
        let mut file = Self { path: path.to_path_buf(), root, variables: Variables::new() };
        file.variables = named_by.map(|by| by.variables.clone()).unwrap_or_default();
        let folder = Variable { text: file.folder().display().to_string(), is_whole: true };
        for name in ["configdir", "workingdir"] {
            file.variables.insert(name.to_owned(), Ok(folder.clone()));
        }
        let mut raw = BTreeMap::new();
        for (name, value) in file.object("manifest")?.into_iter().flatten() {
            let text =
                value.as_str().ok_or_else(|| file.error(&format!("manifest.{name}"), "must be a text"))?;
            raw.insert(bare(name).to_owned(), (text.to_owned(), false));
        }
        raw.extend(given.iter().map(|(name, text)| (bare(name).to_owned(), (text.clone(), true))));
        raw.keys().for_each(|name| {
            file.variables.remove(name);
        });
        let mut n_bytes = 0;
        for name in raw.keys() {
            file.resolve(name, &raw, 0, &mut n_bytes)?;
        }
        Ok(file)
    }

    /// Makes the variable `name` whole, and before it those that it names. `raw` has the texts of all, and whether they were given.
    fn resolve(
        &mut self,
        name: &str,
        raw: &BTreeMap<String, (String, bool)>,
        depth: usize,
        n_bytes: &mut usize,
    ) -> Result<()> {
        if self.variables.contains_key(name) {
            return Ok(());
        }
        let field = format!("manifest.${name}");
        if depth > MAX_NESTING {
            let reason =
                format!("names variables that name each other in a circle, or more than {MAX_NESTING} deep");
            return Err(self.error(&field, reason));
        }
        let Some((text, is_given)) = raw.get(name) else { return Ok(()) };
        for (_, other) in names(text) {
            self.resolve(other, raw, depth + 1, n_bytes)?;
        }
        // Only what is used must be set: outputs may be named by the date.
        let unset = names(text).find_map(|(_, other)| self.unset(other));
        let variable = match unset {
            Some(reason) => Err(format!("{field} uses {reason}")),
            None => {
                let Variable { text: whole, is_whole } = self.expand(text, &field)?;
                *n_bytes += whole.len();
                if *n_bytes > MAX_TEXTS {
                    let reason = format!("is too long: its texts have more than {MAX_TEXTS} bytes");
                    return Err(self.error("manifest", reason));
                }
                let is_whole =
                    is_whole || (*is_given && !text.starts_with('$')) || Path::new(&whole).is_absolute();
                Ok(match !is_whole && whole.starts_with('.') {
                    // Another file may use it, whose folder is another.
                    true => {
                        Variable { text: self.folder().join(whole).display().to_string(), is_whole: true }
                    }
                    false => Variable { text: whole, is_whole },
                })
            }
        };
        self.variables.insert(name.to_owned(), variable);
        Ok(())
    }

    /// Why a variable has no value; none where it has one.
    fn unset(&self, name: &str) -> Option<String> {
        match self.variables.get(name) {
            Some(Ok(_)) => None,
            Some(Err(reason)) => Some(format!("${name} ({reason})")),
            None => Some(format!("${name}, which no manifest sets (the scene's network.manifest can)")),
        }
    }

    /// Text with its variables, `$NAME` or `${NAME}`, replaced.
    fn expand(&self, text: &str, field: &str) -> Result<Variable> {
        let mut expanded = String::new();
        let (mut at, mut is_whole) = (0, false);
        for (range, name) in names(text) {
            let Some(Ok(variable)) = self.variables.get(name) else {
                return Err(self.error(field, format!("uses {}", self.unset(name).unwrap_or_default())));
            };
            is_whole |= range.start == 0 && variable.is_whole;
            expanded += &text[at..range.start];
            expanded += &variable.text;
            at = range.end;
            if expanded.len() > MAX_TEXT {
                return Err(self.error(field, format!("is too long: more than {MAX_TEXT} bytes")));
            }
        }
        expanded += &text[at..];
        Ok(Variable { text: expanded, is_whole })
    }

    /// A path with its variables replaced; relative ones start at this file's folder.
    pub(super) fn path_of(&self, text: &str, field: &str) -> Result<PathBuf> {
        let Variable { text, is_whole } = self.expand(text, field)?;
        if text.contains('\0') {
            return Err(self.error(field, "must name a file: no path holds a NUL"));
        }
        Ok(if is_whole { PathBuf::from(text) } else { self.folder().join(text) })
    }

    /// The path of a value: a text, or a list of one.
    pub(super) fn path_at(&self, value: &Value, field: &str) -> Result<PathBuf> {
        match value {
            Value::String(text) => self.path_of(text, field),
            Value::Array(several) if several.len() == 1 && several[0].is_string() => {
                self.path_at(&several[0], field)
            }
            _ => Err(self.error(field, "must name a file")),
        }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub(super) fn root(&self) -> &Value {
        &self.root
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        }
    }

    /// An error about a field.
    pub(super) fn error(&self, field: &str, reason: impl std::fmt::Display) -> Error {
        Error::file(&self.path, format!("{field} {reason}"))
    }

    /// The object under a key, if there is one.
    pub(super) fn object(&self, key: &str) -> Result<Option<&Map<String, Value>>> {
        match self.root.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(_) => Err(self.error(key, "must be an object")),
        }
    }

    /// A number of the object under a key, if there is one.
    pub(super) fn number(&self, key: &str, name: &str) -> Result<Option<f64>> {
        match self.object(key)?.and_then(|object| object.get(name)) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => Err(self.error(&format!("{key}.{name}"), "must be a number")),
            },
        }
    }
}

/// The variables that a text uses, with where they stand.
fn names(text: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + text[from..].find('$')?;
        let rest = &text[start + 1..];
        let (name, length) =
            match rest.strip_prefix('{').and_then(|braced| braced.find('}').map(|n| (&braced[..n], n + 2))) {
                Some(braced) => braced,
                None => {
                    let n = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    (&rest[..n], n)
                }
            };
        from = start + 1 + length;
        Some((start..from, name.trim_start_matches('$')))
    })
}

/// A variable's name without its `$` and braces.
fn bare(name: &str) -> &str {
    name.trim_start_matches('$').trim_start_matches('{').trim_end_matches('}')
}
