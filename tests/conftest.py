"""What every test shares: one thread, shapes and types checked while tests run, the folder of real data."""

import functools
import gc
import importlib
import inspect
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import tyro
from filelock import FileLock
from tyro._parsers import ParserSpecification

from tests import checks

SOURCE = Path(__file__).parents[1] / "src"


def _annotated() -> list[str]:
    """Modules that annotate shapes with jaxtyping: those the import hook checks with beartype."""
    files = [path for path in (SOURCE / "darlr").rglob("*.py") if "from jaxtyping import" in path.read_text("utf-8")]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in files]


PARSERS: dict[Any, ParserSpecification] = {}
make_parser = ParserSpecification.from_callable_or_type


def _parser(f: Any, **options: Any) -> ParserSpecification:
    """The parser of the command line, which tyro would make anew at each of hundreds of calls; others as they are."""
    if options["parent_classes"] or options["default_instance"] is not tyro.MISSING:
        return make_parser(f, **options)
    return PARSERS.get(f) or PARSERS.setdefault(f, make_parser(f, **options))


# The process that only deals out the tests of `pytest -n 2` is spared the import of PyTorch.
DEALS = "-n" in sys.argv and sys.argv[sys.argv.index("-n") + 1 :][:1] != ["0"]
if "PYTEST_XDIST_WORKER" in os.environ or not DEALS:
    import torch

    # Before any test imports darlr: a module that is loaded already stays unchecked.
    checks.install(_annotated())
    torch.set_num_threads(1)
gc.set_threshold(200_000)  # as the command line does; collecting among the objects of all imports takes time
inspect.getsource = functools.cache(inspect.getsource)  # the command line reads that of all options at each call
ParserSpecification.from_callable_or_type = staticmethod(_parser)
os.fsync = lambda file: None  # no test cuts the power, and thousands of files that wait for a disk are a long wait
hypothesis.settings.register_profile("darlr", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("darlr")


def pytest_collection(session: pytest.Session) -> None:
    """Have one of two processes import the last files first: in a fresh checkout each then compiles one half."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker.endswith(("1", "3", "5", "7", "9")) and session.config.args_source is pytest.Config.ArgsSource.TESTPATHS:
        files = sorted(Path(__file__).parent.rglob("test_*.py"), reverse=True)
        for file in files[: len(files) // 2]:
            sys.path.insert(0, str(file.parent))  # as pytest itself will import it
            with suppress(Exception, pytest.skip.Exception):  # collection will tell
                importlib.import_module(file.stem)


def pytest_collection_finish() -> None:
    """Spare what all tests share each later collection of garbage."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Count calls anew in each test, before its fixtures."""
    checks.CALLS.clear()


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that DARLR_DATA names."""
    named = os.environ.get("DARLR_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("real data: set DARLR_DATA to the folder that holds coat/ and others")
    return Path(named)


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A copy of a folder that the first of the processes of a test run makes for all of them."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def made(name: str, make: Callable[[Path], object]) -> Path:
        name = f"{name}-{make.__module__}"  # two files may give their folders one name
        folder, done = shared / f"{name}-once", shared / f"{name}-done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                make(folder)
                done.touch()
        return Path(shutil.copytree(folder, own / name))

    return made


@pytest.fixture(scope="module")
def few_sweeps() -> Iterator[None]:
    """Bayesian world models and beliefs of a sixth of the sweeps, for tests that do not look at how good they are."""
    from darlr.world.models import bayesian

    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BURN_IN", 5), ("THIN", 1), ("SWEEPS", 5 + bayesian.DRAWS)):
            patch.setattr(bayesian, name, value)
        yield
