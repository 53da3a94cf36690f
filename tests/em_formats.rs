//! EM tables as people have them: every format and every type of column gives the same network, and what is no table is refused by name.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/em_table.rs"]
mod em_table;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, FixedSizeListArray, Float32Array, Float64Array,
    Int64Array, ListArray, RecordBatch, StringArray, UInt64Array,
};
use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
use em_table::{CellRow, SynapseRow, make, write_csv, write_parquet};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use simrun::Result;
use simrun::network::em::{EmNetwork, read_em};
use simrun::network::scene::EmScene;
use simrun::network::tables::Tables;

/// A scene's `em` as a user writes it.
fn scene(cells: &str, synapses: &str, more: &str) -> EmScene {
    let text = format!("(cells: {cells:?}, synapses: {synapses:?}, {more})");
    simrun::scene::from_ron(Path::new("scene"), &text).unwrap()
}

fn read(dir: &Path, cells: &str, synapses: &str, more: &str) -> Result<EmNetwork> {
    static TABLES: LazyLock<Tables> = LazyLock::new(common::tables);
    read_em(&scene(cells, synapses, more), dir, 300.0, &TABLES, 1)
}

#[track_caller]
fn refused(result: Result<EmNetwork>, words: &[&str]) {
    let error = result.expect_err("it is read");
    let message = error.to_string();
    assert_eq!(error.exit_code(), 2, "{message}");
    assert!(
        words.iter().all(|word| message.contains(word)) && message.lines().count() == 1,
        "{words:?} {message}"
    );
}

/// 60 cells and 600 synapses; positions are multiples of 40 nm, so that voxels and decimals say them exactly.
fn rows() -> (Vec<CellRow>, Vec<SynapseRow>) {
    let (mut cells, synapses) = make(&common::tables(), 60, 600, 40.0);
    cells.iter_mut().for_each(|cell| cell.nm = cell.nm.map(|nm| 40.0 * (nm / 40.0).round()));
    (cells, synapses)
}

/// The rows, a folder in which they are CSV, and the network of it.
fn reference() -> (Vec<CellRow>, Vec<SynapseRow>, tempfile::TempDir, EmNetwork) {
    let (cells, synapses) = rows();
    let dir = tempfile::tempdir().unwrap();
    write_csv(dir.path(), &cells, &synapses).unwrap();
    let em = read(dir.path(), "cells.csv", "synapses.csv", "").unwrap();
    assert_eq!((em.report.n_neurons, em.report.n_synapses), (60, 600));
    (cells, synapses, dir, em)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn ids(cells: &[CellRow]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(cells.iter().map(|c| c.id as i64)))
}

fn types(cells: &[CellRow]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(cells.iter().map(|c| c.cell_type.as_str())))
}

fn axis(cells: &[CellRow], k: usize) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(cells.iter().map(|c| c.nm[k])))
}

fn cell_batch(cells: &[CellRow]) -> RecordBatch {
    let [x, y, z] = [0, 1, 2].map(|k| axis(cells, k));
    batch(vec![("id", ids(cells)), ("cell_type", types(cells)), ("x", x), ("y", y), ("z", z)])
}

fn synapse_batch(synapses: &[SynapseRow]) -> RecordBatch {
    let ids = |of: fn(&SynapseRow) -> u64| -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(synapses.iter().map(of)))
    };
    let sizes = Float32Array::from_iter_values(synapses.iter().map(|s| s.size as f32));
    batch(vec![("pre_id", ids(|s| s.pre_id)), ("post_id", ids(|s| s.post_id)), ("size", Arc::new(sizes))])
}

fn parquet(file: &Path, batch: &RecordBatch, compression: Compression) {
    let properties =
        WriterProperties::builder().set_compression(compression).set_max_row_group_row_count(Some(37));
    let open = File::create(file).unwrap();
    let mut writer = ArrowWriter::try_new(open, batch.schema(), Some(properties.build())).unwrap();
    writer.write(batch).unwrap();
    writer.close().unwrap();
}

