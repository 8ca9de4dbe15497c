"""The shape of the package: its surface, its layers, what importing it costs."""

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import fastkq

PACKAGE = Path(fastkq.__file__).parent

# A room may import from those left of it; and no file format knows K-means, nor K-means a file.
ROOMS = [
    *("types", "validate", "_version", "kernels", "colors", "engine", "paint", "files"),
    *("defaults", "options"),
    *(
        "result",
        "score",
        "look",
        "loading",
        "pipeline",
        "animation",
        "api",
        "compression",
        "batch",
        "distributed",
        "estimator",
        "report",
        "fastkq",
        "install",
    ),
    *("command", "cli", "__main__"),
]
STRANGERS = {"files": {"engine", "paint"}, "engine": {"files"}, "paint": {"files"}}
HEAVY = {
    "numba",
    "imageio",
    "PIL",
    "deflate",
    "multiprocessing",
    "tqdm",
    "dask",
    "distributed",
    "fsspec",
    "pyarrow",
    "jinja2",
    "plotly",
    "sklearn",
    "tifffile",
    "zlib_ng",
}
OWNERS = {
    "numba": {"kernels"},
    "imageio": {"files"},
    "PIL": {"files", "result", "types"},  # the last two: for the type checker only
    "deflate": {"files"},
    "multiprocessing": {"batch"},
    "tqdm": {"batch"},
    "dask": {"distributed"},
    "distributed": {"distributed"},
    "fsspec": {"batch"},
    "pyarrow": {"command"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "plotly": {"report"},
    "shtab": {"command"},
    "sklearn": {"estimator"},
    "zlib_ng": {"files"},
    "tifffile": {"files"},
}


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    """The room that a module lies in; of one at the top, its name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return "fastkq" if parts == ("__init__",) else parts[0]


def imported(path):
    """The names of modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            if node.module == "fastkq":
                yield from (f"fastkq.{alias.name}" for alias in node.names)
            else:
                yield node.module


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = room(path)
    for name in imported(path):
        first, *rest = name.split(".")
        if first == "fastkq" and own != (target := rest[0] if rest else "fastkq"):
            assert target == "__version__" or ROOMS.index(target) < ROOMS.index(own), name
            assert target not in STRANGERS.get(own, ()), name


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_each_library_has_one_owner(path):
    for name in imported(path):
        library = name.split(".")[0]
        assert room(path) in OWNERS.get(library, {room(path)}), f"{path} imports {library}"


def test_only_public_names_are_public():
    modules_inside = {module.name for module in pkgutil.iter_modules(fastkq.__path__)}
    public = {name for name in vars(fastkq) if not name.startswith("_")}
    assert public - modules_inside - {"TYPE_CHECKING"} <= set(fastkq.__all__)
    assert fastkq.__all__ == sorted(fastkq.__all__)
    for name in fastkq.__all__:
        assert not inspect.ismodule(getattr(fastkq, name)), name
        assert name in dir(fastkq)
    with pytest.raises(AttributeError, match="no attribute 'compres'"):
        fastkq.compres  # noqa: B018 - it is the access that fails


@pytest.mark.parametrize("name", [name for name in fastkq.__all__ if name != "__version__"])
def test_public_names_are_documented(name):
    text = inspect.getdoc(getattr(fastkq, name))
    assert text
    assert text.splitlines()[0].endswith(".")


def test_importing_loads_no_heavy_library():
    code = (
        "import sys, fastkq, fastkq.cli\n"
        f"print(sorted({HEAVY!r} & set(sys.modules)))\n"
        "fastkq.kernels.dense.assign.compiled.dispatcher\n"
        "print('numba' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == ["[]", "True"]


def test_kernels_have_no_other_attributes():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = importlib.import_module("fastkq.kernels").nothing


def test_kernels_compile_where_no_cache_can_be_written():
    """Numba's own cache, which is used without the parts that ours needs, raises at decoration."""
    code = (
        "import numba.core.caching as caching\n"
        "caching.CacheImpl._locator_classes = []\n"
        "import fastkq.kernels.cache\n"
        "fastkq.kernels.cache.CompileResult = None\n"
        "import numba, numpy as np, fastkq\n"
        "try:\n"
        "    numba.njit(cache=True)(lambda: 0)\n"
        "except RuntimeError as error:\n"
        "    print('refused')\n"
        "print(fastkq.kernels.wu.between(np.array([2.0, 3.0, 0.0, 0.0, 0.0])))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.splitlines() == ["refused", "4.5"], run.stderr


def test_warming_up_compiles_every_kernel():
    files = [path.stem for path in sorted((PACKAGE / "kernels").glob("[a-z]*.py"))]
    code = (
        "import importlib\n"
        "from fastkq.install.warmup import warm_up\n"
        "warm_up()\n"
        f"for name in {files}:\n"
        "    for key, value in vars(importlib.import_module(f'fastkq.kernels.{name}')).items():\n"
        "        kind = type(value).__name__\n"
        "        if kind == 'SharedKernel':\n"
        "            print(name, key, value.compiled.n_forms)\n"
        "            if value.threaded is not None:\n"
        "                print(name, key + '_threaded', value.threaded.n_forms)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    compiled = {tuple(line.split()[:2]): int(line.split()[2]) for line in run.stdout.splitlines()}
    assert ("cubes", "label_cubes") in compiled
    assert ("cells", "assign_and_accumulate_threaded") in compiled
    assert [kernel for kernel, count in compiled.items() if count == 0] == []


# The kernels that a process has, each with the number of types that it has it for.
FORMS = """
import importlib

def forms(names):
    for name in names:
        for key, value in vars(importlib.import_module(f"fastkq.kernels.{name}")).items():
            for form in ("compiled", "threaded"):
                kernel = getattr(value, form, value)
                yield name, key, form, getattr(kernel, "n_forms", 0)

"""


def test_nothing_is_loaded_or_compiled_after_warming_up():
    """Not even a kernel without threads, or one for other types."""
    files = [path.stem for path in sorted((PACKAGE / "kernels").glob("[a-z]*.py"))]
    code = (
        FORMS + "import io\n"
        "import numpy as np\n"
        "import fastkq\n"
        "from fastkq.estimator import KMeans\n"
        "from fastkq.install.warmup import warm_up\n"
        "warm_up()\n"
        f"before = set(forms({files}))\n"
        "noise = np.random.default_rng(0).integers(0, 256, (257, 263, 4), dtype=np.uint8)\n"
        "noise[:80, ..., 3], noise[180:, ..., 3] = 0, 255\n"
        "for image in (noise, np.ascontiguousarray(noise[..., :3]), noise[..., 0].copy()):\n"
        "    for dither in ('none', 'diffusion', 'ordered', 'adaptive'):\n"
        "        for n_colors in (2, 40):\n"
        "            result = fastkq.quantize(image, n_colors, dither=dither, max_iter=2)\n"
        "    result.save(io.BytesIO())\n"
        "    fastkq.quantize(image, 9, color_space='oklab', max_iter=2)\n"
        "    fastkq.quantize(image, 9, init='k-means++', max_iter=2)\n"
        "large = np.tile(noise[..., :3], (3, 2, 1))\n"
        "fastkq.quantize(large, 40, effort='fast', max_iter=2, score=True)\n"
        "pixels = large.reshape(-1, 3)\n"
        "KMeans(9, init=pixels[:9], n_init=1, max_iter=2).fit_predict(pixels)\n"
        "points = pixels[:999] / 255\n"
        "points.flags.writeable = False\n"
        "fastkq.kmeans(points, 9, sample_weight=points[:, 0], max_iter=2)\n"
        f"print(set(forms({files})) - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


@pytest.mark.parametrize("channels", [3, 4])
def test_loading_the_kernels_loads_all_that_an_image_needs(channels):
    code = (
        FORMS + "import numpy as np\n"
        "import fastkq\n"
        "from fastkq.loading import load_kernels\n"
        "files = ('cells', 'histogram', 'remap', 'wu')\n"
        "load_kernels()\n"
        "before = set(forms(files))\n"
        f"shape = (500, 600, {channels})\n"
        "image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)\n"
        "image[:9, ..., 3:] = 0\n"
        "image[9:, ..., 3:] = 255\n"
        "fastkq.quantize(image, 16)\n"
        "print(set(forms(files)) - before)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def test_the_version_is_one():
    from importlib.metadata import version

    assert version("fastkq") == fastkq.__version__
