"""Animations: every frame, its time and the loop, in and out, exactly."""

import io
import struct

import numpy as np
import pytest
from faulty_writers import faulty
from naive import lzw_decode
from PIL import Image, ImageOps

import fastkq
from fastkq.animation import painter
from fastkq.batch.plan import plan_jobs
from fastkq.cli import main
from fastkq.files import gif_blocks, reading
from fastkq.files.animations import count_frames, default_format, open_animation
from fastkq.files.compose import BACKGROUND, KEEP, PREVIOUS
from fastkq.files.deltas import (
    DRAWN,
    MAY_HOLD,
    MUST_HOLD,
    choose_disposal,
    pack_colors,
    unpack_colors,
)
from fastkq.files.gif_codes import encode_labels
from fastkq.files.icc import PRIMARIES, ColorNumbers
from fastkq.files.mark import is_own_output
from fastkq.files.timing import Clock, as_fraction, durations_held

FORMATS = ("gif", "png", "webp")
SUFFIX_TO_PILLOW = {"gif": "GIF", "png": "PNG", "webp": "WEBP"}
DURATIONS = [40, 50, 60, 70, 300]
HEIGHT, WIDTH = 23, 37


def scene(kind, n_frames=5):
    """Frames (T, H, W, 4) of a disc that moves over a picture, or over nothing."""
    yy, xx = np.mgrid[:HEIGHT, :WIDTH]
    frames = np.zeros((n_frames, HEIGHT, WIDTH, 4), np.uint8)
    rng = np.random.default_rng(3)
    for i, frame in enumerate(frames):
        if kind in ("solid", "soft"):
            frame[:] = np.stack([7 * xx % 256, 9 * yy % 256, 60 + 0 * xx, 255 + 0 * xx], axis=-1)
        if kind == "flash":
            frame[:] = (90, 9, 9, 255) if i % 2 else (9, 9, 90, 255)
        if kind == "noise":
            frame[:] = rng.integers(0, 256, frame.shape)
            frame[..., 3] = 255
        if kind == "still":
            frame[:] = (1, 2, 3, 255)
        elif kind != "flash":
            disc = (xx - 8 - 4 * i) ** 2 + (yy - 9) ** 2 < 40
            frame[disc] = (200, 30 * i, 0, 255)
        if kind == "soft":
            frame[..., 3] = np.where(xx < 12, 20 * xx, 255)
    return frames


def clear(pixels):
    """Frames whose fully transparent pixels have one color."""
    pixels = np.array(pixels)
    pixels[pixels[..., 3] == 0] = 0
    return pixels


def by_pillow(data):
    """The frames of a file as Pillow shows them, and their durations."""
    with Image.open(io.BytesIO(data)) as image:
        frames, durations = [], []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            frames.append(clear(image.convert("RGBA")))
            durations.append(image.info.get("duration"))
    return frames, durations


def merged(frames, durations):
    """Frames without those that repeat the one before, with their times added."""
    result = []
    for frame, duration in zip(frames, durations, strict=True):
        if result and np.array_equal(result[-1][0], frame):
            result[-1] = frame, result[-1][1] + duration
        else:
            result.append((frame, duration))
    return result


def written(monkeypatch, animation, **options):
    """A file, and what its frames should look like."""
    seen = []
    draw = painter.Painter._draw

    def spy(self, shot, colors):
        packed = draw(self, shot, colors)
        seen.append((clear(unpack_colors(packed)), shot.duration))
        return packed

    monkeypatch.setattr(painter.Painter, "_draw", spy)
    return fastkq.compress(animation, **options), merged(*zip(*seen, strict=True))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["sprite", "solid", "soft", "flash", "noise", "still"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_colors": 4, "dither": "ordered"},
        {"n_colors": 16, "dither": "diffusion"},
        {"n_colors": 1},
        {"n_colors": 30, "lossy": 50},
        {"n_colors": 9, "frame_palettes": True},
        {"optimize": True},
    ],
    ids=str,
)
def test_a_decoder_shows_what_was_drawn(monkeypatch, format, kind, options):
    if format == "gif" and kind == "soft":
        pytest.skip("refused, as a still is")
    if format == "png" and "frame_palettes" in options:
        pytest.skip("refused: a PNG has one palette")
    animation = fastkq.Animation(scene(kind), DURATIONS, loop=3)
    data, wanted = written(monkeypatch, animation, format=format, **options)
    shown, durations = by_pillow(data)
    if len(wanted) > 1:
        found = merged(shown, durations)
        assert [duration for _, duration in found] == [duration for _, duration in wanted]
        again = open_animation(data)
        assert again.loop == 3
        for own, frame in zip(again, shown, strict=True):
            assert np.array_equal(clear(own), frame)
    else:
        found = [(shown[0], None)]
    assert len(found) == len(wanted)
    for (frame, _), (expected, _) in zip(found, wanted, strict=True):
        assert np.array_equal(frame, expected)


