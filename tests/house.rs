//! The house rules of ARCHITECTURE.md that a reader of the text can check: who may know whom, which words and which
//! constructs stay out of which room, and that documents name only what exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Files below a folder whose name ends with `.extension`, with their text, in order of path.
fn files(folder: &str, extension: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|e| panic!("{}: {e}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == extension) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_path_buf(), text));
            }
        }
    }
    found.sort();
    found
}

/// The production part of a source file: without comments and without its unit tests.
fn production(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    code.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The room of a source file: the first name below src.
fn room(path: &Path) -> String {
    path.components().nth(1).unwrap().as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned()
}

/// The rooms that a text names after `prefix`, e.g. `crate::`; `use crate::{a::X, b}` names a and b.
fn rooms_named(code: &str, prefix: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    c if start && !c.is_whitespace() => {
                        named.push(identifier(&group[i..]));
                        start = false;
                    }
                    _ => {}
                }
            }
        } else {
            named.push(identifier(rest));
        }
    }
    // A capital letter is a re-export of lib.rs (Error, Result).
    named.retain(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
    named
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Who may know whom, from the top of the house down; everyone may know `error`, `memory` and `shipped`.
const MAY_KNOW: [(&str, &[&str]); 29] = [
    (
        "calibrate",
        &["train", "output", "setup", "plan", "scene", "loss", "sim", "stimulus", "network", "model", "gpu"],
    ),
    ("measure", &["train", "output", "setup", "results", "plan", "sim", "network", "gpu"]),
    ("experiment", &["train", "report", "output", "evaluate", "results", "plan", "scene"]),
    ("export", &["train", "output", "setup", "plan", "scene", "loss", "stimulus", "network", "model"]),
    (
        "train",
        &[
            "adapt", "output", "setup", "evaluate", "results", "plan", "sonata", "scene", "loss", "sim",
            "stimulus", "network", "model", "gpu",
        ],
    ),
    ("adapt", &["output", "setup", "results", "plan", "scene", "network"]),
    ("report", &["figures", "output", "evaluate", "results", "scene", "loss"]),
    ("figures", &["output", "results", "network"]),
    ("import", &["output", "evaluate", "plan", "sonata", "scene", "loss", "network", "model", "hdf5"]),
    ("output", &["results", "plan", "sonata", "scene", "loss", "stimulus", "network", "hdf5"]),
    ("setup", &["plan", "sonata", "scene", "network", "model"]),
    ("evaluate", &["results", "loss", "network", "model"]),
    ("results", &["loss", "network"]),
    ("plan", &["scene", "loss", "model"]),
    ("sonata", &["scene", "network", "model", "hdf5"]),
    ("scene", &["loss", "network", "model"]),
    ("loss", &["network", "model"]),
    ("patch", &["sim", "network", "model", "gpu"]),
    ("sim", &["stimulus", "network", "model", "gpu"]),
    ("reference", &["network", "model"]),
    ("stimulus", &["network", "model"]),
    ("network", &["model"]),
    ("model", &[]),
    ("gpu", &[]),
    ("hdf5", &[]),
    ("error", &[]),
    ("memory", &[]),
    ("shipped", &[]),
    ("lib", &[]),
];

#[test]
fn nobody_may_know_a_room_above() {
    for (place, (room, allowed)) in MAY_KNOW.iter().enumerate() {
        for named in *allowed {
            let other = MAY_KNOW.iter().position(|(name, _)| name == named);
            let other = other.unwrap_or_else(|| panic!("{room} may know '{named}', which is no room"));
            assert!(other > place, "{room} may know {named}, which is not below it");
        }
    }
}

#[test]
fn rooms_know_only_the_rooms_below_them() {
    let mut faults = Vec::new();
    for (path, text) in files("src", "rs") {
        let room = room(&path);
        let code = production(&text);
        if room == "main" || room == "cli" {
            if rooms_named(&code, "simrun::").iter().any(|named| named == "reference") {
                faults.push(format!("{}: the program does not use the specification", path.display()));
            }
            continue;
        }
        let allowed = MAY_KNOW.iter().find(|(name, _)| *name == room);
        let Some((_, allowed)) = allowed else {
            faults.push(format!("{}: '{room}' is not in MAY_KNOW", path.display()));
            continue;
        };
        for named in rooms_named(&code, "crate::") {
            if named != room
                && named != "error"
                && named != "memory"
                && named != "shipped"
                && !allowed.contains(&named.as_str())
            {
                faults.push(format!("{}: {room} may not know {named}", path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    let code = production(
        "use crate::a::X; // crate::no\nuse crate::{b::{Y, Z}, c, Error};\nlet x = crate::d::f();\n#[cfg(test)]\nmod tests { use crate::e; }",
    );
    assert_eq!(rooms_named(&code, "crate::"), ["a", "b", "c", "d"]);
}

#[test]
fn every_path_that_a_document_names_exists() {
    let folders = ["src/", "shaders/", "scenes/", "tests/", "benches/", "tools/", "docs/", ".ci/"];
    let documents = ["md"].iter().flat_map(|e| {
        let top = fs::read_dir(root()).unwrap().map(|f| f.unwrap().path());
        let top = top.filter(move |p| p.extension().is_some_and(|x| x == *e));
        top.map(|p| (p.strip_prefix(root()).unwrap().to_path_buf(), fs::read_to_string(&p).unwrap()))
            .collect::<Vec<_>>()
    });
    let below = folders.iter().filter(|f| root().join(f).is_dir()).flat_map(|f| files(f, "md"));
    let mut n_named = 0;
    let mut faults = Vec::new();
    for (document, text) in documents.chain(below) {
        for word in text.split(|c: char| c.is_whitespace() || "`()[]\"',;|".contains(c)) {
            let word = word.trim_start_matches("./").trim_end_matches(['.', ':']);
            let word = word.split(['#', ':']).next().unwrap_or_default();
            let names_a_path = folders.iter().any(|f| word.starts_with(f)) && !word.contains(['*', '<', '{']);
            if names_a_path {
                n_named += 1;
                if !root().join(word).exists() {
                    faults.push(format!("{}: {word}", document.display()));
                }
            }
        }
    }
    assert!(n_named > 10, "only {n_named} paths were found: the reader of documents is broken");
    assert!(faults.is_empty(), "named in a document, but not there:\n{}", faults.join("\n"));
}

/// Prose of documents is at most 120 columns wide; tables, code and what is made from the sources may be wider.
#[test]
fn prose_is_at_most_120_columns_wide() {
    let mut documents = files("docs", "md");
    for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        documents.push((name.into(), fs::read_to_string(root().join(name)).unwrap()));
    }
    documents.retain(|(path, _)| !path.ends_with("scenes.md"));
    assert!(documents.len() > 8, "only {} documents", documents.len());
    let mut faults = Vec::new();
    for (path, text) in &documents {
        let mut is_code = false;
        for (ix, line) in text.lines().enumerate() {
            is_code ^= line.starts_with("```");
            let is_prose = !is_code && !line.starts_with(['|', '!']) && !line.starts_with("    ");
            if is_prose && line.chars().count() > 120 {
                faults.push(format!("{}:{}: {} columns", path.display(), ix + 1, line.chars().count()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// Every equation that a comment of the code names (E3, A2c, L10, ..) is in the model.
#[test]
fn every_equation_that_code_names_is_in_the_model() {
    let model = fs::read_to_string(root().join("docs/model.md")).unwrap();
    let is_tag = |word: &str| {
        let mut rest = word.chars();
        let number = word[1..].trim_end_matches(['p', 'c']);
        rest.next().is_some_and(|c| "EASNL".contains(c))
            && (1..=2).contains(&number.len())
            && number.chars().all(|c| c.is_ascii_digit())
    };
    let words = |text: &str| -> Vec<String> {
        let words = text.split(|c: char| !(c.is_alphanumeric() || "_./".contains(c)));
        let words = words.map(|word| word.trim_end_matches(['.', '/']).to_owned());
        words.filter(|word| word.len() > 1 && word.is_ascii() && is_tag(word)).collect()
    };
    let defined: Vec<String> = model
        .split("**")
        .skip(1)
        .step_by(2)
        .flat_map(|bold| bold.split('/').flat_map(words).collect::<Vec<_>>())
        .collect();
    assert!(defined.len() > 40, "only {} equations: the reader of the model is broken", defined.len());
    let (mut n_named, mut faults) = (0, Vec::new());
    for (path, text) in files("src", "rs").into_iter().chain(shaders()) {
        for comment in text.lines().filter_map(|line| Some(line.split_once("//")?.1)) {
            for tag in words(comment) {
                n_named += 1;
                // E2 stands for E2p and E2c.
                if !defined.iter().any(|own| own.trim_end_matches(['p', 'c']) == tag || *own == tag) {
                    faults.push(format!("{}: {tag}", path.display()));
                }
            }
        }
    }
    assert!(n_named > 100, "only {n_named} equations are named: the reader of comments is broken");
    assert!(faults.is_empty(), "named in the code, but not in the model:\n{}", faults.join("\n"));
}

#[test]
fn the_gpu_room_knows_nothing_of_neurons() {
    for (path, text) in files("src/gpu", "rs") {
        let code = production(&text).to_lowercase();
        for word in ["neuron", "spike", "synap", "membrane", "dendrit", "lgn", "cortex", "weight"] {
            assert!(!code.contains(word), "{} says '{word}'", path.display());
        }
    }
}

#[test]
fn shaders_add_only_integers_atomically() {
    for (path, text) in shaders() {
        for (at, _) in text.match_indices("atomic<") {
            let kind = identifier(&text[at + "atomic<".len()..]);
            assert!(kind == "i32" || kind == "u32", "{}: atomic<{kind}>", path.display());
        }
        // A float sum built on compare-and-exchange depends on the order of execution just the same. The status word
        // keeps the first fault with it, which is no sum.
        let is_status = path.ends_with("shared/status.wgsl");
        let exchanges = text.contains("atomicCompareExchange");
        assert!(is_status || !exchanges, "{}: compare-and-exchange", path.display());
    }
}

#[test]
fn every_forward_kernel_has_its_adjoint_or_a_reason() {
    let shaders = shaders();
    let comment = |text: &str| {
        let lines = text.lines().map_while(|l| l.strip_prefix("//")).filter(|l| !l.starts_with('!'));
        lines.collect::<String>()
    };
    let mut n_pairs = 0;
    for (path, text) in &shaders {
        let name = path.file_name().unwrap().to_str().unwrap();
        let head = comment(text);
        let says = |what: &str| head.split_once(what).map(|(_, rest)| rest.trim_start());
        if let Some(pair) = says("Pair: ") {
            let pair = pair.split(".wgsl").next().unwrap().to_owned() + ".wgsl";
            let of_pair = shaders.iter().find(|(p, _)| p.ends_with(&pair));
            let (_, text) = of_pair.unwrap_or_else(|| panic!("{name}: its pair {pair} is not there"));
            let back = comment(text);
            assert!(back.contains(name), "{pair} does not name its pair {name}");
            n_pairs += 1;
        } else if name.ends_with("_forward.wgsl") && !path.starts_with("shaders/shared") {
            assert!(says("No adjoint: ").is_some(), "{name} names neither its pair nor why it has none");
        }
    }
    assert!(n_pairs >= 6, "only {n_pairs} kernels name their pair: the reader of headers is broken");
}

#[test]
fn shaders_are_short_and_ascii() {
    for (path, text) in shaders() {
        assert!(text.is_ascii(), "{} has a character that is not ASCII", path.display());
        let n_lines = text.lines().count();
        assert!(n_lines <= 200, "{} has {n_lines} lines", path.display());
    }
}

#[test]
fn only_the_layout_defines_what_the_device_sees() {
    for (path, text) in files("src", "rs") {
        let defines = production(&text).contains("repr(C)");
        assert!(
            !defines || path.ends_with("sim/layout/uniforms.rs"),
            "{} defines a struct with repr(C)",
            path.display()
        );
    }
}

fn shaders() -> Vec<(PathBuf, String)> {
    let shaders = files("shaders", "wgsl");
    assert!(shaders.len() > 10, "only {} shaders were found", shaders.len());
    shaders
}
