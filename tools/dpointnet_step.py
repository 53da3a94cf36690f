"""Takes training steps of BMTK's dpointnet on a SONATA network, one for each line on standard input.

Started by tools/compare_dpointnet in the environment that it makes; prints one JSON object a line: first the sizes of
the network, then for each step its times. A step is what TrainingEngine.train does between two of its callbacks: fetch
the input spikes, forward, losses, gradient, optimiser. The first step also traces the graph.
"""

import argparse
import json
import os
import pathlib
import sys
import tempfile
import time

# The reports alone go to standard output; the libraries may say what they like on the other.
REPORTS = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import tensorflow as tf  # noqa: E402
from bmtk.simulator import dpointnet  # noqa: E402
from bmtk.simulator.dpointnet.callbacks import Callbacks  # noqa: E402


class NoMoreSteps(Exception):
    """Standard input is at its end."""


class Turns(Callbacks):
    """Holds each training step until its turn, and times it. What the base class would write or print is left out."""

    def on_train_begin(self):
        n_trained = sum(int(tf.size(v)) for v in self.rnn.model.trainable_variables)
        n_lgn = int(self.rnn.cell.inputs["lgn"]["input_indices"].shape[0])
        say(n_neurons=int(self.rnn.recurrent_network["n_nodes"]), n_trained_edges=n_trained, n_fixed_edges=n_lgn)

    def on_epoch_start(self):
        pass

    def on_step_start(self):
        if not sys.stdin.readline():
            raise NoMoreSteps
        self.started = time.perf_counter(), time.process_time()

    def on_step_end(self, losses):
        # Reading a loss waits for the step's end.
        values = [float(loss) for loss in tf.nest.flatten(losses)]
        wall_ms = (time.perf_counter() - self.started[0]) * 1e3
        cpu_ms = (time.process_time() - self.started[1]) * 1e3
        rate_hz = 1e3 * float(losses["trial"]["__mean_rate"]) / self.rnn.dt
        say(wall_ms=wall_ms, cpu_ms=cpu_ms, mean_rate_hz=rate_hz, losses=values, peak_rss_mib=peak_rss_mib())

    def on_epoch_end(self, losses):
        return True

    def on_train_end(self, **_):
        pass


def say(**fields):
    print(json.dumps(fields), file=REPORTS, flush=True)


def peak_rss_mib():
    status = pathlib.Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))


def config(args):
    """One training run: recurrent and background weights learn, LGN weights do not, as in scenes/v1_4k.ron."""
    network, components = args.network / "network", args.network / "components"

    def files(kind, name):
        return {f"{kind}_file": str(network / f"{name}_{kind}.h5"),
                f"{kind[:-1]}_types_file": str(network / f"{name}_{kind[:-1]}_types.csv")}

    inputs = {
        "lgn": {"input": "spikes", "module": "random", "node_set": "lgn", "firing_rate": args.lgn_rate_hz},
        "background": {"input": "spikes", "module": "poisson_spikes_internal", "node_set": "bkg",
                       "firing_rate": 250.0, "trainable": True},
    }
    trial = {
        "name": "trial",
        "inputs": {name: name for name in inputs},
        "loss_functions": {"rates": {"module": "TargetFiringRate", "firing_rate": 5.0},
                           "voltage": {"module": "VoltageRegularization", "voltage_cost": 1.0}},
    }
    return {
        "run": {"seq_len": args.time_steps, "batch_size": args.trials, "dtype": "float32", "dt": 1.0, "default_seed": 1},
        "rnn_cell_params": {"cell_model": "GLIF3Cell", "tau_basis": str(args.basis / "tau_basis.npy"),
                            "train_recurrent": True, "max_delay": 5},
        "components": {"point_neuron_models_dir": str(components / "cell_models"),
                       "synaptic_models_dir": str(components / "synaptic_models"),
                       "filter_models_dir": str(components / "cell_models"),
                       "basis_weights_file": str(args.basis / "basis_function_weights.csv")},
        "networks": {"nodes": [files("nodes", name) for name in ("v1", "lgn", "bkg")],
                     "edges": [files("edges", name) for name in ("v1_v1", "lgn_v1", "bkg_v1")]},
        "inputs": inputs,
        "training": {"n_epochs": 1, "steps_per_epoch": 1_000_000, "training_approach": "single",
                     "gradient_checkpointing": False, "learning_rate": 0.005, "optimizer": {"name": "exp_adam"},
                     "initial_state": {"module": "zero_state"}, "parameters": [trial]},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", type=pathlib.Path, help="folder with network/ and components/")
    parser.add_argument("basis", type=pathlib.Path, help="folder with tau_basis.npy and basis_function_weights.csv")
    parser.add_argument("--time-steps", type=int, required=True)
    parser.add_argument("--trials", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--lgn-rate-hz", type=float, default=6.0)
    args = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(args.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "config.json"
        file.write_text(json.dumps(config(args)), encoding="utf-8")
        rnn = dpointnet.RNN.from_config(str(file))
        rnn.build()
        rnn.training_engine.set_callbacks(Turns(rnn, callbacks_dir=folder, verbose="quiet"))
        try:
            rnn.train()
        except NoMoreSteps:
            pass


if __name__ == "__main__":
    main()