fn feather(file: &Path, batch: &RecordBatch, compression: Option<arrow_ipc::CompressionType>) {
    let options = IpcWriteOptions::default().try_with_compression(compression).unwrap();
    let open = File::create(file).unwrap();
    let mut writer = FileWriter::try_new_with_options(open, &batch.schema(), options).unwrap();
    let half = batch.num_rows() / 2;
    writer.write(&batch.slice(0, half)).unwrap();
    writer.write(&batch.slice(half, batch.num_rows() - half)).unwrap();
    writer.finish().unwrap();
}

fn gzip(from: &Path, to: &Path) {
    let mut encoder = flate2::write::GzEncoder::new(File::create(to).unwrap(), flate2::Compression::fast());
    encoder.write_all(&fs::read(from).unwrap()).unwrap();
    encoder.finish().unwrap();
}

#[test]
fn every_format_gives_the_same_network() {
    let (cells, synapses, dir, expected) = reference();
    let path = |name: &str| dir.path().join(name);
    let same = |cells: &str, synapses: &str| {
        let em = read(dir.path(), cells, synapses, "").unwrap_or_else(|e| panic!("{cells}: {e}"));
        assert!(em == expected, "{cells}, {synapses}: {}", em.report.line());
    };
    write_parquet(dir.path(), &cells, &synapses).unwrap();
    same("cells.parquet", "synapses.parquet");
    let codecs = [
        ("none", Compression::UNCOMPRESSED),
        ("snappy", Compression::SNAPPY),
        ("gzip", Compression::GZIP(Default::default())),
        ("zstd", Compression::ZSTD(Default::default())),
        ("lz4", Compression::LZ4_RAW),
    ];
    for (name, codec) in codecs {
        let [c, s] = ["cells", "synapses"].map(|table| format!("{table}_{name}.parquet"));
        parquet(&path(&c), &cell_batch(&cells), codec);
        parquet(&path(&s), &synapse_batch(&synapses), codec);
        same(&c, &s);
    }
    let codecs = [
        ("none", None),
        ("lz4", Some(arrow_ipc::CompressionType::LZ4_FRAME)),
        ("zstd", Some(arrow_ipc::CompressionType::ZSTD)),
    ];
    for (name, codec) in codecs {
        let [c, s] = ["cells", "synapses"].map(|table| format!("{table}_{name}.feather"));
        feather(&path(&c), &cell_batch(&cells), codec);
        feather(&path(&s), &synapse_batch(&synapses), codec);
        same(&c, &s);
    }
    for table in ["cells", "synapses"] {
        let csv = path(&format!("{table}.csv"));
        gzip(&csv, &path(&format!("{table}.csv.gz")));
        let text = fs::read_to_string(&csv).unwrap();
        fs::write(path(&format!("{table}.csv.zst")), zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        fs::write(path(&format!("{table}.tsv")), text.replace(',', "\t")).unwrap();
        // As spreadsheets write it: a mark of UTF-8, semicolons, ends of lines of two characters.
        let sheet = format!("\u{feff}{}", text.replace(',', ";").replace('\n', "\r\n"));
        fs::write(path(&format!("{table}_sheet.csv")), sheet).unwrap();
        // The name does not decide.
        fs::copy(path(&format!("{table}.parquet")), path(&format!("{table}.data"))).unwrap();
    }
    for ending in [".csv.gz", ".csv.zst", ".tsv", "_sheet.csv", ".data"] {
        same(&format!("cells{ending}"), &format!("synapses{ending}"));
    }
    // Folders of parts, of any format, beside what programs leave there.
    for folder in ["cells_parts", "synapses_parts"] {
        fs::create_dir(path(folder)).unwrap();
        fs::write(path(folder).join("_SUCCESS"), "").unwrap();
        fs::write(path(folder).join(".part-0.parquet.crc"), "crc").unwrap();
    }
    parquet(&path("cells_parts").join("part-0.parquet"), &cell_batch(&cells[..25]), Compression::SNAPPY);
    feather(&path("cells_parts").join("part-1.feather"), &cell_batch(&cells[25..]), None);
    parquet(
        &path("synapses_parts").join("part-0.parquet"),
        &synapse_batch(&synapses[..1]),
        Compression::SNAPPY,
    );
    parquet(
        &path("synapses_parts").join("part-1.parquet"),
        &synapse_batch(&synapses[1..]),
        Compression::SNAPPY,
    );
    same("cells_parts", "synapses_parts");
    fs::create_dir(path("cells_parts").join("cell_type=L4_Exc")).unwrap();
    refused(read(dir.path(), "cells_parts", "synapses.csv", ""), &["cells_parts", "cell_type=L4_Exc"]);
}

#[test]
fn every_type_of_column_says_the_same() {
    let (cells, _, dir, expected) = reference();
    let file = dir.path().join("cells.parquet");
    let same = |id: ArrayRef, cell_type: ArrayRef, places: Vec<(&str, ArrayRef)>, more: &str| {
        let mut columns = vec![("id", id), ("cell_type", cell_type)];
        columns.extend(places);
        let batch = batch(columns);
        for format in ["parquet", "feather"] {
            match format {
                "parquet" => parquet(&file, &batch, Compression::SNAPPY),
                _ => feather(&dir.path().join("cells.feather"), &batch, None),
            }
            let em = read(dir.path(), &format!("cells.{format}"), "synapses.csv", more);
            let em = em.unwrap_or_else(|e| panic!("{e}"));
            assert!(em == expected, "{format}: {}", em.report.line());
        }
    };
    let axes = || ["x", "y", "z"].into_iter().enumerate().map(|(k, name)| (name, axis(&cells, k))).collect();
    let of_ids = |array: fn(&[u64]) -> ArrayRef| array(&cells.iter().map(|c| c.id).collect::<Vec<u64>>());
    same(of_ids(|ids| Arc::new(UInt64Array::from(ids.to_vec()))), types(&cells), axes(), "");
    same(
        of_ids(|ids| Arc::new(StringArray::from_iter_values(ids.iter().map(u64::to_string)))),
        types(&cells),
        axes(),
        "",
    );
    let decimals = |ids: &[u64]| -> ArrayRef {
        let values = Decimal128Array::from_iter_values(ids.iter().map(|id| i128::from(*id) * 100));
        Arc::new(values.with_precision_and_scale(38, 2).unwrap())
    };
    same(of_ids(decimals), types(&cells), axes(), "");
    let names: DictionaryArray<Int32Type> = cells.iter().map(|c| c.cell_type.as_str()).collect();
    same(ids(&cells), Arc::new(names), axes(), "");
    // Decimals of any width and scale, as databases make them.
    for (precision, scale) in [(9, 1), (18, 3), (38, 6)] {
        let axis = |k: usize| -> ArrayRef {
            let values = cells.iter().map(|c| c.nm[k] as i128 * 10_i128.pow(scale as u32));
            Arc::new(
                Decimal128Array::from_iter_values(values).with_precision_and_scale(precision, scale).unwrap(),
            )
        };
        same(ids(&cells), types(&cells), vec![("x", axis(0)), ("y", axis(1)), ("z", axis(2))], "");
    }
    // Lists and texts of voxels.
    let voxels = |c: &CellRow| [c.nm[0] / 4.0, c.nm[1] / 4.0, c.nm[2] / 40.0].map(|v| v as i64);
    let list = |c: &CellRow| Some(voxels(c).map(Some).to_vec());
    let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
        cells.iter().map(list),
    ));
    let size = "nm_per_unit: [4, 4, 40]";
    same(ids(&cells), types(&cells), vec![("pt_position", lists.clone())], size);
    let named = format!("{size}, columns: (position: \"place\")");
    same(ids(&cells), types(&cells), vec![("place", lists)], &named);
    let fixed = FixedSizeListArray::from_iter_primitive::<arrow_array::types::Int64Type, _, _>(
        cells.iter().map(list),
        3,
    );
    let batch_of_fixed =
        batch(vec![("id", ids(&cells)), ("cell_type", types(&cells)), ("pt_position", Arc::new(fixed))]);
    feather(&dir.path().join("fixed.feather"), &batch_of_fixed, None);
    assert!(read(dir.path(), "fixed.feather", "synapses.csv", size).unwrap() == expected);
    let texts: ArrayRef =
        Arc::new(StringArray::from_iter_values(cells.iter().map(|c| format!("{:?}", voxels(c)))));
    same(ids(&cells), types(&cells), vec![("pt_position", texts)], size);
    let split =
        |k: usize| -> ArrayRef { Arc::new(Int64Array::from_iter_values(cells.iter().map(|c| voxels(c)[k]))) };
    let names = ["pt_position_x", "pt_position_y", "pt_position_z"];
    same(
        ids(&cells),
        types(&cells),
        names.into_iter().enumerate().map(|(k, name)| (name, split(k))).collect(),
        size,
    );
    // What cannot be a column's values.
    let wrong = |id: ArrayRef, x: ArrayRef, words: &[&str]| {
        let columns = vec![
            ("id", id),
            ("cell_type", types(&cells)),
            ("x", x),
            ("y", axis(&cells, 1)),
            ("z", axis(&cells, 2)),
        ];
        parquet(&file, &batch(columns), Compression::SNAPPY);
        refused(read(dir.path(), "cells.parquet", "synapses.csv", ""), &[&["cells.parquet"], words].concat());
    };
    let floats: ArrayRef = Arc::new(Float64Array::from_iter_values(cells.iter().map(|c| c.id as f64)));
    wrong(floats, axis(&cells, 0), &["row 0", "'id'", "float", "lost its last digits", "Int64"]);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true; cells.len()]));
    wrong(flags, axis(&cells, 0), &["'id'", "Boolean", "whole numbers"]);
    wrong(ids(&cells), types(&cells), &["row 0", "'x'", "is not a number"]);
    let days: ArrayRef = Arc::new(arrow_array::Date32Array::from(vec![1; cells.len()]));
    wrong(ids(&cells), days, &["'x'", "Date32"]);
}

