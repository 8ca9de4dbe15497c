"""`Compressor` in workers, and `fastkq serve`, which is one for callers in other languages."""

import base64
import io
import json
import pickle
import subprocess
import sys
import threading

import numba
import numpy as np
import pytest
from PIL import Image

import fastkq
from fastkq.command.serve import OPTIONS, answer, answers
from fastkq.kernels import threads


def picture(seed=0, shape=(40, 60, 3)):
    rng = np.random.default_rng(seed)
    smooth = np.add.outer(np.arange(shape[0]) * 3, np.arange(shape[1]) * 2)[..., None]
    return (smooth % 200 + rng.integers(0, 40, shape)).astype(np.uint8)


def encoded(seed=0):
    buffer = io.BytesIO()
    Image.fromarray(picture(seed)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n_colors": 7, "dither": "adaptive"},
        {"format": "webp", "n_colors": 9},
        {"palette": [[0, 0, 0], [255, 255, 255]]},
        {"min_psnr": 20.0, "effort": "best"},
    ],
)
def test_it_gives_the_bytes_of_compress(options):
    compressor = fastkq.Compressor(**options)
    for data in (encoded(0), encoded(1)):
        assert compressor(data) == fastkq.compress(data, **options)


def test_it_is_pickled_with_its_options():
    compressor = fastkq.Compressor(n_colors=5, random_state=None, init="random", locked=[[1, 2, 3]])
    again = pickle.loads(pickle.dumps(compressor))  # noqa: S301 - our own
    assert repr(again) == repr(compressor)
    assert again(encoded()) == compressor(encoded())  # the seed was drawn when it was made


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_colors": 300}, "n_colors is 300"),
        ({"dither": "some"}, "'some'"),
        ({"format": "jpeg"}, "jpeg"),
        ({"n_threads": 0}, "n_threads is 0; an integer >= 1"),
    ],
)
def test_options_are_checked_when_it_is_made(options, message):
    with pytest.raises(ValueError, match=message):
        fastkq.Compressor(**options)


def test_a_target_out_of_reach_is_told_and_warming_up_is_not_its_time():
    compressor = fastkq.Compressor(2, min_psnr=90)
    compressor.warm_up()
    with pytest.raises(fastkq.TargetNotReachedError):
        compressor(encoded())


def test_its_threads_are_those_of_its_calls_only(monkeypatch):
    numba.set_num_threads(3)
    seen = []
    original = fastkq.compression.compress_any

    def spy(*arguments, **options):
        seen.append(threads.n_threads())
        return original(*arguments, **options)

    monkeypatch.setattr("fastkq.compression.compress_any", spy)
    one = fastkq.Compressor(8, n_threads=1)(encoded())
    assert (seen, threads.n_threads(), numba.get_num_threads()) == ([1], 3, 3)
    assert fastkq.Compressor(8, n_threads=99)(encoded()) == one
    assert (seen, threads.n_threads()) == ([1, 3], 3)
    with pytest.raises(ValueError, match="is no image"):
        fastkq.Compressor(8, n_threads=1)(b"no image")
    assert threads.n_threads() == numba.get_num_threads() == 3
    numba.set_num_threads(4)


def test_one_is_shared_by_threads():
    compressor = fastkq.Compressor(16)
    expected = [compressor(encoded(seed)) for seed in range(4)]
    found = [b""] * 4

    def work(seed):
        found[seed] = compressor(encoded(seed))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == expected


def ask(**request):
    return answer(json.dumps(request).encode())


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.png"
    path.write_bytes(encoded())
    return str(path)


def test_a_line_compresses_a_file(source, tmp_path):
    output = str(tmp_path / "out.png")
    reply = ask(id=[7], source=source, output=output, n_colors=6)
    expected = fastkq.compress(source, tmp_path / "expected.png", 6)
    assert (reply["id"], reply["status"], reply["source"]) == ([7], "done", source)
    assert (reply["target"], reply["n_colors"], reply["psnr"]) == (output, 6, expected.psnr)
    assert (reply["target_bytes"], reply["pixels"]) == (expected.target_bytes, 2400)
    with open(output, "rb") as file:
        assert file.read() == (tmp_path / "expected.png").read_bytes()


