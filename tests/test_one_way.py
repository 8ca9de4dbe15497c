"""One way for every image: what works for opaque ones works with alpha, from any source."""

import io
import json

import dask.array
import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
import fastkq.distributed
from fastkq.files import rows

K = 24
METHODS = ["none", "diffusion", "ordered", "adaptive"]


@pytest.fixture(scope="module")
def badge(request):
    """A photo (131, 173, 4) in a frame with soft edges, on a transparent ground."""
    path = request.path.parent / "images" / "kodim03.png"
    with Image.open(path) as photo:
        image = np.array(photo.convert("RGBA"))[100:231, 300:473]
    y, x = np.mgrid[:131, :173]
    edge = np.minimum(np.minimum(y, 130 - y), np.minimum(x, 172 - x))
    image[..., 3] = np.clip((edge - 9) * 21, 0, 255)
    return image


@pytest.fixture
def _small_blocks(monkeypatch):
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    monkeypatch.setattr(rows, "BLOCK_PIXELS", 173 * 11)


class Rows:
    """What has a shape, a dtype and slices, and is no NumPy array."""

    def __init__(self, array):
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, part):
        return self._array[part]


def decode(data):
    """The RGBA pixels of a file, by Pillow."""
    with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data) as image:
        return np.asarray(image.convert("RGBA"))


def over(image, level):
    """RGBA pixels over a gray background, as floats."""
    alpha = image[..., 3:] / 255
    return image[..., :3] * alpha + level * (1 - alpha)


def error(image, other):
    """The squared error over black and over white, halved."""
    return sum(np.sum((over(image, level) - over(other, level)) ** 2) for level in (0, 255)) / 2


