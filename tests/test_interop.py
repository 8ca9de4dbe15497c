"""fastkq gives and takes what Pillow, imageio, OpenCV and scikit-image hold."""

import numpy as np
import pytest
from PIL import Image

import fastkq


@pytest.fixture
def image():
    rng = np.random.default_rng(2)
    smooth = np.add.outer(np.arange(40) * 3, np.arange(50) * 2)[..., None] * [1, 0.5, 0.2]
    return (smooth + rng.integers(0, 20, (40, 50, 3))).astype(np.uint8)


def same(one, other):
    return one.palette.tolist() == other.palette.tolist() and (one.labels == other.labels).all()


def test_pillow(image, tmp_path):
    result = fastkq.quantize(Image.fromarray(image), 16)
    assert same(result, fastkq.quantize(image, 16))
    path = tmp_path / "image.png"
    result.to_pil().save(path)
    with Image.open(path) as again:
        np.testing.assert_array_equal(np.asarray(again.convert("RGB")), result.to_array())
        assert same(fastkq.quantize(again, 16), fastkq.quantize(result.to_array(), 16))


def test_imageio(image, tmp_path):
    import imageio.v3 as iio

    path = tmp_path / "image.png"
    iio.imwrite(path, image)
    result = fastkq.quantize(iio.imread(path), 16)
    assert same(result, fastkq.quantize(image, 16))
    iio.imwrite(path, result.to_array())
    np.testing.assert_array_equal(iio.imread(path), result.to_array())


def test_opencv_has_blue_first(image, tmp_path):
    """`image[..., ::-1]` is what turns BGR into RGB and back, as a view."""
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    path = str(tmp_path / "image.png")
    Image.fromarray(image).save(path)
    bgr = cv2.imread(path)
    result = fastkq.quantize(bgr[..., ::-1], 16)
    assert same(result, fastkq.quantize(image, 16))
    cv2.imwrite(path, result.to_array()[..., ::-1])
    np.testing.assert_array_equal(np.asarray(Image.open(path)), result.to_array())


def test_opencv_with_alpha(image, tmp_path):
    cv2 = pytest.importorskip("cv2", reason="opencv-python-headless is not installed")
    rgba = np.dstack([image, np.repeat([[0, 128, 255, 255, 255]], 40, 0).repeat(10, 1)])
    path = str(tmp_path / "image.png")
    Image.fromarray(rgba.astype(np.uint8)).save(path)
    bgra = cv2.imread(path, cv2.IMREAD_UNCHANGED)
    result = fastkq.quantize(bgra[..., [2, 1, 0, 3]], 16)
    assert same(result, fastkq.quantize(rgba.astype(np.uint8), 16))


def test_scikit_image(image):
    skimage = pytest.importorskip("skimage", reason="scikit-image is not installed")
    as_float = skimage.util.img_as_float(image)
    with pytest.raises(TypeError, match="float64"):
        fastkq.quantize(as_float, 16)
    result = fastkq.quantize(skimage.util.img_as_ubyte(as_float), 16)
    assert same(result, fastkq.quantize(image, 16))
    shown = skimage.color.label2rgb(
        result.labels.astype(int), colors=result.palette / 255, bg_label=-1
    )
    np.testing.assert_array_equal(skimage.util.img_as_ubyte(shown), result.to_array())
