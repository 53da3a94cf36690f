//! Built networks on disk, so that a network is built once: one file a network, named by the SHA-256 of everything the
//! network depends on, the builder's own source included.
//!
//! Layout (bytes of the machine's own order, which is part of the name): magic, key, the four sizes (u64), the arrays
//! of neurons and rows in the order of their fields, SHA-256 of all before. Cell models and populations are not stored:
//! they come from the tables.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use bytemuck::Pod;
use sha2::{Digest, Sha256};

use super::tables::Tables;
use super::{Network, NetworkSpec, Neurons, Rows, UnitPsps, build};
use crate::error::{Error, Result};
use crate::memory;

/// Builds the network, or reads it from `folder` if it was built before; `None` does without a cache. `say` gets a
/// sentence for the user where a file is broken or cannot be written; neither stops the run.
///
/// # Errors
/// Those of building, and [`Error::OutOfMemory`].
pub fn build_or_load(
    spec: &NetworkSpec,
    tables: &Tables,
    unit_psps: &UnitPsps,
    folder: Option<&Path>,
    say: &mut dyn FnMut(&str),
) -> Result<Network> {
    let Some(folder) = folder else { return build(spec, tables, unit_psps) };
    let key = key(spec, tables, unit_psps);
    let file = folder.join(format!("{}.network", hexadecimal(&key)));
    if let Ok(metadata) = fs::metadata(&file) {
        memory::require("reading the network as it was built before", metadata.len())?;
        match load(&file, &key, tables) {
            Ok(network) => {
                mark_used(&file);
                return Ok(network);
            }
            Err(reason) => say(&format!("{}: {reason}; the network is built again", file.display())),
        }
    }
    let network = build(spec, tables, unit_psps)?;
    match store(&file, &key, &network) {
        Ok(()) => evict(folder, &file, MOST_BYTES),
        Err(error) => say(&format!("the network is not kept for the next run: {error}")),
    }
    Ok(network)
}

/// Folder of the cache: `$SIMRUN_CACHE` (empty: no cache), else the user's cache folder, or `None` where there is none.
pub fn cache_folder() -> Option<PathBuf> {
    folder_from(|name| std::env::var_os(name).map(PathBuf::from))
}

fn folder_from(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    if let Some(folder) = variable("SIMRUN_CACHE") {
        return (!folder.as_os_str().is_empty()).then_some(folder);
    }
    // The XDG rules tell us to pass over a relative path.
    let absolute = |name: &str| variable(name).filter(|folder| folder.is_absolute());
    let user = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("LOCALAPPDATA"))
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    user.map(|folder| folder.join("simrun"))
}

const MAGIC: [u8; 16] = *b"simrun network 2";

/// Everything that decides what is built, in the words of the source: a change to any of them makes a new key.
const BUILDER_SOURCE: [&str; 29] = [
    include_str!("arrays.rs"),
    include_str!("build.rs"),
    include_str!("cache.rs"),
    include_str!("connection.rs"),
    include_str!("em.rs"),
    include_str!("em/cells.rs"),
    include_str!("em/table/values.rs"),
    include_str!("em/units.rs"),
    include_str!("lesion.rs"),
    include_str!("lgn_edges.rs"),
    include_str!("lgn_units.rs"),
    include_str!("mod.rs"),
    include_str!("names.rs"),
    include_str!("positions.rs"),
    include_str!("random.rs"),
    include_str!("recurrent.rs"),
    include_str!("scene.rs"),
    include_str!("tables.rs"),
    include_str!("tables/cells.rs"),
    include_str!("tables/curves.rs"),
    include_str!("tables/em.rs"),
    include_str!("tables/fano.rs"),
    include_str!("tables/lgn.rs"),
    include_str!("tables/sheet.rs"),
    include_str!("tables/synapses.rs"),
    include_str!("tables/targets.rs"),
    include_str!("weights.rs"),
    include_str!("../model/rng.rs"),
    include_str!("../model/vocabulary.rs"),
];

type Hash = [u8; 32];

/// SHA-256 of all that the network depends on.
fn key(spec: &NetworkSpec, tables: &Tables, unit_psps: &UnitPsps) -> Hash {
    let mut hasher = Sha256::new();
    for source in BUILDER_SOURCE {
        hasher.update(source);
    }
    hasher.update(if cfg!(target_endian = "little") { "little-endian" } else { "big-endian" });
    hasher.update(tables.digest());
    // Debug prints every field, and floats with all their digits.
    hasher.update(format!("{spec:?}"));
    for psps in [&unit_psps.of_mode_mv, &unit_psps.of_point_mv] {
        hasher.update(bytemuck::cast_slice::<_, u8>(psps.as_flattened()));
    }
    hasher.finalize().into()
}

