//! Datasets of odd kinds and sizes.

use super::*;
use rust_hdf5::LibverBound;

/// A file with a packed column of `n` ids in chunks of `chunk`.
fn packed(path: &Path, n: usize, chunk: usize) {
    // As libhdf5 1.6 writes it: without the checksums that later files have.
    let file = H5File::options().libver(LibverBound::Earliest).create(path).unwrap();
    let ids: Vec<u64> = (0..n as u64).collect();
    let packed = file.new_dataset::<u64>().shape([n]).chunk(&[chunk]).shuffle_deflate(4);
    packed.create("ids").unwrap().write_raw(&ids).unwrap();
    file.close().unwrap();
}

/// Replaces every place of a number in a file, `width` bytes each, by another.
fn patch(path: &Path, from: u64, to: u64, width: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
    let places: Vec<usize> =
        (0..bytes.len() - 8).filter(|i| bytes[*i..*i + width] == from[..width]).collect();
    assert!(!places.is_empty(), "the number is not in the file");
    places.iter().for_each(|i| bytes[*i..*i + width].copy_from_slice(&to[..width]));
    std::fs::write(path, bytes).unwrap();
}

fn refused(path: &Path, words: &[&str]) {
    let error = Hdf5::open(path).and_then(|h5| h5.column("ids")?.all_ids()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    for word in words {
        assert!(error.to_string().contains(word), "'{word}' is not in: {error}");
    }
}

#[test]
fn a_packed_column_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    packed(&path, 5000, 777);
    let column = Hdf5::open(&path).unwrap().column_of("ids", 5000).unwrap();
    assert_eq!(column.ids(1234, 2000).unwrap(), (1234..3234).collect::<Vec<u64>>());
}

#[test]
fn ids_may_be_floats_that_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    let ids = |floats: &[f64]| {
        let file = H5File::create(&path).unwrap();
        let created = file.new_dataset::<f64>().shape([floats.len()]).create("ids").unwrap();
        created.write_raw(floats).unwrap();
        file.close().unwrap();
        Hdf5::open(&path).and_then(|h5| h5.column("ids")?.all_ids())
    };
    assert_eq!(ids(&[0.0, 8.0, 9_007_199_254_740_991.0]).unwrap(), [0, 8, 9_007_199_254_740_991]);
    for wrong in [0.5, -1.0, f64::NAN, f64::INFINITY, 9_007_199_254_740_992.0] {
        let message = ids(&[3.0, wrong]).unwrap_err().to_string();
        assert!(message.contains("ids: entry 1 is") && message.contains("integer from 0"), "{message}");
    }
}

#[test]
fn sizes_that_a_file_cannot_hold_are_refused_before_they_are_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    // Entries: 2^40 in a file of a few thousand bytes.
    packed(&path, 0x1234, 777);
    patch(&path, 0x1234, 1 << 40, 8);
    refused(&path, &["a.h5", "ids", "declares 8796093022208 bytes", "cannot hold"]);
    // A chunk of half a milliard entries, 4 GB.
    packed(&path, 9000, 0x1235);
    patch(&path, 0x1235, 0x1fff_fff1, 4);
    refused(&path, &["a.h5", "ids", "declares chunks of 4294967176 bytes for 72000 bytes of data"]);
}

#[test]
fn what_is_not_there_is_told_from_what_cannot_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.h5");
    let file = H5File::create(&path).unwrap();
    let group = file.create_group("a").unwrap();
    group
        .new_dataset::<f64>()
        .shape([2, 3])
        .create("rows")
        .unwrap()
        .write_raw(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
        .unwrap();
    group.set_attr_string("units", "s").unwrap();
    group.create_soft_link("gone", "/a/nowhere").unwrap();
    file.close().unwrap();
    let h5 = Hdf5::open(&path).unwrap();
    assert!(h5.has("a/rows").unwrap() && !h5.has("a/row").unwrap() && !h5.has("b/rows").unwrap());
    assert!(h5.has("a/gone").is_err(), "a link that leads nowhere is there");
    assert!(h5.has_group("a").unwrap() && !h5.has_group("b").unwrap());
    assert!(h5.column("a/rows").is_err());
    assert_eq!(h5.matrix("a/rows").unwrap(), ([2, 3], vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]));
    assert_eq!((h5.rank("a/rows").unwrap(), h5.datasets("b").unwrap().len()), (2, 0));
    assert_eq!(h5.group_attribute("a", "units").unwrap().as_deref(), Some("s"));
    assert_eq!(h5.group_attribute("a", "unit").unwrap(), None);
    assert_eq!(h5.dataset_attribute("a/rows", "units").unwrap(), None);
}
