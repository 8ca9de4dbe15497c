"""WebP and GIF beside PNG: exact, marked as own output, refused what they cannot hold."""

import io
import json

import numpy as np
import pytest
from painting import PLAIN
from PIL import Image

import fastkq
from fastkq.batch.job import OWN_OUTPUT
from fastkq.batch.plan import plan_jobs
from fastkq.cli import DONE, main
from fastkq.files import formats
from fastkq.files import rows as blocks
from fastkq.files.attached import Attached
from fastkq.files.mark import is_own_output
from fastkq.files.png import encode_indexed_png


def random_labels(height, width, n_colors, seed=0):
    labels = np.random.default_rng(seed).integers(0, n_colors, (height, width))
    return labels.astype(np.uint8)


def random_palette(n_colors, alphas=()):
    """Opaque colors, or with the given alphas first."""
    colors = np.random.default_rng(1).integers(0, 256, (n_colors, 3)).astype(np.uint8)
    if not alphas:
        return colors
    palette = np.pad(colors, ((0, 0), (0, 1)), constant_values=255)
    palette[: len(alphas), 3] = alphas
    palette[palette[:, 3] == 0] = 0
    return palette


def as_memmap(image, folder):
    np.save(folder / "image.npy", image)
    return np.load(folder / "image.npy", mmap_mode="r")


def make_array(image, folder):
    return image


def decode(data, mode):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert(mode))


@pytest.mark.parametrize("name", formats.FORMATS)
@pytest.mark.parametrize("n_colors", [1, 2, 3, 16, 17, 256])
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (13, 1), (37, 53)])
@pytest.mark.parametrize("optimize", [False, True])
def test_opaque_images_are_exact(name, n_colors, shape, optimize):
    labels, palette = random_labels(*shape, n_colors), random_palette(n_colors)
    data = formats.encode(labels, palette, name, optimize=optimize)
    assert np.array_equal(decode(data, "RGB"), palette[labels])
    assert data == formats.encode(labels, palette, name, optimize=optimize)


def test_a_gif_has_the_indices_and_the_palette():
    labels, palette = random_labels(30, 40, 200), random_palette(200)
    palette[7] = palette[9]  # Pillow would make one of them, were it asked to optimize
    with Image.open(io.BytesIO(formats.encode(labels, palette, "gif"))) as image:
        assert np.array_equal(np.asarray(image), labels)
        stored = np.array(image.getpalette()).reshape(-1, 3)
    assert np.array_equal(stored[:200], palette)


@pytest.mark.parametrize("name", ["png", "webp"])
def test_transparency_is_exact(name):
    labels, palette = random_labels(31, 17, 40), random_palette(40, (0, 1, 100, 254))
    data = formats.encode(labels, palette, name)
    assert np.array_equal(decode(data, "RGBA"), palette[labels])


def test_a_gif_is_transparent_or_opaque():
    labels, palette = random_labels(31, 17, 40), random_palette(40, (0, 0))
    shown = decode(formats.encode(labels, palette, "gif"), "RGBA")
    expected = palette[labels]
    assert np.array_equal(shown[..., 3], expected[..., 3])
    is_opaque = expected[..., 3] == 255
    assert np.array_equal(shown[is_opaque], expected[is_opaque])
    with pytest.raises(ValueError, match="translucent colors; png and webp are allowed, not gif"):
        formats.encode(labels, random_palette(40, (0, 128)), "gif")


@pytest.mark.parametrize("name", formats.FORMATS)
def test_own_output_is_recognized(name, tmp_path):
    labels, palette = random_labels(20, 30, 100), random_palette(100)
    path = tmp_path / f"own.{name}"
    path.write_bytes(formats.encode(labels, palette, name))
    assert is_own_output(path)
    data = path.read_bytes()
    for size in (0, 5, 14, 40, len(data) - 1):  # cut short, as damaged files are
        path.write_bytes(data[:size])
        assert is_own_output(path) == (name != "webp" and size == len(data) - 1)
    other = tmp_path / f"other.{name}"
    Image.fromarray(palette[labels]).save(other, lossless=True)
    assert not is_own_output(other)
    assert not is_own_output(tmp_path / f"missing.{name}")


def test_a_color_profile_is_kept_where_it_can_be():
    profile = bytes(range(256))
    labels, palette = random_labels(9, 9, 5), random_palette(5)
    for name in ("png", "webp"):
        data = formats.encode(labels, palette, name, attached=Attached(profile))
        with Image.open(io.BytesIO(data)) as image:
            assert image.info["icc_profile"] == profile


@pytest.mark.parametrize("name", formats.FORMATS)
def test_compress_goes_by_the_suffix(name, images, tmp_path):
    source, target = images / "kodim03.png", tmp_path / f"out.{name.upper()}"
    report = fastkq.compress(source, target, 32, **PLAIN)
    result = fastkq.quantize(source, 32)
    assert report.target_bytes == target.stat().st_size
    assert np.array_equal(decode(target.read_bytes(), "RGB"), result.to_array())
    buffer = io.BytesIO()
    result.save(buffer, format=name)
    assert buffer.getvalue() == target.read_bytes()


def test_webp_is_smaller_than_png(images):
    result = fastkq.quantize(images / "kodim03.png", 64)
    sizes = [len(formats.encode(result.labels, result.palette, n)) for n in formats.FORMATS]
    assert sizes[1] < 0.9 * sizes[0] < sizes[2]


