//! The values of a configuration by their places; what nobody asks for is named.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::error::{Error, Result};

/// Stands for a dot within a name, since dots are between the names of a place.
const DOT: char = '\u{1}';

/// A configuration and the places that were asked for.
pub(super) struct Config<'a> {
    pub(super) file: &'a Path,
    pub(super) root: Value,
    /// Places (dotted) that were asked for.
    asked: RefCell<BTreeSet<String>>,
}

/// A place as a message shows it.
fn shown(place: &str) -> String {
    place.replace(DOT, ".")
}

/// A name as a part of a place.
pub(super) fn part(name: &str) -> String {
    name.replace('.', &DOT.to_string())
}

impl<'a> Config<'a> {
    pub(super) fn new(file: &'a Path, root: Value) -> Self {
        Self { file, root, asked: RefCell::default() }
    }

    pub(super) fn error(&self, place: &str, value: impl ToString, limit: impl Into<String>) -> Error {
        Error::field(self.file, shown(place), value, limit)
    }

    /// The value of a place, which is not marked as asked for; null is none.
    pub(super) fn peek(&self, place: &str) -> Option<&Value> {
        place
            .split('.')
            .try_fold(&self.root, |value, name| match value {
                Value::Object(object) => object.get(&shown(name)),
                Value::Array(all) => all.get(name.parse::<usize>().ok()?),
                _ => None,
            })
            .filter(|value| !value.is_null())
    }

    /// The value of a place, which is marked as asked for.
    pub(super) fn get(&self, place: &str) -> Option<&Value> {
        self.asked.borrow_mut().insert(place.to_owned());
        self.peek(place)
    }

    /// Takes a place back, so that what is below it is named if nobody asks for it.
    pub(super) fn not_asked(&self, place: &str) {
        self.asked.borrow_mut().remove(place);
    }

    pub(super) fn number(&self, place: &str) -> Result<Option<f64>> {
        let number = |v: &Value| v.as_f64().ok_or_else(|| self.error(place, v, "must be a number"));
        self.get(place).map(number).transpose()
    }

    pub(super) fn needed_number(&self, place: &str) -> Result<f64> {
        self.number(place)?.ok_or_else(|| self.error(place, "nothing", "must be a number"))
    }

    /// A whole number from `least` on.
    pub(super) fn whole(&self, place: &str, least: f64) -> Result<Option<f64>> {
        let number = self.number(place)?;
        if let Some(wrong) = number.filter(|n| n.fract() != 0.0 || *n < least) {
            return Err(self.error(place, wrong, format!("must be a whole number from {least}")));
        }
        Ok(number)
    }

    pub(super) fn needed_whole(&self, place: &str, least: f64) -> Result<f64> {
        let nothing = || self.error(place, "nothing", format!("must be a whole number from {least}"));
        self.whole(place, least)?.ok_or_else(nothing)
    }

    pub(super) fn text(&self, place: &str) -> Result<Option<&str>> {
        match self.get(place) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(place, other, "must be a text")),
        }
    }

    /// Yes or no. Python takes other values for one of both, which is seldom meant.
    pub(super) fn flag(&self, place: &str) -> Result<Option<bool>> {
        let flag = |v: &Value| v.as_bool().ok_or_else(|| self.error(place, v, "must be true or false"));
        self.get(place).map(flag).transpose()
    }

    /// Parts of the places of the members of an object or a list, not marked as asked for.
    pub(super) fn keys(&self, place: &str) -> Vec<String> {
        match self.peek(place) {
            Some(Value::Object(object)) => object.keys().map(|name| part(name)).collect(),
            Some(Value::Array(all)) => (0..all.len()).map(|ix| ix.to_string()).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn is_list(&self, place: &str) -> bool {
        self.peek(place).is_some_and(Value::is_array)
    }

    /// Every place below the top-level keys, those of `but` apart, that nobody asked for, with its value.
    pub(super) fn left(&self, but: &[&str]) -> Vec<(String, &Value)> {
        let mut left = Vec::new();
        for (key, value) in self.root.as_object().into_iter().flatten() {
            if !but.contains(&key.as_str()) {
                self.leaves(value, &part(key), &mut left);
            }
        }
        left.sort_by(|a, b| a.0.cmp(&b.0));
        left.into_iter().map(|(place, value)| (shown(&place), value)).collect()
    }

    fn leaves<'b>(&self, value: &'b Value, place: &str, left: &mut Vec<(String, &'b Value)>) {
        if self.asked.borrow().contains(place) {
            return;
        }
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    self.leaves(value, &format!("{place}.{}", part(key)), left);
                }
            }
            Value::Array(all) if all.iter().any(Value::is_object) => {
                for (ix, value) in all.iter().enumerate() {
                    self.leaves(value, &format!("{place}.{ix}"), left);
                }
            }
            _ => left.push((place.to_owned(), value)),
        }
    }
}