#[test]
fn tables_of_other_programs_are_read() {
    let golden = common::root().join("tests/golden");
    let path = |name: &str| golden.join(name).to_str().unwrap().to_owned();
    let read =
        |cells: &str, more: &str| read(Path::new(""), &path(cells), &path("cave_synapses.feather"), more);
    // 24 cells in a row and a synapse from each to the next but the last, which has no presynaptic id; 1 of 24 is more than 1 %.
    let few = "max_faulty: 0.05";
    refused(
        read("cave_cells.parquet", ""),
        &["cave_synapses.feather", "1 of 24 rows are faulty", "1 without id"],
    );
    let em = read("cave_cells.parquet", few).unwrap();
    assert_eq!((em.report.n_neurons, em.report.n_edges, em.report.synapses_without_id), (24, 23, 1));
    // 23 steps of 600 x 4, 6000 x 4 and 60 x 40 nm, by the size of a voxel that the file has in its attributes.
    let span = em.report.extent_um.map(|um| (10.0 * um).round());
    assert_eq!(span, [552.0, 5520.0, 552.0], "{}", em.report.line());
    for (cells, more) in [
        ("cave_cells.csv.gz", few.to_owned()),
        ("cave_cells.parquet", format!("{few}, nm_per_unit: [4, 4, 40]")),
        ("duckdb_cells.parquet", few.to_owned()),
        ("dictionary_cells.feather", few.to_owned()),
    ] {
        let other = read(cells, &more).unwrap();
        assert!(other == em, "{cells}: {}", other.report.line());
    }
    // What the scene says goes before what the file says.
    let other = read("cave_cells.parquet", &format!("{few}, nm_per_unit: [8, 8, 40]")).unwrap();
    assert_eq!(other.report.extent_um.map(|um| (10.0 * um).round()), [1104.0, 11040.0, 552.0]);
    refused(read("brotli_cells.parquet", few), &["brotli_cells.parquet", "BROTLI", "zstd or snappy"]);
    refused(read("version_1.feather", few), &["version_1.feather", "version 1", "version 2"]);
}