def test_max_bytes_are_those_of_the_format(images, tmp_path):
    source, target = images / "kodim03.png", tmp_path / "small.webp"
    report = fastkq.compress(source, target, max_bytes=60_000, **PLAIN)
    assert 50_000 < report.target_bytes == target.stat().st_size <= 60_000
    png = fastkq.compress(source, tmp_path / "small.png", max_bytes=60_000, **PLAIN)
    assert png.n_colors < report.n_colors


def test_what_a_format_cannot_hold_is_refused(tmp_path):
    wide = np.zeros((1, formats.MAX_SIDES["webp"] + 1), np.uint8)
    with pytest.raises(ValueError, match="16384 x 1 pixels; a webp has sides of up to 16383"):
        fastkq.compress(wide, tmp_path / "wide.webp")
    fastkq.compress(wide[:, 1:], tmp_path / "wide.webp")
    fastkq.compress(wide, tmp_path / "wide.gif")
    with pytest.raises(ValueError, match="65536 x 1 pixels; a gif has sides of up to 65535"):
        fastkq.compress(np.zeros((1, 65536), np.uint8), tmp_path / "wider.gif")
    assert not (tmp_path / "wider.gif").exists()


@pytest.mark.parametrize("name", ["webp", "gif"])
@pytest.mark.parametrize("make", [make_array, as_memmap])
def test_large_images_are_encoded_whole(tmp_path, monkeypatch, name, make):
    image = make(random_palette(60)[random_labels(110, 90, 60)], tmp_path)
    expected = fastkq.quantize(image, 40)
    monkeypatch.setattr(blocks, "LARGE_PIXELS", 100)
    report = fastkq.compress(image, tmp_path / f"large.{name}", 40, **PLAIN)
    data = (tmp_path / f"large.{name}").read_bytes()
    assert np.array_equal(decode(data, "RGB"), expected.to_array())
    assert (report.target_bytes, report.n_colors) == (len(data), 40)
    buffer = io.BytesIO()
    expected.save(buffer, format=name)
    assert buffer.getvalue() == data


def test_wrong_formats(tmp_path):
    result = fastkq.quantize(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match=r"format is 'jpeg'; one of \('png', 'webp', 'gif'\)"):
        result.save(io.BytesIO(), format="jpeg")
    with pytest.raises(ValueError, match="its suffix says gif, and format is 'webp'"):
        result.save(tmp_path / "a.gif", format="webp")
    with pytest.raises(ValueError, match="format is 'tiff'"):
        fastkq.compress_many([], tmp_path, format="tiff")


@pytest.mark.parametrize("name", ["webp", "gif"])
def test_a_folder_into_a_format(name, images, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for stem in ("a", "b"):
        (source / f"{stem}.png").write_bytes((images / "kodim03.png").read_bytes())
    arguments = ["compress", str(source), "-d", str(out), "-k", "8", "-j", "1", "--format", name]
    assert main([*arguments, "--json"]) == DONE
    targets = [json.loads(line).get("target") for line in capsys.readouterr().out.splitlines()]
    assert targets[:2] == [str(out / f"a.{name}"), str(out / f"b.{name}")]
    assert all(is_own_output(out / f"{stem}.{name}") for stem in ("a", "b"))
    again = list(fastkq.compress_many([out], tmp_path / "again", 8, jobs=1))
    assert [result.status for result in again] == [OWN_OUTPUT, OWN_OUTPUT]
    assert plan_jobs([source / "a.png"], out, format=name)[0].target == str(out / f"a.{name}")


def test_the_command_goes_by_suffix_and_format(images, tmp_path, capsys):
    source = tmp_path / "photo.png"
    source.write_bytes((images / "kodim03.png").read_bytes())
    assert main(["compress", str(source), "-k", "8", "--format", "webp"]) == DONE
    assert is_own_output(tmp_path / "photo-fastkq.webp")
    assert main(["compress", str(source), "-k", "8", "-o", str(tmp_path / "x.gif")]) == DONE
    assert (tmp_path / "x.gif").read_bytes().startswith(b"GIF89a")
    with pytest.raises(SystemExit) as ended:
        main(["compress", str(source), "-o", str(tmp_path / "x.bmp")])
    assert ended.value.code == 2
    assert "suffix is '.bmp'" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["compress", str(source), "-o", str(tmp_path / "x.gif"), "--format", "webp"])
    assert "is a gif by its suffix, not --format webp" in capsys.readouterr().err


def pillow_bytes(labels, palette):
    """The size of Pillow's plain file of the same indices."""
    height, width = labels.shape
    image = Image.frombytes("P", (width, height), labels.tobytes())
    image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return len(buffer.getvalue())


@pytest.mark.parametrize("n_colors", [1, 2, 4, 16, 40, 64, 256])
@pytest.mark.parametrize("dither", ["none", "adaptive"])
def test_no_larger_than_pillows_file(n_colors, dither, images):
    """But for the mark of own output, and a thousandth; by `optimize`, but for the mark.

    And 3 bytes, by which libdeflate's stored blocks are larger than zlib's fixed ones.
    """
    mark = 12 + len("Software") + 1 + len("fastkq") + 3
    noise = np.random.default_rng(0).integers(0, 256, (60, 70, 3)).astype(np.uint8)
    ramp = np.add.outer(np.arange(90), np.arange(110)).astype(np.uint8)
    for image in (images / "kodim03.png", noise, ramp, noise[:1, :1]):
        result = fastkq.quantize(image, n_colors, dither=dither)
        plain = pillow_bytes(result.labels, result.palette)
        assert len(encode_indexed_png(result.labels, result.palette)) <= 1.001 * plain + mark
        best = encode_indexed_png(result.labels, result.palette, optimize=True, n_kept=0)
        assert len(best) <= plain + mark