@pytest.mark.parametrize("format", ["gif", "webp"])
def test_palettes_of_frames_depend_on_the_frames_alone(format):
    """Each is fitted to what is new there; all else has its nearest entry, whatever came before."""
    film = fastkq.Animation(scene("solid"), DURATIONS)
    noise = np.random.default_rng(8).integers(0, 256, (300, 300, 3), np.uint8)
    files = set()
    for seen_before in (noise[:2, :2], noise, noise // 2):
        fastkq.quantize(seen_before)
        files |= {
            fastkq.compress(film, format=format, n_colors=9, frame_palettes=True, lossy=lossy)
            for lossy in (0, 20)
        }
    assert len(files) <= 2


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["sprite", "solid", "flash", "soft"])
def test_few_colors_are_kept_exactly(format, kind):
    if format == "gif" and kind == "soft":
        pytest.skip("refused, as a still is")
    frames = scene(kind)
    if kind in ("solid", "soft"):
        frames[..., :3] &= 0xC0
    shown, durations = by_pillow(
        fastkq.compress(fastkq.Animation(frames, DURATIONS), format=format)
    )
    assert durations == DURATIONS
    assert np.array_equal(np.stack(shown), clear(frames))


@pytest.mark.parametrize("loop", [0, 1, 2, 65535])
@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_time_and_loop_go_from_format_to_format(source, target, loop):
    first = fastkq.compress(fastkq.Animation(scene("sprite"), DURATIONS, loop), format=source)
    opened = open_animation(fastkq.compress(first, format=target))
    assert opened.durations == tuple(DURATIONS)
    assert opened.loop == loop
    assert np.array_equal(np.stack(list(opened)), clear(scene("sprite")))


@pytest.mark.parametrize("disposal", [0, 1, 2, 3])
@pytest.mark.parametrize("interlace", [0, 1])
def test_gifs_of_pillow_are_read_as_pillow_shows_them(disposal, interlace):
    images = [Image.fromarray(frame) for frame in scene("sprite")]
    buffer = io.BytesIO()
    images[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=images[1:],
        disposal=disposal,
        interlace=interlace,
        duration=DURATIONS,
        loop=0,
    )
    shown, durations = by_pillow(buffer.getvalue())
    opened = open_animation(buffer.getvalue())
    assert list(opened.durations) == durations
    for own, frame in zip(opened, shown, strict=True):
        assert np.array_equal(clear(own), frame)


def gif(frames, size=(8, 6)):
    """A GIF by hand: each frame a place, a color table, a disposal and the labels."""
    parts = [b"GIF89a", struct.pack("<HHBBB", *size, 0, 0, 0)]
    for (x, y), table, disposal, transparent, labels in frames:
        height, width = labels.shape
        flags = disposal << 2 | (transparent is not None)
        parts.append(b"!\xf9\x04" + struct.pack("<BHB", flags, 7, transparent or 0) + b"\0")
        parts.append(b"," + struct.pack("<HHHHB", x, y, width, height, 0x81))
        parts.append(bytes(table).ljust(12, b"\0"))
        parts.append(encode_labels(labels, np.zeros_like(labels), None))
    return b"".join([*parts, b";"])


@pytest.mark.parametrize("disposal", [KEEP, BACKGROUND, PREVIOUS])
def test_frames_with_places_and_colors_of_their_own(disposal):
    red, blue = [255, 0, 0], [0, 0, 255]
    whole, part = np.zeros((6, 8), np.uint8), np.zeros((3, 4), np.uint8)
    part[0, 0] = 1
    data = gif(
        [
            ((0, 0), red, 1, None, whole),
            ((6, 4), blue, {KEEP: 1, BACKGROUND: 2, PREVIOUS: 3}[disposal], 1, part),
            ((0, 0), blue, 1, None, part[:1, :1]),
        ]
    )
    frames = list(open_animation(data))
    expected = np.zeros((6, 8, 4), np.uint8)
    expected[:] = (255, 0, 0, 255)
    assert np.array_equal(frames[0], expected)
    second = expected.copy()
    second[4:, 6:] = (0, 0, 255, 255)  # what reaches beyond the picture is not seen
    second[4, 6] = (255, 0, 0, 255)
    assert np.array_equal(frames[1], second)
    third = {KEEP: second, PREVIOUS: expected, BACKGROUND: second.copy()}[disposal]
    if disposal == BACKGROUND:
        third[4:, 6:] = 0
    third[0, 0] = (0, 0, 0, 255)
    assert np.array_equal(frames[2], third)