fn hexadecimal(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Bytes that the cache may take: ten networks of 67,000 neurons.
const MOST_BYTES: u64 = 4 << 30;

/// Makes a file the one that was used last. Where this fails it is evicted earlier, which costs time only.
fn mark_used(file: &Path) {
    let _ =
        File::options().append(true).open(file).and_then(|f| f.set_modified(std::time::SystemTime::now()));
}

/// Removes what dead processes left unfinished, and the files that were not used for longest until at most `most_bytes` are taken, but
/// never `newest`. A file that cannot be looked at or removed is left alone: another process may have been quicker.
fn evict(folder: &Path, newest: &Path, most_bytes: u64) {
    remove_unfinished(folder);
    let Ok(entries) = fs::read_dir(folder) else { return };
    let ours = |path: &Path| {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        extension == "network" || extension.starts_with("unfinished-")
    };
    let mut files: Vec<_> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            Some((metadata.modified().ok()?, metadata.len(), entry.path()))
        })
        .filter(|(_, _, path)| ours(path))
        .collect();
    files.sort();
    let mut n_bytes: u64 = files.iter().map(|file| file.1).sum();
    for (_, len, path) in files.iter().filter(|file| file.2 != newest) {
        if n_bytes <= most_bytes {
            return;
        }
        if fs::remove_file(path).is_ok() {
            n_bytes -= len;
        }
    }
}

/// Removes unfinished files whose writers, which lock them, are dead.
fn remove_unfinished(folder: &Path) {
    for path in fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let open = || File::options().write(true).open(&path).ok();
        if extension.starts_with("unfinished-") && open().is_some_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(&path);
        }
    }
}

/// Writes to a file of another name and renames it, so that a file of this name is always whole.
fn store(file: &Path, key: &Hash, network: &Network) -> Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let unfinished = file.with_extension(format!("unfinished-{}", std::process::id()));
    let written = write(&unfinished, key, network).and_then(|()| fs::rename(&unfinished, file));
    if written.is_err() {
        // Already failing; the remains are harmless where even this fails.
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(Error::io(file))
}

fn write(file: &Path, key: &Hash, network: &Network) -> std::io::Result<()> {
    let file = File::create(file)?;
    // Tells the others that the writer lives; where there are no locks, nothing unfinished is removed.
    let _ = file.try_lock();
    let mut out = Summing { inner: BufWriter::new(file), hasher: Sha256::new() };
    let (neurons, rows) = (&network.neurons, &network.rows);
    let sizes = [neurons.len(), network.n_lgn, network.n_background, rows.n_edges()].map(|n| n as u64);
    out.write_all(&MAGIC)?;
    out.write_all(key)?;
    put(&mut out, &sizes)?;
    put(&mut out, &neurons.model_ix)?;
    put(&mut out, &neurons.population_ix)?;
    put(&mut out, &neurons.cell_type_ix)?;
    put(&mut out, &neurons.x_um)?;
    put(&mut out, &neurons.y_um)?;
    put(&mut out, &neurons.z_um)?;
    put(&mut out, &neurons.tuning_angle_deg)?;
    put(&mut out, &neurons.target_n_synapses)?;
    put(&mut out, &rows.offsets)?;
    put(&mut out, &rows.targets)?;
    put(&mut out, &rows.weights)?;
    let Summing { mut inner, hasher } = out;
    inner.write_all(&hasher.finalize())?;
    inner.into_inner()?.sync_all()
}

/// Reads a network, or says why the file cannot be used.
fn load(file: &Path, key: &Hash, tables: &Tables) -> std::result::Result<Network, String> {
    let words = |error: std::io::Error| error.to_string();
    let opened = File::open(file).map_err(words)?;
    let n_bytes = opened.metadata().map_err(words)?.len();
    let mut input = Summing { inner: BufReader::with_capacity(1 << 20, opened), hasher: Sha256::new() };
    let (mut magic, mut stored_key) = ([0; 16], [0; 32]);
    input.read_exact(&mut magic).map_err(words)?;
    input.read_exact(&mut stored_key).map_err(words)?;
    if magic != MAGIC || stored_key != *key {
        return Err("is not the network of its name".into());
    }
    let sizes: Vec<u64> = take(&mut input, 4).map_err(words)?;
    let sizes = [0, 1, 2, 3].map(|i| usize::try_from(sizes[i]).unwrap_or(usize::MAX));
    // Check the length before any memory is asked for: broken sizes may be anything.
    if expected_bytes(sizes) != Some(n_bytes) {
        return Err("has not the length it should have".into());
    }
    let network = take_network(&mut input, sizes, tables).map_err(words)?;
    let Summing { mut inner, hasher } = input;
    let mut stored_sum = [0; 32];
    inner.read_exact(&mut stored_sum).map_err(words)?;
    if stored_sum != Hash::from(hasher.finalize()) {
        return Err("its checksum does not fit its contents".into());
    }
    Ok(network)
}

