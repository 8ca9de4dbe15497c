"""ICC profiles of what PNG and AVIF say in numbers: primaries, a white point and a curve.

Pillow's ImageCms converts by profiles and cannot make one. These are of the smallest kind, three
colors and a curve. Specifications: ICC.1:2022 (profiles), H.273 (the numbers of cICP).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from fastkq.types import Array

# x and y of red, green, blue and white.
XY = tuple[tuple[float, float], ...]
D65 = (0.3127, 0.3290)
PRIMARIES: dict[int, XY] = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), D65),  # BT.709, sRGB
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),  # BT.470 M
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), D65),  # BT.470 BG
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),  # BT.601
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), D65),  # SMPTE 240
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), D65),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), D65),  # EBU 3213
}
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # g, a, b, c, d of an ICC curve
BT709_CURVE = (1 / 0.45, 1 / 1.099, 0.099 / 1.099, 1 / 4.5, 0.081)
CURVES: dict[int, tuple[float, ...]] = {
    1: BT709_CURVE,
    4: (2.2,),
    5: (2.8,),
    6: BT709_CURVE,
    8: (1.0,),
    13: SRGB_CURVE,
    14: BT709_CURVE,
    15: BT709_CURVE,
}
HDR_CURVES = {16: "PQ", 18: "HLG"}
D50 = np.array([0.9642, 1.0, 0.8249])  # the white that profiles refer to
BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


@dataclass(frozen=True)
class ColorNumbers:
    """How values of R, G and B are meant.

    Attributes
    ----------
    primaries : x and y of red, green, blue and white
    curve : the exponent of light from values, or g, a, b, c and d of (a x + b)^g, or c x below d
    """

    primaries: XY
    curve: tuple[float, ...]

    def to_profile(self) -> bytes:
        """Return an ICC profile that says the same.

        Raises
        ------
        ValueError
            They are those of no colors.
        """
        return make_profile(self)


def make_profile(numbers: ColorNumbers) -> bytes:
    """Return an ICC profile, of version 4, for an RGB space."""
    *primaries, white = (_from_xy(point) for point in numbers.primaries)
    adapt = _adapt_white(white)
    matrix = np.array(primaries).T
    try:
        colors = (adapt @ (matrix * np.linalg.solve(matrix, white))).T
    except np.linalg.LinAlgError as error:
        raise ValueError("its primaries lie on a line") from error
    function = 3 if len(numbers.curve) > 1 else 0
    curve = b"para" + struct.pack(">IHH", 0, function, 0) + _fixed(numbers.curve)
    name = "RGB".encode("utf-16-be")
    text = b"mluc" + struct.pack(">III4sII", 0, 1, 12, b"enUS", len(name), 28) + name
    named = {
        b"desc": text,
        b"cprt": text,
        b"wtpt": b"XYZ \0\0\0\0" + _fixed(D50),
        b"chad": b"sf32\0\0\0\0" + _fixed(adapt.ravel()),
    }
    for key, color in zip(b"rgb", colors, strict=True):
        named[bytes([key]) + b"XYZ"] = b"XYZ \0\0\0\0" + _fixed(color)
        named[bytes([key]) + b"TRC"] = curve
    return _assemble(named)


def _assemble(named: dict[bytes, bytes]) -> bytes:
    """Return a profile of some tags; those that are alike are stored once."""
    start = 128 + 4 + 12 * len(named)
    places: dict[bytes, int] = {}
    body, table = b"", struct.pack(">I", len(named))
    for key, data in named.items():
        if data not in places:
            places[data] = start + len(body)
            body += data + b"\0" * (-len(data) % 4)
        table += key + struct.pack(">II", places[data], len(data))
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"", 0x04400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28 + _fixed(D50)
    return head.ljust(128, b"\0") + table + body


def _fixed(values: Array | tuple[float, ...]) -> bytes:
    """Return numbers as 16 bits before the point and 16 behind it."""
    return np.round(np.asarray(values) * 65536).clip(-(2**31), 2**31 - 1).astype(">i4").tobytes()


def _from_xy(point: tuple[float, float]) -> Array:
    x, y = point
    if y <= 0:
        raise ValueError("its primaries or white point are none")
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adapt_white(white: Array) -> Array:
    """Return the matrix from colors under a white to those under D50, by Bradford."""
    scale = (BRADFORD @ D50) / (BRADFORD @ white)
    adapt: Array = np.linalg.inv(BRADFORD) @ np.diag(scale) @ BRADFORD
    return adapt
