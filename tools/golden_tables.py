"""Writes the small tables of tests/golden that only other programs write: what CAVE's client, pandas, DuckDB and pyarrow give people.

    python=$(tools/venv tables pandas==3.1.1 pyarrow==26.0.1 duckdb==2.0.1)
    $python tools/golden_tables.py tests/golden

All hold the same 24 cells, and the synapses of each cell with the next: id 864691135000000001 + 7 k, type L4_Exc (k even) or L4_PV, position
(7000 + 600 k, 50000 + 6000 k, 900 + 60 k) voxels of 4 x 4 x 40 nm, size 100 + k.
"""

import pathlib
import sys

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet

K = np.arange(24)
IDS = 864691135000000001 + 7 * K
VOXELS = np.stack([7000 + 600 * K, 50000 + 6000 * K, 900 + 60 * K], axis=1)
TYPES = ["L4_Exc" if k % 2 == 0 else "L4_PV" for k in K]


def main(folder):
    nm = VOXELS * [4, 4, 40]
    cells = pd.DataFrame({"pt_root_id": IDS, "cell_type": TYPES, "pt_position": list(VOXELS)})
    # As a query of CAVE saved with pandas: voxels in lists, and their size in the attributes of the table.
    cells.attrs["dataframe_resolution"] = [4.0, 4.0, 40.0]
    cells.to_parquet(folder / "cave_cells.parquet")
    # The last synapse has no presynaptic id, as a join leaves it.
    pre = pd.array([*IDS[:-1], None], dtype="Int64")
    synapses = pd.DataFrame({"pre_pt_root_id": pre, "post_pt_root_id": [*IDS[1:], IDS[0]], "size": 100 + K})
    synapses.to_feather(folder / "cave_synapses.feather")
    # The same cells in nm, as text in CSV.
    as_text = pd.DataFrame({"pt_root_id": IDS, "cell_type": TYPES, "pt_position": [str(at) for at in nm]})
    as_text.to_csv(folder / "cave_cells.csv.gz", index=False)
    # DuckDB makes a product with 4.0 a decimal.
    voxels = pd.DataFrame({"id": IDS, "cell_type": TYPES, "vx": VOXELS[:, 0], "vy": VOXELS[:, 1], "vz": VOXELS[:, 2]})
    duckdb.register("voxels", voxels)
    query = "SELECT id, cell_type, vx * 4.0 AS x, vy * 4.00 AS y, (vz * 40)::HUGEINT::DECIMAL(38, 3) AS z FROM voxels"
    duckdb.sql(query).write_parquet(str(folder / "duckdb_cells.parquet"))
    table = pa.Table.from_pandas(pd.DataFrame({"id": IDS, "cell_type": pd.Categorical(TYPES)}).assign(
        x=nm[:, 0], y=nm[:, 1], z=nm[:, 2]), preserve_index=False)
    pa.parquet.write_table(table, folder / "brotli_cells.parquet", compression="brotli")
    pa.feather.write_feather(table, folder / "dictionary_cells.feather", compression="zstd")
    pa.feather.write_feather(table.select(["id", "x"]), folder / "version_1.feather", version=1)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
