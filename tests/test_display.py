"""A result shows itself: as a Pillow image, as a picture of its palette, in a notebook."""

import io
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.files.display import MOST_SHOWN, swatches


@pytest.fixture(params=["L", "LA", "RGB", "RGBA"])
def image(request):
    rng = np.random.default_rng(1)
    n_channels = len(request.param)
    array = rng.integers(0, 256, (23, 31, n_channels), dtype=np.uint8)
    array[:9, :, -1] = 0  # fully transparent, where the last channel is alpha
    return array[..., 0] if n_channels == 1 else array


def test_to_pil_is_an_indexed_image_of_the_same_pixels(image):
    result = fastkq.quantize(image, 12)
    shown = result.to_pil()
    assert shown.mode == "P"
    np.testing.assert_array_equal(np.asarray(shown), result.labels)
    mode = {2: "L", 3: {2: "LA", 3: "RGB", 4: "RGBA"}.get(image.shape[-1])}[image.ndim]
    full = {"L": "RGB", "LA": "RGBA"}.get(mode, mode)
    expected = result.palette[result.labels]
    np.testing.assert_array_equal(np.asarray(shown.convert(full)), expected)


def test_what_pillow_saves_of_it_has_the_same_pixels(image):
    result = fastkq.quantize(image, 12)
    buffer = io.BytesIO()
    result.to_pil().save(buffer, "PNG")
    again = Image.open(buffer)
    assert again.mode == "P"
    full = "RGBA" if result.palette.shape[1] == 4 else "RGB"
    np.testing.assert_array_equal(np.asarray(again.convert(full)), result.palette[result.labels])


def test_to_pil_keeps_the_profile(images):
    source = Image.fromarray(np.zeros((2, 2, 3), np.uint8))
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    buffer = io.BytesIO()
    source.save(buffer, "PNG", icc_profile=profile)
    assert fastkq.quantize(buffer.getvalue(), 4).to_pil().info["icc_profile"] == profile


def test_swatches_by_hand():
    picture = swatches(np.array([[9, 8, 7], [1, 2, 3], [5, 5, 5]], np.uint8), size=2, columns=2)
    assert picture.shape == (4, 4, 3)
    np.testing.assert_array_equal(picture[:2, :2], np.broadcast_to([9, 8, 7], (2, 2, 3)))
    np.testing.assert_array_equal(picture[:2, 2:], np.broadcast_to([1, 2, 3], (2, 2, 3)))
    np.testing.assert_array_equal(picture[2:, :2], np.broadcast_to([5, 5, 5], (2, 2, 3)))
    assert (picture[2:, 2:] == 255).all()


def test_transparent_swatches_lie_over_a_checkerboard():
    picture = swatches(np.array([[0, 0, 0, 0], [0, 0, 0, 255], [0, 0, 0, 51]], np.uint8), size=16)
    assert set(picture[:, :16].ravel().tolist()) == {204, 255}
    assert (picture[:, 16:32] == 0).all()
    assert set(picture[:, 32:].ravel().tolist()) == {163, 204}  # 0.8 of the board


def test_show_palette_is_a_pillow_image():
    result = fastkq.quantize(np.arange(256, dtype=np.uint8).reshape(16, 16), 20)
    shown = result.show_palette(size=4)
    assert (shown.mode, shown.size) == ("RGB", (64, 8))
    np.testing.assert_array_equal(np.asarray(shown)[2, 2::4], result.palette[:16])
    with pytest.raises(ValueError, match="columns is 0; an integer from 1 to 256"):
        result.show_palette(columns=0)


def test_the_picture_of_a_notebook_is_the_image(image):
    result = fastkq.quantize(image, 12)
    shown = Image.open(io.BytesIO(result._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), result.to_array())


def test_the_picture_of_a_large_image_is_smaller():
    wide = np.zeros((20, 3 * MOST_SHOWN - 5, 3), np.uint8)
    wide[:, 1::2] = 200
    shown = Image.open(io.BytesIO(fastkq.quantize(wide, 2)._repr_png_()))
    assert shown.size == (MOST_SHOWN - 1, 7)  # 3067 by 20, in squares of 3
    assert set(np.asarray(shown)[:6, :-1, 0].ravel().tolist()) <= {67, 133}


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data


def test_the_cell_of_a_notebook_has_picture_palette_and_numbers():
    gray = np.repeat(np.array([10, 20, 20, 20], np.uint8), 40).reshape(10, 16)
    result = fastkq.quantize(gray, 4, score=True)
    page = Tags(result._repr_html_())
    (picture,) = [values for tag, values in page.found if tag == "img"]
    assert picture["src"].startswith("data:image/png;base64,")
    assert picture["alt"] == "the image of 2 colors"
    strip = [values["title"] for tag, values in page.found if tag == "span"]
    assert sorted(strip) == ["#0a0a0a, 25.0%", "#141414, 75.0%"]
    assert page.text == (
        "size 16 x 10 · colors 2 · error lossless · iterations 0 · SSIMULACRA 2 100.0"
    )


def test_the_repr_is_short():
    ramp = np.arange(256, dtype=np.uint8).reshape(8, 32)
    assert repr(fastkq.quantize(ramp, 4)) == "QuantizeResult(32x8, 4 colors, PSNR 22.8 dB)"
    assert repr(fastkq.quantize(ramp, 256)) == "QuantizeResult(32x8, 256 colors, lossless)"


def test_shares_add_up():
    result = fastkq.quantize(np.array([[1, 1, 9, 9, 9]], np.uint8), 8)
    assert dict(zip(result.palette[:, 0].tolist(), result.shares.tolist(), strict=True)) == {
        1: 0.4,
        9: 0.6,
    }
