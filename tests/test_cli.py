"""The command, run as a process of its own."""

import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import fastkq


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "fastkq", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )


def assert_fails(result, code, *words):
    """Exit code, nothing on stdout, one line on stderr that has the words."""
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("fastkq: ")
    for word in words:
        assert word in line


@pytest.fixture
def photo(tmp_path, images):
    path = tmp_path / "my photo ü.png"
    with Image.open(images / "kodim03.png") as image:
        image.crop((100, 100, 260, 220)).save(path)
    return path


def test_it_writes_beside_the_input_and_prints_one_line(photo, tmp_path):
    result = run("compress", photo, "-k", 16)
    target = tmp_path / "my photo ü-fastkq.png"
    assert (result.returncode, result.stderr) == (0, "")
    pattern = (
        rf"{re.escape(str(photo))} -> {re.escape(str(target))}: [\d.]+ kB -> [\d.]+ kB "
        r"\(\d+% saved\), PSNR \d+\.\d dB, 16 colors, \d+\.\d\d s\n"
    )
    assert re.fullmatch(pattern, result.stdout), result.stdout
    expected = fastkq.compress(photo, tmp_path / "expected.png", 16)
    assert target.read_bytes() == (tmp_path / "expected.png").read_bytes()
    assert f"PSNR {expected.psnr:.1f} dB" in result.stdout
    assert f"{expected.target_bytes / 1000:.1f} kB" in result.stdout
    with Image.open(target) as image:
        assert image.mode == "P"


def test_default_is_256_colors(photo, tmp_path):
    assert "256 colors" in run("compress", photo, "-o", tmp_path / "out.png").stdout


def test_it_does_not_overwrite_unless_forced(photo, tmp_path):
    target = tmp_path / "out.png"
    target.write_bytes(b"mine")
    assert_fails(run("compress", photo, "-o", target), 1, str(target), "exists", "--force")
    assert target.read_bytes() == b"mine"
    assert run("compress", photo, "-o", target, "--force").returncode == 0
    assert target.read_bytes().startswith(b"\x89PNG")


def test_force_does_not_overwrite_the_source(photo):
    before = photo.read_bytes()
    assert_fails(run("compress", photo, "-o", photo, "--force"), 1, "the target is the source")
    assert photo.read_bytes() == before


def test_a_larger_result_says_what_helps(tmp_path):
    source = tmp_path / "small.jpg"
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((300, 300)).save(source, quality=30)
    result = run("compress", source)
    assert result.returncode == 0
    assert re.search(r"\(\d+% larger\)", result.stdout)
    assert result.stdout.endswith("larger than its source, fewer colors (-k) make it smaller\n")
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("name", "make", "words"),
    [
        ("missing.jpg", lambda path: None, ["missing.jpg: no such file"]),
        ("folder", lambda path: path.mkdir(), ["folder: is a directory", "is allowed"]),
        (
            "text.jpg",
            lambda path: path.write_text("x" * 99),
            ["no image of a known format", "JPEG"],
        ),
        ("empty.png", lambda path: path.touch(), ["empty.png: is empty"]),
    ],
)
def test_a_bad_input_is_one_line_and_exit_code_1(tmp_path, name, make, words):
    make(tmp_path / name)
    before = sorted(os.listdir(tmp_path))
    assert_fails(run("compress", tmp_path / name), 1, *words)
    assert sorted(os.listdir(tmp_path)) == before


def test_a_bad_target_is_one_line_and_exit_code_1(photo, tmp_path):
    target = "missing/out.png"
    assert_fails(run("compress", photo, "-o", tmp_path / target), 1, target)


