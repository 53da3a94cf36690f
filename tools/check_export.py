"""What the programs that neuroscientists use find in the files of `simrun export`, as JSON on standard output.

    check_export.py circuit DIR         libsonata and SNAP on the SONATA circuit in DIR and its simulation
    check_export.py bmtk DIR            BMTK builds and runs it in NEST; its spikes beside simrun's
    check_export.py spikes FILE         libsonata on a spikes file
    check_export.py nwb FILE            pynwb validates and reads an NWB file, Elephant computes rates

Run by `tests/clients.rs` in the environment that it makes with `tools/venv`.
"""

import json
import os
import sys


def circuit(folder):
    import bluepysnap
    import libsonata

    config = libsonata.CircuitConfig.from_file(f"{folder}/circuit_config.json")
    nodes = config.node_population("v1")
    everyone = nodes.select_all()
    found = {
        "node_populations": sorted(config.node_populations),
        "edge_populations": sorted(config.edge_populations),
        "n_nodes": {name: config.node_population(name).size for name in config.node_populations},
        "x": nodes.get_attribute("x", everyone).tolist(),
        "cell_type": list(nodes.get_attribute("cell_type", everyone)),
        "layers": sorted(set(nodes.get_attribute("layer", everyone))),
        "edges": {},
    }
    for name in config.edge_populations:
        edges = config.edge_population(name)
        chosen = edges.select_all()
        # Every edge once by each index.
        by_target, by_source = 0, 0
        for target in range(nodes.size):
            by_target += edges.afferent_edges([target]).flat_size
        for source in range(config.node_population(edges.source).size):
            by_source += edges.efferent_edges([source]).flat_size
        last = edges.afferent_edges([nodes.size - 1])
        found["edges"][name] = {
            "source": edges.source,
            "target": edges.target,
            "n": edges.size,
            "by_target": by_target,
            "by_source": by_source,
            "source_ids": edges.source_nodes(chosen).tolist(),
            "target_ids": edges.target_nodes(chosen).tolist(),
            "weights": edges.get_attribute("syn_weight", chosen).tolist(),
            "onto_last": edges.source_nodes(last).tolist(),
        }

    snap = bluepysnap.Circuit(f"{folder}/circuit_config.json")
    l4 = snap.nodes["v1"].get({"cell_type": "L4_Exc"}, properties=["x", "synapse_class"])
    found["snap"] = {
        "types": {name: snap.nodes[name].type for name in snap.nodes.population_names},
        "n_l4_exc": len(l4),
        "l4_classes": sorted(set(l4["synapse_class"])),
        "n_node_set": len(snap.nodes.ids("L4_Exc")),
        "n_l4_afferent": len(snap.edges["v1_to_v1"].afferent_edges(l4.index.tolist())),
        "sources_of_last": snap.edges["v1_to_v1"].afferent_nodes(int(nodes.size) - 1).tolist(),
    }
    simulation = bluepysnap.Simulation(f"{folder}/simulation_config.json")
    spikes = simulation.spikes["v1"].get()
    found["simulation"] = {
        "t_stop": simulation.time_stop,
        "dt": simulation.dt,
        "inputs": sorted(simulation.inputs),
        "reports": {},
        "times": spikes.index.tolist(),
        "nodes": spikes.tolist(),
    }
    for name, report in simulation.reports.items():
        frames = report["v1"].get()
        found["simulation"]["reports"][name] = {
            "nodes": [int(n[0] if isinstance(n, tuple) else n) for n in frames.columns],
            "times": frames.index.tolist(),
            "values": frames.to_numpy().tolist(),
        }
    return found


def bmtk(folder):
    import pandas
    from bmtk.simulator import pointnet
    from bmtk.utils.reports.spike_trains import SpikeTrains

    config = pointnet.Config.from_json(f"{folder}/bmtk_config.json")
    config.build_env()
    network = pointnet.PointNetwork.from_config(config)
    pointnet.PointSimulator.from_config(config, network).run()

    def read(path):
        return SpikeTrains.load(path).to_dataframe()[["node_ids", "timestamps"]]

    # NEST's own times are on the same grid; rounding takes the last bits off both.
    both = [read(f"{folder}/output/spikes.h5"), read(f"{folder}/output_bmtk/spikes.h5")]
    sets = [set(zip(s["node_ids"].astype(int), s["timestamps"].round(6))) for s in both]
    of_node = network.node_properties("v1").reset_index(drop=True)["pop_name"]
    counts = [
        pandas.Series([of_node[node] for node, _ in spikes], dtype=object).value_counts().to_dict()
        for spikes in sets
    ]
    return {
        "n": [len(spikes) for spikes in sets],
        "n_common": len(sets[0] & sets[1]),
        # Of either and of both in the first half.
        "early": [
            sum(t <= config["run"]["tstop"] / 2 for _, t in spikes)
            for spikes in [*sets, sets[0] & sets[1]]
        ],
        "first_difference_ms": min((t for _, t in sets[0] ^ sets[1]), default=None),
        "by_population": {name: [c.get(name, 0) for c in counts] for name in sorted(set(of_node))},
        "n_of_population": of_node.value_counts().to_dict(),
    }


def spikes(file):
    import libsonata

    population = libsonata.SpikeReader(file)["v1"]
    found = population.get_dict()
    return {
        "sorting": population.sorting,
        "nodes": found["node_ids"].tolist(),
        "times": found["timestamps"].tolist(),
    }


def nwb(file):
    import elephant.statistics
    import neo
    import numpy
    import pynwb
    import quantities

    errors = pynwb.validate(path=file)
    with pynwb.NWBHDF5IO(file, "r") as io:
        content = io.read()
        units = content.units.to_dataframe()
        gratings = content.intervals["drifting_gratings_presentations"].to_dataframe()
        spontaneous = content.intervals["spontaneous_presentations"].to_dataframe()
        trials = content.trials.to_dataframe()
        rates = []
        for times in units["spike_times"]:
            in_trials = []
            for trial in trials.itertuples():
                inside = numpy.sort(times[(times > trial.start_time) & (times <= trial.stop_time)])
                train = neo.SpikeTrain(
                    inside * quantities.s, t_start=trial.start_time, t_stop=trial.stop_time + 1e-9
                )
                in_trials.append(float(elephant.statistics.mean_firing_rate(train).rescale("Hz")))
            rates.append(float(numpy.mean(in_trials)))
        return {
            "errors": [str(error) for error in errors],
            "n_units": len(units),
            "cell_type": units["cell_type"].tolist(),
            "location": units["location"].tolist(),
            "x": [float(x) for x in units["x"]],
            "n_spikes": [len(times) for times in units["spike_times"]],
            "in_core": int(units["in_core"].sum()),
            "rates_hz": rates,
            "n_trials": len(trials),
            "start_time": gratings["start_time"].tolist(),
            "stop_time": gratings["stop_time"].tolist(),
            "orientation": gratings["orientation"].tolist(),
            "contrast": gratings["contrast"].tolist(),
            "stimulus_name": sorted(set(gratings["stimulus_name"])),
            "n_spontaneous": len(spontaneous),
            "session_start_time": content.session_start_time.isoformat(),
        }


def main():
    check = {"circuit": circuit, "bmtk": bmtk, "spikes": spikes, "nwb": nwb}[sys.argv[1]]
    # BMTK and NEST print to standard output what is not JSON.
    out = os.dup(1)
    os.dup2(2, 1)
    found = check(sys.argv[2])
    with os.fdopen(out, "w") as file:
        json.dump(found, file)


if __name__ == "__main__":
    main()
