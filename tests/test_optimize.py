"""Smaller files of the same pixels: palette order and row filters."""

import io
from itertools import pairwise

import naive
import numpy as np
import pytest
from painting import PLAIN_FLAGS
from PIL import Image

import fastkq
from fastkq.cli import main
from fastkq.files.mark import is_own_output
from fastkq.files.palette_order import (
    MAX_PIXELS,
    find_orders,
    insertion_order,
    neighbour_counts,
    relabel,
    swap_pairs,
    zeng_order,
)
from fastkq.files.png import encode_indexed_png, filter_rows


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (5, 33), (33, 130)])
@pytest.mark.parametrize("kind", ["noise", "ramp", "flat", "stripes"])
def test_filters_are_those_of_least_entropy(shape, kind):
    y, x = np.mgrid[: shape[0], : shape[1]]
    rows = {
        "noise": np.random.default_rng(0).integers(0, 256, shape),
        "ramp": 3 * x + 5 * y,
        "flat": 0 * x + 77,
        "stripes": 90 * (x % 3) + (y > 2) * x,
    }[kind].astype(np.uint8)
    assert np.array_equal(filter_rows(rows), naive.filter_rows(rows))


@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (40, 57)])
def test_neighbours_are_counted_both_ways(shape):
    labels = np.random.default_rng(1).integers(0, 6, shape, dtype=np.uint8)
    assert np.array_equal(neighbour_counts(labels, 6), naive.count_neighbours(labels, 6))


