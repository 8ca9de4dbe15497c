"""How much of an error diffusion passes on: trials on pictures that judge nothing else.

    python bench/diffusion_trials.py [--json bench/results/diffusion_trials.json]

It takes about a minute; see `trial_pictures` for the pictures and what their scores are. "Off" is
how far the mean of a flat patch is from its color at most, as a share of the way between the two
grays that it is mixed of; "flat" is the share of those patches that one gray is all of.
"""

from __future__ import annotations

import numpy as np
import report
from trial_pictures import Trials

import fastkq
from fastkq.colors.spaces import to_points
from fastkq.paint import dither

SHARES = (0.7, 0.75, 0.8, 0.825, 0.85, 0.875, 0.9, 1.0)
GRAYS = np.arange(0, 256, 15, np.uint8)[:, None].repeat(3, axis=1)
SIDE, SETTLED = 96, 32  # of a patch, and the rows and columns at its beginning that do not count


def measure_patches() -> tuple[float, float]:
    """Return how far the means of flat patches are off, and the share of those of one gray."""
    lightness = to_points(GRAYS, "oklab")[:, 0]
    offs, are_flat = [], []
    for level in np.setdiff1d(np.arange(1, 255), GRAYS):
        patch = np.full((SIDE, SIDE, 3), level, np.uint8)
        labels = fastkq.remap(patch, GRAYS, dither="diffusion")[SETTLED:, SETTLED:]
        target = to_points(patch[0, :1], "oklab")[0, 0]
        above = np.searchsorted(lightness, target)
        way = lightness[above] - lightness[above - 1]
        offs.append(abs(lightness[labels].mean() - target) / way)
        are_flat.append(labels.min() == labels.max())
    return float(max(offs)), float(np.mean(are_flat))


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    trials = Trials()
    rows: list[report.Row] = []
    for share in SHARES:
        dither.PASSED_ON = share
        shown = {
            (name, n): fastkq.remap(trials.pictures[name], palette, dither="diffusion")
            for (name, n), palette in trials.palettes.items()
        }
        off, flat = measure_patches()
        rows.append({"share": share, "off": off, "flat": flat} | trials.compare(shown))
    lines = [[f"{value:.3f}" for value in row.values()] for row in rows]
    report.publish(options, report.markdown(list(rows[0]), lines), rows)


if __name__ == "__main__":
    main()
