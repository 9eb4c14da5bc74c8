"""Rules about who may import what, read off the source and checked on a real import."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted((SOURCE / "darlr").rglob("*.py"))
# A package imports only those before it: what learns is before `evaluation`, which knows the truth.
LAYERS = (
    *("errors", "io", "options", "data", "decisions", "world", "simulation", "methods", "agents", "policies"),
    *("evaluation", "serving", "experiments", "api", "server", "cli"),
)
UNSAFE_MODULES = {"pickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}
UNSAFE_CALLS = {"torch.load", "torch.save", "eval", "exec"}
EXTRAS = {
    "matplotlib",
    "tensorboard",
    "surprise",
    "implicit",
    "d3rlpy",
    "pooch",
    "gymnasium",
    "faiss",
    "ray",
    "fastapi",
    "pydantic",
    "uvicorn",
    "onnx",
    "onnxruntime",
    "prometheus_client",
    "beartype",
    "hypothesis",
    "pytest",
}
ADDRESSES = "address.py"  # what it opens is no path
READS = re.compile(r"(pl|polars)\.(scan|read)_")
GLOBAL_RANDOM = re.compile(r"(np|numpy)\.random\.(?!(default_rng|Generator|SeedSequence|PCG64|Philox)\b)")


def _imports(tree: ast.AST, package: list[str]) -> Iterator[str]:
    """Absolute dotted names a module imports, `from a import b` as "a.b", relative ones resolved."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


def _package(path: Path) -> list[str]:
    return list(path.relative_to(SOURCE).parent.parts)


def _breaches(code: str, path: Path) -> list[str]:
    """Everything in one module's source that the rules forbid."""
    tree = ast.parse(code)
    package = _package(path)
    names = list(_imports(tree, package))
    found = [f"imports {name}" for name in names if name.split(".")[0] in UNSAFE_MODULES]
    later = LAYERS[LAYERS.index(package[1]) + 1 :] if package[1:2] else ()
    found += [f"imports {name}" for name in names if name.startswith("darlr.") and name.split(".")[1] in later]
    if "random" in names:
        found.append("imports random")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            called = ast.unparse(node.args[0]) if called == "partial" else called
            if called in UNSAFE_CALLS:
                found.append(f"calls {called}")
            if GLOBAL_RANDOM.match(called):
                found.append(f"draws from a global generator: {called}")
            if called in ("json.dump", "json.dumps") and "allow_nan=False" not in ast.unparse(node):
                found.append("may write NaN or Infinity, which are no JSON")
            if any(key.arg == "allow_pickle" and getattr(key.value, "value", True) for key in node.keywords):
                found.append("allows pickle")
            if path.name != ADDRESSES and READS.match(called) and ".absolute()" not in ast.unparse(node):
                found.append(f"lets polars spell out a path: {called}")  # ~ is the home folder to it
            if READS.match(called) and all(key.arg != "glob" for key in node.keywords):
                found.append(f"lets polars take a path for a pattern: {called}")
    return found


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(SOURCE)) for path in FILES])
def test_module_keeps_the_rules(path: Path) -> None:
    assert _breaches(path.read_text("utf-8"), path) == []


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("world", "from darlr.evaluation.truth import Truth"),
        ("agents", "from darlr import evaluation"),
        ("simulation", "from ..evaluation import truth"),
        ("data", "def f():\n    import darlr.evaluation.truth"),
        ("policies", "from darlr.evaluation.truth import Truth"),
        ("experiments", "from darlr.cli import train"),
        ("serving", "import pickle"),
        ("serving", "import torch\ntorch.load('x')"),
        ("data", "import numpy as np\nnp.load('x', allow_pickle=True)"),
        ("data", "import numpy as np\nnp.random.rand(3)"),
        ("data", "import json\njson.dumps({'x': float('inf')})"),
        ("data", "import polars as pl\npl.read_parquet(path.absolute())"),
        ("data", "import polars as pl\npl.scan_csv(path, glob=False)"),
    ],
)
def test_rules_catch_a_breach(place: str, code: str) -> None:
    assert _breaches(code, SOURCE / "darlr" / place / "planted.py")


def test_rules_allow_what_is_meant() -> None:
    code = "import numpy as np\nfrom darlr.evaluation import truth\nnp.random.default_rng(0)\n"
    code += "np.load('x', allow_pickle=False)"
    assert _breaches(code, SOURCE / "darlr" / "serving" / "planted.py") == []


EVERYTHING = [  # but the server, exported policies and the flavour of MLflow, which need their extras from the start
    ".".join(path.relative_to(SOURCE).with_suffix("").parts)
    for path in FILES
    if path.stem not in ("__main__", "mlflow") and not {"server", "exported"} & set(path.parts[:-1])
]
STEPS = {  # what a new process imports, step after step, and what it must not hold after each
    "version and overview": (["darlr.cli.main"], {"tyro", "dataclasses", "darlr.options"}),
    "the command line": (["darlr.cli.dispatch"], {"torch", "numpy", "scipy", "polars", "safetensors"}),
    "tables and pictures": (["darlr.evaluation.report", "darlr.evaluation.pictures.bars"], {"matplotlib", "rich"}),
    "training and evaluating": (["darlr.cli.evaluate", "darlr.cli.train"], {"polars", "scipy.stats", "scipy.optimize"}),
    "everything": (EVERYTHING, EXTRAS),
}


def test_what_is_heavy_is_imported_only_when_it_is_used() -> None:
    code = (
        "import importlib, sys\n"
        f"for step, (modules, heavy) in {STEPS!r}.items():\n"
        "    for name in modules: importlib.import_module(name.removesuffix('.__init__'))\n"
        "    print(step, sorted(set(sys.modules) & heavy))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.splitlines() == [f"{step} []" for step in STEPS]


def test_annotated_shapes_are_checked_while_tests_run() -> None:
    annotated = [path for path in FILES if "from jaxtyping import" in path.read_text("utf-8")]
    assert annotated
    for path in annotated:
        module = importlib.import_module(".".join(path.relative_to(SOURCE).with_suffix("").parts))
        assert "jaxtyping" in type(module.__loader__).__module__, f"{module.__name__} was imported before the hook"
