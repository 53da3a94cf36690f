"""Writes tests/golden/filternet.json and filternet_movie.json: rates of LGN units by BMTK's FilterNet, for the tests of src/stimulus.

    python=$(tools/venv bmtk bmtk==1.2.0)
    $python tools/filternet_golden.py ../shared/data/sonata/v1_r100/network

The units are real nodes of the published network (argument: the folder of lgn_nodes.h5 and lgn_node_types.csv), from
each of the 14 classes: two whose filters lie wholly on the screen and one at its edge. They see a screen of 40 x 40
deg instead of 120 x 80, so that it can be resolved finely in little memory: FilterNet samples the screen on a pixel grid
and its Gaussians lose in amplitude what the grid blurs, by (pixel / sigma)^2. The published runs use a pixel of
1 / (10 cpd) = 2.5 deg, wider than most of the Gaussians; --published prints how far that setting lies from the fine one.

The movie is of random blocks, 25 frames a second, on a part of the screen, after grey and before grey.

FilterNet's default y_dir is 'down'; here it is 'up', so that a unit's y is its elevation and a direction counts
anticlockwise. A published run's theta is then our -theta.
"""

import argparse
import csv
import json
import pathlib

import h5py
import numpy as np
from bmtk.simulator.filternet.default_setters.cell_loaders import default_cell_loader
from bmtk.simulator.filternet.lgnmodel.movie import GratingMovie, Movie

SCREEN_DEG = 40.0
OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "golden"

# direction, cpd, Hz, contrast, phase, onset, duration, pixel: the pixel keeps the grid's blur under 1e-3 of the amplitude.
CONDITIONS = [
    dict(direction_deg=45.0, spatial_frequency_cpd=0.04, temporal_frequency_hz=2.0, contrast=0.8, phase_deg=0.0,
         onset_ms=500.0, duration_ms=1200.0, pixel_deg=0.25),
    dict(direction_deg=200.0, spatial_frequency_cpd=0.08, temporal_frequency_hz=8.0, contrast=0.5, phase_deg=60.0,
         onset_ms=100.0, duration_ms=600.0, pixel_deg=0.125),
    dict(direction_deg=0.0, spatial_frequency_cpd=0.04, temporal_frequency_hz=2.0, contrast=0.0, phase_deg=0.0,
         onset_ms=50.0, duration_ms=200.0, pixel_deg=1.0),
]

# Blocks of 3 deg whose edges lie halfway between pixels, which are 0.125 deg apart from 0 on.
MOVIE = dict(n_columns=8, n_rows=6, width_deg=24.0, centre_deg=[20.0625, 17.0625], n_frames=8, frame_ms=40.0,
             onset_ms=60.0, duration_ms=600.0)


class Node:
    """One row of lgn_nodes.h5 with the attributes that FilterNet's cell loader asks for."""

    predefined_jitter = False
    non_dom_params = None

    def __init__(self, node_id, pop_name, row):
        self.node_id = node_id
        self.row = dict(row, pop_name=pop_name)
        self.tuning_angle = row["tuning_angle"]
        self.sf_sep = row["sf_sep"]
        self.weights, self.kpeaks, self.delays = (self.pair(f"{p}_dom") for p in ("weight", "kpeaks", "delay"))
        self.weights_non_dom, self.kpeaks_non_dom, self.delays_non_dom = (
            self.pair(f"{p}_non_dom") for p in ("weight", "kpeaks", "delay"))

    def pair(self, name):
        values = [self.row[f"{name}_0"], self.row[f"{name}_1"]]
        return None if np.isnan(values[0]) else values

    def __getitem__(self, key):
        return self.row[key]

    def __contains__(self, key):
        return key in self.row


def read_nodes(network):
    with open(network / "lgn_node_types.csv", newline="") as file:
        names = {int(r["node_type_id"]): r["pop_name"] for r in csv.DictReader(file, delimiter=" ")}
    with h5py.File(network / "lgn_nodes.h5") as file:
        population = file["nodes/lgn"]
        columns = {name: data[:] for name, data in population["0"].items() if isinstance(data, h5py.Dataset)}
        types = population["node_type_id"][:]
    rows = ({name: float(data[i]) for name, data in columns.items()} for i in range(len(types)))
    return [Node(i, names[t], row) for i, (t, row) in enumerate(zip(types, rows))]


def choose(nodes):
    """Per class two units with every filter wholly on the screen (4 sigma) and one at the screen's lower left edges."""
    chosen = []
    for name in dict.fromkeys(n.row["pop_name"] for n in nodes):
        mine = [n for n in nodes if n.row["pop_name"] == name]

        def margin(n):
            places = [(n.row["x"], n.row["y"])]
            if n.kpeaks_non_dom is not None:
                a = np.deg2rad(n.tuning_angle)
                places.append((n.row["x"] + n.sf_sep * np.cos(a), n.row["y"] + n.sf_sep * np.sin(a)))
            reach = 4.0 * n.row["spatial_size"] / 3.0
            return min(min(p, SCREEN_DEG - p) - reach for place in places for p in place)

        inside = [n for n in mine if margin(n) >= 0.0]
        edge = [n for n in mine if n.row["x"] < 2.0 and 4.0 < n.row["y"] < 36.0 or
                n.row["y"] < 2.0 and 4.0 < n.row["x"] < 36.0]
        # The largest and the smallest interior filter; for the edge the one that loses most of its area.
        inside.sort(key=lambda n: (n.row["spatial_size"], n.row["x"]))
        chosen += [(inside[0], False), (inside[-1], False), (min(edge, key=margin), True)]
    return chosen