def test_colors_that_matter(photo, tmp_path):
    target, mask = tmp_path / "out.png", tmp_path / "mask.png"
    weights = np.zeros((120, 160), np.uint8)
    weights[:, :50] = 255
    Image.fromarray(weights).save(mask)
    colors = ["--lock", "#ff0000,00ff00", "--protect", "--weights", mask, "-k", 9]
    assert run("compress", photo, "-o", target, *colors).returncode == 0
    expected = fastkq.quantize(
        photo, 9, locked=[[255, 0, 0], [0, 255, 0]], protect=True, weights=weights
    )
    with Image.open(target) as image:
        assert image.getpalette()[:27] == expected.palette.ravel().tolist()
        assert np.array_equal(np.asarray(image), expected.labels)
    assert expected.palette[:2].tolist() == [[255, 0, 0], [0, 255, 0]]
    wrong = run("compress", tmp_path / "mask.png", "--weights", photo)
    assert_fails(wrong, 1, "has colors; a gray image is allowed as weights")


def test_a_palette_for_one_image(photo, tmp_path):
    palette = tmp_path / "brand.hex"
    palette.write_text("ffffff\n000000\n808080\n")
    result = run("compress", photo, "--palette", palette)
    assert (result.returncode, result.stderr) == (0, "")
    assert "3 colors" in result.stdout
    written = (tmp_path / "my photo ü-fastkq.png").read_bytes()
    with Image.open(tmp_path / "my photo ü-fastkq.png") as image:
        assert image.getpalette()[:9] == [255] * 3 + [0] * 3 + [128] * 3
        assert np.array_equal(np.asarray(image), fastkq.remap(photo, palette))
    with open(tmp_path / "stream.png", "wb") as stream, open(photo, "rb") as source:
        command = [sys.executable, "-m", "fastkq", "compress", "-", "--palette", str(palette)]
        subprocess.run(command, stdin=source, stdout=stream, check=True, stderr=subprocess.PIPE)
    assert (tmp_path / "stream.png").read_bytes() == written
    palette.write_text("white\n")
    assert_fails(run("compress", photo, "--palette", palette, "--force"), 1, "line 1 is 'white'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "COMMAND"),
        (["unknown"], "invalid choice: 'unknown'"),
        (["compress"], "no source"),
        (["compress", "a.png", "-k", "0"], "'0' is not an integer from 1 to 256"),
        (["compress", "a.png", "-k", "257"], "'257' is not an integer from 1 to 256"),
        (["compress", "a.png", "-k", "many"], "'many' is not an integer from 1 to 256"),
        (["compress", "a", "b", "-o", "c.png"], "-o is for one image, and there are 2"),
        (["compress", "a", "b", "--weights", "c"], "--weights is for one image, and there are 2"),
        (["compress", "a", "-o", "b.png", "--report", "r"], "image, and --report is for many"),
        (["compress", "a.png", "-o", "b.png", "-d", "out"], "one image, and -d is for many"),
        (["compress", "a.png", "-o", "b.jpg"], "b.jpg: the target's suffix is '.jpg'; allowed: "),
        (["compress", "a.png", "-o", "b"], "the target's suffix is ''"),
        (["compress", "-", "b.png"], "- is for one image"),
        (["palette", "a.png", "-o", "b.txt"], "b.txt: a palette must be a .gpl, .act, .hex or .js"),
        (["compress", "-", "-d", "out"], "- is for one image"),
        (["compress", "a.png", "-d", "out", "-j", "0"], "'0' is not an integer from 1"),
        (["compress", "a.png", "-d", "out", "--min-savings", "101%"], "'101%' is not a share"),
        (["compress", "a.png", "-d", "out", "--quiet", "--json"], "not allowed with"),
        (["palette", "a.png"], "-o/--output"),
        (
            ["compress", "a.png", "--lock", "ff0000,red"],
            "'ff0000,red' is not a list of colors such",
        ),
        (["compress", "a.png", "--lock", "ff00001"], "rrggbb and rrggbbaa are allowed"),
        (["compress", "a.png", "--lock", ""], "'' is not a list of colors"),
        (["compress", "a.png", "-d", "out", "--weights", "m.png"], "--weights is for one image"),
        (["compress", "a.png", "--palette", "p.gpl", "--lock", "ff0000"], "--lock and --palette"),
        (["compress", "a.png", "--palette", "p.gpl", "--protect"], "--protect and --palette"),
        (["compress", "a.png", "--palette", "p", "--weights", "m"], "--weights and --palette"),
        (
            ["compress", "a.png", "-d", "o", "--palette", "p.gpl", "--shared-palette"],
            "--shared-palette and --palette exclude each other",
        ),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments, words):
    result = run(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    told, hint = result.stderr.splitlines()
    assert words in told
    assert re.fullmatch(r"`fastkq( compress| palette)? --help` lists what is allowed\.", hint)


def test_version():
    result = run("--version")
    assert (result.returncode, result.stdout) == (0, f"fastkq {fastkq.__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--help"], ["compress", "warmup", "Exit codes: 0 done, 1 an input failed"]),
        (["compress", "--help"], ["--colors", "--output", "--force", "-fastkq.png"]),
        (["warmup", "--help"], ["Compile all kernels"]),
    ],
)
def test_help(arguments, words):
    result = run(*arguments)
    assert result.returncode == 0
    for word in words:
        assert word in result.stdout


