"""The command: one image, what it is told, and the process that it is."""

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import run
from kernel_copies import copy_kernels
from painting import PLAIN_FLAGS
from PIL import Image

import fastkq
from fastkq.cli import main


def start(*arguments):
    """Run a command as a process of its own."""
    command = [sys.executable, "-m", "fastkq", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


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
    result = start("compress", photo, "-k", 16)
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
    target = tmp_path / "small-fastkq.png"
    result = run("compress", source)
    assert (result.returncode, result.stderr) == (0, "")
    assert re.search(r"\(\d+% larger\)", result.stdout)
    assert result.stdout.endswith(
        "no gain, not written; a higher --lossy, fewer colors (-k), --optimize or a WebP "
        "(--format webp) may make it smaller; --allow-larger writes it all the same\n"
    )
    assert len(result.stdout.splitlines()) == 1
    assert not target.exists()
    assert '"status": "no gain"' in run("compress", source, "--json").stdout
    assert run("compress", source, "--quiet").stdout == ""
    assert not target.exists()
    larger = run("compress", source, "--allow-larger")
    assert larger.returncode == 0
    assert re.search(r"\(\d+% larger\), PSNR .* s\n$", larger.stdout)
    assert target.stat().st_size > source.stat().st_size
    smaller = run("compress", source, "-k", 2, "-o", tmp_path / "two.png")
    assert "saved" in smaller.stdout


def test_streams_get_a_picture_whatever_its_size_and_files_do_not(tmp_path):
    source = tmp_path / "noise.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(source, quality=5)
    data = source.read_bytes()
    command = [sys.executable, "-m", "fastkq", "compress", "-", "-o"]
    piped = subprocess.run([*command, "-"], input=data, capture_output=True, check=True)
    assert piped.stdout == fastkq.compress(data)
    assert len(piped.stdout) > len(data)
    assert b"; no smaller than its source; a higher --lossy, fewer" in piped.stderr
    target = tmp_path / "out.png"
    target.write_bytes(b"mine")
    command += [target, "--force"]
    kept = subprocess.run(command, input=data, capture_output=True, check=True)
    assert b"; no gain, not written; a higher --lossy, fewer" in kept.stderr
    assert target.read_bytes() == b"mine"
    subprocess.run([*command, "--allow-larger"], input=data, capture_output=True, check=True)
    assert target.read_bytes() == piped.stdout


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
    assert_fails(start("compress", photo, "-o", tmp_path / target), 1, target)


def test_colors_that_matter(photo, tmp_path):
    target, mask = tmp_path / "out.png", tmp_path / "mask.png"
    weights = np.zeros((120, 160), np.uint8)
    weights[:, :50] = 255
    Image.fromarray(weights).save(mask)
    colors = ["--lock", "#ff0000,00ff00", "--protect", "--weights", mask, "-k", 9]
    assert run("compress", photo, "-o", target, *colors, *PLAIN_FLAGS).returncode == 0
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
        (["compres", "a.png"], "; did you mean compress?"),
        (["a.png", "--colours", "5"], "there is no --colours; did you mean --colors?"),
        (["a.png", "--dither", "difusion"], "; did you mean diffusion?"),
        (["a.png", "--xyzzy"], "there is no --xyzzy"),
        (["a.png", "-o", "b.png", "--name", "c"], "--name and -o exclude each other"),
        (["a.png", "--name", "{step}"], "--name is '{step}'; a name of {stem}, {parent} and"),
        (["a.png", "--name", "x/{stem}"], "without folders"),
        (["a.png", "--name", "{stem}.webp"], "and the format is png; its suffix is allowed"),
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
        (["palette", "a.png", "-o", "b.txt"], "b.txt: a palette must be a .gpl, .act, .ase, .hex"),
        (["compress", "-", "-d", "out"], "- is for one image"),
        (["compress", "a.png", "-d", "out", "-j", "0"], "'0' is not an integer from 1"),
        (["compress", "a.png", "-d", "out", "--min-savings", "101%"], "'101%' is not a share"),
        (["compress", "a.png", "-d", "out", "--quiet", "--json"], "not allowed with"),
        (
            ["compress", "a.png", "--lock", "ff0000,red"],
            "'ff0000,red' is not a list of colors such",
        ),
        (["compress", "a.png", "--lock", "ff00001"], "rrggbb and rrggbbaa are allowed"),
        (["compress", "a.png", "--lock", ""], "'' is not a list of colors"),
        (["compress", "a.png", "-d", "out", "--weights", "m.png"], "--weights is for one image"),
        (["compress", "a.png", "--palette", "p.gpl", "--lock", "ff0000"], "--lock and --palette"),
        (["compress", "a.png", "--palette", "p", "--max-mse", "0"], "--max-mse and --palette"),
        (["compress", "a.png", "-o", "b.png", "--min-savings", "0"], "--min-savings is for many"),
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
    result = start("--version")
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


@pytest.mark.slow
def test_warmup_tells_a_terminal_that_it_compiles_and_then_does_not(tmp_path, photo):
    """With an empty cache a terminal user is told why nothing happens; with a full one, or without
    a terminal, there is nothing to tell.
    """
    cache = tmp_path / "cache"
    # Nearly all kernels that were compiled before: one that is missing is enough to be told of.
    copy_kernels(cache, left_out="*.fill_table*")

    def on_terminal(*arguments, **environment):
        ours, theirs = pty.openpty()
        result = subprocess.run(
            [sys.executable, "-m", "fastkq", *map(str, arguments)],
            env=os.environ | environment,
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

    stdout, told = on_terminal("warmup", "--into", cache)
    ready = r"kernels ready in \d+\.\d s"
    assert re.fullmatch(
        rf"{ready}; NUMBA_CACHE_DIR={re.escape(str(cache))} has them used\n", stdout
    )
    assert told.startswith("fastkq: compiling kernels, once on this machine")
    assert told.count("\n") == 1
    # The warm-up has compiled all that compressing needs.
    environment = {"NUMBA_CACHE_DIR": str(cache)}
    assert on_terminal("compress", photo, **environment)[1] == "end"
    stdout, told = on_terminal("warmup", **environment)
    assert re.fullmatch(rf"{ready}\n", stdout)
    assert told == "end"


def test_warmup_into_what_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    command = [sys.executable, "-m", "fastkq", "warmup", "--into", str(tmp_path / "file")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    what = f"--into {tmp_path / 'file'} cannot be written"
    assert run.stderr == f"fastkq: {what}; a directory that can be is allowed\n"


@pytest.mark.slow  # as test_first_run.py, by way of the command
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


# --- The process: its working directory, streams and signals


ROOT = str(Path(fastkq.__file__).parents[1])


def script(tmp_path):
    """What an installed `fastkq` is: a script that lies elsewhere."""
    path = tmp_path / "bin" / "fastkq"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        "import sys\nfrom fastkq.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    return [sys.executable, str(path)]


def shell(command, *arguments, **options):
    """Run a line of the shell, whose "$@" is the command `fastkq compress` and the arguments."""
    given = [sys.executable, "-m", "fastkq", "compress", *map(str, arguments)]
    return subprocess.run(
        ["/bin/bash", "-c", command, "bash", *given],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("way", ["script", "module"])
def test_nothing_of_the_working_directory_runs(photo, tmp_path, way):
    evil = tmp_path / "evil"
    evil.mkdir()
    for name in ("pickle", "random", "socket", "numpy", "PIL", "queue", "hashlib"):
        (evil / f"{name}.py").write_text(f"open('OWNED-{name}', 'w')\n")
    for name in ("a.png", "b.png"):
        (evil / name).write_bytes(photo.read_bytes())
    started = script(tmp_path) if way == "script" else [sys.executable, "-m", "fastkq"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    result = subprocess.run(
        [*started, "compress", ".", "-d", "../out", "-j", "2", "-k", "8"],
        cwd=evil,
        env=environment | {"PYTHONPATH": ROOT},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "b.png"]
    assert not list(evil.glob("OWNED*"))


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ('"$@" - <&-', 1, "the standard input is closed; a file, or an open stream, is allowed"),
        (
            '"$@" -d out --files-from - <&-',
            1,
            "standard input is closed; --files-from takes a file",
        ),
        ('"$@" a.png -o - >&-', 1, "the standard output is closed; -o FILE, or an open stream"),
        ('"$@" a.png -q <&- >&- ', 0, ""),
        ('"$@" a.png >&-', 0, ""),
        ('"$@" a.png > /dev/full', 1, "No space left on device"),
        ('"$@" a.png -o - > /dev/full', 1, "No space left on device"),
        ('"$@" none.png 2>&-', 1, ""),
        ('"$@" a.png -o - 2>&- >/dev/null', 0, ""),
    ],
)
def test_closed_and_full_streams_are_one_line(photo, tmp_path, line, code, words):
    (tmp_path / "a.png").write_bytes(photo.read_bytes())
    result = shell(line, cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT})
    assert (result.returncode, result.stdout) == (code, "")
    assert len(result.stderr.splitlines()) == bool(words)
    assert words in result.stderr


@pytest.mark.parametrize(
    "line",
    ['"$@" *.png -d out | true', '"$@" *.png -d out --json | true', '"$@" a.png -o - | true'],
)
def test_a_reader_that_has_gone_is_no_error(photo, tmp_path, line):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(photo.read_bytes())
    result = shell(
        f"{line}; exit ${{PIPESTATUS[0]}}", cwd=tmp_path, env=os.environ | {"PYTHONPATH": ROOT}
    )
    assert (result.returncode, result.stderr.replace("a.png -> -", "")[:9]) in [
        (141, ""),
        (141, ": 12.3 kB"),
    ]


def test_a_pipe_that_the_shell_opens_is_a_source(photo, tmp_path):
    expected, target = tmp_path / "expected.png", tmp_path / "y.png"
    fastkq.compress(photo, expected, 8)
    assert shell(f'"$@" <(cat "{photo}") -q', "-k", 8, "-o", target).returncode == 0
    assert target.read_bytes() == expected.read_bytes()
    named = tmp_path / "pipe.png"
    os.mkfifo(named)
    assert_fails(run("compress", named), 1, "pipe.png: is not a regular file")


def test_an_interrupt_while_it_imports_is_no_traceback(tmp_path):
    """At any moment: here, in the middle of NumPy."""
    for started in (script(tmp_path), [sys.executable, "-m", "fastkq"]):
        code = (
            "import os, signal, sys\n"
            "class Interrupt:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name == 'numpy.linalg':\n"
            "            os.kill(os.getpid(), signal.SIGINT)\n"
            "sys.meta_path.insert(0, Interrupt())\n"
        )
        (tmp_path / "sitecustomize.py").write_text(code)
        path = os.pathsep.join([str(tmp_path), ROOT])
        result = subprocess.run(
            [*started, "compress", "none.png"],
            env=os.environ | {"PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        assert (result.returncode, result.stdout, result.stderr) == (130, "", "")


def is_alive(group):
    """Whether a group of processes has one left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_nothing_behind(tmp_path, jobs, number):
    noise = np.random.default_rng(0).integers(0, 256, (1500, 1500, 3), dtype=np.uint8)
    for name in range(4):
        Image.fromarray(noise).save(tmp_path / f"{name}.bmp")
    report = tmp_path / "run.jsonl"
    arguments = ["compress", tmp_path, "-d", tmp_path / "out", "--report", report]
    arguments += ["-j", jobs, "--optimize", "-k", 200, *PLAIN_FLAGS]
    before = signal.signal(number, signal.SIG_DFL)  # a child would ignore what nohup has ignored
    with subprocess.Popen(
        [sys.executable, "-m", "fastkq", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        signal.signal(number, before)
        while not report.exists():
            time.sleep(0.01)
        time.sleep(jobs / 2)  # so that workers have begun
        begin = time.monotonic()
        process.send_signal(number)
        _, told = process.communicate()
    assert (process.returncode, told) == (128 + number, "")
    assert time.monotonic() - begin < 10
    while is_alive(process.pid):  # Python's own keeper of semaphores ends behind the command
        assert time.monotonic() - begin < 20
        time.sleep(0.05)
    assert not list(tmp_path.rglob("*.tmp"))


def test_two_at_once_write_one_target(photo, tmp_path):
    """Both find none there; the second is told, and what the first wrote stays."""
    target = tmp_path / "out.png"
    code = (
        "import sys, fastkq.command.compress as command\n"
        "from pathlib import Path\n"
        "open_any = command.open_any\n"
        "def slow(source, options):\n"
        f"    Path({str(target)!r}).write_bytes(b'another')\n"
        "    return open_any(source, options)\n"
        "command.open_any = slow\n"
        "from fastkq.cli import main\n"
        f"sys.exit(main(['compress', {str(photo)!r}, '-o', {str(target)!r}, '-k', '4']))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert_fails(result, 1, "out.png: exists")
    assert target.read_bytes() == b"another"


def test_modes_of_outputs(photo, tmp_path):
    """A private photo gets no copy that others can read; a target keeps its mode."""
    target = photo.with_name(f"{photo.stem}-fastkq.png")
    many = tmp_path / "out" / photo.name
    photo.chmod(0o600)
    for path, arguments in ((target, []), (many, ["-d", many.parent])):
        assert run("compress", photo, "-k", 4, *arguments).returncode == 0
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o640)
        photo.chmod(0o644)
        assert run("compress", photo, "-k", 4, "--force", *arguments).returncode == 0
        assert path.stat().st_mode & 0o777 == 0o640
        photo.chmod(0o600)


@pytest.mark.parametrize("order", [["--oxipng", "--optimize"], ["--optimize", "--oxipng"]])
def test_oxipng_stays_in_any_order(order):
    from fastkq.command.arguments import make_parser
    from fastkq.command.options import job_options

    options = make_parser().parse_args(["compress", "a.png", *order])
    assert job_options(options)["optimize"] == "oxipng"
    options = make_parser().parse_args(["compress", "a.png", "--optimize"])
    assert job_options(options)["optimize"] is True


@pytest.mark.parametrize(
    ("text", "colors"),
    [
        ("ff0000,#00ff00", [[255, 0, 0], [0, 255, 0]]),
        ("ff000080,00ff00", [[255, 0, 0, 128], [0, 255, 0, 255]]),
    ],
)
def test_locked_colors_may_have_alpha(text, colors):
    from fastkq.command.arguments import make_parser

    assert make_parser().parse_args(["compress", "a.png", "--lock", text]).lock == colors


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        (["--background", "#20c0FF"], {"background": "#20c0ff"}),
        (["--background", "20c0ff"], {"background": "#20c0ff"}),
        (["--transparent", "keep"], {"transparent": "keep"}),
        (["--transparent", "bleed"], {"transparent": "bleed"}),
        ([], {"transparent": "black"}),
    ],
)
def test_what_becomes_of_transparency(tmp_path, arguments, options):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 4), dtype=np.uint8)
    pixels[..., 3] = np.where(pixels[..., 3] < 100, 0, pixels[..., 3])
    source, expected = tmp_path / "badge.png", tmp_path / "expected.png"
    Image.fromarray(pixels).save(source)
    fastkq.compress(source, expected, 12, **options)
    one, many = tmp_path / "one.png", tmp_path / "many"
    assert main(["compress", str(source), "-k", "12", "-o", str(one), "-q", *arguments]) == 0
    assert main(["compress", str(source), "-k", "12", "-d", str(many), "-q", *arguments]) == 0
    assert one.read_bytes() == (many / "badge.png").read_bytes() == expected.read_bytes()


def test_a_background_that_is_no_color():
    result = start("compress", "a.png", "--background", "white")
    assert result.returncode == 2
    assert "'white' is not a color such as ffffff" in result.stderr