#[test]
fn positions_are_never_taken_without_their_scale() {
    let (cells, _, dir, expected) = reference();
    let scaled = |name: &str, nm: [f64; 3]| {
        let mut text = "id,cell_type,x,y,z\n".to_owned();
        for cell in &cells {
            let [x, y, z] = [0, 1, 2].map(|k| cell.nm[k] / nm[k]);
            text += &format!("{},{},{x},{y},{z}\n", cell.id, cell.cell_type);
        }
        fs::write(dir.path().join(name), text).unwrap();
    };
    let read = |cells: &str, more: &str| read(dir.path(), cells, "synapses.csv", more);
    for (name, nm, said) in [
        ("voxels.csv", [4.0, 4.0, 40.0], "[4, 4, 40]"),
        ("cubes.csv", [8.0; 3], "[8]"),
        ("um.csv", [1000.0; 3], "[1000, 1000, 1000]"),
        ("mm.csv", [1e6; 3], "[1e6]"),
        ("angstrom.csv", [1e-3; 3], "[0.001]"),
    ] {
        scaled(name, nm);
        refused(read(name, ""), &[name, "not said", "60 cells", "network.em.nm_per_unit", "[4, 4, 40]"]);
        let em = read(name, &format!("nm_per_unit: {said}")).unwrap();
        assert_eq!(em.edges, expected.edges, "{name}");
        let off = em.neurons.y_um.iter().zip(&expected.neurons.y_um).map(|(a, b)| (a - b).abs());
        assert!(off.fold(0.0, f32::max) < 1e-3, "{name}");
    }
    // A wide slab of few cells in voxels that are longer along z: nm by its density, but thinner than any.
    let sparse: Vec<CellRow> = (0..40_u64)
        .map(|k| CellRow {
            id: k + 1,
            cell_type: "L4_Exc".to_owned(),
            nm: [7e3 * k as f64, 2e4 * k as f64, 500.0 * k as f64],
        })
        .collect();
    let pair = [SynapseRow { pre_id: 1, post_id: 2, size: 1.0 }];
    write_csv(dir.path(), &sparse, &pair).unwrap();
    refused(read("cells.csv", ""), &["273.000 x 780.000 x 19.500 um"]);
    assert_eq!(read("cells.csv", "nm_per_unit: [1]").unwrap().report.n_neurons, 40);
    // A name that says the unit.
    let named = "columns: (x: \"x_um\", y: \"y_um\", z: \"z_um\")";
    let text = fs::read_to_string(dir.path().join("um.csv")).unwrap().replacen("x,y,z", "x_um,y_um,z_um", 1);
    fs::write(dir.path().join("named.csv"), text).unwrap();
    refused(read("named.csv", named), &["named.csv", "'x_um' is not in nm by its name", "nm_per_unit"]);
}

