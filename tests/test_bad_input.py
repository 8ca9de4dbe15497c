"""Bad input gets one clear error, and leaves no file behind."""

import os
import re

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.files import read as image_io

OK = np.zeros((2, 2, 3), np.uint8)
BROKEN_REASONS = (ValueError, TypeError, OSError)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)
    return path


def make_missing(path):
    pass


def make_directory(path):
    path.mkdir()


def make_empty(path):
    path.write_bytes(b"")


def make_text(path):
    path.write_text("Not an image, but quite long enough to be one.")


def make_truncated_jpeg(path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:-900])


def make_fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (make_missing, FileNotFoundError, "no such file"),
        (make_directory, IsADirectoryError, "is a directory; an image file is allowed"),
        (make_fifo, OSError, "not a regular file; an image file is allowed"),
        (
            make_empty,
            ValueError,
            "is empty; JPEG, PNG, WebP, .* and TGA are allowed",
        ),
        (make_text, ValueError, "no image of a known format; JPEG, .* are allowed"),
        (make_truncated_jpeg, ValueError, "cannot be decoded: .*truncated"),
    ],
)
def test_bad_files(tmp_path, make, kind, message):
    source, target = tmp_path / "source.jpg", tmp_path / "target.png"
    make(source)
    names = sorted(os.listdir(tmp_path))
    for run in (fastkq.quantize, lambda path: fastkq.compress(path, target)):
        with pytest.raises(kind, match=f"^{re.escape(str(source))}: .*{message}"):
            run(source)
    assert sorted(os.listdir(tmp_path)) == names


@pytest.mark.parametrize(
    ("image", "kind", "message"),
    [
        (np.zeros((0, 5, 3), np.uint8), ValueError, r"shape \(0, 5, 3\): no pixels"),
        (np.zeros((5, 0), np.uint8), ValueError, r"shape \(5, 0\): no pixels"),
        (np.zeros(5, np.uint8), ValueError, r"shape \(5,\); allowed are \(H, W\) gray"),
        (np.zeros((2, 2, 1), np.uint8), ValueError, r"shape \(2, 2, 1\); allowed are"),
        (np.zeros((2, 2, 5), np.uint8), ValueError, r"shape \(2, 2, 5\); allowed are"),
        (np.zeros((1, 2, 2, 3), np.uint8), ValueError, r"shape \(1, 2, 2, 3\); allowed are"),
        (OK.astype(np.uint16), TypeError, "dtype uint16; allowed are .* of uint8"),
        (OK.astype(float), TypeError, "dtype float64; allowed are .* of uint8"),
        (OK.astype(bool), TypeError, "dtype bool; allowed are .* of uint8"),
        (OK.astype(object), TypeError, "dtype object; allowed are .* of uint8"),
        (Image.new("F", (2, 2)), ValueError, "floating-point pixels; 8 or 16 bits"),
        (Image.new("RGB", (0, 3)), ValueError, "no pixels"),
        (None, TypeError, "is a NoneType; a path, bytes"),
        ([[1, 2]], TypeError, "is a list; a path, bytes"),
        (b"", ValueError, "<bytes>: is empty"),
    ],
)
def test_bad_images(image, kind, message):
    for run in (
        fastkq.quantize,
        fastkq.color_histogram,
        fastkq.fit_palette,
        lambda image: fastkq.remap(image, [[0, 0, 0]]),
    ):
        with pytest.raises(kind, match=message):
            run(image)


