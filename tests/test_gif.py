"""GIF: LZW as others read it, and labels chosen by what they cost in it."""

import io

import naive
import naive_gif
import naive_lossy
import numba
import numpy as np
import pytest
from PIL import Image
from steps import to_points
from test_dither_alpha import PALETTES, random_palette, soft_image
from test_lossy import LEVELS, textured_image, with_own_alpha

import fastkq
from fastkq import kernels
from fastkq.files.gif import encode_gif
from fastkq.files.gif_codes import encode_labels, encode_still
from fastkq.paint.cost import PASSED_ON
from fastkq.paint.dither import Dithering
from fastkq.paint.lossy import LossyDitherer, make_ditherer
from fastkq.paint.lossy_gif import LossyGifDitherer


def stream_of(data):
    """The bytes of LZW in a GIF of one image without transparency, and the bits of its labels."""
    place = data.index(b"\0,\0\0\0\0") + 11
    root_bits, place, parts = data[place], place + 1, []
    while size := data[place]:
        parts.append(data[place + 1 : place + 1 + size])
        place += 1 + size
    assert data[place:] == b"\0;"
    return b"".join(parts), root_bits


def opened(data):
    """The labels and the palette of a GIF, as Pillow reads it."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image), np.array(image.getpalette(), np.uint8).reshape(-1, 3)


def labels_for_gif(image, palette, **options):
    """The labels of an image, and the error that is told."""
    ditherer = make_ditherer(palette, Dithering(format="gif", **options))
    assert isinstance(ditherer, LossyGifDitherer)
    labels = np.empty(image.shape[:2], np.uint8)
    return labels, ditherer.dither(image, labels)


def twin(image, palette, lossy):
    """The labels and codes of the twin, from the settings of the class."""
    ditherer = LossyGifDitherer(palette, Dithering(lossy=lossy, format="gif"))
    every, entries = with_own_alpha(image), with_own_alpha(palette)
    is_coarse = ditherer._tables.is_coarse
    has_alpha = image.shape[2] == 4
    map_contrasts = naive.map_alpha_strengths if has_alpha else naive.map_strengths
    alphas = every[..., 3]
    exact = naive_lossy.exact_entries(every, entries)
    is_open = np.ones((3, len(entries)), bool)
    has_opaque = np.any(entries[:, 3] == 255)
    has_table = has_opaque and not is_coarse
    if has_opaque:
        is_open[0] = entries[:, 3] == 255
    is_open[2] = np.arange(len(entries)) == np.argmin(entries[:, 3])
    return naive_gif.choose(
        to_points(every, is_coarse=is_coarse),
        alphas,
        exact,
        naive_lossy.worths(map_contrasts(image, LEVELS), alphas, exact, np.float32(1)),
        naive_gif.Palette(
            to_points(entries[None], is_coarse=is_coarse)[0], is_open, has_table=has_table
        ),
        np.full(alphas.shape, np.float32(PASSED_ON)),
        np.float32(8 * (lossy / 100) ** 2 * 16),
        max(2, (len(palette) - 1).bit_length()),
    )


@pytest.mark.parametrize("n_colors", [1, 2, 3, 16, 17, 256])
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (13, 1), (40, 61), (300, 97)])
def test_what_is_written_is_lzw(shape, n_colors):
    rng = np.random.default_rng(n_colors)
    labels = np.repeat(rng.integers(0, n_colors, shape, np.uint8), 2, axis=1)
    palette = rng.integers(0, 256, (n_colors, 3), np.uint8)
    data = encode_gif(labels, palette)
    stream, root_bits = stream_of(data)
    assert stream == naive_gif.compress(labels, root_bits, len(labels))
    read, colors = opened(data)
    assert np.array_equal(read, labels)
    assert np.array_equal(colors[:n_colors], palette)


def test_tables_of_strips_are_lzw_as_well():
    """The second strip's colors are new, so that its own table makes the file smaller."""
    rng = np.random.default_rng(0)
    width = 500
    strip_rows = kernels.lzw.rows_of_strip(width)
    tiles = [rng.integers(k, k + 100, (strip_rows // 8, 10), np.uint8) for k in (0, 150)]
    labels = np.concatenate([np.tile(tile, (8, width // 10)) for tile in tiles])[:-5]
    data = encode_gif(labels, rng.integers(0, 256, (256, 3), np.uint8))
    stream, root_bits = stream_of(data)
    both = [naive_gif.compress(labels, root_bits, n) for n in (len(labels), strip_rows)]
    assert stream == min(both, key=len) == both[1]
    assert np.array_equal(opened(data)[0], labels)


def test_every_width_of_codes_ends_well():
    """The end comes right before, at and behind each width of codes, and a full table."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, (1, 30_000), np.uint8)
    phrases, places = naive_gif.Phrases(2), []
    for x, label in enumerate(labels[0].tolist()):
        before = phrases.width
        phrases.add(label)
        if phrases.width != before:
            places.append(x)
    assert len(places) > 12  # two tables full
    palette = rng.integers(0, 256, (4, 3), np.uint8)
    for x in places[:12]:
        for n in range(max(1, x - 12), x + 4):
            assert np.array_equal(opened(encode_gif(labels[:, :n], palette))[0], labels[:, :n])


@pytest.mark.parametrize("n_colors", [2, 5, 256])
def test_frames_of_any_kind_are_written_by_the_writer_of_stills(n_colors):
    """Codes of a frame that must show every label, before its first table is full."""
    rng = np.random.default_rng(n_colors)
    labels = np.repeat(rng.integers(0, n_colors, (31, 47), np.uint8), 2, axis=1)
    labels[0, 0] = n_colors - 1
    codes = encode_labels(labels, np.zeros_like(labels), None)
    assert codes == encode_still(labels, n_colors)
    assert np.array_equal(naive.lzw_decode(codes).reshape(labels.shape), labels)


def test_there_is_room_for_the_most_codes():
    """No two labels stand together twice, so each phrase is one label."""
    pairs = [(i, (i + step) % 256) for step in range(1, 129, 2) for i in range(0, 256, 2)]
    labels = np.array(pairs, np.uint8).reshape(1, -1)[:, :16_000]
    for strip_rows in (1, 4):
        rows = labels.reshape(4, -1)
        root_bits, n_slots, n_strips = 8, int(kernels.lzw.N_SLOTS), 4 // strip_rows
        codes = np.full(kernels.lzw.most_codes(rows.size, n_strips) + 1, -7, np.int16)
        keys, phrases = np.empty(n_slots, np.int32), np.empty(n_slots, np.int16)
        n = kernels.lzw.find_codes(rows, root_bits, strip_rows, keys, phrases, codes)
        assert 0.9 * len(codes) < n < len(codes)
        assert codes[-1] == -7
        stream = np.full(kernels.lzw.packed_size(n) + 1, 7, np.uint8)
        n_bytes = kernels.lzw.pack(codes[:n], root_bits, stream)
        assert 0.9 * len(stream) < n_bytes < len(stream)
        assert stream[-1] == 7
        assert stream[:n_bytes].tobytes() == naive_gif.compress(rows, root_bits, strip_rows)


def test_files_are_smaller_than_pillows(images):
    result = fastkq.quantize(np.asarray(Image.open(images / "photo-sunset.png").convert("RGB")))
    for n_colors in (256, 13):
        palette = result.palette[:n_colors]
        labels = np.minimum(result.labels, n_colors - 1)
        image = Image.fromarray(labels)
        image.putpalette(palette.tobytes())
        buffer = io.BytesIO()
        image.save(buffer, "GIF", optimize=False)
        assert len(encode_gif(labels, palette)) < buffer.tell()


@pytest.mark.parametrize("lossy", [5, 40, 100])
@pytest.mark.parametrize("n_colors", [2, 13, 100])
def test_labels_are_those_of_the_twin(n_colors, lossy):
    image = textured_image(23, 67)
    palette = fastkq.quantize(image, n_colors).palette
    labels, error = labels_for_gif(image, palette, lossy=lossy)
    expected, codes = twin(image, palette, lossy)
    assert np.array_equal(labels, expected)
    assert error == ((palette[labels].astype(np.int64) - image) ** 2).sum()
    root_bits, written = max(2, (n_colors - 1).bit_length()), []
    phrases = naive_gif.Phrases(root_bits)
    for label in labels.ravel().tolist():
        ended = phrases.add(label)
        written += [ended[0]] if ended else []
    assert codes == [*written, phrases.codes[phrases.open]]  # the tree was the writer's


@pytest.mark.parametrize("name", PALETTES)
def test_labels_with_alpha_are_those_of_the_twin(name):
    image, palette = soft_image(31, 27), PALETTES[name]
    labels, error = labels_for_gif(image, palette, lossy=40)
    assert np.array_equal(labels, twin(image, palette, 40)[0])
    assert error == pytest.approx(naive.alpha_distance(image, palette[labels]).sum(), rel=1e-9)


def test_a_full_table_is_the_twins():
    image = textured_image(70, 130, seed=3)
    palette = fastkq.quantize(image, 256).palette
    labels, _ = labels_for_gif(image, palette, lossy=3)
    expected, codes = twin(image, palette, 3)
    assert np.array_equal(labels, expected)
    assert len(codes) > 4096 - 258


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (300, 1025)])
def test_labels_are_the_same_on_any_number_of_threads(shape):
    image = textured_image(*shape)
    palette = random_palette(50, n_opaque=50)[1:, :3].copy()
    before = numba.get_num_threads()
    results = []
    for n_threads in range(1, 5):
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))
        results.append(labels_for_gif(image, palette, lossy=40))
    numba.set_num_threads(before)
    for labels, error in results[1:]:
        assert np.array_equal(labels, results[0][0])
        assert error == results[0][1]


@pytest.mark.parametrize("block_rows", [1, 100, 256, 400])
def test_labels_by_blocks_are_those_of_the_whole(block_rows):
    image = np.tile(textured_image(600, 57), (1, 10, 1))
    assert kernels.lzw.rows_of_strip(570) == 256
    palette = fastkq.quantize(image, 40).palette
    whole, _ = labels_for_gif(image, palette, lossy=40)
    ditherer = LossyGifDitherer(palette, Dithering(lossy=40, format="gif"))
    blocks = (image[i : i + block_rows] for i in range(0, len(image), block_rows))
    parts = ditherer.dither_blocks(blocks, lambda rows: np.empty(rows.shape[:2], np.uint8))
    assert np.array_equal(np.concatenate([labels for labels, _ in parts]), whole)


def test_more_is_smaller(images):
    image = np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))[::2].copy()
    palette = fastkq.quantize(image, color_space="oklab").palette
    sizes = []
    for lossy in range(10, 101, 15):
        labels, _ = labels_for_gif(image, palette, lossy=lossy)
        data = encode_gif(labels, palette)
        shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(shown, palette[labels])
        sizes.append(len(data))
    for smaller, larger in zip(sizes[1:], sizes, strict=False):
        assert smaller <= 1.01 * larger
    assert sizes[-1] < 0.5 * sizes[0]


def test_labels_for_gif_are_smaller_than_those_for_png(images):
    image = np.asarray(Image.open(images / "photo-sunset.png").convert("RGB"))
    palette = fastkq.quantize(image, color_space="oklab").palette
    results = []
    for format in ("png", "gif"):
        labels = np.empty(image.shape[:2], np.uint8)
        ditherer = make_ditherer(palette, Dithering(lossy=60, format=format))
        assert isinstance(ditherer, LossyDitherer if format == "png" else LossyGifDitherer)
        ditherer.dither(image, labels)
        score = fastkq.ssimulacra2(image, palette[labels])
        results.append((len(encode_gif(labels, palette)), score))
    (png_bytes, png_score), (gif_bytes, gif_score) = results
    assert gif_bytes < 0.8 * png_bytes
    assert gif_score > png_score - 5


def test_exact_parts_of_an_image_stay_exact():
    """A picture on a page: the page and its text are in the palette, the picture is not."""
    rng = np.random.default_rng(0)
    page = np.full((64, 256, 3), 255, np.uint8)
    page[rng.random((64, 256)) < 0.1] = 0
    page[:, 128:] = textured_image(64, 128)
    palette = fastkq.quantize(page, 64, locked=[[0, 0, 0], [255, 255, 255]]).palette
    shown = palette[labels_for_gif(page, palette, lossy=60)[0]]
    assert np.array_equal(shown[:, :128], page[:, :128])
    assert not np.array_equal(shown[:, 128:], page[:, 128:])


def test_means_stay():
    """What phrases are wrong by is passed on: no part of a picture becomes lighter or darker."""
    image = textured_image(120, 160)
    palette = fastkq.quantize(image, 32).palette
    shown = palette[labels_for_gif(image, palette, lossy=50)[0]]
    means = [a.astype(float).reshape(6, 20, 8, 20, 3).mean(axis=(1, 3)) for a in (image, shown)]
    assert np.abs(means[0] - means[1]).mean() < 2.5


def test_a_transparent_picture_stays_transparent_where_it_was():
    image = soft_image(60, 80)
    image[..., 3] = np.where(image[..., 3] < 128, 0, 255)
    data = fastkq.compress(image, n_colors=40, format="gif", lossy=60)
    shown = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA"))
    assert np.array_equal(shown[..., 3], image[..., 3])
