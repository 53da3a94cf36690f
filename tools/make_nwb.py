"""Writes NWB files of recording sessions whose rates are known, in the layout of Allen's Neuropixels files, for tests/import_neuropixels.rs.

    python=$(tools/venv clients pynwb==4.2.0)
    $python tools/make_nwb.py DIR

DIR gets session_1.nwb, session_2.nwb and session_3.nwb. Every session has 12 excitatory and 11 PV units of layer 4, told by electrode
and waveform, and units to leave out: of another area, of a layer that is not named, of bad quality. Unit k of a kind spikes, at even intervals,

* (4 + k + session) times in each 2 s presentation of the grating of its preferred direction, 45 (k mod 8) deg, at 2 Hz, twice in those of
  the other directions at 2 Hz, and once in those at 4 Hz (PV: all three times as often);
* 6 + k times in each of two minutes of grey;
* 50 times in every blank screen and every gap, which belong to no grating.
"""

import datetime
import pathlib
import sys

import numpy as np
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals

DIRECTIONS_DEG = np.arange(8) * 45.0
FREQUENCIES_HZ = [2.0, 4.0]
N_REPEATS = 3
PRESENTATION_S = 2.0
GAP_S = 1.0


def presentations():
    """(start, stop, direction, frequency), the direction of a blank screen being NaN; and the grey (start, stop)."""
    gratings, t = [], 10.0
    for _ in range(N_REPEATS):
        for direction in [*DIRECTIONS_DEG, np.nan]:
            for frequency in FREQUENCIES_HZ:
                gratings.append((t, t + PRESENTATION_S, direction, frequency if direction == direction else np.nan))
                t += PRESENTATION_S + GAP_S
    grey = [(t + 5.0, t + 65.0), (t + 100.0, t + 160.0)]
    return gratings, grey


def even(start, stop, n):
    """n times in a presentation, none at its ends."""
    return start + (stop - start) * (np.arange(n) + 0.5) / n


def spikes(k, session, factor):
    gratings, grey = presentations()
    times = []
    for start, stop, direction, frequency in gratings:
        if direction != direction:
            n = 50
        elif frequency == 4.0:
            n = factor
        else:
            n = factor * (4 + k + session if direction == DIRECTIONS_DEG[k % 8] else 2)
        times += [even(start, stop, n), even(stop, stop + GAP_S, 50)]
    times += [even(start, stop, 6 + k) for start, stop in grey]
    return np.sort(np.concatenate(times))


def intervals(name, rows, columns):
    table = TimeIntervals(name=name, description="presentations")
    for column in columns:
        table.add_column(name=column, description=column)
    for row in rows:
        table.add_row(start_time=row[0], stop_time=row[1], **dict(zip(columns, row[2:])))
    return table


def write(path, session):
    start = datetime.datetime(2026, 1, session, tzinfo=datetime.timezone.utc)
    nwb = NWBFile(session_description="known rates", identifier=f"file {session}", session_start_time=start,
                  session_id=str(1000 + session), institution="none")
    probe = nwb.create_device(name="probeA")
    group = nwb.create_electrode_group(name="probeA", description="probe", location="V1", device=probe)
    # Ids are not places in the table, as in Allen's files.
    places = ["VISp4", "VISl4", "VISp1", "VISp4"]
    ids = [850, 851, 870, 890]
    for channel, place in zip(ids, places):
        nwb.add_electrode(id=channel, location=place, group=group, x=0.0, y=0.0, z=0.0)
    nwb.add_unit_column("peak_channel_id", "electrode of the peak")
    nwb.add_unit_column("waveform_duration", "trough to peak, ms")
    nwb.add_unit_column("quality", "good or noise")
    kinds = ([(k, 850, 0.6, "good", 1) for k in range(12)] + [(k, 890, 0.25, "good", 3) for k in range(11)]
             + [(20, 851, 0.6, "good", 9), (21, 870, 0.6, "good", 9), (22, 850, 0.6, "noise", 9)])
    for unit, (k, channel, duration, quality, factor) in enumerate(kinds):
        nwb.add_unit(id=950000000 + unit, spike_times=spikes(k, session, factor), peak_channel_id=channel,
                     waveform_duration=duration, quality=quality)
    gratings, grey = presentations()
    nwb.add_time_intervals(intervals("drifting_gratings_presentations", [(*g, 0.8) for g in gratings],
                                     ["orientation", "temporal_frequency", "contrast"]))
    nwb.add_time_intervals(intervals("spontaneous_presentations", grey, []))
    # Presentations of another kind, which say nothing of gratings of full contrast.
    nwb.add_time_intervals(intervals("drifting_gratings_contrast_presentations", [(500.0, 500.5, 0.0, 2.0, 0.1)],
                                     ["orientation", "temporal_frequency", "contrast"]))
    with NWBHDF5IO(str(path), "w") as io:
        io.write(nwb)


if __name__ == "__main__":
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for session in (1, 2, 3):
        write(folder / f"session_{session}.nwb", session)