@pytest.mark.parametrize("argument", ["--help", "--version"])
def test_help_and_version_load_no_heavy_library(argument):
    code = (
        "import sys\n"
        "from fastkq.cli import main\n"
        "try:\n"
        f"    main([{argument!r}])\n"
        "except SystemExit:\n"
        "    print({'numba', 'imageio', 'PIL', 'deflate'} & set(sys.modules))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("set()\n")


def test_warmup_tells_a_terminal_that_it_compiles_and_then_does_not(tmp_path, photo):
    """With an empty cache a terminal user is told why nothing happens; with a full one, or without
    a terminal, there is nothing to tell.
    """
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}

    def on_terminal(*arguments):
        ours, theirs = pty.openpty()
        result = subprocess.run(
            [sys.executable, "-m", "fastkq", *map(str, arguments)],
            env=environment,
            stderr=theirs,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        os.write(theirs, b"end")
        told = os.read(ours, 1000).decode()
        os.close(ours)
        os.close(theirs)
        return result.stdout, told

    stdout, told = on_terminal("warmup")
    assert re.fullmatch(r"kernels ready in \d+\.\d s\n", stdout)
    assert told.startswith("fastkq: compiling kernels, once on this machine")
    assert told.count("\n") == 1
    # The warm-up has compiled all that compressing needs.
    assert on_terminal("compress", photo)[1] == "end"
    assert on_terminal("warmup")[1] == "end"


def test_two_processes_compile_in_a_first_run(tmp_path, photo):
    """The K-means kernels, of another one, are found in the cache; and nothing is told."""
    code = (
        "import sys\n"
        "from numba.core import event\n"
        "from fastkq.cli import main\n"
        "compiled = set()\n"
        "class Listener(event.Listener):\n"
        "    def on_start(self, event):\n"
        "        compiled.add(event.data['dispatcher'].py_func.__name__)\n"
        "    def on_end(self, event):\n"
        "        pass\n"
        "event.register('numba:compile', Listener())\n"
        f"code = main(['compress', {str(photo)!r}, '-k', '2', '-q'])\n"
        "print(code, 'count_colors' in compiled, 'assign_and_accumulate' in compiled)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "0 True False\n"
    assert result.stderr == ""


@pytest.mark.parametrize("method", ["diffusion", "ordered", "adaptive"])
def test_dithering(photo, tmp_path, method):
    expected = tmp_path / "expected.png"
    fastkq.compress(photo, expected, 16, dither=method, dither_strength=0.8)
    dithering = ["-k", 16, "--dither", method, "--dither-strength", 0.8]
    one, many = tmp_path / "one.png", tmp_path / "many"
    assert run("compress", photo, *dithering, "-o", one).returncode == 0
    assert run("compress", photo, *dithering, "-d", many).returncode == 0
    (other,) = many.iterdir()
    assert one.read_bytes() == other.read_bytes() == expected.read_bytes()


def test_a_wrong_strength(photo):
    result = run("compress", photo, "--dither", "adaptive", "--dither-strength", "2")
    assert result.returncode == 2
    assert "'2' is not a number from 0 to 1" in result.stderr
