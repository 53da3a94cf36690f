//! Feeds damaged inputs to a reader: one process, mutations of `mutatis` on good inputs, and what must hold of every answer.
//!
//! An answer is a value, or an error that is bad input (exit code 2) in one line. A panic, an answer that takes seconds, and memory that the file
//! cannot explain are faults; the input is then kept in a file and named with the numbers that make it again.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutatis::{Candidates, Mutate, Session};
use serde_json::{Value, json};

/// Longest that a reader may take over a small file; a loaded machine is slow.
const LONGEST: Duration = Duration::from_secs(20);
/// Most address space that a reader may add over a small file, MiB.
const MOST_MIB: u64 = 2048;
/// Most mutations of one input.
const MOST_MUTATIONS: u64 = 6;

/// Writes the files of an input into a folder.
pub(crate) type Writer = Box<dyn Fn(&Path) -> Vec<PathBuf>>;
/// Reads the input in a folder.
pub(crate) type Reader = Box<dyn Fn(&Path) -> simrun::Result<()>>;

/// A reader and what it reads.
pub(crate) struct Target {
    /// Its name in messages.
    pub(crate) name: &'static str,
    /// Writes good inputs into a folder: those of the corpus, in turn. Returns the files that are damaged, one at a time.
    pub(crate) write: Writer,
    /// Reads what lies in the folder.
    pub(crate) read: Reader,
}

/// Damages a file as bytes.
struct Bytes;

/// Damages a file as JSON.
struct Json;

/// Numbers that sizes, offsets and types of a file are sensitive to.
const NUMBERS: [u64; 12] = [0, 1, 2, 7, 127, 128, 255, 1 << 15, 1 << 16, (1 << 31) - 1, 1 << 32, u64::MAX];

impl Mutate<Vec<u8>> for Bytes {
    fn mutate(&mut self, c: &mut Candidates<'_>, bytes: &mut Vec<u8>) -> mutatis::Result<()> {
        if bytes.is_empty() {
            return c.mutation(|ctx| {
                bytes.push(ctx.rng().gen_u8());
                Ok(())
            });
        }
        // A changed byte is the most telling: it is offered several times.
        for _ in 0..4 {
            c.mutation(|ctx| {
                let at = ctx.rng().gen_index(bytes.len()).unwrap_or(0);
                bytes[at] = ctx.rng().gen_u8();
                Ok(())
            })?;
        }
        // A byte that is elsewhere in the file keeps a text a text.
        for _ in 0..4 {
            c.mutation(|ctx| {
                let at = ctx.rng().gen_index(bytes.len()).unwrap_or(0);
                bytes[at] = ctx.rng().choose(&*bytes).copied().unwrap_or(0);
                Ok(())
            })?;
        }
        c.mutation(|ctx| {
            let at = ctx.rng().gen_index(bytes.len()).unwrap_or(0);
            bytes[at] ^= 1 << (ctx.rng().gen_u8() % 8);
            Ok(())
        })?;
        for width in [1, 2, 4, 8] {
            c.mutation(|ctx| {
                let at = ctx.rng().gen_index(bytes.len()).unwrap_or(0);
                let number = ctx.rng().choose(NUMBERS).unwrap_or(0).to_le_bytes();
                bytes.iter_mut().skip(at).zip(&number[..width]).for_each(|(byte, new)| *byte = *new);
                Ok(())
            })?;
        }
        c.mutation(|ctx| {
            let at = ctx.rng().gen_index(bytes.len()).unwrap_or(0);
            bytes.truncate(at);
            Ok(())
        })?;
        c.mutation(|ctx| {
            let (from, to) = two(ctx.rng().gen_index(bytes.len()), ctx.rng().gen_index(bytes.len()));
            let n = (to - from).min(64);
            bytes.drain(from..from + n);
            Ok(())
        })?;
        c.mutation(|ctx| {
            let (from, to) = two(ctx.rng().gen_index(bytes.len()), ctx.rng().gen_index(bytes.len()));
            let copy: Vec<u8> = bytes[from..].iter().copied().take(64).collect();
            bytes.splice(to..to, copy);
            Ok(())
        })?;
        c.mutation(|ctx| {
            let (from, to) = two(ctx.rng().gen_index(bytes.len()), ctx.rng().gen_index(bytes.len()));
            let copy: Vec<u8> = bytes[from..].iter().copied().take(32).collect();
            bytes.iter_mut().skip(to).zip(copy).for_each(|(byte, new)| *byte = new);
            Ok(())
        })
    }
}

fn two(a: Option<usize>, b: Option<usize>) -> (usize, usize) {
    let (a, b) = (a.unwrap_or(0), b.unwrap_or(0));
    (a.min(b), a.max(b))
}

/// Values that a reader of JSON may not expect.
fn odd_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(false),
        json!(0),
        json!(-1),
        json!(0.5),
        json!(1e308),
        json!(u64::MAX),
        json!(""),
        json!("$A"),
        json!("../"),
        json!("a\n\u{1b}[31m\0b"),
        json!("x".repeat(5000)),
        json!([]),
        json!({}),
        json!([[[[]]]]),
        json!({"$regex": "(a+)+$"}),
        json!(["v1", "v1", "lgn"]),
    ]
}