def movie(condition, screen=(SCREEN_DEG, SCREEN_DEG), pixel_deg=None):
    return GratingMovie(screen[1], screen[0], y_dir="up").create_movie(
        t_max=condition["duration_ms"] / 1000.0, gray_screen_dur=condition["onset_ms"] / 1000.0,
        cpd=condition["spatial_frequency_cpd"], temporal_f=condition["temporal_frequency_hz"],
        theta=condition["direction_deg"], phase=condition["phase_deg"], contrast=condition["contrast"],
        degrees_per_pixel=pixel_deg)


def block_movie(luminance):
    """The frames (8 bits, row 0 at the top) as one frame a ms: that of a ms is what was shown in the ms before it."""
    m, pixel_deg = MOVIE, 0.125
    places = np.arange(int(SCREEN_DEG / pixel_deg) + 1) * pixel_deg
    block_deg = m["width_deg"] / m["n_columns"]
    column = np.floor((places - m["centre_deg"][0]) / block_deg + m["n_columns"] / 2).astype(int)
    row = np.floor((m["centre_deg"][1] - places) / block_deg + m["n_rows"] / 2).astype(int)
    on = (np.clip(row, 0, m["n_rows"] - 1) == row)[:, None] & (np.clip(column, 0, m["n_columns"] - 1) == column)[None]
    data = np.zeros((int(m["duration_ms"]), len(places), len(places)), dtype=np.float32)
    for t in range(int(m["onset_ms"]) + 1, len(data)):
        frame = int((t - 1 - m["onset_ms"]) // m["frame_ms"])
        if frame < m["n_frames"]:
            contrast = 2.0 * luminance[frame] / 255.0 - 1.0
            data[t] = np.where(on, contrast[row.clip(0, m["n_rows"] - 1)][:, column.clip(0, m["n_columns"] - 1)], 0.0)
    return Movie(data, row_range=places, col_range=places, frame_rate=1000.0, y_dir="up")


def rates(nodes, frames):
    return np.array([default_cell_loader(n, None, None).evaluate(frames, downsample=1, separable=True)[1]
                     for n in nodes])


def unit_record(node, at_edge):
    row = node.row
    record = dict(node_id=node.node_id, class_name=row["pop_name"], at_edge=at_edge, x_deg=row["x"], y_deg=row["y"],
                  size_deg=row["spatial_size"], weights=node.weights, peaks_ms=node.kpeaks, delays_ms=node.delays)
    if node.kpeaks_non_dom is not None:
        record["second"] = dict(angle_deg=node.tuning_angle, separation_deg=node.sf_sep, weights=node.weights_non_dom,
                                peaks_ms=node.kpeaks_non_dom, delays_ms=node.delays_non_dom)
    return record


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("network", type=pathlib.Path)
    parser.add_argument("--published", action="store_true", help="compare the published pixel grid with the fine one")
    args = parser.parse_args()
    chosen = choose(read_nodes(args.network))
    nodes = [n for n, _ in chosen]
    conditions = []
    for condition in CONDITIONS:
        fine = rates(nodes, movie(condition, pixel_deg=condition["pixel_deg"]))
        if args.published and condition["contrast"] > 0.0:
            coarse = rates(nodes, movie(condition, screen=(120.0, 80.0)))
            inside = [i for i, (_, at_edge) in enumerate(chosen) if not at_edge]
            off = np.abs(coarse - fine).max(axis=1) / fine.max(axis=1)
            print(f"{condition}: published grid off by {off[inside].max():.3f} of the peak, median "
                  f"{np.median(off[inside]):.3f}")
        onset = int(condition["onset_ms"])
        times = [0, onset] + list(range(onset + 1, fine.shape[1], 5))
        conditions.append(dict(condition, times_ms=times, peak_hz=[round(float(r.max()), 4) for r in fine],
                               rates_hz=[[round(float(r[t]), 4) for t in times] for r in fine]))
    golden = dict(command="$(tools/venv bmtk bmtk==1.2.0) tools/filternet_golden.py "
                          "../shared/data/sonata/v1_r100/network",
                  source="BMTK 1.2.0 filternet on LGN nodes of biorealistic-v1-model (Allen Institute, BSD-3)",
                  screen_deg=[SCREEN_DEG, SCREEN_DEG], units=[unit_record(n, e) for n, e in chosen],
                  conditions=conditions)
    write("filternet.json", golden)
    luminance = np.random.default_rng(1).integers(0, 256, (MOVIE["n_frames"], MOVIE["n_rows"], MOVIE["n_columns"]))
    shown = rates(nodes, block_movie(luminance))
    times = list(range(0, shown.shape[1], 10))
    write("filternet_movie.json", dict(
        command=golden["command"], source=golden["source"], units="those of filternet.json", **MOVIE,
        luminance=luminance.reshape(-1).tolist(), times_ms=times, peak_hz=[round(float(r.max()), 4) for r in shown],
        rates_hz=[[round(float(r[t]), 4) for t in times] for r in shown]))


def write(name, golden):
    text = json.dumps(golden)
    for mark in ('"units"', '"conditions"', '{"node_id"', '{"direction_deg"', '"rates_hz"'):
        text = text.replace(mark, "\n" + mark)
    (OUT / name).write_text(text.replace("], [", "],\n[") + "\n")
    print(f"{OUT / name}: {(OUT / name).stat().st_size} bytes")


if __name__ == "__main__":
    main()
