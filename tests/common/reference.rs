//! The reference of scenes as Markdown, from the documentation of the types.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use syn::{Attribute, Expr, Fields, GenericArgument, Item, Lit, Meta, PathArguments, Stmt, Type};

/// What the reference begins with.
const HEAD: &str = "# Scenes

A scene is one file of RON (rusty object notation): fields as `name: value`, lists in `[ ]`, text in `\" \"`, comments behind `//`. `simrun new NAME`
writes one to start from; `simrun check FILE` says whether it can be run; `--set path.to.field=value` replaces a value for one run.
Unknown fields are refused. A field without a default must be given; where a field may be `None`, leaving it out is the same.

This file is made from the documentation in the sources: `cargo run --release --example scene_reference`.
";

/// Types that a file of scenes begins with.
const ROOTS: [&str; 2] = ["Scene", "ExperimentScene"];

/// A type of scenes.
enum Kind {
    Struct(Vec<Field>),
    Enum(Vec<Variant>),
}

struct Described {
    doc: String,
    kind: Kind,
}

struct Field {
    name: String,
    doc: String,
    /// As the reader sees it, and the scene's types in it.
    shown: String,
    types: Vec<String>,
    default: String,
}

struct Variant {
    name: String,
    /// What it holds where that has no name: `Steps(u32)`.
    of: String,
    doc: String,
    fields: Vec<Field>,
    /// Types of a variant that holds one: `V1(V1Scene)`.
    holds: Vec<String>,
    is_default: bool,
}

/// What the sources say, by name.
#[derive(Default)]
struct Sources {
    types: BTreeMap<String, Item>,
    /// Bodies of functions of one expression, for `#[serde(default = "function")]`.
    functions: BTreeMap<String, String>,
    /// What `impl Default` makes of a type, where it is fields and literals.
    defaults: BTreeMap<String, String>,
}

/// The whole reference.
pub(crate) fn markdown(root: &Path) -> Result<String, Box<dyn Error>> {
    let mut sources = Sources::default();
    let mut files =
        ["src/scene.rs", "src/experiment.rs", "src/network/scene.rs"].map(|f| root.join(f)).to_vec();
    // A term of the loss has its part of the scene in its own file.
    for folder in ["src/scene", "src/loss"] {
        let mut below: Vec<_> =
            fs::read_dir(root.join(folder))?.map(|e| e.map(|e| e.path())).collect::<Result<_, _>>()?;
        below.sort();
        files.extend(below.into_iter().filter(|file| file.extension().is_some_and(|e| e == "rs")));
    }
    for file in files {
        sources.read(&fs::read_to_string(file)?)?;
    }
    let mut text = HEAD.to_owned();
    let mut written: Vec<String> = Vec::new();
    let mut open: Vec<String> = ROOTS.iter().rev().map(|name| (*name).to_owned()).collect();
    while let Some(name) = open.pop() {
        let Some(described) = sources.described(&name).filter(|_| !written.contains(&name)) else { continue };
        described.write(&name, &mut text)?;
        written.push(name);
        // In the order of the fields.
        open.extend(described.types().into_iter().rev());
    }
    Ok(text)
}

