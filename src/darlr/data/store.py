"""A prepared data set: a folder of Parquet files and one dataset.json, written whole or not at all."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darlr.data.log import EVENTS, Block, FeatureColumn, InteractionLog, check
from darlr.data.report import PrepareReport
from darlr.errors import DataError
from darlr.io.files import atomic_write_text, read_json
from darlr.io.folders import recover, replacing_folder
from darlr.io.memory import require_free
from darlr.io.places import refuse_address, require_writable

if TYPE_CHECKING:  # a command that reads no prepared data set does without
    import polars as pl

SCHEMA = 2
MANIFEST = "dataset.json"
EVENT_BYTES = 48  # memory that reading takes at the peak, by measurement (docs/scale.md)
BLOCK = 2**18  # events that are written at once
FEATURE = "feature."  # prefix of feature columns in users.parquet and items.parquet, apart from "id"


def save(
    log: InteractionLog, folder: Path, report: PrepareReport, finish: Callable[[Path], None] = lambda _: None
) -> None:
    """Write interactions, users and items (Parquet) and dataset.json. An earlier data set in the folder is replaced.

    finish: called with the folder while it is a draft, to write more files of the data set, such as a truth. Raises
    DataError when the log is inconsistent, `folder` holds something that is no prepared data set, or the disk is full;
    an earlier data set is then still there.
    """
    import polars as pl

    check(log)
    check_target(folder)
    with replacing_folder(folder, (OSError, pl.exceptions.PolarsError), DataError) as draft:  # polars on a full disk
        _events(log).sink_parquet(draft / "interactions.parquet", engine="streaming")
        _table(log.user_ids, log.user_features).write_parquet(draft / "users.parquet")
        _table(log.item_ids, log.item_features).write_parquet(draft / "items.parquet")
        write_manifest(draft, _manifest(log, report))
        finish(draft)


def check_target(folder: Path) -> None:
    """Raise DataError for an address and for what `save` must not replace, RunError for what cannot be written."""
    refuse_address(folder)
    if folder.exists() and not is_prepared(folder) and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: exists and is not a prepared data set; choose another folder")
    require_writable(folder.resolve().parent)


def is_prepared(folder: Path) -> bool:
    """Whether `folder` claims to be a prepared data set."""
    recover(folder)
    return (folder / MANIFEST).is_file()


def load(folder: Path) -> InteractionLog:
    """The log of a prepared data set. Raises DataError when it is missing, damaged, changed by hand or written by a
    newer version.
    """
    import polars as pl

    manifest = read_manifest(folder)
    _require_memory(folder, manifest)
    users, items = (_parquet(folder / f"{name}.parquet") for name in ("users", "items"))
    events = folder / "interactions.parquet"
    names = [name for name in _parquet(events, n_rows=0).columns if name in EVENTS]
    arrays: dict[str, Any] = {name: _array(_parquet(events, columns=[name])[name]) for name in names}
    try:
        block = manifest["block"]
        log = InteractionLog(
            name=manifest["name"],
            **arrays,
            user_ids=tuple(users["id"].to_list()),
            item_ids=tuple(items["id"].to_list()),
            user_features=_features(users, manifest["user_features"]),
            item_features=_features(items, manifest["item_features"]),
            category=manifest["category"],
            reward_range=tuple(manifest["reward_range"]),
            block=block and Block(*(np.array(block[side], dtype=np.int64) for side in ("users", "items"))),
            exit=manifest["exit"],
            parts=tuple(manifest.get("parts", ())),
        )
        found = checksum(log)
    except (KeyError, TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{folder}: damaged ({error!r}); prepare the data set again") from error
    if found != manifest["checksum"]:
        raise DataError(f"{folder}: its contents do not match the checksum in {MANIFEST}; prepare the data set again")
    return log


def _require_memory(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Raise MachineError where the log takes more memory than is free."""
    try:
        needed = EVENT_BYTES * manifest["counts"]["events"]
        what = f"{folder}: a log of {manifest['counts']['events']:,} events"
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{folder}: damaged ({error!r}); prepare the data set again") from error
    require_free(needed, what, "prepare fewer events, or use a machine with more memory")


def load_report(folder: Path) -> PrepareReport:
    """What the reader dropped and noticed when `folder` was prepared."""
    return PrepareReport.from_json(read_manifest(folder)["report"])


