"""The origin of a result: its command, code, versions and machine."""

import datetime
import os
import platform
import shlex
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("darlr", "torch", "numpy", "scipy", "polars", "safetensors")


def provenance(seed: int | None = None) -> dict[str, Any]:
    """What helps to repeat a run, as JSON values. What cannot be found out is null."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "seed": seed,
        "git": commit(),
        "versions": {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES},
        "machine": {
            "platform": platform.platform(),
            "cpus": _cpus(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _cpus() -> int | None:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


@cache
def commit() -> dict[str, Any] | None:
    """The commit of the checkout that this package runs from; None where it runs from no checkout."""
    root = Path(__file__).resolve().parents[3]
    top = _ask_git(root, "rev-parse", "--show-toplevel")
    commit = _ask_git(root, "rev-parse", "HEAD")
    if top is None or commit is None or Path(top).resolve() != root:
        return None
    return {"commit": commit, "changed": bool(_ask_git(root, "status", "--porcelain", "--untracked-files=no"))}


def _ask_git(folder: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