def test_a_line_compresses_bytes(source):
    data = base64.b64encode(encoded()).decode()
    reply = ask(data=data, n_colors=6, format="gif")
    assert base64.b64decode(reply["data"]) == fastkq.compress(source, n_colors=6, format="gif")
    assert (reply["source"], reply["target"], reply["source_bytes"]) == (
        "bytes",
        "bytes",
        len(encoded()),
    )
    assert ask(source=source, n_colors=6, format="gif")["data"] == reply["data"]


def test_no_gain_is_no_error(tmp_path):
    path, output = tmp_path / "tiny.png", tmp_path / "out.png"
    path.write_bytes(fastkq.compress(picture(), n_colors=2))
    reply = ask(source=str(path), output=str(output), n_colors=2)
    assert (reply["status"], reply["error"], output.exists()) == ("no gain", None, False)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "the line is no JSON"),
        (b"\xff\xfe", "the line is no JSON"),
        (b"[" * 100_000, "the line is no JSON"),
        (b"[1]", "the line is a list; a JSON object is allowed"),
        (b"{}", "a path as 'source', or a file in Base64 as 'data'"),
        (b'{"source": "a.jpg", "data": ""}', "a path as 'source', or"),
        (b'{"source": 5}', "a path as 'source', or"),
        (b'{"data": "%"}', "data is no Base64"),
        (b'{"data": ""}', "bytes"),
        (b'{"source": "/none.jpg"}', "/none.jpg: no such file"),
        (b'{"source": "/none.jpg", "output": 5}', "output is 5; a path is allowed"),
        (b'{"source": "a.jpg", "n_colours": 5}', "no option 'n_colours'; did you mean 'n_colors'?"),
        (b'{"source": "a.jpg", "xyzzy": 5}', "no option 'xyzzy'; allow_larger, "),
        (b'{"source": "a.jpg", "n_colors": "5"}', "n_colors is '5'; an integer from 1 to 256"),
    ],
)
def test_an_error_is_a_line(line, words):
    reply = answer(line)
    assert reply["status"] == "failed"
    assert words in reply["error"]
    assert "\n" not in json.dumps(reply)


def test_a_target_out_of_reach_has_a_status_of_its_own(source):
    assert ask(source=source, n_colors=2, min_psnr=90)["status"] == "target not reached"


def test_whatever_a_picture_raises_the_next_one_is_served(source, monkeypatch):
    replies = answers(
        [b"\n", b'{"id": 1, "source": "/none"}', json.dumps({"source": source}).encode()]
    )
    monkeypatch.setattr("fastkq.command.serve._compress", lambda *_: 1 / 0)
    assert next(replies)["error"] == "division by zero"
    monkeypatch.undo()
    assert next(replies)["status"] == "done"
    assert next(replies, None) is None


def test_the_options_are_those_of_compress():
    import inspect

    own = set(inspect.signature(fastkq.compress).parameters) - {"image", "target", "options"}
    assert own <= set(OPTIONS)
    assert {"dither", "score", "locked", "random_state"} <= set(OPTIONS)


def test_the_process_answers_line_by_line(source):
    command = [sys.executable, "-m", "fastkq", "serve", "--stdin-jsonl"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for number, path in enumerate(["/none.jpg", source]):
            process.stdin.write(json.dumps({"id": number, "source": path, "n_colors": 4}) + "\n")
            process.stdin.flush()
            reply = json.loads(process.stdout.readline())  # before the next line is written
            assert (reply["id"], reply["status"]) == (number, ["failed", "done"][number])
        process.stdin.close()
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""
        assert process.wait(60) == 0