impl Sources {
    fn read(&mut self, text: &str) -> Result<(), syn::Error> {
        for item in syn::parse_file(text)?.items {
            match &item {
                Item::Struct(own) => drop(self.types.insert(own.ident.to_string(), item)),
                Item::Enum(own) => drop(self.types.insert(own.ident.to_string(), item)),
                Item::Fn(function) => {
                    self.function(function.sig.ident.to_string(), &function.block);
                }
                Item::Impl(own) if own.trait_.as_ref().is_some_and(|t| t.1.is_ident("Default")) => {
                    if let Some(fields) = default_fields(own) {
                        self.defaults.insert(last_name(&own.self_ty), fields);
                    }
                }
                Item::Impl(own) if own.trait_.is_none() => {
                    for item in &own.items {
                        if let syn::ImplItem::Fn(function) = item {
                            let name = format!("{}::{}", last_name(&own.self_ty), function.sig.ident);
                            self.function(name, &function.block);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Keeps the value of a function that is one.
    fn function(&mut self, name: String, block: &syn::Block) {
        if let [Stmt::Expr(value, None)] = block.stmts.as_slice() {
            self.functions.insert(name, literal(value));
        }
    }

    fn described(&self, name: &str) -> Option<Described> {
        Some(match self.types.get(name)? {
            Item::Struct(own) => {
                let all_default = has_serde(&own.attrs, "default");
                let kind = Kind::Struct(self.fields(&own.fields, all_default));
                Described { doc: doc(&own.attrs), kind }
            }
            Item::Enum(own) => {
                let variants = own.variants.iter().map(|variant| {
                    let named = matches!(variant.fields, Fields::Named(_));
                    let unnamed = matches!(variant.fields, Fields::Unnamed(_));
                    let inner = variant.fields.iter().map(|field| shown(&field.ty));
                    let inner: Vec<_> = inner.filter(|_| unnamed).collect();
                    let of: Vec<&str> = inner.iter().map(|i| i.0.as_str()).collect();
                    Variant {
                        name: variant.ident.to_string(),
                        of: of.join(", "),
                        doc: doc(&variant.attrs),
                        fields: if named { self.fields(&variant.fields, false) } else { Vec::new() },
                        holds: inner.into_iter().flat_map(|i| i.1).collect(),
                        is_default: variant.attrs.iter().any(|a| a.path().is_ident("default")),
                    }
                });
                Described { doc: doc(&own.attrs), kind: Kind::Enum(variants.collect()) }
            }
            _ => return None,
        })
    }

    fn fields(&self, fields: &Fields, all_default: bool) -> Vec<Field> {
        let field = |field: &syn::Field| {
            // What only earlier versions wrote is hidden.
            let hidden = |a: &&Attribute| a.parse_args::<syn::Ident>().is_ok_and(|word| word == "hidden");
            if field.attrs.iter().filter(|a| a.path().is_ident("doc")).any(|a| hidden(&a)) {
                return None;
            }
            let name = field.ident.as_ref().map(ToString::to_string)?;
            let (shown, types) = shown(&field.ty);
            let default = match serde_default(&field.attrs) {
                Some(Some(function)) => {
                    self.functions.get(&function).cloned().unwrap_or("has one".to_owned())
                }
                Some(None) => self.default_of(&field.ty),
                None if all_default => "that of the whole".to_owned(),
                None if shown.ends_with("or `None`") => "`None`".to_owned(),
                None => String::new(),
            };
            Some(Field { name, doc: doc(&field.attrs), shown, types, default })
        };
        fields.iter().filter_map(field).collect()
    }

    /// What `Default` makes of a type, as far as the sources tell.
    fn default_of(&self, of: &Type) -> String {
        let name = last_name(of);
        match name.as_str() {
            "Option" => "`None`".to_owned(),
            "bool" => "false".to_owned(),
            "Vec" => "`[]`".to_owned(),
            "BTreeMap" => "`{}`".to_owned(),
            "f64" | "u32" | "u64" => "0".to_owned(),
            _ => match self.described(&name).map(|d| d.kind) {
                Some(Kind::Enum(variants)) => {
                    let own = variants.into_iter().find(|v| v.is_default);
                    own.map_or("has one".to_owned(), |v| format!("`{}`", v.name))
                }
                Some(Kind::Struct(_)) => {
                    self.defaults.get(&name).cloned().unwrap_or("that of its fields".to_owned())
                }
                None => "has one".to_owned(),
            },
        }
    }
}

/// The one struct that `default` consists of, as RON.
fn default_fields(of: &syn::ItemImpl) -> Option<String> {
    let [syn::ImplItem::Fn(function)] = of.items.as_slice() else { return None };
    let [Stmt::Expr(Expr::Struct(value), None)] = function.block.stmts.as_slice() else { return None };
    let fields = value.fields.iter().map(|field| match &field.member {
        syn::Member::Named(name) => Some(format!("{name}: {}", plain(&field.expr)?)),
        syn::Member::Unnamed(_) => None,
    });
    Some(format!("`({})`", fields.collect::<Option<Vec<_>>>()?.join(", ")))
}

/// A number or a variant; None for what is computed.
fn plain(value: &Expr) -> Option<String> {
    match value {
        Expr::Lit(_) => Some(literal(value)),
        Expr::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()),
        _ => None,
    }
}

impl Described {
    /// Scene types that its fields name.
    fn types(&self) -> Vec<String> {
        match &self.kind {
            Kind::Struct(fields) => fields.iter().flat_map(|f| f.types.clone()).collect(),
            Kind::Enum(variants) => variants
                .iter()
                .flat_map(|v| v.holds.iter().cloned().chain(v.fields.iter().flat_map(|f| f.types.clone())))
                .collect(),
        }
    }

    fn write(&self, name: &str, text: &mut String) -> std::fmt::Result {
        writeln!(text, "\n## {}\n\n{}\n", heading(name), self.doc)?;
        match &self.kind {
            Kind::Struct(fields) => table(fields, text),
            Kind::Enum(variants) => {
                writeln!(text, "| one of | what |\n|---|---|")?;
                for variant in variants {
                    let default = if variant.is_default { " (default)" } else { "" };
                    let Variant { name, of, doc, .. } = variant;
                    let written = match (of.is_empty(), variant.fields.is_empty()) {
                        (false, _) => format!("`{name}(` {of} `)`"),
                        (true, true) => format!("`{name}`"),
                        (true, false) => format!("`{name}(..)`"),
                    };
                    writeln!(text, "| {written}{default} | {} |", cell(doc))?;
                }
                for variant in variants.iter().filter(|v| !v.fields.is_empty()) {
                    writeln!(text, "\nFields of `{}`:\n", variant.name)?;
                    table(&variant.fields, text)?;
                }
                Ok(())
            }
        }
    }
}

fn table(fields: &[Field], text: &mut String) -> std::fmt::Result {
    writeln!(text, "| field | value | default | what |\n|---|---|---|---|")?;
    for field in fields {
        writeln!(text, "| `{}` | {} | {} | {} |", field.name, field.shown, field.default, cell(&field.doc))?;
    }
    Ok(())
}

/// Without the ending that every such type has.
fn heading(name: &str) -> String {
    match name.strip_suffix("Scene") {
        Some("") => "Scene".to_owned(),
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    }
}

/// Text in a cell of a table: `|` would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The documentation in one line; links to items become their names.
fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter(|a| a.path().is_ident("doc")).filter_map(|a| match &a.meta {
        Meta::NameValue(pair) => match &pair.value {
            Expr::Lit(value) => match &value.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    text.replace("[`", "`").replace("`]", "`").replace("crate::", "")
}

/// The function of `#[serde(default = "function")]`, or None for a bare `default`.
fn serde_default(attributes: &[Attribute]) -> Option<Option<String>> {
    let mut found = None;
    for attribute in attributes.iter().filter(|a| a.path().is_ident("serde")) {
        let _ = attribute.parse_nested_meta(|meta| {
            let value = meta.value().and_then(|v| v.parse::<syn::LitStr>()).ok();
            if meta.path.is_ident("default") {
                found = Some(value.map(|v| v.value()));
            }
            Ok(())
        });
    }
    found
}

fn has_serde(attributes: &[Attribute], name: &str) -> bool {
    name == "default" && serde_default(attributes).is_some()
}

fn last_name(of: &Type) -> String {
    match of {
        Type::Path(path) => path.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// A type as a user of scenes sees it, and the scene's types in it.
fn shown(of: &Type) -> (String, Vec<String>) {
    let inner = match of {
        Type::Path(path) => match path.path.segments.last().map(|s| &s.arguments) {
            Some(PathArguments::AngleBracketed(arguments)) => arguments
                .args
                .iter()
                .filter_map(|a| if let GenericArgument::Type(inner) = a { Some(shown(inner)) } else { None })
                .collect(),
            _ => Vec::new(),
        },
        Type::Array(array) => vec![shown(&array.elem)],
        _ => Vec::new(),
    };
    let types: Vec<String> = inner.iter().flat_map(|i| i.1.clone()).collect();
    let first = || inner.first().map(|i| i.0.clone()).unwrap_or_default();
    if let Type::Array(_) = of {
        return (format!("list of {}", first()), types);
    }
    let text = match last_name(of).as_str() {
        "f64" => "number".to_owned(),
        "u32" | "u64" | "usize" => "whole number".to_owned(),
        "bool" => "`true` or `false`".to_owned(),
        "String" => "text".to_owned(),
        "PathBuf" => "path".to_owned(),
        "Box" => first(),
        "Option" => format!("{} or `None`", first()),
        "Vec" => format!("list of {}", first()),
        "BTreeMap" => {
            let names: Vec<&str> = inner.iter().map(|i| i.0.as_str()).collect();
            format!("map of {}", names.join(" to "))
        }
        name => {
            let link = heading(name);
            return (format!("[{link}](#{})", link.to_lowercase()), vec![name.to_owned()]);
        }
    };
    (text, types)
}

/// A value as RON writes it, where it is a literal.
fn literal(value: &Expr) -> String {
    match value {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Float(number) => number.base10_digits().trim_end_matches(".0").to_owned(),
            Lit::Int(number) => number.base10_digits().to_owned(),
            Lit::Bool(value) => value.value.to_string(),
            Lit::Str(text) => format!("`\"{}\"`", text.value()),
            _ => "has one".to_owned(),
        },
        Expr::Unary(unary) => format!("-{}", literal(&unary.expr)),
        // PathBuf::from("v1"), BTreeMap::from([..])
        Expr::Call(call) => call.args.first().map_or("has one".to_owned(), literal),
        // "v1".to_owned(), [..].map(str::to_owned).into()
        Expr::MethodCall(call) => literal(&call.receiver),
        Expr::Array(list) => listed(list.elems.iter()),
        Expr::Path(path) => {
            path.path.segments.last().map_or("has one".to_owned(), |s| format!("`{}`", s.ident))
        }
        // vec![..]
        Expr::Macro(list) => {
            let parse = syn::punctuated::Punctuated::<Expr, syn::Token![,]>::parse_terminated;
            list.mac.parse_body_with(parse).map_or("has one".to_owned(), |elements| listed(elements.iter()))
        }
        _ => "has one".to_owned(),
    }
}

/// A list as RON writes it, or a map, where its elements are pairs.
fn listed<'a>(elements: impl Iterator<Item = &'a Expr> + Clone) -> String {
    let bare = |value: &Expr| literal(value).trim_matches('`').to_owned();
    let pair = |value: &Expr| match value {
        Expr::Tuple(pair) if pair.elems.len() == 2 => {
            Some(format!("{}: {}", bare(&pair.elems[0]), bare(&pair.elems[1])))
        }
        _ => None,
    };
    match elements.clone().map(pair).collect::<Option<Vec<_>>>().filter(|pairs| !pairs.is_empty()) {
        Some(pairs) => format!("`{{{}}}`", pairs.join(", ")),
        None => format!("`[{}]`", elements.map(bare).collect::<Vec<_>>().join(", ")),
    }
}
