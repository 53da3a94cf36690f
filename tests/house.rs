//! The house rules of ARCHITECTURE.md that a reader of the text can check: who may know whom, which words and which
//! constructs stay out of which room, and that documents name only what exists.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
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

/// A source file without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
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

/// A room in the table of ARCHITECTURE.md.
struct Room {
    name: String,
    /// The rooms that it may know; `None` for the program and the library's front, which may know all.
    may_know: Option<Vec<String>>,
    is_known_to_all: bool,
}

/// The rooms of ARCHITECTURE.md, from the top of the house down: the paths of the first column, who the third allows.
fn house() -> Vec<Room> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut rooms = Vec::new();
    for row in text.lines().filter(|line| line.starts_with("| `src/")) {
        let [_, paths, what, may_know, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let may_know = match may_know.trim() {
            "nothing" => Some(Vec::new()),
            "everything" | "everything but reference" => None,
            names => Some(names.split(", ").map(str::to_owned).collect()),
        };
        for path in paths.split(", ") {
            let path = path.trim().trim_matches('`');
            let (name, may_know) = (room(Path::new(path)), may_know.clone());
            assert!(root().join(path).exists(), "{path} is in the table of rooms, but not there");
            rooms.push(Room { name, may_know, is_known_to_all: what.contains("Known to all") });
        }
    }
    assert!(rooms.len() > 25, "only {} rooms: the reader of the table is broken", rooms.len());
    rooms
}

#[test]
fn nobody_may_know_a_room_above() {
    let house = house();
    for (place, room) in house.iter().enumerate() {
        for named in room.may_know.iter().flatten() {
            let other = house.iter().position(|other| other.name == *named);
            let other = other.unwrap_or_else(|| panic!("{} may know '{named}', which is no room", room.name));
            assert!(other > place, "{} may know {named}, which is not below it", room.name);
        }
    }
}