def test_equal_frames_become_one_but_not_where_players_go_by_no_duration():
    frames = np.repeat(scene("solid", 2), 2, axis=0)
    long = fastkq.compress(fastkq.Animation(frames, [20, 30, 40, 50]), format="gif")
    assert by_pillow(long)[1] == [50, 90]
    short = fastkq.compress(fastkq.Animation(frames, [0, 0, 10, 10]), format="gif")
    assert by_pillow(short)[1] == [0, 0, 10, 10]


def test_rounding_of_times_does_not_add_up():
    clock = Clock(10, 65535, "gif", is_coarse=True)
    assert [clock.ticks(1000 / 30) for _ in range(6)] == [3, 4, 3, 3, 4, 3]
    assert Clock(10, 65535, "gif", is_coarse=True).ticks(1000 / 60) == 2  # 10 ms are taken for 100
    assert [as_fraction(ms) for ms in (1000 / 60, 0, 70_000)] == [(1, 60), (0, 1), (70, 1)]
    with pytest.raises(ValueError, match=r"for 700 s; a gif has frames of up to 655 s"):
        fastkq.compress(fastkq.Animation(scene("solid", 2), 700_000), format="gif")


def test_disposals_by_hand():
    blank, red = np.zeros((1, 3), np.uint32), np.full((1, 3), 0xFF0000FF, np.uint32)
    dot = blank.copy()
    dot[0, 1] = 7 << 24
    place = painter.whole((1, 3))
    assert choose_disposal(red, red, red, place) == KEEP
    assert choose_disposal(blank, dot, blank, place) == PREVIOUS  # nothing is to be drawn then
    assert choose_disposal(None, dot, blank, place) == BACKGROUND
    over = red.copy()
    over[0, 1] = 9 | 255 << 24
    assert choose_disposal(red, over, red, place) == PREVIOUS


def test_colors_are_packed_and_back():
    colors = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    colors[0, :, 3] = 0
    assert np.array_equal(unpack_colors(pack_colors(colors)), clear(colors))


