"""How the constants of ordered dithering were chosen: trials on pictures that judge nothing else.

    python bench/ordered_trials.py [--json bench/results/ordered_trials.json]

It takes about two minutes; see `trial_pictures` for the pictures and what their scores are. "Off"
is how far the mean of a flat patch is from its color at most, as a share of the way between the two
entries that it is mixed of. "From afar" is the squared error of means of 4x4 pixels in Oklab, as a
share of that of the nearest entries; the geometric mean over pictures and both numbers of colors.
"""

from __future__ import annotations

import numpy as np
import report
from trial_pictures import Trials

import fastkq
from fastkq.colors.spaces import to_points
from fastkq.paint import squares

# What of an error pixels take; the last of a square, at least and at most; chroma.
TRIALS = [
    (0.0, (0.0, 0.0), 0.85),
    *(
        (share, last, 0.85)
        for share in (0.5, 0.6, 0.7, 0.85)
        for last in ((share, share), (0.3, 0.9), (0.2, 1.2), (0.2, 1.6))
    ),
    *((share, (0.3, 0.9), chroma) for share in (0.6, 0.7) for chroma in (0.6, 0.7, 1.0)),
]


def off(share: float, last: tuple[float, float]) -> float:
    """Return how far the mean of two entries is from a color between them at most."""
    shares = np.linspace(0, 0.5, 201)[:, None]
    error, total = np.zeros((201, 1)), np.zeros((201, 1))
    for taken in (0.0, share, share, np.linspace(*last, 1001)[None]):
        target = shares + taken * error
        label = target > 0.5
        error = target - label
        total = total + label
    return float(np.abs((total / 4).mean(axis=1) - shares[:, 0]).max())


def far_error(image: np.ndarray, shown: np.ndarray) -> float:
    """Return the mean squared error of means of squares of 4x4 pixels in Oklab."""
    difference = to_oklab(image) - to_oklab(shown)
    height, width = (side // 4 * 4 for side in difference.shape[:2])
    parts = difference[:height, :width].reshape(height // 4, 4, width // 4, 4, 3)
    return float(np.mean(parts.mean(axis=(1, 3)) ** 2))


def to_oklab(colors: np.ndarray) -> np.ndarray:
    """Return colors (..., 3) in Oklab."""
    return to_points(colors.reshape(-1, 3), "oklab").reshape(colors.shape)


def main() -> None:
    """Measure, print and store."""
    options = report.arguments(__doc__).parse_args()
    trials = Trials()
    rows: list[report.Row] = []
    for share, last, chroma in TRIALS:
        squares.SHARE, squares.LAST_SHARES, squares.CHROMA = share, last, chroma
        shown, far = {}, []
        for (name, n), palette in trials.palettes.items():
            image = trials.pictures[name]
            shown[name, n] = labels = fastkq.remap(image, palette, dither="ordered")
            nearest = far_error(image, palette[fastkq.remap(image, palette)])
            far.append(far_error(image, palette[labels]) / nearest)
        row = {"share": share, "last": f"{last[0]:g} to {last[1]:g}", "chroma": chroma}
        row["off"] = off(share, last)
        row["from afar"] = float(np.exp(np.mean(np.log(far))))
        rows.append(row | trials.compare(shown))
    report.publish(options, report.markdown(list(rows[0]), [cells(row) for row in rows]), rows)


def cells(row: report.Row) -> list[str]:
    """Return a row's numbers as text."""
    signed = [f"{value:+.2f}" for name, value in row.items() if ":" in name]
    return [
        f"{row['share']:g}",
        row["last"],
        f"{row['chroma']:g}",
        f"{row['off']:.2f}",
        f"{row['from afar']:.2f}",
        *signed,
    ]


if __name__ == "__main__":
    main()