#[test]
fn what_is_no_table_is_refused_with_what_to_do() {
    let (_, _, dir, _) = reference();
    let path = |name: &str| dir.path().join(name);
    let refuse = |name: &str, bytes: &[u8], words: &[&str]| {
        fs::write(path(name), bytes).unwrap();
        let read = read(dir.path(), name, "synapses.csv", "");
        refused(read, &[&[name], words].concat());
    };
    refuse("empty.csv", b"", &["is empty"]);
    refuse("table.xlsx", b"PK\x03\x04....", &["ZIP", "CSV"]);
    refuse("table.csv.bz2", b"BZh91AY", &["bzip2", "gzip"]);
    refuse("table.csv.xz", b"\xfd7zXZ\0", &["xz", "unpack"]);
    refuse("table.h5", b"\x89HDF\r\n\x1a\n", &["HDF5"]);
    refuse("locked.parquet", b"PARE....", &["encrypted"]);
    refuse("big.parquet", b"version https://git-lfs.github.com/spec/v1\n", &["git lfs pull"]);
    refuse("wide.csv", b"\xff\xfei\0d\0", &["UTF-16", "UTF-8"]);
    refuse("named.parquet", b"id,cell_type\n", &["no parquet file"]);
    refuse("named.feather", b"id,cell_type\n", &["no feather file"]);
    refuse("bytes.csv", b"\0\x01\x02", &["no table"]);
    refuse("twice.csv", b"id,x,id\n1,2,3\n", &["two columns 'id'"]);
    refuse("ragged.csv", b"id,cell_type,x,y,z\n1,L4_Exc,2\n", &["malformed CSV", "line: 2"]);
    refuse("short.csv.gz", b"\x1f\x8b\x08\0\0\0", &["damaged"]);
    refuse("latin.csv", b"id,cell_type,x,y,z\n1,caf\xe9,1,2,3\n", &["malformed CSV", "utf-8"]);
    fs::create_dir(path("nothing")).unwrap();
    refused(read(dir.path(), "nothing", "synapses.csv", ""), &["nothing", "folder without"]);
    // gzip that ends early.
    gzip(&path("cells.csv"), &path("cells.csv.gz"));
    let whole = fs::read(path("cells.csv.gz")).unwrap();
    refuse("half.csv.gz", &whole[..whole.len() / 2], &["damaged"]);
}