def test_a_text_file_object_is_an_error(tmp_path):
    path = tmp_path / "text"
    path.write_text("text")
    with path.open(encoding="utf-8") as file, pytest.raises(TypeError, match="open it binary"):
        fastkq.quantize(file)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"n_colors": 0}, ValueError, "n_colors is 0; an integer from 1 to 256 is allowed"),
        ({"n_colors": 257}, ValueError, "n_colors is 257; an integer from 1 to 256"),
        ({"n_colors": 2.5}, TypeError, "n_colors is 2.5; an integer from 1 to 256"),
        ({"n_colors": True}, TypeError, "n_colors is True; an integer"),
        ({"n_colors": "16"}, TypeError, "n_colors is '16'; an integer"),
        ({"max_iter": -1}, ValueError, "max_iter is -1; an integer >= 0"),
        ({"max_iter": 1.0}, TypeError, "max_iter is 1.0; an integer >= 0"),
        ({"tol": -1e-9}, ValueError, "tol is -1e-09; a number >= 0"),
        ({"tol": float("nan")}, ValueError, "tol is nan; a number >= 0"),
        ({"tol": "x"}, TypeError, "tol is 'x'; a number >= 0"),
        ({"effort": "most"}, ValueError, "effort is 'most'; one of .*fast.*balanced.* is allowed"),
        ({"init": "best"}, ValueError, "init is 'best'; one of .*wu.*k-means.*random.* array"),
        ({"init": [[1, 2, 3]]}, ValueError, r"init has shape \(1, 3\).* must be \(2, 3\)"),
        ({"init": [[1, 2, 3], [4, 5, np.nan]]}, ValueError, "init has NaN or infinite"),
        ({"init": [["a"] * 3] * 2}, TypeError, "init has dtype"),
        (
            {"init": [[0, 0, 0], [0, 0, 256]]},
            ValueError,
            "values from 0 to 256; colors from 0 to 255",
        ),
        ({"init": [[0, 0, -1e30], [0, 0, 0]]}, ValueError, "values from -1e.30 to 0; colors"),
    ],
)
def test_bad_options(photo, tmp_path, options, kind, message):
    options = {"n_colors": 2} | options
    before = contents(tmp_path)
    for run in (
        lambda: fastkq.quantize(photo, **options),
        lambda: fastkq.fit_palette(photo, **options),
        lambda: fastkq.compress(photo, tmp_path / "target.png", **options),
    ):
        with pytest.raises(kind, match=message):
            run()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("palette", "kind", "message"),
    [
        ([], TypeError, "palette has dtype float64; integers"),
        ([[1, 2]], ValueError, r"palette has shape \(1, 2\); \(K, 3\) and \(K, 4\) are"),
        (np.zeros((257, 3), np.uint8), ValueError, r"shape \(257, 3\).* K from 1 to 256"),
        ([[0, 0, 256]], ValueError, "values outside 0 to 255"),
        ([[0, -1, 0]], ValueError, "values outside 0 to 255"),
        ([[0.5, 0, 0]], TypeError, "palette has dtype float64"),
    ],
)
def test_bad_palettes(palette, kind, message):
    with pytest.raises(kind, match=message):
        fastkq.remap(OK, palette)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"points": [[1.0, np.nan]]}, ValueError, "points has NaN or infinite"),
        ({"points": [[1.0, np.inf]]}, ValueError, "points has NaN or infinite"),
        ({"points": [1.0, 2.0]}, ValueError, r"points has shape \(2,\); \(N, C\) is allowed"),
        ({"points": np.zeros((0, 3))}, ValueError, r"points has shape \(0, 3\)"),
        ({"points": [["a", "b"]]}, TypeError, "points has dtype"),
        ({"points": [[1j]]}, TypeError, "points has dtype complex128"),
        ({"n_clusters": 4}, ValueError, "n_clusters is 4; an integer from 1 to 3"),
        ({"n_clusters": 0}, ValueError, "n_clusters is 0; an integer from 1 to 3"),
        ({"max_iter": 0}, ValueError, "max_iter is 0; an integer >= 1"),
        ({"relaxation": 2}, ValueError, "relaxation is 2; a number from 1 to 1.9 is allowed"),
        ({"relaxation": 0.5}, ValueError, "relaxation is 0.5; a number from 1 to 1.9 is allowed"),
        ({"init": "wu"}, ValueError, "init is 'wu'; use 'k-means\\+\\+', 'random' or an array"),
        ({"init": [[1.0]]}, ValueError, r"init has shape \(1, 1\).* must be \(2, 1\)"),
        ({"sample_weight": [1, 1]}, ValueError, r"shape \(2,\); for 3 points .* \(3,\)"),
        ({"sample_weight": [1, -1, 1]}, ValueError, "at least 0, and not all 0"),
        ({"sample_weight": [0, 0, 0]}, ValueError, "at least 0, and not all 0"),
        ({"sample_weight": [1, np.nan, 1]}, ValueError, "must be finite"),
    ],
)
def test_bad_points(arguments, kind, message):
    with pytest.raises(kind, match=message):
        fastkq.kmeans(**{"points": [[1.0], [2.0], [3.0]], "n_clusters": 2} | arguments)


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("missing/target.png", FileNotFoundError, "there is no directory"),
        ("target.jpg", ValueError, "suffix is '.jpg'; allowed: .png, .webp and .gif"),
        ("target", ValueError, "suffix is ''; allowed: .png, .webp and .gif"),
        ("folder.png", IsADirectoryError, "is not a regular file"),
        ("photo.png", ValueError, "the target is the source"),
        ("link.png", ValueError, "the target is the source"),
        ("hard.png", ValueError, "the target is the source"),
    ],
)
def test_bad_targets(photo, tmp_path, name, kind, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    before = contents(tmp_path)
    with pytest.raises(kind, match=message):
        fastkq.compress(photo, tmp_path / name)
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (
            OSError(28, "No space left on device"),
            OSError,
            "target.png: cannot be written: No space",
        ),
        (KeyboardInterrupt("stop"), KeyboardInterrupt, "stop"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(
    photo, tmp_path, monkeypatch, error, expected, message
):
    target = tmp_path / "target.png"
    target.write_bytes(b"old")
    before = contents(tmp_path)
    replace = os.replace

    def fail(source, destination):
        if os.fspath(destination) == os.fspath(target):
            raise error
        replace(source, destination)  # Numba's cache

    monkeypatch.setattr(image_io.os, "replace", fail)
    with pytest.raises(expected, match=message):
        fastkq.compress(photo, target, allow_larger=True)
    assert contents(tmp_path) == before


def test_a_link_as_target_stays_a_link(photo, tmp_path):
    real, link = tmp_path / "real.png", tmp_path / "link.png"
    real.write_bytes(b"old")
    link.symlink_to(real)
    fastkq.compress(photo, link, 2)
    assert link.is_symlink()
    assert real.read_bytes().startswith(b"\x89PNG")


def compress_or_error(source, target):
    try:
        fastkq.compress(source, target, 16, max_iter=2, allow_larger=True)
    except BROKEN_REASONS as error:
        return error
    return None


@pytest.mark.parametrize("folder", ["broken", "pngsuite", "formats"])
@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it finds in damaged files
def test_collections_of_odd_files(shared_photos, tmp_path, folder):
    """Each file gives a picture or a clear error; nothing else, and no partial file."""
    outcomes = {}
    for source in sorted((shared_photos / folder).iterdir()):
        target = tmp_path / f"{source.name}.png"
        error = compress_or_error(source, target)
        outcomes[source.name] = error is None
        if error is None:
            with Image.open(target) as image:
                image.load()
        else:
            assert str(error).startswith(str(source))
    expected = {
        "broken": {"broken.png": False, "giant-image.jpg": False, "truncated_jpeg.jpg": False},
        "pngsuite": {"basn2c08.png": True, "basn0g16.png": True, "basn6a08.png": True},
        "formats": {"rgb-16bit.png": True, "indexed.png": True, "p3.png": True},
    }[folder]
    assert {name: outcomes[name] for name in expected} == expected
    assert sorted(os.listdir(tmp_path)) == sorted(f"{n}.png" for n, ok in outcomes.items() if ok)
