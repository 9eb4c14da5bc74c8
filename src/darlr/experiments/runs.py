"""The run folder: the files that a training run writes, and how a run is resumed.

config.json             options and inputs; a run is resumed with the same ones only
provenance.json         an entry for each start: command, code, versions, machine
metrics.jsonl           a JSON object on each line, one line an epoch
checkpoint.safetensors  the newest checkpoint
best.safetensors        the weights of the best policy so far
tensorboard/            events for TensorBoard, with the extra alone
"""

import json
import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

from torch import Tensor

from darlr.errors import MachineError, RunError
from darlr.experiments.process import provenance
from darlr.io.checkpoint import Saved, read_checkpoint, write_checkpoint
from darlr.io.files import digest, naming, read_json, remove_stale, write_json
from darlr.io.lock import Lock
from darlr.io.places import refuse_address
from darlr.options.json import differences, from_json, to_json
from darlr.options.names import dotted

CONFIG = "config.json"
PROVENANCE = "provenance.json"
METRICS = "metrics.jsonl"
CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
SCHEMA = 1
REMEDY = "restore the file"

Config = TypeVar("Config")


class Run:
    """A run folder that this process alone may write to. Use it in a `with` block."""

    def __init__(self, folder: Path, lock: Lock, writer: Any = None) -> None:
        self.folder = folder
        self._lock = lock
        # without a buffer, which would be written again at the end when a full disk has refused it
        self._metrics = open(folder / METRICS, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self._parts: dict[str, str] = {}
        self._rows = len(read_metrics(folder))
        self._board = writer(str(folder / "tensorboard"), purge_step=self._rows + 1) if writer else None

    @classmethod
    def start(
        cls,
        folder: Path,
        config: Any,
        *,
        inputs: Mapping[str, str] | None = None,
        resume: bool = False,
        may_change: Collection[str] = (),
        tensorboard: bool = False,
    ) -> Self:
        """Begin a run in a new or empty folder, or resume the one that is there.

        config: a frozen dataclass. inputs: checksums of what else the run depends on, such as its data. may_change:
        dotted names of options that may differ on resume, such as "epochs". A resumed run loses the metrics that were
        written after its checkpoint. Raises RunError when the folder is in use or damaged, when it holds something
        else, when it holds a run and `resume` is off or none and `resume` is on, and when options or inputs differ.
        """
        refuse_address(folder)
        if resume and not folder.is_dir():
            raise RunError(f"{folder}: no run here to resume; turn resuming off to start one (option resume)")
        writer = _summary_writer() if tensorboard else None
        stored = {"schema": SCHEMA, "config": to_json(config), "inputs": dict(inputs or {})}
        _refuse_foreign(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = Lock(folder)
        except OSError as error:
            raise RunError(f"{folder}: cannot be written to ({error}); choose another folder") from error
        try:
            remove_stale(folder)
            if (folder / CONFIG).exists():
                if not resume:
                    go_on = "resume it (option resume), or choose another folder"
                    raise RunError(f"{folder}: holds a run already; {go_on}")
                _refuse_changes(folder, stored, may_change)
                _rewind_metrics(folder)
            # Provenance comes first, as a folder with a config counts as a run.
            seed = getattr(getattr(config, "train", config), "seed", None)
            write_json(folder / PROVENANCE, [*_starts(folder), provenance(seed)])
            write_json(folder / CONFIG, stored)
            return cls(folder, lock, writer)
        except BaseException:
            lock.release()
            raise

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row to metrics.jsonl and TensorBoard. Numbers that are not finite are written as null."""
        finite = {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
        line = json.dumps(finite, allow_nan=False).encode() + b"\n"
        with naming(self.folder / METRICS):
            while line:  # a disk that becomes full takes only a part
                line = line[self._metrics.write(line) :]
        self._rows += 1
        if self._board is not None:
            for key, value in finite.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    self._board.add_scalar(key, value, self._rows)

    def depend_on(self, parts: Mapping[str, Path]) -> None:
        """Name the files that checkpoints depend on, such as the world model. One made with others is refused."""
        self._parts = {name: digest(path) for name, path in parts.items()}

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the checkpoint. The rows logged so far belong to it, so log an epoch before it is saved."""
        with naming(self.folder / METRICS):
            os.fsync(self._metrics.fileno())
        about = {"metrics_bytes": self._metrics.tell(), "parts": self._parts, "state": dict(state)}
        write_checkpoint(self.folder / CHECKPOINT, tensors, about)

    def load_checkpoint(self) -> Saved | None:
        """Return the newest checkpoint; None before the first one, RunError where it was made with other parts."""
        return _opened(self.folder, self._parts)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of metrics.jsonl so far, one an epoch."""
        return read_metrics(self.folder)

    def save_best(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Replace the weights of the best policy so far."""
        write_checkpoint(self.folder / BEST, weights, state)

    def load_best(self) -> Saved:
        """Return the weights of the best policy so far."""
        return load_best(self.folder)

    def close(self) -> None:
        """Close the files and let other processes write."""
        self._metrics.close()
        if self._board is not None:
            self._board.close()
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_config(folder: Path, kind: type[Config]) -> Config:
    """Return the options of a run as the dataclass `kind`; RunError when there is no run or an option is wrong."""
    return from_json(kind, _read_stored(folder)["config"], str(folder / CONFIG))


def read_inputs(folder: Path) -> dict[str, str]:
    """Return the `inputs` that the run was started with."""
    return dict(_read_stored(folder)["inputs"])


def load_checkpoint(folder: Path, parts: Mapping[str, Path] | None = None) -> Saved | None:
    """Return the newest checkpoint of a run, without opening it for writing; None before the first one.

    parts: see `Run.depend_on`. RunError when one that is there differs from what the checkpoint was made with.
    """
    return _opened(folder, {name: digest(path) for name, path in (parts or {}).items() if path.is_file()})


def load_best(folder: Path) -> Saved:
    """Return the best policy's weights, and its `epoch`, `earned` and `start`; RunError when there are none."""
    if not (folder / BEST).exists():
        raise RunError(f"{folder}: {BEST} is missing, the policy that the run hands over; restore it, or train again")
    return read_checkpoint(folder / BEST)


def _opened(folder: Path, parts: Mapping[str, str]) -> Saved | None:
    """Return the newest checkpoint. parts: the digests of what the run depends on now."""
    found = _checkpoint(folder)
    if found is None:
        return None
    tensors, about = found
    for name, made_with in about.get("parts", {}).items():
        if parts.get(name, made_with) != made_with:
            changed = f"its {name} is not the one that it was trained with (made again since, or damaged)"
            raise RunError(f"{folder}: {changed}; restore that, or train in another folder")
    return tensors, about["state"]


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the rows of metrics.jsonl so far, without a last line that is still being written."""
    path = folder / METRICS
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise RunError(f"{path}: line {number} is not JSON; delete the line or restore the file") from error
    return rows


def _read_stored(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG).exists():
        raise RunError(f"{folder}: no run here ({CONFIG} is missing)")
    stored: dict[str, Any] = read_json(folder / CONFIG, REMEDY, schema=SCHEMA)
    if not {"config", "inputs"} <= stored.keys():
        raise RunError(f"{folder / CONFIG}: damaged (it lacks the options or the inputs); {REMEDY}")
    return stored


def _starts(folder: Path) -> list[Any]:
    path = folder / PROVENANCE
    starts = read_json(path, REMEDY) if path.exists() else []
    if not isinstance(starts, list):
        raise RunError(f"{path}: must hold an array; restore it, or delete it to go on without the history")
    return starts


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise RunError(f"{folder}: is a file; choose another folder")
    if not folder.is_dir() or (folder / CONFIG).exists():
        return
    # A run that is killed before it has a config leaves these names.
    foreign = [p.name for p in folder.iterdir() if p.name not in (".lock", PROVENANCE) and p.suffix != ".tmp"]
    if foreign:
        raise RunError(f"{folder}: not empty and no run ({min(foreign)} is in it); choose another folder")


def _refuse_changes(folder: Path, now: dict[str, Any], may_change: Collection[str]) -> None:
    before = _read_stored(folder)
    changed = {k: v for k, v in differences(before["config"], now["config"]).items() if k not in may_change}
    changed |= {f"input {k}": v for k, v in differences(before["inputs"], now["inputs"]).items()}
    if changed:
        listed = "; ".join(f"{dotted(name)} was {old!r}, now {new!r}" for name, (old, new) in changed.items())
        raise RunError(f"{folder}: cannot resume with other options: {listed}. Use the old ones, or another folder")


def _checkpoint(folder: Path) -> Saved | None:
    path = folder / CHECKPOINT
    return read_checkpoint(path) if path.exists() else None


def _rewind_metrics(folder: Path) -> None:
    """Cut off the rows of metrics.jsonl that were written after the checkpoint."""
    found, path = _checkpoint(folder), folder / METRICS
    keep = 0 if found is None else found[1]["metrics_bytes"]
    size = path.stat().st_size if path.exists() else 0
    if size < keep:
        raise RunError(f"{path}: {size} bytes, but the checkpoint was written after {keep}; restore the file")
    if size > keep:
        os.truncate(path, keep)


def _summary_writer() -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MachineError("option tensorboard: not installed; run pip install 'darlr[tensorboard]'") from error
    return SummaryWriter
