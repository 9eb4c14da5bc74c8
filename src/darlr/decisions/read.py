"""Read a log of decisions, also while a process writes it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.decisions.records import Frames, parsed, schemas
from darlr.errors import DataError
from darlr.io.files import read_json
from darlr.io.places import refuse_address

if TYPE_CHECKING:
    import polars as pl

LOG = "decision-log.json"  # no name that a report has
SCHEMA = 1
TRIES = 5  # a segment can become Parquet while it is read


def is_log(folder: Path) -> bool:
    """Whether a folder claims to be a log of decisions."""
    return (folder / LOG).is_file()


def open_segment(folder: Path, number: int) -> Path:
    """The file of an open segment."""
    return folder / f"open-{number:07}.jsonl"


def numbers_of(folder: Path) -> set[int]:
    """The numbers of all segments, open or not."""
    names = [*folder.glob("open-*.jsonl"), *folder.glob("*/[0-9]*.parquet")]
    return {int(path.stem.removeprefix("open-")) for path in names}


def read_log(folder: Path) -> Frames:
    """Everything that is on disk, oldest first. Raises DataError where there is no log, or a file is damaged."""
    refuse_address(folder)
    if not is_log(folder):
        raise DataError(
            f"{folder}: no log of decisions here; `darlr serve RUN --decisions {folder}` writes one, and so does "
            "darlr.DecisionLog"
        )
    read_json(folder / LOG, "restore the file from another log", DataError, SCHEMA)
    for _ in range(TRIES):
        try:
            return _joined([_segment(folder, number) for number in sorted(numbers_of(folder))])
        except FileNotFoundError:
            continue
    raise DataError(f"{folder}: its files change all the time; read it again later")


def request_ids(folder: Path) -> Iterator[str]:
    """The request ids of all closed segments, which are all segments once a process has opened the log."""
    for path in sorted(folder.glob("decisions/[0-9]*.parquet")):
        import polars as pl

        yield from pl.read_parquet(path.absolute(), columns=["request_id"], glob=False)["request_id"]


def _joined(parts: list[Frames]) -> Frames:
    import polars as pl

    empty = Frames(**{name: pl.DataFrame(schema=schema) for name, schema in schemas().items()})
    decisions, rewards, candidates = (pl.concat(frames) for frames in zip(empty, *parts, strict=True))
    return Frames(decisions, rewards, candidates.unique("candidates", keep="first", maintain_order=True))


def _segment(folder: Path, number: int) -> Frames:
    """The frames of a segment. The open file counts where both are there, as it is removed last."""
    if open_segment(folder, number).exists():
        return frames_of_segment(open_segment(folder, number))[0]
    found = {name: _parquet(folder / name / f"{number:07}.parquet", schema) for name, schema in schemas().items()}
    return Frames(**found)


def _parquet(path: Path, schema: dict[str, Any]) -> "pl.DataFrame":
    import polars as pl

    if not path.exists():
        return pl.DataFrame(schema=schema)
    try:
        frame = pl.read_parquet(path.absolute(), glob=False)
        return frame.select(list(schema)).cast(pl.Schema(schema))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: damaged ({error}); restore the file, or remove it to go on without it") from error


def frames_of_segment(path: Path) -> tuple[Frames, int, int]:
    """The frames of an open segment, the bytes of a torn record at its end, and the number of damaged records."""
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    frames, damaged = _lines(data[:whole])
    return frames, len(data) - whole, damaged


def _lines(data: bytes) -> tuple[Frames, int]:
    import polars as pl

    try:
        return parsed(data.decode()), 0
    except (UnicodeDecodeError, pl.exceptions.PolarsError):  # only a failing disk or machine damages a whole line
        lines, good = data.splitlines(keepends=True), []
        for line in lines:
            try:
                parsed(line.decode())
            except (UnicodeDecodeError, pl.exceptions.PolarsError):
                continue
            good.append(line.decode())
        return parsed("".join(good)), len(lines) - len(good)
