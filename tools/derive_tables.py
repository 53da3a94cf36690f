#!/usr/bin/env python3
"""Derives the tables of scenes/v1 from the published files, or checks that they still follow from them.

    python3 tools/derive_tables.py --data DIR --out scenes/v1           # write the tables
    python3 tools/derive_tables.py --data DIR --out scenes/v1 --check   # compare, exit 1 on a difference
    python3 tools/derive_tables.py --data DIR --out scenes/v1 --check --bmtk BMTK_DIR

DIR holds the published files in their folders (cells, synapses, structure, lgn, build, golden, function, sonata). BMTK_DIR
is an unpacked BMTK 1.2.0 wheel; with it the baseline rates of the LGN classes are re-derived too, else they are the
constants below. Plain Python 3, standard library only.
"""

import argparse
import ast
import csv
import gzip
import hashlib
import json
import math
import random
import statistics
import struct
import sys
from pathlib import Path

CELL_TYPES = ("L1_Inh L2/3_Exc L2/3_PV L2/3_SST L2/3_VIP L4_Exc L4_PV L4_SST L4_VIP L5_ET L5_IT L5_NP L5_PV L5_SST L5_VIP "
              "L6_Exc L6_PV L6_SST L6_VIP").split()
CLASSES = "e23 e4 e5et e5it e5np e6 pv sst vip exc".split()
TARGET_CLASSES = CLASSES[:9]

# Which sessions are held out follows from this number alone: see split_sessions.
SPLIT_SEED = 1
HELD_OUT_FRACTION = 0.2
# A pool of recorded units stands for a cell type if it has at least this many units in each split.
MIN_UNITS = {"train": 10, "heldout": 5}
# In hundredths, finer at the top: a straight line from 95 to 100 % would overstate the mean rate of L2/3 cells by 11 %.
PROBABILITIES = [i / 100 for i in [*range(0, 95, 5), *range(95, 101)]]

# Baseline rates of the single-filter LGN classes, Hz: the mean spontaneous rate of the recorded cells (Durand et al.
# 2016) whose mean response to gratings is largest at the class's temporal frequency. BMTK 1.2.0 computes them at run
# time from its cell_metrics folder; `--bmtk` repeats that.
LGN_BASELINE_HZ = {
    "sON_TF1": 5.2, "sON_TF2": 3.53333333333, "sON_TF4": 8.25, "sON_TF8": 1.76666666667,
    "sOFF_TF1": 3.95, "sOFF_TF2": 4.53177777778, "sOFF_TF4": 3.67907407407, "sOFF_TF8": 3.62, "sOFF_TF15": 5.075,
    "tOFF_TF4": 3.94455026455, "tOFF_TF8": 2.43777777778, "tOFF_TF15": 1.05066666667,
}
# The two-subfield classes: dominant and second filter, and the figures of BMTK 1.2.0 (filternet, default cell loader).
LGN_TWO_SUBFIELDS = {
    "sONsOFF_001": dict(dom="sOFF_TF4", sec="sON_TF4", separation_deg=6, baseline_hz=4, dom_cross_ms=115, sec_cross_ms=121,
                        dom_max_hz=35, sec_max_hz=21, dom_gain=1),
    "sONtOFF_001": dict(dom="tOFF_TF8", sec="sON_TF4", separation_deg=4, baseline_hz=5.5, dom_cross_ms=64.8,
                        sec_cross_ms=93.5, dom_max_hz=46, sec_max_hz=31, dom_gain=0.7),
}

ALLEN = ("BSD-3-Clause, Allen Institute, biorealistic-v1-model (2026); cite Billeh et al. 2020, Neuron 106:388, and the "
         "measurements named above")