@pytest.mark.parametrize("method", METHODS)
def test_the_error_is_that_of_the_decoded_file(badge, method):
    result = fastkq.quantize(badge, K, dither=method)
    decoded = decode(result.encode())
    assert np.array_equal(decoded, result.to_array())
    assert result.inertia == pytest.approx(error(badge, decoded), rel=1e-5)
    opaque, clear = badge[..., 3] == 255, badge[..., 3] == 0
    assert (decoded[opaque, 3] == 255).all()
    assert (decoded[clear] == 0).all()


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("space", ["srgb", "oklab"])
def test_by_blocks_as_in_memory(badge, method, space, monkeypatch):
    blocks = fastkq.compress(Rows(badge), None, K, dither=method, color_space=space)
    result = fastkq.quantize(Rows(badge), K, dither=method, color_space=space)
    monkeypatch.undo()
    whole = fastkq.quantize(badge, K, dither=method, color_space=space)
    assert np.array_equal(decode(blocks), whole.to_array())
    assert np.array_equal(result.labels, whole.labels)
    assert result.inertia == pytest.approx(whole.inertia, rel=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("chunks", [(50, 60, 4), (131, 173, 1), (128, 173, 4)])
def test_dask_arrays_with_alpha(badge, method, chunks):
    array = dask.array.from_array(badge, chunks=chunks)
    palette = fastkq.distributed.fit_palette(array, K)
    assert np.array_equal(palette, fastkq.fit_palette(badge, K))
    labels = fastkq.distributed.remap(array, palette, dither=method).compute()
    assert np.array_equal(labels, fastkq.remap(badge, palette, dither=method))


def test_weights_with_alpha(badge):
    weights = np.ones(badge.shape[:2])
    weights[:, :80] = 0
    weighed = fastkq.quantize(badge, K, weights=weights)
    plain = fastkq.quantize(badge, K)
    half = np.s_[:, 80:]
    assert error(badge[half], weighed.to_array()[half]) < error(badge[half], plain.to_array()[half])
    assert weighed.inertia == pytest.approx(error(badge, weighed.to_array()), rel=1e-5)
    twice = fastkq.quantize(badge, K, weights=2 * weights)
    assert np.array_equal(twice.palette, weighed.palette)
    repeated = np.concatenate([badge, badge[:70]])
    counted = np.ones(badge.shape[:2], int)
    counted[:70] = 2
    assert np.array_equal(
        fastkq.fit_palette(badge, K, weights=counted), fastkq.fit_palette(repeated, K)
    )


def test_locked_colors_with_alpha(badge):
    locked = [[255, 0, 0, 255], [0, 0, 255, 128], [9, 9, 9, 0]]
    for image in (badge, badge[..., :3]):
        for options in ({}, {"effort": "best"}, {"color_space": "oklab"}, {"init": "random"}):
            result = fastkq.quantize(image, K, locked=locked, **options)
            assert result.palette.shape == (K, 4)
            assert result.palette[:3].tolist() == locked
    three = fastkq.quantize(badge, K, locked=[[255, 0, 0]])
    assert three.palette[0].tolist() == [255, 0, 0, 255]
    assert three.to_array()[0, 0].tolist() == [0, 0, 0, 0]


def test_small_patches_with_alpha_are_protected(badge):
    image = badge.copy()
    image[40:46, 50:57, :3] = [255, 0, 255]
    plain, protected = (fastkq.quantize(image, 8, protect=flag) for flag in (False, True))
    patch = np.s_[41:45, 51:56, :3]
    far = [
        np.abs(each.to_array()[patch].astype(int) - [255, 0, 255]).max()
        for each in (plain, protected)
    ]
    assert far[0] > 60
    assert far[1] < 10


def test_histograms_with_alpha_add_up(badge):
    upper, lower = fastkq.color_histogram(badge[:60]), fastkq.color_histogram(badge[60:])
    both = upper + lower
    assert both.n_pixels == badge[..., 0].size
    assert both.n_transparent == np.count_nonzero(badge[..., 3] == 0)
    assert len(both) == len({tuple(c) if c[3] else (0,) for c in badge.reshape(-1, 4).tolist()})
    assert np.array_equal(fastkq.fit_palette(both, K), fastkq.fit_palette(badge, K))


def test_a_shared_palette_with_alpha(badge, images, tmp_path):
    Image.fromarray(badge).save(tmp_path / "badge.png")
    sources = [tmp_path / "badge.png", images / "photo-sunset.png"]
    results = list(
        fastkq.compress_many(
            sources, tmp_path / "out", K, palette="shared", jobs=1, dither="diffusion"
        )
    )
    assert [result.status for result in results] == ["done", "done"]
    total = fastkq.color_histogram(sources[0]) + fastkq.color_histogram(sources[1])
    palette = fastkq.fit_palette(total, K, color_space="oklab")
    assert palette.shape == (K, 4)
    for source, name in zip(sources, ("badge.png", "photo-sunset.png"), strict=True):
        labels = fastkq.remap(source, palette, dither="diffusion")
        assert np.array_equal(decode(tmp_path / "out" / name), palette[labels])


@pytest.mark.parametrize("name", ["colors.json", "colors.hex"])
def test_palette_files_with_alpha(badge, tmp_path, name):
    from fastkq.files.palettes import write_palette

    palette = fastkq.fit_palette(badge, K)
    write_palette(tmp_path / name, palette)
    assert np.array_equal(fastkq.remap(badge, tmp_path / name), fastkq.remap(badge, palette))
    if name.endswith("json"):
        assert len(json.loads((tmp_path / name).read_text())["colors"][0]) == len("#rrggbbaa")


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("format", ["webp", "gif"])
def test_other_formats_by_blocks(badge, format):
    image = badge[..., :3]
    data = fastkq.compress(Rows(image), None, K, format=format, **PLAIN)
    assert np.array_equal(decode(data)[..., :3], fastkq.quantize(image, K).to_array())


def test_compress_takes_what_quantize_takes_and_gives_bytes(images, tmp_path):
    path = images / "photo-sunset.png"
    fastkq.compress(path, tmp_path / "out.png", K)
    expected = (tmp_path / "out.png").read_bytes()
    with Image.open(path) as opened:
        array = np.asarray(opened)
        for source in (
            path,
            str(path),
            path.read_bytes(),
            io.BytesIO(path.read_bytes()),
            opened,
            array,
        ):
            assert fastkq.compress(source, n_colors=K) == expected
    buffer = io.BytesIO()
    report = fastkq.compress(array, buffer, K)
    assert buffer.getvalue() == expected
    assert (report.target, report.target_bytes) == ("<file>", len(expected))
    assert (
        fastkq.quantize(array, K, color_space="oklab", masking=True, lossy=20).encode() == expected
    )
    webp = fastkq.compress(array, n_colors=K, format="webp", **PLAIN)
    assert fastkq.quantize(array, K).encode("webp") == webp
    assert webp[8:12] == b"WEBP"


@pytest.mark.parametrize("background", ["#ff8000", [255, 128, 0]])
def test_a_background_flattens(badge, background):
    result = fastkq.quantize(badge, K, background=background)
    alpha = badge[..., 3:].astype(int)
    flat = (badge[..., :3] * alpha + np.array([255, 128, 0]) * (255 - alpha) + 127) // 255
    expected = fastkq.quantize(flat.astype(np.uint8), K)
    assert np.array_equal(result.palette, expected.palette)
    assert np.array_equal(result.labels, expected.labels)
    labels = fastkq.remap(badge, result.palette, background=background)
    assert np.array_equal(labels, expected.labels)
    opaque = fastkq.quantize(badge[..., :3], K)
    assert np.array_equal(
        fastkq.quantize(badge[..., :3], K, background=background).labels, opaque.labels
    )


@pytest.mark.usefixtures("_small_blocks")
def test_a_background_by_blocks(badge):
    data = fastkq.compress(Rows(badge), n_colors=K, background="000000", **PLAIN)
    expected = fastkq.quantize(badge, K, background="#000000").to_array()
    assert np.array_equal(decode(data)[..., :3], expected)


@pytest.mark.parametrize(
    ("background", "kind", "message"),
    [
        ("red", ValueError, "background is 'red'; a color such as '#ffffff'"),
        ("#ff000080", ValueError, "background is '#ff000080'; a color such as"),
        ([1, 2], ValueError, r"background is \[1, 2\]; a color such as"),
        ([0.5, 0, 0], TypeError, "background has dtype float64"),
    ],
)
def test_wrong_backgrounds(badge, background, kind, message):
    with pytest.raises(kind, match=message):
        fastkq.quantize(badge, background=background)


def test_opaque_alpha_is_as_none_by_blocks(badge, monkeypatch):
    opaque = badge.copy()
    opaque[..., 3] = 255
    expected = {method: fastkq.quantize(badge[..., :3], K, dither=method) for method in METHODS}
    monkeypatch.setattr(rows, "LARGE_PIXELS", 100)
    for method in METHODS:
        result = fastkq.quantize(Rows(opaque), K, dither=method)
        assert np.array_equal(result.palette, expected[method].palette)
        assert np.array_equal(result.labels, expected[method].labels)


def test_a_palette_with_alpha_is_for_any_image(badge):
    palette = fastkq.fit_palette(badge, K)
    opaque = palette[palette[:, 3] == 255, :3]
    own = np.flatnonzero(palette[:, 3] == 255)
    for method in METHODS:
        for image in (badge[..., :3], badge[..., 1]):
            labels = fastkq.remap(image, palette, dither=method)
            assert np.array_equal(labels, own[fastkq.remap(image, opaque, dither=method)])
    with pytest.raises(ValueError, match=r"palette has shape \(\d+, 3\); one with alpha"):
        fastkq.remap(badge, opaque)
    shadows = np.array([[0, 0, 0, 90], [255, 255, 255, 10]], np.uint8)
    assert set(np.unique(fastkq.remap(badge[..., :3], shadows))) <= {0, 1}


def test_gray_images_and_colored_entries_agree_with_their_file():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for options in ({"locked": [[250, 240, 220]]}, {"init": [[9, 0, 0], [99, 0, 0], [200, 0, 0]]}):
        result = fastkq.quantize(gray, 3, max_iter=0, **options)
        array = result.to_array()
        decoded = decode(result.encode())[..., :3]
        as_rgb = array if array.ndim == 3 else np.repeat(array[..., None], 3, axis=2)
        assert np.array_equal(decoded, as_rgb)
        assert result.inertia == np.sum((decoded.astype(int) - gray[..., None]) ** 2)


def test_a_generator_gives_one_seed_for_a_whole_search(images):
    photo = images / "photo-sunset.png"
    found = fastkq.quantize(
        photo, max_mse=300, init="random", random_state=np.random.default_rng(5)
    )
    again = fastkq.quantize(
        photo, len(found.palette), init="random", random_state=np.random.default_rng(5)
    )
    assert np.array_equal(found.palette, again.palette)


@pytest.mark.parametrize("bad", [-1, 0.5, True, "1"])
def test_a_wrong_seed_is_refused_before_reading(bad):
    with pytest.raises((ValueError, TypeError), match=r"random_state is .*; an integer >= 0"):
        fastkq.quantize("no such file.png", random_state=bad)


def test_given_centers_may_have_alpha(badge):
    centers = fastkq.fit_palette(badge, K)[1:]  # behind the transparent one, which is not fitted
    given = np.concatenate([centers, [[9, 9, 9, 9]]])
    result = fastkq.quantize(badge, K, init=given)
    assert result.palette.shape == (K, 4)
    assert result.mse <= 1.02 * fastkq.quantize(badge, K).mse
    opaque = badge[..., :3]
    start = fastkq.fit_palette(opaque, K)
    with_alpha = np.pad(start, ((0, 0), (0, 1)), constant_values=255)
    expected = fastkq.quantize(opaque, K, init=start)
    assert np.array_equal(fastkq.quantize(opaque, K, init=with_alpha).labels, expected.labels)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("method", METHODS)
def test_a_palette_with_alpha_by_blocks(badge, monkeypatch, method):
    palette = [[0, 0, 0, 0], [90, 80, 70, 128], [200, 190, 180, 255], [20, 30, 10, 255]]
    data = fastkq.compress(Rows(badge), palette=palette, dither=method)
    monkeypatch.undo()
    labels = fastkq.remap(badge, palette, dither=method)
    assert np.array_equal(decode(data), np.array(palette, np.uint8)[labels])
