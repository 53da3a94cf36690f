//! Makes tables of cells and synapses in the format of EM exports, of any size, as CSV or Parquet: for tests, and for the tool
//! `tools/make_em_table.rs`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use simrun::model::rng::{Stream, normal_pair, uniform_f64, words};
use simrun::network::tables::Tables;

/// A cell as a row.
#[derive(Clone, Debug)]
pub(crate) struct CellRow {
    pub(crate) id: u64,
    pub(crate) cell_type: String,
    pub(crate) nm: [f64; 3],
}

/// A synapse as a row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SynapseRow {
    pub(crate) pre_id: u64,
    pub(crate) post_id: u64,
    pub(crate) size: f64,
}

/// Cells in the numbers of the published network, within `radius_um`, and synapses between neighbours, one to five a pair.
pub(crate) fn make(
    tables: &Tables,
    n_cells: usize,
    n_synapses: usize,
    radius_um: f64,
) -> (Vec<CellRow>, Vec<SynapseRow>) {
    let draw = |owner: usize, k: u32, block: u32| {
        let [a, b, c, d] = words(77, Stream::Trials, owner as u32, k, block);
        [uniform_f64(a, b), uniform_f64(c, d)]
    };
    let mut shares = Vec::new();
    for cell in &tables.cells {
        let before = shares.last().map_or(0.0, |s: &(f64, usize)| s.0);
        shares.push((before + cell.n_cells_full as f64, cell.model.cell_type_ix));
    }
    let total = shares.last().map_or(0.0, |s| s.0);
    let cells: Vec<CellRow> = (0..n_cells)
        .map(|i| {
            let ([kind, depth], [r, phi]) = (draw(i, 0, 0), draw(i, 1, 0));
            let at = shares.partition_point(|s| s.0 < kind * total).min(shares.len() - 1);
            let (r, phi) = (0.999 * radius_um * r.sqrt(), std::f64::consts::TAU * phi);
            CellRow {
                // As the root ids of MICrONS: eighteen digits, not in order.
                id: 864_691_135_000_000_000 + (i as u64 * 7_919) % 1_000_003 * 1_001,
                cell_type: simrun::network::CELL_TYPES[shares[at].1].to_owned(),
                nm: [7e5 + 1e3 * r * phi.cos(), 4e5 + 8e5 * depth, 8e5 + 1e3 * r * phi.sin()],
            }
        })
        .collect();
    let mut synapses = Vec::with_capacity(n_synapses);
    let mut pair = 0;
    while synapses.len() < n_synapses {
        let ([pre, post], [n, _]) = (draw(pair, 2, 0), draw(pair, 3, 0));
        let [pre, post] = [pre, post].map(|u| ((u * n_cells as f64) as usize).min(n_cells - 1));
        pair += 1;
        if pre == post {
            continue;
        }
        // Four pairs in five have one synapse.
        let n = if n < 0.8 { 1 } else { 2 + ((n - 0.8) * 20.0) as u32 };
        for k in 0..n {
            let z = normal_pair(words(78, Stream::Trials, pair as u32, k, 0))[0];
            let size = (8.5 + 1.1 * z).exp().round().max(1.0);
            synapses.push(SynapseRow { pre_id: cells[pre].id, post_id: cells[post].id, size });
        }
    }
    synapses.truncate(n_synapses);
    (cells, synapses)
}

/// Writes both tables as CSV.
pub(crate) fn write_csv(dir: &Path, cells: &[CellRow], synapses: &[SynapseRow]) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(dir.join("cells.csv"))?);
    writeln!(out, "id,cell_type,x,y,z")?;
    for CellRow { id, cell_type, nm: [x, y, z] } in cells {
        writeln!(out, "{id},{cell_type},{x},{y},{z}")?;
    }
    out.flush()?;
    let mut out = BufWriter::new(File::create(dir.join("synapses.csv"))?);
    writeln!(out, "pre_id,post_id,size")?;
    for SynapseRow { pre_id, post_id, size } in synapses {
        writeln!(out, "{pre_id},{post_id},{size}")?;
    }
    out.flush()
}

/// Writes both tables as Parquet, compressed with snappy, as pandas does.
pub(crate) fn write_parquet(
    dir: &Path,
    cells: &[CellRow],
    synapses: &[SynapseRow],
) -> parquet::errors::Result<()> {
    let schema = "message cells { required int64 id; required binary cell_type (UTF8); required double x; required double y; required double z; }";
    write_rows(&dir.join("cells.parquet"), schema, cells, |group, rows| {
        let ids: Vec<i64> = rows.iter().map(|c| c.id as i64).collect();
        let types: Vec<ByteArray> = rows.iter().map(|c| ByteArray::from(c.cell_type.as_str())).collect();
        column::<Int64Type>(group, &ids)?;
        column::<ByteArrayType>(group, &types)?;
        (0..3).try_for_each(|k| {
            column::<DoubleType>(group, &rows.iter().map(|c| c.nm[k]).collect::<Vec<f64>>())
        })
    })?;
    let schema = "message synapses { required int64 pre_id; required int64 post_id; required double size; }";
    write_rows(&dir.join("synapses.parquet"), schema, synapses, |group, rows| {
        column::<Int64Type>(group, &rows.iter().map(|s| s.pre_id as i64).collect::<Vec<i64>>())?;
        column::<Int64Type>(group, &rows.iter().map(|s| s.post_id as i64).collect::<Vec<i64>>())?;
        column::<DoubleType>(group, &rows.iter().map(|s| s.size).collect::<Vec<f64>>())
    })
}

fn write_rows<T>(
    file: &Path,
    schema: &str,
    rows: &[T],
    write: impl Fn(&mut SerializedRowGroupWriter<'_, File>, &[T]) -> parquet::errors::Result<()>,
) -> parquet::errors::Result<()> {
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = Arc::new(parse_message_type(schema)?);
    let mut writer = SerializedFileWriter::new(File::create(file)?, schema, Arc::new(properties))?;
    for rows in rows.chunks(1 << 20) {
        let mut group = writer.next_row_group()?;
        write(&mut group, rows)?;
        group.close()?;
    }
    writer.close().map(|_| ())
}

fn column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> parquet::errors::Result<()> {
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(values, None, None)?;
        column.close()?;
    }
    Ok(())
}