def rows_of(path, delimiter=" "):
    """Rows of a published CSV file as dictionaries; a .gz file is unpacked."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def number(value, digits=12):
    """Shortest text of a number to `digits` significant digits."""
    return f"{float(value):.{digits}g}"


def require(condition, message):
    """Ends the tool where the published files contradict what a table says of them."""
    if not condition:
        sys.exit(f"derive_tables: {message}")


def table(name, source, units, licence, notes, header, rows):
    """(file name, text) of a table: a comment block, then the CSV."""
    lines = [f"# source: {source}", f"# units: {units}", f"# licence: {licence}"]
    lines += [f"# note: {note}" for note in notes]
    lines.append(",".join(header))
    for row in rows:
        require(len(row) == len(header), f"{name}: {len(row)} fields for {len(header)} columns")
        require(not any("," in str(field) for field in row), f"{name}: a field holds a comma")
        lines.append(",".join(map(str, row)))
    return name, "\n".join(lines) + "\n"


# --------------------------------------------------------------------------------------------- cells and populations

def naming(data):
    """Population -> its row of the naming scheme, in the order of CELL_TYPES."""
    scheme = {r["pop_name"]: r for r in rows_of(data / "cells/cell_type_naming_scheme.csv")}
    require(list(dict.fromkeys(r["cell_type"] for r in scheme.values())) == CELL_TYPES,
            "cell_type_naming_scheme.csv does not list the cell types in the program's order")
    return scheme


def populations(data, scheme):
    counts = {r["pop_name"]: r for r in rows_of(data / "cells/populations.csv", ",")}
    lgn = {r["pop_name"]: r for r in rows_of(data / "lgn/lgn_params.csv")}
    rows = []
    for name, names in scheme.items():
        p, l = counts[name], lgn[name]
        rows.append([
            name, p["location"], names["cell_type"], names["cell_type_synaptic"], p["ei"],
            number(p["upper_bound"]), number(p["lower_bound"]), number(p["pop_core_count"]),
            number(p["pop_peripheral_count"]), number(p["nsyn_lognorm_shape"]), number(p["nsyn_lognorm_scale"]),
            number(l["poisson_parameter"]), number(l["sON_ratio"]), number(l["synapse_ratio_against_e4"]),
            number(l["yule_parameter"]),
        ])
    return table(
        "populations.csv",
        "cells/populations.csv, cells/cell_type_naming_scheme.csv and lgn/lgn_params.csv of biorealistic-v1-model "
        "(counts and depths: Billeh et al. 2020; synapses per cell: EM volumes V1DD and MICrONS)",
        "depth_*_um below the pia; n_* cells; n_synapses_scale synapses; lgn_temporal_frequency_hz Hz; the rest dimensionless",
        ALLEN,
        ["n_core counts cells within 400 um of the centre, n_surround those between 400 and 700 um",
         "n_synapses_*: log-normal of the number of synapses a cell receives: exp(ln(scale) + shape * normal)",
         "lgn_temporal_frequency_hz: mean of the Poisson law (0 redrawn) of the preferred temporal frequency of the LGN input",
         "lgn_s_on_share: probability that a cell draws from sustained ON units, else from sustained OFF units",
         "lgn_synapse_ratio: LGN synapses over 0.2 x the cell's synapses; lgn_yule: parameter of the Yule-Simon law of "
         "synapses per LGN connection"],
        "population location cell_type class ei depth_top_um depth_bottom_um n_core n_surround n_synapses_shape "
        "n_synapses_scale lgn_temporal_frequency_hz lgn_s_on_share lgn_synapse_ratio lgn_yule".split(), rows)


def cells(data, scheme):
    params = {r["node_type_id"]: r for r in rows_of(data / "cells/glif3_201_models.csv", ",")}
    curves = {r["node_type_id"]: r for r in rows_of(data / "golden/Rheobase_slope.csv", ",")}
    build = rows_of(data / "build/v1_node_models.csv")
    order = list(scheme)
    rows = []
    for node in sorted(build, key=lambda r: order.index(r["pop_name"])):
        p, curve = params[node["node_type_id"]], curves[node["node_type_id"]]
        require(float(p["asc_init_1"]) == 0 == float(p["asc_init_2"]), "a cell starts with an after-spike current")
        require(p["pop_name"] == node["pop_name"], f"cell {node['node_type_id']} is of two populations")
        rows.append([node["node_type_id"], node["pop_name"], node["N"]]
                    + [number(p[k], 15) for k in ("V_th", "E_L", "V_reset", "g", "C_m", "t_ref", "asc_amp_1", "asc_amp_2",
                                                  "asc_decay_1", "asc_decay_2")]
                    + [number(v) if v else "" for v in (curve["rheobase"], curve["slope"])])
    for name in order:
        total = [int(r["ncells"]) for r in build if r["pop_name"] == name][0]
        require(sum(int(r["N"]) for r in build if r["pop_name"] == name) == total, f"counts of {name} do not add up")
    published = sum(math.ceil((100 / 700) ** 2 * int(r["N"])) for r in build)
    require(published == 4239, f"the count rule gives {published} cells at 100 um, the published network has 4239")
    return table(
        "cells.csv",
        "cells/glif3_201_models.csv, build/v1_node_models.csv, golden/Rheobase_slope.csv: GLIF3 models of the Allen Cell "
        "Types Database (Teeter et al. 2018, Nature Communications 9:709)",
        "mV, nS, pF, ms, pA, 1/ms; rheobase_pa pA (5 pA grid); fi_slope_hz_per_pa Hz/pA",
        "Allen Institute terms of use (research, with citation); cite Teeter et al. 2018 and Allen Cell Types Database",
        ["n_cells_700um: cells of this model within 700 um; a network of radius r um has "
         "ceil((r/700)^2 n_cells_700um) of them (4,239 in all at 100 um, as published)",
         "rheobase and f-I slope are published results, not parameters; empty where none was published"],
        "model_id population n_cells_700um v_th_mv e_l_mv v_reset_mv g_ns c_m_pf t_ref_ms asc_amp_1_pa asc_amp_2_pa "
        "asc_decay_1_per_ms asc_decay_2_per_ms rheobase_pa fi_slope_hz_per_pa".split(), rows)


def lgn_weights(data, order):
    weights = {r["model_id"]: r for r in rows_of(data / "build/lgn_weights_model.csv")}
    rows = []
    for model in order:
        w = weights[model]
        psp = abs(float(w["Unitary PSP"]))
        rows.append([model, number(psp, 6), number(w["syn_weight_psp"], 8),
                     number(float(w["syn_weight_psp"]) * psp, 6)])
    return table(
        "lgn_weights.csv", "build/lgn_weights_model.csv of biorealistic-v1-model",
        "psp_per_pa_mv mV for a synapse of 1 pA; weight_pa pA (peak of the fast alpha function); psp_mv mV", ALLEN,
        ["for the point model; psp_mv = weight_pa * psp_per_pa_mv is the peak PSP asked of one LGN synapse, which "
         "carries over to other cell models",
         "the published network scales it by (mean number of synapses of L4_Exc, 2,323) / (the target's number of synapses)"],
        "model_id psp_per_pa_mv weight_pa psp_mv".split(), rows)


def background_weights(data, order):
    weights = {r["target_query"].split("'")[1]: r for r in rows_of(data / "build/bkg_v1_edge_types.csv")}
    return table(
        "background_weights.csv", "build/bkg_v1_edge_types.csv of biorealistic-v1-model",
        "weight_pa pA (peak of the fast alpha function)", ALLEN,
        ["for the point model, tuned by its authors to the recorded spontaneous rates without recurrent input",
         "every cell receives 4 of the 100 background units, one synapse each; a unit fires at 250 Hz"],
        ["model_id", "weight_pa"], [[m, number(weights[m]["syn_weight"], 10)] for m in order])


# ------------------------------------------------------------------------------------------------------------ synapses

def connection_tables(data):
    pmax = {r["pre"]: r for r in rows_of(data / "structure/pmax_matrix_v1dd.csv")}
    sigma = {r["pre"]: r for r in rows_of(data / "structure/sigma.csv")}
    ratio = {r["pre"]: r for r in rows_of(data / "structure/b_ratio.csv")}
    yield table(
        "connection_probability.csv", "structure/pmax_matrix_v1dd.csv of biorealistic-v1-model, from the EM volume V1DD",
        "probability in [0, 1] that a cell of the row's type connects to one of the column's type at no lateral distance",
        ALLEN, ["rows are sources, columns targets; lateral fall-off in connection_spread.csv"],
        ["source"] + CELL_TYPES, [[s] + [number(pmax[s][t]) for t in CELL_TYPES] for s in CELL_TYPES])
    yield table(
        "connection_spread.csv", "structure/sigma.csv and structure/b_ratio.csv of biorealistic-v1-model",
        "sigma_um um (Gaussian, lateral); like_to_like_ratio dimensionless in [0, 1]", ALLEN,
        ["like_to_like_ratio b: connection probability at 90 deg of difference in preferred orientation over that at "
         "0 deg; b = 0 stands for no dependence",
         "the orientation factor is 2/(1+b) at 0 deg, falling linearly to 2b/(1+b) at 90 deg"],
        "source_ei target_ei sigma_um like_to_like_ratio".split(),
        [[s, t, number(sigma[s][t]), number(ratio[s][t])] for s in "ei" for t in "ei"])


def kinetics(data):
    fast, slow, amp = ({r["pre"]: r for r in rows_of(data / f"synapses/{name}.csv")}
                       for name in ("tau_syn_fast", "tau_syn_slow", "amp_slow"))
    rows = [[s, t, number(float(fast[s][t]) * 1e3), number(float(slow[s][t]) * 1e3), number(amp[s][t])]
            for s in CLASSES for t in TARGET_CLASSES]
    return table(
        "kinetics.csv", "synapses/tau_syn_fast.csv, tau_syn_slow.csv, amp_slow.csv of biorealistic-v1-model, fitted to the "
        "multipatch recordings of Campagnola, Seeman et al. 2022, Science 375:eabj5861",
        "tau_*_ms ms; amp_slow dimensionless", ALLEN,
        ["I(t) = w [alpha(t; tau_fast) + amp_slow alpha(t; tau_slow)], alpha(t; tau) = (t/tau) exp(1 - t/tau)",
         "source class exc stands for LGN and background"],
        "source_class target_class tau_fast_ms tau_slow_ms amp_slow".split(), rows)


def delays(data):
    latency = {r["pre"]: r for r in rows_of(data / "synapses/syn_types_latency.csv")}
    sonata = data / "sonata/v1_r100/network"
    rows = [[s, t, number(latency[s][t])] for s in TARGET_CLASSES for t in TARGET_CLASSES]
    for source, file in (("lgn", "lgn_v1_edge_types.csv"), ("background", "bkg_v1_edge_types.csv")):
        found = {float(r["delay"]) for r in rows_of(sonata / file)}
        require(len(found) == 1, f"{file} has several delays")
        delay_ms = number(found.pop())
        rows += [[source, t, delay_ms] for t in TARGET_CLASSES]
    return table(
        "delays.csv", "synapses/syn_types_latency.csv of biorealistic-v1-model (Campagnola, Seeman et al. 2022); LGN and "
        "background: edge types of the network its builder makes", "delay_ms ms", ALLEN,
        ["source: a synaptic class, lgn or background; target_class: synaptic class of the target"],
        "source target_class delay_ms".split(), rows)


def psp_tables(data, scheme):
    measured = {r["connection"]: r for r in rows_of(data / "synapses/psp_characterization.csv")}
    with open(data / "synapses/psp_lookup_table.csv", newline="") as file:
        head, *body = csv.reader(file, delimiter=" ")
    pair_of = {}
    for row in body:
        for target, label in zip(head[1:], row[1:]):
            key = scheme[row[0]]["cell_type"], scheme[target]["cell_type"]
            require(pair_of.setdefault(key, label) == label, f"populations of the pair type {key} differ in their PSP")
    for edge in rows_of(data / "build/v1_edge_models.csv.gz"):
        key = scheme[edge["source_pop_name"]]["cell_type"], scheme[edge["target_pop_name"]]["cell_type"]
        m = measured[pair_of[key]]
        require((edge["lognorm_shape"], edge["lognorm_scale"]) == (m["logn_shape_90th"], m["logn_scale_90th"]),
                f"the published build does not use the 90th percentile for {key}")
    statistics = [(f"{ours}_{state}{unit}", f"{theirs}_{suffix}")
                  for state, suffix in (("rest", "resting"), ("90th", "90th"))
                  for ours, theirs, unit in (("n_pairs", "N", ""), ("mean", "mean", "_mv"), ("sd", "std", "_mv"),
                                             ("median", "median", "_mv"), ("lognormal_shape", "logn_shape", ""),
                                             ("lognormal_scale", "logn_scale", "_mv"))]
    source = "synapses/psp_characterization.csv of biorealistic-v1-model, from Campagnola, Seeman et al. 2022, Science 375:eabj5861"
    yield table(
        "psp_measured.csv", source, "*_mv mV (peak of the PSP, absolute value); lognormal_shape dimensionless", ALLEN,
        ["*_rest: after a long rest; *_90th: 90th percentile over trials of a pair. The published build uses *_90th for "
         "every pair (all 4,422 rows of its edge models, checked by the tool)",
         "log-normal: exp(ln(scale) + shape * normal); pairs with too few recordings for statistics are left out",
         "source and target are measured groups; psp_pair_of_cell_type.csv says which stands in for which pair type"],
        ["source", "target"] + [ours for ours, _ in statistics],
        [[m["pre"], m["post"]] + [number(m[theirs], 8) for _, theirs in statistics]
         for m in measured.values() if m["logn_scale_90th"] != "[]"])
    yield table(
        "psp_pair_of_cell_type.csv", "synapses/psp_lookup_table.csv of biorealistic-v1-model", "none", ALLEN,
        ["the measured pair of psp_measured.csv that stands in for each (source, target) pair of cell types"],
        "source target measured_source measured_target".split(),
        [[s, t] + pair_of[s, t].split("__to__") for s in CELL_TYPES for t in CELL_TYPES])


# ----------------------------------------------------------------------------------------------------------------- LGN

def lgn_units(data):
    fits = json.loads((data / "lgn/temporal_filters.json").read_text())
    # A file of fits is named CLASS_TF_start-values; class and frequency are its first two words.
    fits = {"_".join(name.split("_")[:2]): fit for name, fit in fits.items()}

    def filter_of(name):
        fit = fits[name]
        return [number(v) for key in ("opt_wts", "opt_kpeaks", "opt_delays") for v in fit[key]]

    rows = []
    for unit in rows_of(data / "lgn/lgn_models.csv"):
        name = unit["model_id"]
        start = [name, unit["N"], unit["min_size"], unit["max_size"]]
        two = LGN_TWO_SUBFIELDS.get(name)
        if two:
            rows.append(start + [-1, number(two["baseline_hz"])] + filter_of(two["dom"]) + filter_of(two["sec"])
                        + [number(two[k]) for k in ("separation_deg", "dom_cross_ms", "sec_cross_ms", "dom_max_hz",
                                                    "sec_max_hz", "dom_gain")])
        else:
            rows.append(start + [1 if "ON_" in name else -1, number(LGN_BASELINE_HZ[name])] + filter_of(name) + [""] * 12)
    filters = [f"{part}_{column}" for part in ("dom", "sec") for column in
               ("weight_1", "weight_2", "peak_1_ms", "peak_2_ms", "delay_1_ms", "delay_2_ms")]
    return table(
        "lgn_units.csv",
        "lgn/lgn_models.csv and lgn/temporal_filters.json of biorealistic-v1-model (Billeh et al. 2020; recordings of "
        "Durand et al. 2016); rates and latencies of BMTK 1.2.0 filternet",
        "n_per_tile units; *_deg deg; *_hz Hz; *_ms ms; weights Hz for a contrast of 1 through the unit-sum spatial filter",
        ALLEN,
        ["n_per_tile: units on each of the 15 x 10 tiles of 8 x 8 deg (116 in all, 17,400 units)",
         "size_*_deg: diameter of the receptive field; drawn from a triangular law from size_min to size_max with its mode at "
         "size_min + 1 (fixed where both are equal); the Gaussian's standard deviation is a third of it",
         "one-subfield classes: rate = max(0; baseline + polarity * (dom filter * stimulus)); polarity 1 ON, -1 OFF",
         "temporal filter: weight_1 bump(peak_1; delay_1) + weight_2 bump(peak_2; delay_2) with t = 0 1 2 .. ms; "
         "bump(peak; delay) is proportional to 1 + cos(x) with x = pi/2 (ln(t - delay + 1.3) - ln(peak)) / ln(200.3/100.3) cut "
         "to [-pi; pi], has a sum of squares of 1, and is 0 before its delay, a whole number of ms (cut down)",
         "every parameter of a unit is drawn uniformly within 2.5 % of the figure here",
         "two-subfield classes (last two rows): rate = max(0; baseline/2 + dom) + max(0; baseline/2 + sec); dom is the "
         "OFF and sec the ON subfield, which lies separation_deg (2.5 % jitter) away along the unit's random angle",
         "each of their filters is delayed so that its zero crossing after the peak lies at *_crossing_ms; sec has amplitude 1, "
         "dom has -[dom_gain * (dom_max/sec_max) * S_sec/S_dom + baseline (dom_max - sec_max)/(sec_max S_dom)] with S the sum "
         "of the filter (1 ms steps) up to that crossing"],
        "class n_per_tile size_min_deg size_max_deg polarity baseline_hz".split() + filters
        + "separation_deg dom_crossing_ms sec_crossing_ms dom_max_hz sec_max_hz dom_gain".split(), rows)


def check_baselines(bmtk):
    """Compares LGN_BASELINE_HZ with the recordings that BMTK ships."""
    for kind in ("sON", "sOFF", "tOFF"):
        rates = {}
        for r in rows_of(bmtk / f"bmtk/simulator/filternet/lgnmodel/cell_metrics/{kind}_cell_data.csv", ","):
            best = max((1, 2, 4, 8, 15), key=lambda tf: float(r[f"F0_TF{tf}"]))
            rates.setdefault(f"{kind}_TF{best}", []).append(float(r["Spont"]))
        for name, values in rates.items():
            mean = sum(values) / len(values)
            wanted = LGN_BASELINE_HZ.get(name, mean)
            require(abs(mean - wanted) < 1e-9, f"baseline of {name}: {mean} Hz, the tool says {wanted} Hz")


# --------------------------------------------------------------------------------------------------------- Neuropixels

QUANTITIES = (("evoked_rate_hz", "Ave_Rate(Hz)"), ("max_rate_hz", "max_mean_rate(Hz)"), ("spontaneous_rate_hz", "Spont_Rate(Hz)"),
              ("osi", "OSI"), ("dsi", "DSI"))
LAYERS = ("L2/3", "L4", "L5", "L6")
TAGGED = ("SST", "VIP")


def split_sessions(units):
    """Session -> train or heldout.

    Sessions are put in strata by session type and by tagged class (SST, VIP or neither); in each stratum they are ordered
    by sha256("SEED:session_id") and the first fifth, rounded half up, is held out.
    """
    strata = {}
    for session in sorted({u["session_id"] for u in units}):
        own = [u for u in units if u["session_id"] == session]
        tag = next((t for t in TAGGED if any(u["cell_type"].endswith(t) for u in own)), "none")
        strata.setdefault((own[0]["session_type"], tag), []).append(session)
    split = {}
    for sessions in strata.values():
        sessions.sort(key=lambda s: hashlib.sha256(f"{SPLIT_SEED}:{s}".encode()).hexdigest())
        n_held_out = math.floor(HELD_OUT_FRACTION * len(sessions) + 0.5)
        split.update({s: "heldout" if i < n_held_out else "train" for i, s in enumerate(sessions)})
    return split


def pools_of(cell_type):
    """Pools of recorded types that may stand for a cell type, narrowest first, as (name, recorded types)."""
    layer, kind = cell_type.split("_")
    by_layers = [f"{l} {kind}" for l in LAYERS]
    if layer == "L1":
        return [("type", ["L1 Htr3a"]), ("lineage", ["L1 Htr3a"] + [f"{l} VIP" for l in LAYERS])]
    if kind in ("ET", "IT", "NP"):
        return [("layer", ["L5 Exc"])]
    pools = [("type", [f"{layer} {kind}"])]
    if kind in TAGGED:
        pools.append(("layers", by_layers))
    if kind == "VIP":
        pools.append(("lineage", by_layers + ["L1 Htr3a"]))
    return pools


def quantile(ordered, probability):
    """Linear interpolation between order statistics (Hyndman and Fan's type 7)."""
    at = probability * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (at - low) * (ordered[high] - ordered[low])


def pool_for(units, split, cell_type, column):
    """The narrowest pool that stands for a cell type, as (name, recorded types, {split: [(value, session)] in order}), or None."""
    for pool, recorded in pools_of(cell_type):
        values = {s: sorted((float(u[column]), u["session_id"]) for u in units if u["cell_type"] in recorded
                            and u[column] and split[u["session_id"]] == s) for s in MIN_UNITS}
        if all(len(values[s]) >= n for s, n in MIN_UNITS.items()):
            return pool, recorded, values
    return None


N_SPLITS = 200


def similarity(a, b):
    """1 - KS between two samples in order."""
    largest, i, j = 0.0, 0, 0
    while i < len(a) and j < len(b):
        x = min(a[i], b[j])
        while i < len(a) and a[i] <= x:
            i += 1
        while j < len(b) and b[j] <= x:
            j += 1
        largest = max(largest, abs(i / len(a) - j / len(b)))
    return 1 - largest


def noise_ceiling(data):
    """How alike recorded sessions are to recorded sessions: the most that a model's similarity can be expected to reach."""
    units = rows_of(data / "function/neuropixels_units.csv", ",")
    split = split_sessions(units)
    rows, known = [], {}
    for cell_type in CELL_TYPES:
        for quantity, column in QUANTITIES:
            found = pool_for(units, split, cell_type, column)
            if found is None:
                continue
            _, recorded, values = found
            key = (tuple(recorded), quantity)
            if key not in known:
                pairs = sorted(values["train"] + values["heldout"])
                sessions = sorted({s for _, s in pairs})
                draw = random.Random(SPLIT_SEED)
                halves = []
                for _ in range(N_SPLITS):
                    draw.shuffle(sessions)
                    first = set(sessions[: len(sessions) // 2])
                    a = [v for v, s in pairs if s in first]
                    b = [v for v, s in pairs if s not in first]
                    if min(len(a), len(b)) >= MIN_UNITS["heldout"]:
                        halves.append(similarity(a, b))
                halves.sort()
                direct = similarity(*([v for v, _ in values[s]] for s in ("train", "heldout")))
                known[key] = [len(pairs), len(sessions), len(halves), number(sum(halves) / len(halves), 6),
                              number(quantile(halves, 0.05), 6), number(quantile(halves, 0.95), 6), number(direct, 6)]
            rows.append([cell_type, quantity] + known[key])
    yield table(
        "noise_ceiling.csv", "function/neuropixels_units.csv of biorealistic-v1-model: Allen Brain Observatory, Visual Coding Neuropixels "
        "(Siegle et al. 2021, Nature 592:86)", "dimensionless, in [0, 1]", ALLEN,
        [f"similarity of one half of the sessions to the other: 1 - KS between their units; {N_SPLITS} random halves of the sessions, seed {SPLIT_SEED}, "
         f"those with at least {MIN_UNITS['heldout']} units in each half; mean and 5 and 95 % quantiles over halves",
         "train_to_heldout: the same between the training and the held-out sessions of neuropixels_targets.csv, whose pools it has"],
        "cell_type quantity n_units n_sessions n_halves similarity q05 q95 train_to_heldout".split(), rows)


def neuropixels_tables(data):
    units = rows_of(data / "function/neuropixels_units.csv", ",")
    split = split_sessions(units)
    rows, left_out = [], []
    for cell_type in CELL_TYPES:
        for quantity, column in QUANTITIES:
            found = pool_for(units, split, cell_type, column)
            if found is None:
                left_out.append(f"{cell_type} {quantity}")
                continue
            pool, recorded, values = found
            for s, pairs in values.items():
                ordered = [v for v, _ in pairs]
                rows.append([cell_type, quantity, s, pool, "+".join(recorded), len(pairs), len({i for _, i in pairs})]
                            + [number(quantile(ordered, p), 6) for p in PROBABILITIES])
    source = ("function/neuropixels_units.csv of biorealistic-v1-model: Allen Brain Observatory, Visual Coding Neuropixels "
              "(Siegle et al. 2021, Nature 592:86), 2,294 units of 38 sessions")
    how = (f"split by session, seed {SPLIT_SEED}: sessions are put in strata by session type and tagged class (SST, VIP, "
           f"neither), ordered by sha256(\"{SPLIT_SEED}:session_id\") and the first fifth of each stratum (rounded half up) is held out")
    yield table(
        "neuropixels_targets.csv", source, "rates Hz; osi, dsi dimensionless in [0, 1]", ALLEN,
        [how, "qXXX: quantile at XXX % (linear interpolation between order statistics)",
         "evoked_rate_hz: mean over all drifting gratings; max_rate_hz: mean at the preferred grating; spontaneous_rate_hz: grey screen",
         "pool, the narrowest with at least " + " and ".join(f"{n} {s} units" for s, n in MIN_UNITS.items())
         + ": type = the cell type itself; layer = L5 Exc, recorded for L5 ET, IT and NP together and used for each; "
         "layers = the class over all layers; lineage = VIP cells of all layers and Htr3a cells of layer 1",
         "SST, VIP and Htr3a units are opto-tagged and include higher visual areas",
         "osi and dsi exist in brain_observatory_1.1 sessions only",
         "left out, too few units in any pool: " + "; ".join(left_out or ["nothing"])],
        "cell_type quantity split pool recorded_types n_units n_sessions".split()
        + [f"q{round(100 * p):03d}" for p in PROBABILITIES], rows)
    kinds = ("Exc", "PV", "SST", "VIP", "Htr3a")
    yield table(
        "neuropixels_sessions.csv", source, "n_* units", ALLEN, [how],
        "session_id session_type split".split() + [f"n_{k.lower()}" for k in kinds],
        [[s, next(u["session_type"] for u in units if u["session_id"] == s), split[s]]
         + [sum(u["session_id"] == s and u["cell_type"].endswith(k) for u in units) for k in kinds] for s in sorted(split)])


CONTRAST_MODELS = ("high", "band", "low")


def pooled(units, cell_type, split):
    """The units of the narrowest pool that has enough of them in both splits, as (pool, recorded types, {split: units}); or None."""
    for pool, recorded in pools_of(cell_type):
        of = {s: [u for u in units if u["cell_type"] in recorded and split[u["session_id"]] == s] for s in MIN_UNITS}
        if all(len(of[s]) >= n for s, n in MIN_UNITS.items()):
            return pool, "+".join(recorded), of
    return None


def curve_tables(data):
    """The mean direction tuning curve of each cell type, and how its units' contrast-response curves were classed."""
    all_units = rows_of(data / "function/neuropixels_units.csv", ",")
    split = split_sessions(all_units)
    classes = {r["unit_id"]: r for r in rows_of(data / "function/contrast_analysis.csv", ",")}
    selective = [u for u in all_units if u["OSI"] and u["DSI"] and u["Ave_Rate(Hz)"]]
    classed = [{**u, **classes[u["ecephys_unit_id"]]} for u in all_units if u["ecephys_unit_id"] in classes]
    require(all(u["best_model"] in CONTRAST_MODELS and u["sig0.01"] in ("True", "False") for u in classed),
            "contrast_analysis.csv: a class or a significance that is not known")
    tuning, contrast = [], []
    for cell_type in CELL_TYPES:
        found = pooled(selective, cell_type, split)
        for s, units in found[2].items() if found else ():
            rates = [float(u["Ave_Rate(Hz)"]) for u in units]
            # sum r_u index_u / sum r_u: the harmonics of the mean of the units' curves.
            weighted = [sum(r * float(u[index]) for r, u in zip(rates, units)) / sum(rates) for index in ("DSI", "OSI")]
            tuning.append([cell_type, s, found[0], found[1], len(units), len({u["session_id"] for u in units}),
                           number(sum(rates) / len(rates), 6)] + [number(w, 6) for w in weighted])
        found = pooled([u for u in classed if u["sig0.01"] == "True"], cell_type, split)
        for s, units in found[2].items() if found else ():
            n_tested = sum(u["cell_type"] in found[1].split("+") and split[u["session_id"]] == s for u in classed)
            contrast.append([cell_type, s, found[0], found[1], n_tested, len(units)]
                            + [sum(u["best_model"] == m for u in units) for m in CONTRAST_MODELS])
    how = "splits and pools as in neuropixels_targets.csv"
    recordings = "of biorealistic-v1-model: Allen Brain Observatory, Visual Coding Neuropixels (Siegle et al. 2021, Nature 592:86)"
    yield table(
        "tuning_curves.csv", f"function/neuropixels_units.csv {recordings}", "rate_hz Hz; dsi, osi dimensionless in [0, 1]", ALLEN,
        [how, "mean curve of the units that have rate, OSI and DSI: rate_hz (1 + 2 dsi cos d + 2 osi cos 2d), d the angle from a unit's preferred direction",
         "dsi, osi: means over the units, each weighted by its rate"],
        "cell_type split pool recorded_types n_units n_sessions rate_hz dsi osi".split(), tuning)
    yield table(
        "contrast_classes.csv", f"function/contrast_analysis.csv and neuropixels_units.csv {recordings}", "n_* units", ALLEN,
        [how + ", counted in responsive units", "n_tested: units with the contrast stimulus (functional_connectivity sessions only)",
         "n_responsive: of these, those that respond to it at p < 0.01 (column sig0.01)",
         "n_high, n_band, n_low: responsive units by best model (high, band or low pass; least AIC)"],
        "cell_type split pool recorded_types n_tested n_responsive".split() + [f"n_{m}" for m in CONTRAST_MODELS], contrast)


# ----------------------------------------------------------------------------------------------------------------------

# ---------------------------------------------------------------------------------------------- sizes of EM connections

EM_CELL_TYPES = {"23P": "L2/3_Exc", "L2/3": "L2/3_Exc", "L4": "L4_Exc", "4P": "L4_Exc", "5P-ET": "L5_ET", "5P-IT": "L5_IT", "5P-NP": "L5_NP",
                 "6P": "L6_Exc"}
# A spread from fewer connections says little: its own error would be more than a fifth.
MIN_CONNECTIONS = 15


def rate_correlations(data):
    """(type, units, correlation of ln(rate + 0.5 Hz) under gratings and under grey) of the pyramidal units trained on: L11 of docs/model.md."""
    units = rows_of(data / "function/neuropixels_units.csv", ",")
    split = split_sessions(units)
    for layer in ("L2/3", "L4", "L5", "L6"):
        own = [u for u in units if u["cell_type"] == f"{layer} Exc" and split[u["session_id"]] == "train"]
        logs = [[math.log(float(u[column]) + 0.5) for u in own] for column in ("Ave_Rate(Hz)", "Spont_Rate(Hz)")]
        yield f"{layer}_Exc", len(own), statistics.correlation(*logs)


def em_synapse_size(data):
    """Spread of log size of EM connections between excitatory types, and its slope against how alike the two cells respond."""
    studies = (("minnie65", "minnie65_connections_corr_vs_synsize.csv", "correlation", "response_correlation"),
               ("v1dd", "v1dd_connections_dpd_vs_synsize.csv", "delta_pref_direction", "direction_difference_deg"))
    rows, left_out = [], []
    for study, file, column, covariate in studies:
        groups = {}
        for r in rows_of(data / "structure" / file, ","):
            groups.setdefault(r["pair"], []).append((float(r[column]), math.log(float(r["weight"]))))
        for pair, points in groups.items():
            n = len(points)
            if n < MIN_CONNECTIONS:
                continue
            mean_x, mean_y = (sum(p[k] for p in points) / n for k in (0, 1))
            xx = sum((x - mean_x) ** 2 for x, _ in points)
            xy = sum((x - mean_x) * (y - mean_y) for x, y in points)
            yy = sum((y - mean_y) ** 2 for _, y in points)
            slope = xy / xx
            source, target = (EM_CELL_TYPES.get(t) for t in pair.split("->"))
            if source is None or target is None:
                left_out.append(f"{study} {pair} ({n})")
                continue
            rows.append([study, source, target, n, number(math.sqrt(yy / (n - 1)), 6), covariate, number(slope, 6),
                         number(math.sqrt((yy - slope * xy) / (n - 2) / xx), 6)])
    yield table(
        "em_synapse_size.csv",
        "structure/minnie65_connections_corr_vs_synsize.csv and structure/v1dd_connections_dpd_vs_synsize.csv of biorealistic-v1-model "
        "(MICrONS Consortium 2025; V1DD: electron microscopy with calcium imaging of the same cells)",
        "log_sd dimensionless (natural logarithm); slope per unit of response correlation or per deg", ALLEN,
        ["one row a pair of excitatory cell types with at least " + str(MIN_CONNECTIONS) + " connections; sizes of inhibitory synapses are not published",
         "log_sd: standard deviation of ln(size) over connections; size as published (PSD size)",
         "left out since their type is not told (n): " + "; ".join(left_out or ["nothing"]),
         "slope: least squares of ln(size) against the covariate; slope_se: its standard error"],
        "study source target n_connections log_sd covariate slope slope_se".split(), rows)


# ---------------------------------------------------------------------------------------- population Fano factor

N_WIDTHS = 20


def npy(path):
    """Rows of a two-dimensional .npy file of float64 in C order (NumPy format 1.0)."""
    raw = path.read_bytes()
    require(raw[:6] == b"\x93NUMPY" and raw[6] == 1, f"{path}: not an .npy file of format 1")
    length = int.from_bytes(raw[8:10], "little")
    header = ast.literal_eval(raw[10:10 + length].decode())
    require(header["descr"] == "<f8" and not header["fortran_order"], f"{path}: not float64 in C order")
    n_rows, n_columns = header["shape"]
    values = struct.unpack(f"<{n_rows * n_columns}d", raw[10 + length:])
    return [values[i * n_columns:(i + 1) * n_columns] for i in range(n_rows)]


def population_fano(data):
    """Mean and spread over sessions of the population Fano factor by bin width."""
    rows = []
    for window_ms in (300, 1800):
        for kind, name in (("evoked", "evoked"), ("spontaneous", "spont")):
            sessions = npy(data / f"function/fano_v1/v1_fano_running_{window_ms}ms_{name}.npy")
            order = sorted(range(len(sessions)), key=lambda i: hashlib.sha256(f"{SPLIT_SEED}:{i}".encode()).hexdigest())
            n_held_out = math.floor(HELD_OUT_FRACTION * len(sessions) + 0.5)
            for split, part in (("train", order[n_held_out:]), ("heldout", order[:n_held_out])):
                for k in range(N_WIDTHS):
                    width_ms = 1000 * 10 ** (-3 + 3 * k / (N_WIDTHS - 1))
                    # Within a trial: one bin has no variance, two bins hardly one. The small term keeps whole quotients whole.
                    n_bins = math.floor(window_ms / width_ms + 1e-9)
                    values = [sessions[i][k] for i in part if not math.isnan(sessions[i][k])]
                    if n_bins < 3 or not values:
                        continue
                    # The recorded variance is divided by the number of bins: this divides by one less.
                    values = [v * n_bins / (n_bins - 1) for v in values]
                    mean = sum(values) / len(values)
                    sd = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
                    rows.append([kind, window_ms, split, number(width_ms, 8), n_bins, len(values), number(mean, 6), number(sd, 6)])
    yield table(
        "population_fano.csv", "function/fano_v1/*.npy of the Allen Institute's V1 model (no licence file: summary figures only)",
        "window_ms, width_ms ms; fano dimensionless", "none given with the files; summary figures with their source",
        ["Fano factor of the spike count of a recorded population: variance over mean of its counts in bins of width_ms within window_ms; mean and standard deviation over sessions",
         "fano = published value * n_bins / (n_bins - 1): the published variance is that of the bins of a trial, divided by their number",
         "widths with fewer than 3 bins a window are left out (the published values there are 0 or NaN), and sessions without a value",
         f"the files name no sessions: rows are ordered by sha256(\"{SPLIT_SEED}:row\") and the first fifth (rounded half up) is held out; a held-out row may come "
         "from a session that neuropixels_sessions.csv trains on"],
        "kind window_ms split width_ms n_bins n_sessions fano fano_sd".split(), rows)


def derive(data):
    """All tables as (file name, text)."""
    scheme = naming(data)
    cell_table = cells(data, scheme)
    order = [line.split(",")[0] for line in cell_table[1].splitlines() if line[0].isdigit()]
    return [populations(data, scheme), cell_table, *connection_tables(data), kinetics(data), delays(data),
            *psp_tables(data, scheme), lgn_units(data), lgn_weights(data, order), background_weights(data, order),
            *em_synapse_size(data), *noise_ceiling(data), *population_fano(data), *neuropixels_tables(data), *curve_tables(data)]


def check(out, tables):
    """Names the differences between the tables in `out` and the derived ones; returns how many files differ."""
    n_different = 0
    for name, text in tables:
        path = out / name
        found = path.read_text() if path.exists() else None
        if found == text:
            continue
        n_different += 1
        if found is None:
            print(f"{path}: missing")
            continue
        pairs = enumerate(zip(found.splitlines() + [""], text.splitlines() + [""]), 1)
        line, (has, wants) = next((p for p in pairs if p[1][0] != p[1][1]), (0, ("", "")))
        print(f"{path}:{line}: has '{has}', the published files give '{wants}'")
    for path in sorted(out.glob("*.csv")):
        if path.name not in dict(tables):
            n_different += 1
            print(f"{path}: not a table that this tool derives")
    return n_different


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the published files")
    parser.add_argument("--out", type=Path, help="folder of the tables (scenes/v1)")
    parser.add_argument("--check", action="store_true", help="compare instead of writing; exit 1 on a difference")
    parser.add_argument("--bmtk", type=Path, help="unpacked BMTK 1.2.0: re-derive the LGN baseline rates")
    parser.add_argument("--rate-correlations", action="store_true", help="print the targets of the rate correlation term and end")
    arguments = parser.parse_args()
    if arguments.rate_correlations:
        for name, n_units, rho in rate_correlations(arguments.data):
            print(f"{name} {n_units} units {rho:.2f}")
        return
    if arguments.out is None:
        parser.error("--out is needed")
    if arguments.bmtk:
        check_baselines(arguments.bmtk)
    tables = derive(arguments.data)
    if arguments.check:
        n_different = check(arguments.out, tables)
        print(f"{len(tables)} tables derived, {n_different} differ")
        sys.exit(1 if n_different else 0)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, text in tables:
        (arguments.out / name).write_text(text)
        print(f"{name}: {len(text)} bytes")


if __name__ == "__main__":
    main()