def read_manifest(folder: Path) -> dict[str, Any]:
    """dataset.json of a prepared data set; raises DataError when it is missing, damaged or too new."""
    path = folder / MANIFEST
    if not is_prepared(folder):
        raise DataError(f"{folder}: not a prepared data set (no {MANIFEST}); make one with `darlr data prepare`")
    manifest: dict[str, Any] = read_json(path, "prepare the data set again", DataError)
    try:
        schema = manifest["schema"]
    except (KeyError, TypeError) as error:
        raise DataError(f"{path}: damaged ({error!r}); prepare the data set again") from error
    if schema != SCHEMA:
        raise DataError(f"{path}: schema {schema}, this version of darlr reads {SCHEMA}; prepare the data set again")
    return manifest


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write dataset.json; atomic."""
    atomic_write_text(folder / MANIFEST, json.dumps(manifest, indent=2, allow_nan=False) + "\n")


def checksum(log: InteractionLog) -> str:
    """SHA-256 of everything in the log except its name: the same on every machine."""
    digest = hashlib.sha256()

    def feed(value: object) -> None:
        text = json.dumps(value, ensure_ascii=True, allow_nan=False).encode()
        digest.update(len(text).to_bytes(8, "little") + text)

    def feed_array(array: np.ndarray[Any, Any] | None) -> None:
        feed(None if array is None else [list(array.shape), array.dtype.kind])
        if array is not None:
            digest.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data.cast("B"))

    for name in EVENTS:
        if name != "random" or log.random is not None:  # data sets of before that column keep their checksum
            feed_array(getattr(log, name))
    feed([log.user_ids, log.item_ids, log.category, log.reward_range, log.exit])
    for column in (*log.user_features, *log.item_features):
        feed([column.name, column.kind, column.vocabulary])
        feed_array(column.values)
    feed([len(log.user_features), log.block is not None, *log.parts])
    if log.block is not None:
        feed_array(log.block.users)
        feed_array(log.block.items)
    return digest.hexdigest()


def _manifest(log: InteractionLog, report: PrepareReport) -> dict[str, Any]:
    block = log.block and {"users": log.block.users.tolist(), "items": log.block.items.tolist()}
    return {
        "schema": SCHEMA,
        "name": log.name,
        "checksum": checksum(log),
        "counts": {"users": log.n_users, "items": log.n_items, "events": len(log)},
        "ids": "code n is row n of users.parquet and items.parquet",
        "reward_range": list(log.reward_range),
        "category": log.category,
        "exit": log.exit,
        **{
            f"{side}_features": [
                {"name": column.name, "kind": column.kind, "vocabulary": list(column.vocabulary)} for column in columns
            ]
            for side, columns in (("user", log.user_features), ("item", log.item_features))
        },
        "block": block,
        "parts": list(log.parts),
        "truth": None,
        "report": report.to_json(),
    }


def _table(ids: tuple[str, ...] | tuple[int, ...], features: tuple[FeatureColumn, ...]) -> "pl.DataFrame":
    import polars as pl

    kind = pl.String if isinstance(ids[0], str) else pl.Int64
    columns = [pl.Series("id", ids, dtype=kind)]
    columns += [pl.Series(FEATURE + column.name, np.ascontiguousarray(column.values)) for column in features]
    return pl.DataFrame(columns)


def _features(table: "pl.DataFrame", described: list[dict[str, Any]]) -> tuple[FeatureColumn, ...]:
    return tuple(
        FeatureColumn(d["name"], d["kind"], _array(table[FEATURE + d["name"]]), tuple(d["vocabulary"]))
        for d in described
    )


def _array(column: "pl.Series") -> np.ndarray[Any, Any]:
    return column.to_numpy(writable=True)  # PyTorch warns of memory that it must not write


def _events(log: InteractionLog) -> "pl.LazyFrame":
    """The events as a lazy frame, which copies a block of them at a time."""
    import polars as pl
    from polars.io.plugins import register_io_source

    arrays = {name: array for name in EVENTS if (array := getattr(log, name)) is not None}

    def blocks(*_: object) -> "Iterator[pl.DataFrame]":
        for start in range(0, max(1, len(log)), BLOCK):
            yield pl.DataFrame({name: array[start : start + BLOCK] for name, array in arrays.items()})

    schema = {name: pl.Series(array[:0]).dtype for name, array in arrays.items()}
    return register_io_source(blocks, schema=schema)


def _parquet(path: Path, **options: Any) -> "pl.DataFrame":
    """options: those of `polars.read_parquet`."""
    import polars as pl

    try:
        return pl.read_parquet(path.absolute(), glob=False, **options)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read ({error}); prepare the data set again") from error