/// Reads a damaged table of cells: it must be refused by name, or read; nothing else.
fn survives(dir: &Path, name: &str, bytes: &[u8]) -> bool {
    fs::write(dir.join(name), bytes).unwrap();
    match read(dir, name, "synapses.csv", "max_faulty: 1.0, nm_per_unit: [1]") {
        Ok(_) => true,
        Err(error) => {
            let message = error.to_string();
            assert!(message.contains(name) || message.contains("synapses.csv"), "{message}");
            assert_eq!(error.exit_code(), 2, "{message}");
            false
        }
    }
}

#[test]
fn damaged_files_are_refused_and_never_believed() {
    let (cells, _, dir, _) = reference();
    let whole: PathBuf = dir.path().join("whole");
    for name in ["damaged.parquet", "damaged.feather"] {
        match name {
            "damaged.parquet" => parquet(&whole, &cell_batch(&cells), Compression::SNAPPY),
            _ => feather(&whole, &cell_batch(&cells), Some(arrow_ipc::CompressionType::LZ4_FRAME)),
        }
        let bytes = fs::read(&whole).unwrap();
        assert!(survives(dir.path(), name, &bytes));
        for n in (0..bytes.len()).step_by(97) {
            assert!(!survives(dir.path(), name, &bytes[..n]), "{name} of {n} bytes is read");
        }
        let mut n_read = 0;
        for at in (0..bytes.len()).step_by(3) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            n_read += usize::from(survives(dir.path(), name, &damaged));
        }
        assert!(n_read < bytes.len() / 3, "{name}: nothing is checked");
    }
}

#[test]
fn sizes_that_a_file_cannot_hold_are_refused_before_they_are_made() {
    let (cells, _, dir, _) = reference();
    let whole = dir.path().join("whole");
    // The length of a compressed buffer comes before it: 2^50 bytes would end the program.
    feather(&whole, &cell_batch(&cells), Some(arrow_ipc::CompressionType::ZSTD));
    let bytes = fs::read(&whole).unwrap();
    let zstd = bytes.windows(4).position(|w| w == [0x28, 0xb5, 0x2f, 0xfd]).unwrap();
    let mut damaged = bytes.clone();
    damaged[zstd - 8..zstd].copy_from_slice(&(1_i64 << 50).to_le_bytes());
    fs::write(dir.path().join("bomb.feather"), damaged).unwrap();
    let read = |name: &str| read(dir.path(), name, "synapses.csv", "");
    refused(read("bomb.feather"), &["bomb.feather", "damaged", "declares 1125899906842624 bytes"]);
    // A page's header in Parquet: its second number, zigzag in seven bits a byte, is the size of the page.
    parquet(&whole, &cell_batch(&cells), Compression::ZSTD(Default::default()));
    let bytes = fs::read(&whole).unwrap();
    assert_eq!([bytes[4], bytes[6]], [0x15, 0x15], "type and size of the first page");
    let header = 7 + usize::from(bytes[7] >= 0x80);
    let mut damaged = bytes[..7].to_vec();
    damaged.extend([0xfe, 0xff, 0xff, 0xff, 0x0f]);
    damaged.extend(&bytes[header + 1..]);
    fs::write(dir.path().join("bomb.parquet"), damaged).unwrap();
    refused(read("bomb.parquet"), &["bomb.parquet", "damaged", "declares 2147483647 bytes"]);
}