#[test]
fn rooms_know_the_rooms_that_the_table_names_and_no_others() {
    let house = house();
    let known_to_all = |name: &str| house.iter().any(|room| room.is_known_to_all && room.name == name);
    let mut used = BTreeSet::new();
    let mut faults = Vec::new();
    for (path, text) in files("src", "rs") {
        let name = room(&path);
        let Some(room) = house.iter().find(|room| room.name == name) else {
            faults.push(format!("{}: '{name}' is not in the table", path.display()));
            continue;
        };
        let Some(may_know) = &room.may_know else {
            if rooms_named(&code(&text), "simrun::").iter().any(|named| named == "reference") {
                faults.push(format!("{}: the program does not use the specification", path.display()));
            }
            continue;
        };
        for named in rooms_named(&code(&text), "crate::") {
            if named != name && !known_to_all(&named) && !may_know.contains(&named) {
                faults.push(format!("{}: {name} may not know {named}", path.display()));
            }
            used.insert((name.clone(), named));
        }
    }
    for room in &house {
        for named in room.may_know.iter().flatten() {
            if !used.contains(&(room.name.clone(), named.clone())) {
                faults.push(format!("ARCHITECTURE.md: {} may know {named}, and does not", room.name));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_reader_of_use_lines_reads_them() {
    let text = "use crate::a::X; // crate::no\nuse crate::{b::{Y, Z}, c, Error};\nlet x = crate::d::f();\n\
                #[cfg(test)]\nmod tests { use crate::e; }\nuse crate::f;";
    assert_eq!(rooms_named(&code(text), "crate::"), ["a", "b", "c", "d", "e", "f"]);
}

/// The documents: those of the top level and of every folder of the tree.
fn documents() -> Vec<(PathBuf, String)> {
    let top = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let top = top.filter(|path| path.extension().is_some_and(|e| e == "md"));
    let top = top
        .map(|path| (path.strip_prefix(root()).unwrap().to_path_buf(), fs::read_to_string(&path).unwrap()));
    let below = FOLDERS.iter().flat_map(|folder| files(folder, "md"));
    let documents = top.chain(below).collect::<Vec<_>>();
    assert!(documents.len() > 15, "only {} documents", documents.len());
    documents
}

const FOLDERS: [&str; 9] =
    ["src/", "shaders/", "scenes/", "tests/", "benches/", "tools/", "docs/", "examples/", ".github/"];

/// Every path that a document or a comment of the sources names exists.
#[test]
fn every_path_that_is_named_exists() {
    let sources = ["src", "tests", "examples", "benches"].into_iter().flat_map(|folder| files(folder, "rs"));
    let comments = sources.chain(shaders()).map(|(path, text)| {
        let comments = text.lines().filter_map(|line| Some(line.split_once("//")?.1));
        (path, comments.collect::<Vec<_>>().join("\n"))
    });
    let mut n_named = 0;
    let mut faults = Vec::new();
    for (place, text) in documents().into_iter().chain(comments) {
        for word in text.split(|c: char| c.is_whitespace() || "`()[]\"',;|@\\".contains(c)) {
            let word = word.trim_start_matches("./").trim_end_matches(['.', ':']);
            let word = word.split(['#', ':']).next().unwrap_or_default();
            // NAME stands for any name.
            let is_pattern = word.contains(['*', '<', '{']) || word.contains("NAME");
            if FOLDERS.iter().any(|folder| word.starts_with(folder)) && !is_pattern {
                n_named += 1;
                if !root().join(word).exists() {
                    faults.push(format!("{}: {word}", place.display()));
                }
            }
        }
    }
    assert!(n_named > 100, "only {n_named} paths were found: the reader of documents is broken");
    assert!(faults.is_empty(), "named, but not there:\n{}", faults.join("\n"));
}

/// Every link from a document into the tree leads to a file, and to a heading of it where it names one.
#[test]
fn every_link_of_a_document_leads_somewhere() {
    let anchor = |heading: &str| -> String {
        let kept = heading.trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    let mut n_links = 0;
    let mut faults = Vec::new();
    for (document, text) in documents() {
        let links = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        for link in
            links.map(|(link, _)| link).filter(|link| !link.contains([' ', '\n']) && !link.contains("://"))
        {
            let (path, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = root().join(&document);
            let target = if path.is_empty() { target } else { target.parent().unwrap().join(path) };
            let heads = || -> Vec<String> {
                let text = fs::read_to_string(&target).unwrap_or_default();
                let heads = text.lines().filter(|line| line.starts_with('#'));
                heads.map(|line| anchor(line.trim_start_matches('#'))).collect()
            };
            n_links += 1;
            if !target.exists() || !heading.is_empty() && !heads().iter().any(|head| head == heading) {
                faults.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(n_links > 30, "only {n_links} links were found: the reader of documents is broken");
    assert!(faults.is_empty(), "links that lead nowhere:\n{}", faults.join("\n"));
}

/// What `cargo test` leaves out says why, and `tools/test` runs it: by the module `slow`, or by the name of the file.
#[test]
fn ignored_tests_are_run_by_the_script() {
    let script = fs::read_to_string(root().join("tools/test")).unwrap();
    assert!(script.contains("-- --ignored slow::"));
    let mut n_ignored = 0;
    for (path, text) in files("tests", "rs").into_iter().filter(|(path, _)| !path.ends_with("house.rs")) {
        let (quick, slow) = text.split_once("\nmod slow {").unwrap_or((&text[..], ""));
        let n_slow = slow.matches("#[ignore = \"slow").count();
        assert_eq!(n_slow, slow.matches("#[test]").count(), "{}: a quick test in `slow`", path.display());
        let file = path.file_stem().unwrap().to_str().unwrap();
        let n_with_python = quick.matches("#[ignore = \"installs Python programs: tools/test").count();
        let is_run = script.contains(&format!("--test {file} -- --ignored"));
        assert!(n_with_python == 0 || is_run, "{}: tools/test does not run it", path.display());
        assert_eq!(quick.matches("#[ignore").count(), n_with_python, "{}: ignored for what?", path.display());
        n_ignored += n_slow + n_with_python;
    }
    assert!(n_ignored > 10, "only {n_ignored} ignored tests: the reader of tests is broken");
}

/// A page of results asks a question, and the index has it.
#[test]
fn every_page_of_results_asks_a_question_that_the_index_has() {
    let pages = files("docs/results", "md");
    let index = |(path, _): &&(PathBuf, String)| path.ends_with("README.md");
    let (_, table) = pages.iter().find(index).unwrap();
    for (path, text) in pages.iter().filter(|page| !index(page)) {
        let question = text.lines().next().unwrap().trim_start_matches("# ");
        let row = format!("| [{question}]({})", path.file_name().unwrap().to_str().unwrap());
        assert!(
            question.ends_with('?') && table.contains(&row),
            "{}: '{row}' is not in the index",
            path.display()
        );
    }
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
        let code = code(&text).to_lowercase();
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

/// Eight lines of code that stand in two places want to stand in one.
#[test]
fn no_eight_lines_stand_twice() {
    const N_LINES: usize = 8;
    let says_little =
        |line: &str| line.chars().filter(|c| c.is_alphanumeric()).count() < 3 || line.starts_with(['@', '#']);
    let mut places: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut faults = Vec::new();
    let sources = ["src", "tests", "examples", "tools"].into_iter().flat_map(|folder| files(folder, "rs"));
    for (path, text) in sources.chain(shaders()) {
        let text = code(&text);
        let lines = text.lines().map(str::trim).enumerate();
        let lines: Vec<_> = lines.filter(|(_, l)| !says_little(l) && !l.starts_with("use ")).collect();
        for run in lines.windows(N_LINES) {
            let place = format!("{}:{}", path.display(), run[0].0 + 1);
            let words = run.iter().map(|(_, line)| (*line).to_owned()).collect();
            if let Some(first) = places.insert(words, place.clone()) {
                faults.push(format!("{first} and {place}"));
            }
        }
    }
    assert!(places.len() > 10_000, "only {} runs: the reader of sources is broken", places.len());
    assert!(faults.is_empty(), "{N_LINES} lines that stand twice begin at\n{}", faults.join("\n"));
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
        let defines = code(&text).contains("repr(C)");
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
