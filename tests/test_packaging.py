"""The sdist and the wheel hold what they must, and the wheel works without the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = {str(path.relative_to(ROOT / "src")) for path in (ROOT / "src" / "darlr").rglob("*.py")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the sdist, built from a copy, so that the checkout stays clean."""
    copy = tmp_path_factory.mktemp("package") / "darlr"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", copy / "src", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(copy / "dist"), str(copy)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (built,) = (copy / "dist").glob("*.whl")
    return built


def test_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.endswith(".py")} == MODULES
    assert "darlr/py.typed" in names
    page = (ROOT / "src" / "darlr" / "server" / "page" / "assets").iterdir()
    assert {f"darlr/server/page/assets/{file.name}" for file in page} <= names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {"darlr"}


def test_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    code = (
        "import importlib.metadata as m, darlr; print(darlr.__file__); print(m.version('darlr') == darlr.__version__);"
        "(entry,) = m.distribution('darlr').entry_points.select(group='console_scripts');"
        "entry.load()(['--help'])"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    file, same_version, *help_text = answer.stdout.splitlines()
    assert Path(file).parent == tmp_path / "darlr"
    assert same_version == "True"
    assert any("train" in line for line in help_text)