impl Mutate<Value> for Json {
    fn mutate(&mut self, c: &mut Candidates<'_>, value: &mut Value) -> mutatis::Result<()> {
        c.mutation(|ctx| {
            *value = ctx.rng().choose(odd_values()).unwrap_or_default();
            Ok(())
        })?;
        match value {
            Value::Object(object) => {
                let names: Vec<String> = object.keys().cloned().collect();
                if !names.is_empty() {
                    c.mutation(|ctx| {
                        let name = ctx.rng().choose(&names).cloned().unwrap_or_default();
                        let taken = object.remove(&name).unwrap_or_default();
                        // Under a name that is a letter off, or not at all.
                        if ctx.rng().gen_bool() {
                            object.insert(format!("{name}s"), taken);
                        }
                        Ok(())
                    })?;
                }
                object.values_mut().try_for_each(|inner| self.mutate(c, inner))
            }
            Value::Array(list) => {
                c.mutation(|ctx| {
                    let again = ctx.rng().choose(&*list).cloned().unwrap_or_default();
                    list.push(again);
                    Ok(())
                })?;
                list.iter_mut().try_for_each(|inner| self.mutate(c, inner))
            }
            Value::Number(_) => c.mutation(|ctx| {
                let factor = ctx.rng().choose([-1.0, 0.0, 1e-9, 1e9, 1e300]).unwrap_or(1.0);
                *value = json!(factor * value.as_f64().unwrap_or(1.0));
                Ok(())
            }),
            Value::String(text) => c.mutation(|ctx| {
                let at = ctx.rng().gen_index(text.chars().count() + 1).unwrap_or(0);
                let (before, after) =
                    text.split_at(text.char_indices().nth(at).map_or(text.len(), |(i, _)| i));
                *text = format!(
                    "{before}{}{after}",
                    ctx.rng().choose(["$", "{", "}", " ", "x", "\u{1f9e0}"]).unwrap_or("")
                );
                Ok(())
            }),
            _ => Ok(()),
        }
    }
}

/// A damaged input: bytes of any file, or the tree of a JSON file.
fn damaged(file: &Path, whole: &[u8], seed: u64) -> Vec<u8> {
    let mut session = Session::new().seed(seed);
    // Half of them have one: what is damaged beyond recognition is refused at once.
    let n = (seed / 7 % (2 * MOST_MUTATIONS)).saturating_sub(MOST_MUTATIONS) + 1;
    let is_json = file.extension().is_some_and(|e| e == "json");
    if let (true, Ok(mut tree)) = (is_json && !seed.is_multiple_of(3), serde_json::from_slice::<Value>(whole))
    {
        (0..n).for_each(|_| session.mutate_with(&mut Json, &mut tree).expect("a mutation"));
        return tree.to_string().into_bytes();
    }
    let mut bytes = whole.to_vec();
    (0..n).for_each(|_| session.mutate_with(&mut Bytes, &mut bytes).expect("a mutation"));
    bytes
}

/// Feeds `n` damaged inputs to a reader, those of the seeds from `first_seed` on; what was wrong with its answers.
pub(crate) fn run(target: &Target, n: u64, first_seed: u64) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a scratch folder");
    let files = (target.write)(folder.path());
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a good input")).collect();
    if let Err(error) = (target.read)(folder.path()) {
        return vec![format!("{}: the good input is refused: {error}", target.name)];
    }
    let mut faults = Vec::new();
    let mut n_refused = 0;
    for seed in first_seed..first_seed + n {
        let ix = (seed % files.len() as u64) as usize;
        let input = damaged(&files[ix], &whole[ix], seed);
        fs::write(&files[ix], &input).expect("a damaged input");
        let (start, before) = (Instant::now(), address_space_mib());
        let answer = catch_unwind(AssertUnwindSafe(|| (target.read)(folder.path())));
        let fault = match answer {
            Err(panic) => {
                let reason = panic.downcast_ref::<String>().cloned();
                let reason = reason.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                Some(format!("panics: {}", reason.unwrap_or_default()))
            }
            Ok(_) if start.elapsed() > LONGEST => Some(format!("takes {:?}", start.elapsed())),
            Ok(_) if address_space_mib().saturating_sub(before) > MOST_MIB => {
                Some(format!("takes {} MiB", address_space_mib() - before))
            }
            Ok(Err(error)) => {
                n_refused += 1;
                let message = error.to_string();
                let whole = error.exit_code() == 2 && message.lines().count() == 1 && message.len() < 4000;
                (!whole).then(|| format!("answers (exit code {}): {message}", error.exit_code()))
            }
            Ok(Ok(())) => None,
        };
        if let Some(fault) = fault {
            let name = files[ix].file_name().unwrap_or_default().to_string_lossy().into_owned();
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{seed}-{name}", target.name));
            fs::write(&kept, &input).expect("a place for the input");
            faults.push(format!(
                "{}, seed {seed}, {name} (kept as {}): {fault}",
                target.name,
                kept.display()
            ));
        }
        fs::write(&files[ix], &whole[ix]).expect("the good input");
    }
    eprintln!("{}: {n} damaged inputs, {n_refused} refused, {} faults", target.name, faults.len());
    // Damage that is never noticed would say that nothing is read.
    if n > 50 && n_refused == 0 {
        faults.push(format!("{}: none of {n} damaged inputs is refused", target.name));
    }
    faults
}

/// The most address space that this process ever had, MiB; 0 where the system does not say.
fn address_space_mib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmPeak:"));
    peak.and_then(|peak| peak.trim().trim_end_matches(" kB").parse::<u64>().ok()).map_or(0, |kb| kb / 1024)
}