@pytest.mark.parametrize("n_colors", [2, 5, 16, 256])
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (61, 83), (211, 307)])
def test_codes_decode_to_the_labels(shape, n_colors):
    rng = np.random.default_rng(n_colors)
    for labels in (
        rng.integers(0, n_colors, shape, np.uint8),
        np.full(shape, n_colors - 1, np.uint8),
        (np.add.outer(np.arange(shape[0]) // 3, np.arange(shape[1]) // 5) % n_colors).astype(
            np.uint8
        ),
    ):
        kinds = rng.integers(0, 3, shape, np.uint8)
        decoded = lzw_decode(encode_labels(labels, kinds, 0)).reshape(shape)
        assert np.array_equal(decoded[kinds == DRAWN], labels[kinds == DRAWN])
        assert (decoded[kinds == MUST_HOLD] == 0).all()
        free = decoded[kinds == MAY_HOLD]
        assert ((free == 0) | (free == labels[kinds == MAY_HOLD])).all()
        plain = lzw_decode(encode_labels(labels, np.zeros_like(kinds), None)).reshape(shape)
        assert np.array_equal(plain, labels)


def test_free_pixels_make_fewer_codes():
    rng = np.random.default_rng(0)
    labels = rng.integers(1, 200, (60, 80), np.uint8)
    kinds = (rng.random(labels.shape) < 0.9).astype(np.uint8)
    held = np.where(kinds == MAY_HOLD, np.uint8(0), labels)
    none = np.zeros_like(kinds)
    sizes = [len(encode_labels(*given)) for given in ((labels, kinds, 0), (held, none, None))]
    assert sizes[0] <= sizes[1] < len(encode_labels(labels, none, None))


def test_errors_are_made_for_bytes_and_scored():
    rng = np.random.default_rng(5)
    frames = scene("solid", 4)[..., :3].astype(np.int16) + rng.integers(-3, 4, (4, 23, 37, 3))
    film = fastkq.Animation(frames.clip(0, 255).astype(np.uint8), 50)
    sizes = [len(fastkq.compress(film, format="gif", lossy=lossy)) for lossy in (0, 30, 60, 100)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[2] < 0.75 * sizes[0]  # 0.8 kB of both are colors


def test_ordered_dithering_and_what_does_not_change_hold_still(monkeypatch):
    frames = np.repeat(scene("solid", 1), 4, axis=0)
    for i, frame in enumerate(frames):
        frame[20:, :3, :3] = 40 * i
    for dither in ("ordered", "diffusion", "adaptive"):
        film = fastkq.Animation(frames)
        _, shown = written(monkeypatch, film, format="gif", n_colors=8, dither=dither)
        for frame, _ in shown[1:]:
            assert np.array_equal(frame[:20, 4:], shown[0][0][:20, 4:])


def profile():
    """The profile of linear RGB with the primaries of sRGB."""
    return ColorNumbers(PRIMARIES[1], (1.0,)).to_profile()


def by_pillow_encoder(format, n_frames=3, **options):
    """The bytes of an animation that Pillow wrote."""
    images = [Image.fromarray(frame) for frame in scene("solid", n_frames)]
    file = io.BytesIO()
    images[0].save(
        file, format, save_all=True, append_images=images[1:], duration=50, lossless=True, **options
    )
    return file.getvalue()


@pytest.mark.parametrize("source", ["PNG", "WEBP"])
def test_profiles_are_kept_converted_or_dropped(source):
    data = by_pillow_encoder(source, icc_profile=profile())
    for format in FORMATS:
        kept = open_animation(fastkq.compress(data, format=format, lossy=0, verify=True))
        assert kept.attached.icc_profile == (None if format == "gif" else profile())
        stripped = open_animation(fastkq.compress(data, format=format, icc="strip", lossy=0))
        converted = open_animation(fastkq.compress(data, format=format, icc="srgb", lossy=0))
        assert stripped.attached.icc_profile is converted.attached.icc_profile is None
        if format != "gif":
            assert np.array_equal(next(iter(kept)), next(iter(stripped)))
        else:
            assert np.array_equal(next(iter(kept)), next(iter(converted)))
        # Linear values are darker than those of sRGB that look alike.
        assert next(iter(converted)).mean() > next(iter(stripped)).mean() + 9


@pytest.mark.parametrize("format", ["png", "webp"])
def test_metadata_and_density_come_along_if_asked_for(format):
    exif = Image.Exif()
    exif[0x010E] = "a disc"
    data = by_pillow_encoder("WEBP", exif=exif.tobytes(), xmp=b"<x:xmpmeta/>")
    with Image.open(io.BytesIO(fastkq.compress(data, format=format, metadata="keep"))) as image:
        assert image.n_frames == 3
        assert image.getexif()[0x010E] == "a disc"
        # Pillow 10 has that of a PNG under its keyword.
        xmp = image.info.get("xmp") or image.info["XML:com.adobe.xmp"].encode()
        assert b"<x:xmpmeta/>" in xmp
    with Image.open(io.BytesIO(fastkq.compress(data, format=format))) as image:
        assert 0x010E not in image.getexif()
        assert not {"xmp", "XML:com.adobe.xmp"} & set(image.info)
    with pytest.raises(ValueError, match="gif has no place"):
        fastkq.compress(data, format="gif", metadata="keep")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("source", ["PNG", "WEBP"])
def test_frames_are_turned_upright(source, orientation):
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = orientation, "a disc"
    data = by_pillow_encoder(source, exif=exif.tobytes(), dpi=(100, 200))
    frames, _ = by_pillow(data)
    stills = [Image.fromarray(frame) for frame in frames]
    for still in stills:
        still.getexif()[0x0112] = orientation
    upright = [np.asarray(ImageOps.exif_transpose(still)) for still in stills]
    for image in (data, Image.open(io.BytesIO(data))):
        opened = open_animation(image)
        assert opened.shape == (3, *upright[0].shape)
        assert np.array_equal(np.stack(list(opened)), upright)
        second = fastkq.quantize(image, 256, frame=1)
        assert second.labels.shape == upright[1].shape[:2]
    for format in ("png", "webp"):
        film = fastkq.compress(data, format=format, metadata="keep", lossy=0, verify=True)
        shown, _ = by_pillow(film)
        assert np.abs(np.stack(shown).astype(int) - np.stack(upright)).max() < 64
        with Image.open(io.BytesIO(film)) as image:
            assert image.getexif()[0x010E] == "a disc"
            assert image.getexif().get(0x0112, 1) == 1
            if source == format.upper() == "PNG":
                density = (200, 100) if orientation > 4 else (100, 200)
                assert np.allclose(image.info["dpi"], density, atol=0.1)


def test_an_orientation_that_is_none_turns_nothing():
    exif = Image.Exif()
    exif[0x0112] = 9
    data = by_pillow_encoder("WEBP", exif=exif.tobytes())
    assert np.array_equal(next(iter(open_animation(data))), by_pillow(data)[0][0])


def test_palette_files_are_of_srgb(tmp_path):
    path = tmp_path / "two.hex"
    path.write_text("808080\nffffff\n")
    data = by_pillow_encoder("PNG", icc_profile=profile())
    kept = by_pillow(fastkq.compress(data, format="png", palette=path))[0][0]
    assert 50 <= kept[..., 0].min() <= 60  # 128 of sRGB is 55 of linear light
    array = fastkq.compress(data, format="png", palette=[[128, 128, 128], [255, 255, 255]])
    assert by_pillow(array)[0][0][..., 0].min() == 128


@pytest.mark.parametrize("format", FORMATS)
def test_large_canvases_are_refused_by_their_header(format):
    data = fastkq.compress(fastkq.Animation(scene("sprite")), format=format)
    with pytest.raises(fastkq.ImageReadError, match="max_pixels allows 100"):
        fastkq.compress(data, max_pixels=100)
    with pytest.raises(fastkq.ImageReadError, match="max_pixels allows 100"):
        fastkq.quantize(data, frame=1, max_pixels=100)
    assert fastkq.quantize(data, frame=1, max_pixels=HEIGHT * WIDTH).labels.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("format", FORMATS)
def test_all_frames_together_have_a_bound_as_well(format, monkeypatch):
    """A small file may draw a pixel of a large picture a million times."""
    data = fastkq.compress(fastkq.Animation(scene("sprite")), format=format)
    n_pixels = 5 * HEIGHT * WIDTH
    monkeypatch.setattr(reading, "MAX_PIXELS_OF_FILM", n_pixels - 1)
    words = f"its 5 frames of {WIDTH} x {HEIGHT} pixels have {n_pixels}; max_pixels allows"
    with pytest.raises(fastkq.ImageReadError, match=words):
        fastkq.compress(data)
    with pytest.raises(fastkq.ImageReadError, match=words):
        fastkq.compress(data, max_pixels=HEIGHT * WIDTH)
    assert fastkq.compress(data, max_pixels=n_pixels)


@pytest.mark.parametrize("color", ["#ff0000", (250, 250, 250)])
@pytest.mark.parametrize("format", FORMATS)
def test_a_background_lies_behind_every_frame(format, color):
    """As of a still: each frame over it, by the formula."""
    levels = (255, 0, 0) if color == "#ff0000" else color
    film = fastkq.Animation(scene("soft"), DURATIONS)
    shown, _ = by_pillow(
        fastkq.compress(film, format=format, background=color, lossy=0, color_space="srgb")
    )
    for frame, drawn in zip(scene("soft"), shown, strict=True):
        share = frame[..., 3:] / 255
        wanted = frame[..., :3] * share + np.array(levels) * (1 - share)
        assert (drawn[..., 3] == 255).all()
        assert np.abs(drawn[..., :3] - wanted).mean() < 8
        assert np.abs(drawn[:, 0, :3] - np.array(levels)).max() < 20  # nothing but background


def test_a_webp_of_fewer_frames_than_its_chunks_is_an_error():
    """Where the chunk inside of the last frame has another name, libwebp leaves the frame out."""
    data = bytearray(fastkq.compress(fastkq.Animation(scene("noise")), format="webp"))
    data[data.rindex(b"VP8L")] ^= 1
    words = "<bytes>: cannot be decoded: the file has 5 frames; 4 can be decoded"
    with pytest.raises(fastkq.ImageReadError, match=words):
        fastkq.compress(bytes(data))


@pytest.mark.parametrize("n_frames", [1, 2, 4])
def test_a_gif_that_ends_between_two_frames_is_an_error(n_frames):
    """Also behind the first one, where it says that it is to be repeated."""
    data = fastkq.compress(fastkq.Animation(scene("noise"), DURATIONS), format="gif")
    ends = [place.stop for kind, place in gif_blocks._walk(data) if kind == b","]
    cut = data[: ends[n_frames - 1]]
    with pytest.raises(fastkq.ImageReadError, match="ends before its trailer"):
        fastkq.compress(cut)
    with pytest.raises(ValueError, match=r"is an animation|ends before"):
        fastkq.quantize(cut)
    if n_frames > 1:
        film = open_animation(cut, reading.ReadOptions(allow_truncated=True))
        assert len(film) == n_frames


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("kind", ["sprite", "solid", "flash", "noise", "still"])
@pytest.mark.parametrize("lossy", [0, 60])
def test_what_is_drawn_is_verified(format, kind, lossy):
    film = fastkq.Animation(scene(kind), DURATIONS)
    plain = fastkq.compress(film, format=format, lossy=lossy)
    assert fastkq.compress(film, format=format, lossy=lossy, verify=True) == plain


@pytest.mark.parametrize("writer", ["GifWriter", "ApngWriter", "WebpWriter"])
def test_a_writer_that_errs_is_told_of(monkeypatch, writer, tmp_path):
    kind = getattr(painter, writer)
    finish = kind.finish
    other = fastkq.Animation(scene("noise"), DURATIONS)
    format = {"GifWriter": "gif", "ApngWriter": "png", "WebpWriter": "webp"}[writer]
    wrong = fastkq.compress(other, format=format)
    monkeypatch.setattr(kind, "finish", lambda self: finish(self) and wrong)
    target = tmp_path / f"a.{format}"
    with pytest.raises(OSError, match="has other pixels in frame 0"):
        fastkq.compress(fastkq.Animation(scene("solid"), DURATIONS), target, verify=True)
    assert list(tmp_path.iterdir()) == []


WRITERS = {"gif": "GifWriter", "png": "ApngWriter", "webp": "WebpWriter"}
FAULTS = {
    "duration": "has frame 2 shown for 80 ms instead of 60 ms",
    "loop": "has the loop count 4 instead of 3",
    "frame": "has 4 frames instead of 5",
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("format", FORMATS)
def test_a_time_a_loop_or_a_frame_that_is_lost_is_told_of(monkeypatch, tmp_path, format, fault):
    film = fastkq.Animation(scene("solid"), DURATIONS, loop=3)
    target = tmp_path / f"a.{format}"
    fastkq.compress(film, target, verify=True)
    before = target.read_bytes()
    monkeypatch.setattr(painter, WRITERS[format], faulty(getattr(painter, WRITERS[format]), fault))
    with pytest.raises(OSError, match=FAULTS[fault]) as caught:
        fastkq.compress(film, target, 32, verify=True)
    assert "\n" not in str(caught.value)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [before]
    fastkq.compress(film, target, 32)  # who does not ask is not told
    assert target.read_bytes() != before


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("loop", [0, 1, 2, 65535])
@pytest.mark.parametrize(
    "durations",
    [
        0,
        7,
        10,
        12.5,
        1000 / 60,
        [33.3] * 4 + [0],
        [0, 5, 10, 11, 99.99],
        [4.9, 4.9, 15, 26, 655_350],
    ],
    ids=str,
)
def test_times_are_verified_as_the_format_holds_them(format, loop, durations):
    for kind in ("sprite", "still", "flash"):
        film = fastkq.Animation(scene(kind), durations, loop=loop)
        fastkq.compress(film, format=format, verify=True)


def test_equal_frames_become_one_only_where_a_format_has_room_for_it():
    film = fastkq.Animation(scene("still"), [600_000, 500_000, 100_000, 12, 12.5])
    for format in FORMATS:
        found = open_animation(fastkq.compress(film, format=format, verify=True))
        assert [round(ms, -1) for ms in found.durations] == [600_000, 600_000, 20]


def test_durations_by_hand():
    assert durations_held("gif", [4, 655_350]) == [0, 655_350]
    assert durations_held("gif", [12.5, 12.5, 0, 1]) == [20, 20, 0, 0]
    assert durations_held("webp", [1000 / 60] * 3) == [17, 16, 17]
    assert durations_held("png", [1000 / 60, 0, 40]) == [1000 / 60, 0, 40]


def test_masking_is_for_pictures_unless_it_is_asked_for():
    film = fastkq.Animation(scene("solid"), DURATIONS)
    plain = fastkq.compress(film, format="gif")
    assert fastkq.compress(film, format="gif", masking=False) == plain
    assert fastkq.Compressor(format="gif")(film) == plain
    with pytest.raises(ValueError, match="masking is for one picture"):
        fastkq.compress(film, format="gif", masking=True)


def test_a_frame_of_an_animation_in_memory_can_be_chosen():
    film = fastkq.Animation(scene("solid"), DURATIONS)
    chosen = fastkq.compress(film, frame=2, lossy=0)
    assert chosen == fastkq.compress(scene("solid")[2], lossy=0)


def test_a_pattern_that_ends_in_png_says_the_format(tmp_path):
    source = tmp_path / "a.gif"
    source.write_bytes(by_pillow_encoder("GIF"))
    for name, suffix in (("{stem}-x{suffix}", ".gif"), ("{stem}-x.png", ".png")):
        (job,) = plan_jobs([source], None, format=None, name=name)
        assert job.target.endswith("a-x" + suffix)


def test_one_picture_is_never_taken_without_a_word(tmp_path):
    data = fastkq.compress(fastkq.Animation(scene("solid", 3)), format="gif")
    path = tmp_path / "film.gif"
    path.write_bytes(data)
    for image in (str(path), data, io.BytesIO(data), Image.open(io.BytesIO(data))):
        with pytest.raises(fastkq.AnimationError, match="3 frames, and one picture is wanted"):
            fastkq.quantize(image)
    with pytest.raises(fastkq.AnimationError):
        fastkq.remap(path, [[0, 0, 0]])
    third = by_pillow(data)[0][2][..., :3]
    for image in (path, data, io.BytesIO(data), Image.open(io.BytesIO(data))):
        assert np.array_equal(fastkq.quantize(image, frame=2).to_array(), third)
    with pytest.raises(ValueError, match="0 to 2 is allowed"):
        fastkq.quantize(path, frame=3)
    assert len(fastkq.quantize(third, frame=0).palette) > 1
    with pytest.raises(ValueError, match="no animation; 0 is allowed"):
        fastkq.quantize(third, frame=1)
    assert fastkq.compress(path, frame=0)[1:4] == b"PNG"


def test_histograms_and_palettes_are_of_all_frames():
    frames = scene("solid", 3)[..., :3]
    film = fastkq.Animation(frames)
    tall = frames.reshape(-1, WIDTH, 3)
    counted = fastkq.color_histogram(film)
    assert np.array_equal(counted.codes, fastkq.color_histogram(tall).codes)
    assert counted.n_pixels == tall[..., 0].size
    assert np.array_equal(fastkq.fit_palette(film, 9), fastkq.fit_palette(tall, 9))


@pytest.mark.parametrize("format", FORMATS)
def test_a_still_in_an_animated_file_is_a_still(format):
    data = fastkq.compress(fastkq.Animation(scene("solid", 1)[..., :3]), format=format)
    assert count_frames(io.BytesIO(data)) == 1
    assert fastkq.quantize(data).labels.shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": np.ones((HEIGHT, WIDTH))}, "weights is for one picture"),
        ({"protect": True}, "protect is for one picture"),
        ({"masking": True}, "masking is for one picture"),
        ({"paper": True}, "paper is for one picture"),
        ({"transparent": "keep"}, "transparent is for one picture"),
        ({"min_score": 80}, "min_score is for one picture"),
        ({"max_bytes": 500}, "max_bytes is for one picture"),
        ({"frame_palettes": True}, "a png has one palette"),
        ({"frame_palettes": True, "palette": [[0, 0, 0]], "format": "gif"}, "palette; one of"),
    ],
    ids=str,
)
def test_options_for_one_picture_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        fastkq.compress(fastkq.Animation(scene("solid")), **options)


def test_soft_alpha_is_no_gif_but_over_a_background():
    film = fastkq.Animation(scene("soft"))
    with pytest.raises(ValueError, match="translucent"):
        fastkq.compress(film, format="gif")
    shown, _ = by_pillow(fastkq.compress(film, format="gif", background="#ffffff"))
    assert all((frame[..., 3] == 255).all() for frame in shown)


def test_a_target_bounds_the_error_of_all_frames(tmp_path):
    film = fastkq.Animation(scene("solid"))
    # Errors of `lossy` come on top, as those of dithering do.
    report = fastkq.compress(film, tmp_path / "film.gif", min_psnr=30, lossy=0, score=True)
    assert report.psnr >= 30
    assert 50 < report.score <= 100
    assert report.n_frames == 5
    with pytest.raises(fastkq.TargetNotReachedError):
        fastkq.compress(film, n_colors=3, min_psnr=40)


@pytest.mark.parametrize("format", FORMATS)
def test_animations_that_end_early_are_errors(format):
    data = fastkq.compress(fastkq.Animation(scene("noise")), format=format)
    for share in range(3, 15):
        cut = data[: len(data) * share // 16]
        if count_frames(io.BytesIO(cut)) == 1:
            continue  # as a still, which other tests cut
        with pytest.raises(ValueError, match="<bytes>: cannot be decoded"):
            list(open_animation(cut))


def test_a_damaged_frame_of_a_png_is_an_error():
    data = bytearray(fastkq.compress(fastkq.Animation(scene("noise")), format="png"))
    data[data.rindex(b"fdAT") + 60] ^= 1
    with pytest.raises(ValueError, match="checksum of its fdAT chunk"):
        fastkq.compress(bytes(data))


@pytest.mark.parametrize(
    ("frames", "durations", "words"),
    [
        ([], 100, "no frames"),
        (np.zeros((2, 4, 4, 5), np.uint8), 100, "shape"),
        (np.zeros((2, 4, 4)), 100, "dtype"),
        (np.zeros((2, 4, 4), np.uint8), [1], "1 durations and 2 frames"),
        (np.zeros((2, 4, 4), np.uint8), -1, "a duration is -1"),
        (np.zeros((2, 4, 4), np.uint8), "ab", "a duration is 'a'"),
    ],
    ids=str,
)
def test_what_is_no_animation(frames, durations, words):
    with pytest.raises((ValueError, TypeError), match=words):
        fastkq.Animation(frames, durations)


def test_frames_of_another_size_are_an_error():
    frames = [np.zeros((4, 4), np.uint8), np.zeros((4, 5), np.uint8)]
    with pytest.raises(ValueError, match="frame 1 has shape"):
        fastkq.compress(fastkq.Animation(frames))


def test_the_command_writes_animations_in_their_format(tmp_path, capsys):
    film = fastkq.Animation(scene("noise"), DURATIONS)
    frames = [Image.fromarray(frame[..., :3]) for frame in scene("noise")]
    for format in FORMATS:
        frames[0].save(
            tmp_path / f"{format}.{format}",
            SUFFIX_TO_PILLOW[format],
            save_all=True,
            append_images=frames[1:],
            **({"lossless": True} if format == "webp" else {}),
        )
        assert default_format(str(tmp_path / f"{format}.{format}")) == format
        assert main(["compress", str(tmp_path / f"{format}.{format}"), "-k", "8"]) == 0
        assert "5 frames" in capsys.readouterr().out
        output = tmp_path / f"{format}-fastkq.{format}"
        assert len(open_animation(output)) == len(film)
        assert is_own_output(output)
    gif_path = str(tmp_path / "gif.gif")
    arguments = ["compress", gif_path, "-o", str(tmp_path / "still.png"), "--frame", "1"]
    assert main(arguments) == 0
    with Image.open(tmp_path / "still.png") as still:
        assert getattr(still, "n_frames", 1) == 1
    arguments = ["compress", gif_path, "--frame-palettes", "--force", "--json"]
    assert main(arguments) == 0


def test_batches_write_animations_as_well(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    frames = [Image.fromarray(frame[..., :3]) for frame in scene("noise")]
    frames[0].save(folder / "film.gif", save_all=True, append_images=frames[1:])
    frames[0].save(folder / "still.gif")
    results = list(fastkq.compress_many(folder, tmp_path / "out", 8, jobs=1))
    found = {result.target[len(str(tmp_path)) + 5 :]: result for result in results}
    assert {name: result.n_frames for name, result in found.items()} == {
        "film.gif": 5,
        "still.png": 1,
    }
    assert [result.status for result in results] == ["done", "done"]
    again = fastkq.compress_many(folder, tmp_path / "out", 8, jobs=1)
    assert {result.status for result in again} == {"skipped: exists"}
    as_png = list(fastkq.compress_many(folder, tmp_path / "png", 8, jobs=1, format="png"))
    assert sorted(result.n_frames for result in as_png) == [1, 5]
    stills = list(fastkq.compress_many(folder, tmp_path / "one", 8, jobs=1, frame=0))
    assert {result.n_frames for result in stills} == {1}
    assert len(open_animation(tmp_path / "png" / "film.png")) == 5