/// Length of the file of a network of [neurons, LGN units, background units, edges].
fn expected_bytes([n_neurons, n_lgn, n_background, n_edges]: [usize; 4]) -> Option<u64> {
    const HEADER_AND_SUM: usize = 16 + 32 + 4 * 8 + 32;
    const PER_NEURON: usize = 2 + 1 + 1 + 5 * 4;
    let offsets = n_neurons.checked_add(n_lgn)?.checked_add(n_background)?.checked_add(1)?.checked_mul(8)?;
    let n = n_neurons.checked_mul(PER_NEURON)?.checked_add(n_edges.checked_mul(8)?)?.checked_add(offsets)?;
    n.checked_add(HEADER_AND_SUM).map(|n| n as u64)
}

fn take_network(
    input: &mut impl Read,
    [n_neurons, n_lgn, n_background, n_edges]: [usize; 4],
    tables: &Tables,
) -> std::io::Result<Network> {
    Ok(Network {
        unit_type_ix: super::v1_unit_types(n_lgn, n_background),
        populations: tables.populations(),
        cell_models: tables.cell_models(),
        neurons: Neurons {
            model_ix: take(input, n_neurons)?,
            population_ix: take(input, n_neurons)?,
            cell_type_ix: take(input, n_neurons)?,
            x_um: take(input, n_neurons)?,
            y_um: take(input, n_neurons)?,
            z_um: take(input, n_neurons)?,
            tuning_angle_deg: take(input, n_neurons)?,
            target_n_synapses: take(input, n_neurons)?,
        },
        n_lgn,
        n_background,
        rows: Rows {
            offsets: take(input, n_neurons + n_lgn + n_background + 1)?,
            targets: take(input, n_edges)?,
            weights: take(input, n_edges)?,
        },
        ..Network::default()
    })
}

fn put<T: Pod>(out: &mut impl Write, values: &[T]) -> std::io::Result<()> {
    out.write_all(bytemuck::cast_slice(values))
}

fn take<T: Pod>(input: &mut impl Read, n: usize) -> std::io::Result<Vec<T>> {
    let mut values = memory::filled("reading the network as it was built before", n, T::zeroed())
        .map_err(|e| std::io::Error::other(e.to_string()))?;
    input.read_exact(bytemuck::cast_slice_mut(&mut values))?;
    Ok(values)
}

/// A reader or writer that sums up all that passes.
struct Summing<S> {
    inner: S,
    hasher: Sha256,
}

impl<S: Read> Read for Summing<S> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }
}

