"""The runs of `darlr serve --demo`: DARLR+ and DARLR on a small built-in world, trained once and kept in a cache."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from darlr import __version__
from darlr.errors import MachineError
from darlr.io.files import write_json
from darlr.io.places import own_folder
from darlr.options import RunConfig, SyntheticConfig
from darlr.options.json import to_json
from darlr.options.names import override
from darlr.serving.folder import SCHEMA

METHODS = {"darlr-plus": "darlr+", "darlr": "darlr"}  # the name of the folder, and so of the arm, and the method
SMALL = {"model.members": 2, "model.epochs": 15, "epochs": 3, "steps": 4_000}
WORLD = SyntheticConfig(users=150, items=120, categories=24)
DONE = "demo.json"


def cache_folder() -> Path:
    """The folder of this user for files that can be made again. Raises MachineError where there is none."""
    try:
        return own_folder("XDG_CACHE_HOME", ".cache")
    except RuntimeError:
        raise MachineError("this user has no home folder for the demo; set XDG_CACHE_HOME to a folder") from None


def options_of(method: str) -> RunConfig:
    """The options of a run of the demo."""
    from darlr.methods import usual

    return override(replace(usual(method), synthetic=WORLD), SMALL)


def demo_runs(say: Callable[[str], object], cache: Path | None = None) -> tuple[Path, ...]:
    """The folders of the runs, which are trained and evaluated where the cache does not hold them yet.

    A demo that was interrupted is continued. Raises what training raises, and MachineError without a home folder.
    """
    wanted = {name: to_json(options_of(method)) for name, method in METHODS.items()}
    text = json.dumps([__version__, SCHEMA, wanted], sort_keys=True, allow_nan=False)
    home = (cache or cache_folder()) / f"demo-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    folders = tuple(home / name for name in METHODS)
    if (home / DONE).exists():
        say(f"using the runs in {home}")
        return folders
    from darlr.experiments.evaluate import evaluate, open_runs
    from darlr.experiments.progress import speaking
    from darlr.experiments.runs import CONFIG
    from darlr.experiments.training import train_run

    say(f"training {len(folders)} small runs on the built-in world, once, into {home}; this takes about half a minute")
    home.mkdir(parents=True, exist_ok=True)
    for folder, method in zip(folders, METHODS.values(), strict=True):
        say(f"training {method}")
        with speaking(False):
            train_run(options_of(method), folder, resume=(folder / CONFIG).exists())
    say("evaluating them")
    with speaking(False):
        evaluate(open_runs(folders)).save(folders[0], pictures=False)
    write_json(home / DONE, {"version": __version__})
    return folders
