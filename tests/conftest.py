"""What every test shares: one thread, shapes and types checked while tests run, the folder of real data."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import jaxtyping
import pytest
import torch

SOURCE = Path(__file__).parents[1] / "src"


def _annotated() -> list[str]:
    """Modules that annotate shapes with jaxtyping: those the import hook checks with beartype."""
    files = [path for path in (SOURCE / "darlr").rglob("*.py") if "from jaxtyping import" in path.read_text("utf-8")]
    return [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in files]


# Before any test imports darlr: a module that is loaded already stays unchecked.
jaxtyping.install_import_hook(_annotated(), "beartype.beartype")
torch.set_num_threads(1)
hypothesis.settings.register_profile("darlr", deadline=None, derandomize=True)
hypothesis.settings.load_profile("darlr")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real data that DARLR_DATA names."""
    named = os.environ.get("DARLR_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("real data: set DARLR_DATA to the folder that holds coat/ and others")
    return Path(named)