def test_of_a_large_image_some_rows_are_counted():
    labels = np.zeros((2 * MAX_PIXELS // 1000, 1500), np.uint8)
    labels[1::3] = 1
    counts = neighbour_counts(labels, 2)
    assert 0 < counts[0, 0] < 2 * labels.size
    assert counts[0, 1] == 0


@pytest.mark.parametrize("find_order", [zeng_order, insertion_order])
def test_a_chain_of_neighbours_comes_out_as_a_chain(find_order):
    rng = np.random.default_rng(2)
    chain = rng.permutation(12)
    counts = np.zeros((12, 12), int)
    for one, other in pairwise(chain):
        counts[one, other] = counts[other, one] = rng.integers(5, 9)
    order = find_order(counts).tolist()
    assert sorted(order) == list(range(12))
    assert order in (chain.tolist(), chain[::-1].tolist())


@pytest.mark.parametrize("n_kept", [0, 3, 12])
def test_an_ordered_palette_shows_the_same(n_kept):
    rng = np.random.default_rng(3)
    labels = np.cumsum(rng.integers(-1, 2, (40, 50)), axis=1) % 12
    shuffled = rng.permutation(12).astype(np.uint8)[labels]
    palette = rng.integers(0, 256, (12, 3), dtype=np.uint8)
    orders = find_orders(shuffled, 12, n_kept)
    assert len(orders) == (0 if n_kept == 12 else 2)
    for order in orders:
        new_labels, new_palette = relabel(shuffled, order), palette[order]
        assert np.array_equal(new_palette[new_labels], palette[shuffled])
        assert np.array_equal(new_palette[:n_kept], palette[:n_kept])
        if n_kept == 0:  # a walk along the colors: its steps are short again
            assert np.abs(np.diff(new_labels.astype(int), axis=1)).mean() < 2


def make_counts(n_colors, seed):
    counts = np.random.default_rng(seed).integers(0, 50, (n_colors, n_colors))
    return counts + counts.T


@pytest.mark.parametrize("n_colors", [1, 2, 3, 8, 23])
def test_each_entry_is_inserted_where_it_costs_least(n_colors):
    counts = make_counts(n_colors, n_colors)
    assert np.array_equal(insertion_order(counts), naive.insertion_order(counts))


@pytest.mark.parametrize("n_colors", [1, 2, 3, 8, 23])
def test_no_swap_would_save_anything(n_colors):
    counts = make_counts(n_colors, 7)
    start = np.random.default_rng(8).permutation(n_colors)
    order = swap_pairs(counts, start)
    assert sorted(order) == list(range(n_colors))
    cost = naive.order_cost(counts, order)
    assert cost <= naive.order_cost(counts, start)
    for i in range(n_colors):
        for j in range(i):
            other = order.copy()
            other[[i, j]] = other[[j, i]]
            assert naive.order_cost(counts, other) >= cost


def test_the_better_order_is_taken(images, monkeypatch):
    """Files with one more order to try are smaller on the whole, and none is much larger."""
    from fastkq.files import png

    sizes = []
    for name in ("kodim03.png", "photo-sunset.png", "windows95.png"):
        for n_colors in (64, 256):
            with Image.open(images / name) as image:
                result = fastkq.quantize(image.convert("RGB").crop((0, 0, 256, 192)), n_colors)
            both = len(result.encode(optimize=True))
            with monkeypatch.context() as patch:
                patch.setattr(png, "find_orders", lambda *given: find_orders(*given)[:1])
                sizes.append((both, len(result.encode(optimize=True))))
    assert all(both <= 1.002 * one for both, one in sizes)
    assert sum(both for both, _ in sizes) < sum(one for _, one in sizes)


@pytest.mark.parametrize("n_colors", [1, 2, 3, 5, 16, 17, 256])
@pytest.mark.parametrize("n_kept", [None, 0, 2])
def test_optimized_files_show_the_same_and_are_not_larger(images, n_colors, n_kept):
    result = fastkq.quantize(images / "kodim03.png", n_colors)
    plain = encode_indexed_png(result.labels, result.palette)
    data = encode_indexed_png(result.labels, result.palette, optimize=True, n_kept=n_kept)
    assert np.array_equal(decode(data), result.to_array())
    assert len(data) <= len(plain)
    if n_kept is None:
        with Image.open(io.BytesIO(data)) as image:
            assert np.array_equal(np.asarray(image), result.labels)


def test_order_and_filters_pay_on_a_smooth_picture():
    y, x = np.mgrid[:300, :400]
    noise = np.random.default_rng(4).integers(-2, 3, x.shape)
    gray = (x // 4 + y // 3 + noise).clip(0, 255).astype(np.uint8)
    shuffled = np.random.default_rng(5).permutation(256).astype(np.uint8)
    labels = shuffled[gray]
    palette = np.empty((256, 3), np.uint8)
    palette[shuffled] = np.arange(256, dtype=np.uint8)[:, None]
    kept, ordered = (
        len(encode_indexed_png(labels, palette, optimize=True, n_kept=n)) for n in (256, 0)
    )
    assert ordered < 0.8 * kept


@pytest.mark.parametrize("name", ["kodim03.png", "photo-sunset.png"])
@pytest.mark.parametrize("n_colors", [2, 4, 16, 40, 256])
@pytest.mark.parametrize("dither", ["none", "adaptive"])
def test_no_file_is_larger_than_pillows(images, name, n_colors, dither):
    result = fastkq.quantize(images / name, n_colors, dither=dither)
    image = Image.fromarray(result.labels)
    image.putpalette(result.palette.tobytes())
    theirs, ours = io.BytesIO(), io.BytesIO()
    image.save(theirs, "PNG")
    # As docs/decisions.md says of level 7: at most a thousandth more.
    assert result.save(ours) <= 1.0015 * len(theirs.getvalue())


def test_given_orders_are_kept(images, tmp_path):
    photo = images / "kodim03.png"
    palette = fastkq.quantize(photo, 24).palette
    locked = [[255, 0, 0], [0, 0, 255]]
    for name, options in (("own", {"palette": palette}), ("locked", {"locked": locked})):
        target = tmp_path / f"{name}.png"
        fastkq.compress(photo, target, 24, optimize=True, **options)
        with Image.open(target) as image:
            written = np.array(image.getpalette(), np.uint8).reshape(-1, 3)
            shown = np.asarray(image.convert("RGB"))
        if name == "own":
            assert np.array_equal(written[:24], palette)
            assert np.array_equal(shown, palette[fastkq.remap(photo, palette)])
        else:
            assert written[:2].tolist() == locked


def test_transparent_entries_stay_first():
    y, x = np.mgrid[:60, :60]
    image = np.stack([4 * y, 4 * x, 2 * (x + y), 8 * np.minimum(x, y)], axis=2)
    result = fastkq.quantize(np.minimum(image, 255).astype(np.uint8), 40)
    files = [io.BytesIO(), io.BytesIO()]
    plain, small = (
        result.save(file, optimize=flag) for file, flag in zip(files, (False, True), strict=True)
    )
    assert small <= plain
    assert np.array_equal(decode(files[1].getvalue()), decode(files[0].getvalue()))
    chunks = [file.getvalue().split(b"tRNS")[0][-4:] for file in files]
    assert chunks[0] == chunks[1]  # as many alphas


@pytest.fixture
def small_photo(images, tmp_path):
    path = tmp_path / "small photo.png"
    with Image.open(images / "kodim03.png") as image:
        image.crop((100, 100, 340, 280)).save(path)
    return path


def test_the_command_and_batches(small_photo, tmp_path):
    source = small_photo
    sizes = []
    for flags in ([], ["--optimize"]):
        target = tmp_path / f"{len(flags)}.png"
        assert main(["compress", str(source), "-k", "32", "-o", str(target), "-q", *flags]) == 0
        sizes.append(target.stat().st_size)
    assert sizes[1] < sizes[0]
    (result,) = fastkq.compress_many([source], tmp_path / "out", 32, optimize=True, jobs=1)
    assert result.target_bytes == sizes[1]
    limit = sizes[1] + 5
    report = fastkq.compress(source, tmp_path / "fit.png", optimize=True, max_bytes=limit)
    assert report.n_colors >= 32
    assert (tmp_path / "fit.png").stat().st_size <= limit
    with pytest.raises(TypeError, match="optimize is 2; True, False or 'oxipng' is allowed"):
        fastkq.compress(source, tmp_path / "no.png", optimize=2)


def test_oxipng_goes_on_with_the_same_picture(small_photo, tmp_path):
    pytest.importorskip("oxipng", reason="the extra fastkq[oxipng] is not installed")
    result = fastkq.quantize(small_photo, 40)
    files = [io.BytesIO(), io.BytesIO(), io.BytesIO()]
    sizes = [
        result.save(file, optimize=optimize)
        for file, optimize in zip(files, (True, "oxipng", "oxipng"), strict=True)
    ]
    assert sizes[1] < sizes[0]
    assert files[2].getvalue() == files[1].getvalue()
    assert np.array_equal(decode(files[1].getvalue()), result.to_array())
    target = tmp_path / "flag.png"
    command = ["compress", str(small_photo), "-k", "40", "-o", str(target), "-q", *PLAIN_FLAGS]
    assert main([*command, "--oxipng"]) == 0
    assert target.read_bytes() == files[1].getvalue()
    assert is_own_output(target)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_oxipng_keeps_a_given_order_and_the_bits(images, tmp_path, bits):
    pytest.importorskip("oxipng", reason="the extra fastkq[oxipng] is not installed")
    grays = np.linspace(250, 0, 1 << bits).astype(np.uint8)  # would be a gray PNG otherwise
    palette = grays[:, None].repeat(3, axis=1)
    target = tmp_path / "gray.png"
    fastkq.compress(images / "kodim03.png", target, palette=palette, optimize="oxipng")
    with Image.open(target) as image:
        assert image.mode == "P"
        assert np.array_equal(
            np.array(image.getpalette(), np.uint8).reshape(-1, 3)[: 1 << bits], palette
        )
        assert np.array_equal(np.asarray(image), fastkq.remap(images / "kodim03.png", palette))
    assert target.read_bytes()[24:26] == bytes([bits, 3])  # of the header: bits, indexed


def test_oxipng_that_is_not_installed(images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    target = tmp_path / "no.png"
    assert main(["compress", str(images / "kodim03.png"), "-o", str(target), "--oxipng"]) == 1
    assert 'pip install "fastkq[oxipng]"' in capsys.readouterr().err
    assert not target.exists()