impl<S: Write> Write for Summing<S> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::super::N_CLASSES;
    use super::*;

    fn inputs() -> (NetworkSpec, Tables, UnitPsps) {
        let tables = Tables::read("scenes/v1").unwrap();
        let psps = vec![[0.1; N_CLASSES]; tables.cells.len()];
        let spec = NetworkSpec { radius_um: 30.0, core_radius_um: 15.0, ..NetworkSpec::published(1) };
        (spec, tables, UnitPsps { of_mode_mv: psps.clone(), of_point_mv: psps })
    }

    /// Builds or loads through the cache in `folder`; returns the network and what was said.
    fn through(folder: &Path, inputs: &(NetworkSpec, Tables, UnitPsps)) -> (Network, Vec<String>) {
        let mut said = Vec::new();
        let network =
            build_or_load(&inputs.0, &inputs.1, &inputs.2, Some(folder), &mut |s| said.push(s.to_string()));
        (network.unwrap(), said)
    }

    fn only_file(folder: &Path) -> PathBuf {
        let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }

    #[test]
    fn a_network_read_back_equals_the_one_built() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs();
        let (built, said) = through(folder.path(), &inputs);
        assert!(said.is_empty(), "{said:?}");
        let file = only_file(folder.path());
        assert_eq!(load(&file, &key(&inputs.0, &inputs.1, &inputs.2), &inputs.1).unwrap(), built);
        let (read, said) = through(folder.path(), &inputs);
        assert!(said.is_empty() && read == built, "{said:?}");
    }

    #[test]
    fn a_broken_file_is_noticed_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let inputs = inputs();
        let (built, _) = through(folder.path(), &inputs);
        let file = only_file(folder.path());
        let good = fs::read(&file).unwrap();
        let flipped = |at: usize| {
            let mut bytes = good.clone();
            bytes[at] ^= 1;
            bytes
        };
        for (bytes, reason) in [
            (good[..good.len() - 1].to_vec(), "length"),
            (good[..40].to_vec(), "fill whole buffer"),
            (Vec::new(), "fill whole buffer"),
            (flipped(3), "not the network of its name"),
            (flipped(20), "not the network of its name"),
            (flipped(48 + 24 + 7), "length"),
            (flipped(good.len() / 2), "checksum"),
            (flipped(good.len() - 1), "checksum"),
        ] {
            fs::write(&file, bytes).unwrap();
            let (network, said) = through(folder.path(), &inputs);
            assert!(network == built);
            assert!(
                said.len() == 1 && said[0].contains(reason) && said[0].contains("built again"),
                "{said:?}"
            );
            assert!(fs::read(&file).unwrap() == good, "the file must be whole again");
        }
    }

    /// A file of this folder that the key forgets would leave stale networks in the cache.
    #[test]
    fn the_key_covers_the_source() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/network");
        for folder in [folder.join("tables"), folder] {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && !path.ends_with("tests.rs") {
                    let text = fs::read_to_string(&path).unwrap();
                    assert!(
                        BUILDER_SOURCE.contains(&text.as_str()),
                        "{} is not in BUILDER_SOURCE",
                        path.display()
                    );
                }
            }
        }
    }

    #[test]
    fn the_key_follows_every_input() {
        let (spec, tables, psps) = inputs();
        let first = key(&spec, &tables, &psps);
        assert_eq!(first, key(&spec.clone(), &tables, &psps.clone()));
        let mut others = vec![
            key(&NetworkSpec { seed: 2, ..spec.clone() }, &tables, &psps),
            key(&NetworkSpec { radius_um: 30.000_001, ..spec.clone() }, &tables, &psps),
            key(&NetworkSpec { lgn_weight_factor: 0.0, ..spec.clone() }, &tables, &psps),
        ];
        let mut changed = psps.clone();
        changed.of_mode_mv[200][9] *= 1.0 + f64::EPSILON;
        others.push(key(&spec, &tables, &changed));
        others.push(first);
        others.sort_unstable();
        others.dedup();
        assert_eq!(others.len(), 5);
    }

    #[test]
    fn a_folder_that_cannot_be_written_does_not_stop_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let (network, said) = through(&in_the_way.join("cache"), &inputs());
        assert!(network.rows.n_edges() > 0);
        assert!(said.len() == 1 && said[0].contains("not kept"), "{said:?}");
    }

    #[test]
    fn the_files_used_least_recently_are_evicted() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let names = ["a.network", "b.unfinished-7", "c.network", "d.network", "notes.txt"];
        for (age, name) in names.iter().enumerate() {
            fs::write(path(name), [0; 100]).unwrap();
            let time = std::time::SystemTime::now() - std::time::Duration::from_secs(1000 - age as u64);
            File::options().append(true).open(path(name)).unwrap().set_modified(time).unwrap();
        }
        mark_used(&path("a.network"));
        evict(folder.path(), &path("c.network"), 250);
        // The unfinished file is the oldest, c is the newest of the run, d was used longer ago than a.
        let left: Vec<bool> = names.iter().map(|name| path(name).exists()).collect();
        assert_eq!(left, [true, false, true, false, true]);
    }

    #[test]
    fn the_folder_follows_the_environment() {
        let from = |variables: &'static [(&'static str, &'static str)]| {
            folder_from(|name| variables.iter().find(|v| v.0 == name).map(|v| PathBuf::from(v.1)))
        };
        let path = |p: &str| Some(PathBuf::from(p));
        assert_eq!(from(&[("SIMRUN_CACHE", "here"), ("HOME", "/home/a")]), path("here"));
        assert_eq!(from(&[("SIMRUN_CACHE", ""), ("HOME", "/home/a")]), None);
        assert_eq!(from(&[("HOME", "/home/a")]), path("/home/a/.cache/simrun"));
        assert_eq!(from(&[("XDG_CACHE_HOME", "/c"), ("HOME", "/home/a")]), path("/c/simrun"));
        assert_eq!(
            from(&[("XDG_CACHE_HOME", "relative"), ("HOME", "/home/a")]),
            path("/home/a/.cache/simrun")
        );
        assert_eq!(from(&[]), None);
    }
}
