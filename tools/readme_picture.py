"""The picture of README.md: direction tuning of pyramidal cells, from the report of a run.

    simrun scenes/v1_4k.ron --set evaluate.every_steps=0 --set evaluate.n_trials=20 --out RUN
    python3 tools/readme_picture.py RUN/report.html docs/tuning.svg
"""

import re
import sys

CELL_TYPES = ["L2/3_Exc", "L4_Exc", "L5_Exc", "L6_Exc"]

report, out = sys.argv[1:]
figures = re.findall(r"<figure.*?</figure>", open(report).read(), re.S)
tuning = next(figure for figure in figures if "Direction tuning" in figure)
charts = {re.search(r">\s*([^<\s]+)\s*</text>", svg).group(1): svg for svg in re.findall(r"<svg.*?</svg>", tuning, re.S)}
width, height = 250, 200
parts = [f'<svg width="{width * len(CELL_TYPES)}" height="{height}" xmlns="http://www.w3.org/2000/svg">']
parts.append('<rect width="100%" height="100%" fill="#ffffff"/>')
for column, name in enumerate(CELL_TYPES):
    parts.append(charts[name].replace("<svg ", f'<svg x="{column * width}" ', 1))
open(out, "w").write("\n".join(parts + ["</svg>\n"]))
