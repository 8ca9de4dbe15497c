"""Profiles small enough to know by hand what they say, and the colors that they stand for."""

import struct

import numpy as np

BLOCK = 8  # of a JPEG: flat blocks lose nothing
# The color of each combination of inks: of none, of K, Y, Y and K, M, ... of all four.
INK_COLORS = np.array(
    [
        *[(255, 255, 255), (40, 38, 36), (250, 220, 20), (38, 34, 10)],
        *[(205, 30, 110), (34, 10, 20), (200, 40, 30), (30, 8, 6)],
        *[(10, 140, 205), (8, 22, 34), (20, 140, 70), (8, 24, 12)],
        *[(50, 45, 120), (10, 8, 20), (70, 60, 55), (0, 0, 0)],
    ],
    np.uint8,
)
_CHOSEN = np.array([[0, 2, 4], [8, 1, 6]]).repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)
INKS = (_CHOSEN[..., None] >> np.array([3, 2, 1, 0]) & 1).astype(np.uint8) * 255
_LEVELS, _HUES = np.mgrid[:16, :23]
# L from 0 to 255, a and b as bytes with a sign.
LAB = np.dstack([40 + _LEVELS * 12, (_HUES * 2 - 20) & 255, (_LEVELS * 2 - 16) & 255])
LAB = LAB.astype(np.uint8)
D50 = np.array([0.9642, 1.0, 0.8249])
# From XYZ under D50 to linear sRGB, as Lindbloom has it (Bradford).
XYZ_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
P3_TO_SRGB = np.array(
    [[1.22494, -0.22494, 0.0], [-0.04206, 1.04206, 0.0], [-0.01964, -0.07864, 1.09828]]
)


def encode_srgb(linear):
    """Light from 0 to 1 as bytes of sRGB."""
    light = np.clip(linear, 0, 1)
    values = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.round(values * 255).astype(np.uint8)


def decode_srgb(values):
    """Bytes of sRGB as light from 0 to 1."""
    levels = np.asarray(values) / 255
    return np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)


def linear_to_srgb(array):
    """Levels that are light as those of sRGB."""
    return encode_srgb(array / 255)


def p3_to_srgb(array):
    """Display P3 as sRGB."""
    return encode_srgb(decode_srgb(array) @ P3_TO_SRGB.T)


def lab_by_formula(lab):
    """Lab, as a TIFF has it, as sRGB."""
    lightness = lab[..., 0] / 255 * 100
    a, b = (lab[..., channel].astype(np.int8).astype(float) for channel in (1, 2))
    y = (lightness + 16) / 116
    parts = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    cubes = np.where(parts > 6 / 29, parts**3, 3 * (6 / 29) ** 2 * (parts - 4 / 29))
    return encode_srgb(cubes * D50 @ XYZ_TO_SRGB.T)


def inks_by_formula():
    """What inks are without a profile."""
    light = 1 - INKS / 255
    return np.round(light[..., :3] * light[..., 3:] * 255).astype(np.uint8)


def inks_by_profile():
    """What inks are by the profile."""
    return INK_COLORS[_CHOSEN]


def _lab_of(colors):
    """The Lab of colors of sRGB."""
    scaled = decode_srgb(colors) @ np.linalg.inv(XYZ_TO_SRGB).T / D50
    curve = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(curve, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def _profile(kind, space, connection, tags):
    """An ICC profile of version 2."""
    body, table, start = b"", struct.pack(">I", len(tags)), 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"", 0x02400000, kind, space, connection)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + b"\0" * 28
    head += np.round(D50 * 65536).astype(">i4").tobytes()
    return head.ljust(128, b"\0") + table + body


def _texts():
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0"
    return {b"desc": text.ljust(106, b"\0"), b"cprt": b"text\0\0\0\0none\0"}


def _white():
    return b"XYZ \0\0\0\0" + np.round(D50 * 65536).astype(">i4").tobytes()


def gray_profile(gamma):
    """A profile of gray with an exponent."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))
    tags = _texts() | {b"wtpt": _white(), b"kTRC": curve}
    return _profile(b"mntr", b"GRAY", b"XYZ ", tags)


def cmyk_profile():
    """A profile of CMYK that knows the sixteen combinations of inks."""
    lab = _lab_of(INK_COLORS)
    encoded = np.stack(
        [lab[:, 0] / 100 * 65280, (lab[:, 1] + 128) * 256, (lab[:, 2] + 128) * 256], axis=1
    )
    table = b"mft2\0\0\0\0" + bytes([4, 3, 2, 0])
    table += np.round(np.eye(3) * 65536).astype(">i4").tobytes() + struct.pack(">HH", 2, 2)
    ramp = struct.pack(">HH", 0, 65535)
    table += ramp * 4 + np.round(encoded).clip(0, 65535).astype(">u2").tobytes() + ramp * 3
    tags = _texts() | {b"wtpt": _white(), b"A2B0": table}
    return _profile(b"prtr", b"CMYK", b"Lab ", tags)


def ycck_jpeg():
    """A JPEG of inks, in luma and chroma of their negative, as Adobe's programs write it."""
    import imagecodecs

    data = imagecodecs.jpeg8_encode(
        255 - INKS, level=100, colorspace="CMYK", outcolorspace="YCCK", subsampling="444"
    )
    return bytes(data)


def with_jpeg_profile(data, profile):
    """A JPEG with a profile behind its start."""
    body = b"ICC_PROFILE\0\1\1" + profile
    return data[:2] + b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body + data[2:]
