"""The table of results: Markdown and JSON for people and programs, and rich for the terminal."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from darlr.errors import RunError
from darlr.evaluation.evaluate import Row
from darlr.evaluation.numbers import style
from darlr.evaluation.statistics import Comparison
from darlr.io.files import atomic_write_text, write_json
from darlr.io.text import markdown as shown

SCHEMA = 2
HEAD = ("row", "R_tra [95%]", "IQM [95%]", "Length", "R_each", "CV", "MCD", "seeds")
MEASURES = (
    "R_tra is the mean summed reward of a session, with its 95% interval over seeds and users. IQM is the "
    "interquartile mean of the same returns, R_each is R_tra / Length, CV is the share of the catalogue that was "
    "recommended, and MCD the share of recommendations from the majority categories."
)
NOTES = (
    f"{MEASURES} Bold rows learned from the log. † marks a reference that reads the rewards that sessions are played "
    "on: it is not a method."
)
RANDOM = "R_random [95%]"
RANDOM_NOTE = (
    "R_random is Length times the mean feedback on items that were drawn for users at random, are new to "
    "their log, and were shown. It measures the new items of a session alone, so it is not R_tra by observed "
    "feedback: users may like the items of their log more or less. Sessions are still answered by the rewards that "
    "they are played on."
)


@dataclass(frozen=True)
class Section:
    """A part of a report besides its tables of sessions. lines: Markdown; content: the same as JSON values."""

    title: str
    lines: tuple[str, ...]
    content: Any


def write_report(
    folder: Path,
    rows: Sequence[Row],
    *,
    about: Mapping[str, Any] | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
    published: Mapping[str, float | int | None] | None = None,
    sections: Sequence[Section] = (),
    verdict: Sequence[str] = (),
    trained: Collection[int] = (),
) -> None:
    """Write `table.md` and `table.json` into `folder`, each at once or not at all.

    about: what was evaluated (data set, seeds, exit rule), any JSON values. comparisons: "A - B" -> paired comparison.
    published: the published statistic of a run, from `published_mean`. sections: further parts. verdict:
    sentences that come first. trained: see `heading`.
    """
    content = {section.title: section.content for section in sections} | ({"Verdict": list(verdict)} if verdict else {})
    document = {
        "schema": SCHEMA,
        "about": dict(about or {}),
        "rows": [row_json(row) for row in rows],
        "comparisons": {name: asdict(c) for name, c in (comparisons or {}).items()},
        "published": None if published is None else dict(published),
        **({"sections": content} if content else {}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "table.json", document)
    text = markdown(
        rows,
        about=about,
        comparisons=comparisons,
        published=published,
        sections=sections,
        verdict=verdict,
        trained=trained,
    )
    atomic_write_text(folder / "table.md", text)


def row_json(row: Row) -> dict[str, Any]:
    """A row as JSON values; the returns themselves stay out."""
    return {f.name: getattr(row, f.name) for f in fields(row) if f.name not in ("returns", "tallies")}


def read_rows(path: Path) -> list[Row]:
    """The rows of a `table.json`, without their returns (an array of no seeds).

    Raises RunError when the file is missing, damaged or of another schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise RunError(f"{path}: schema {document['schema']}, this version reads {SCHEMA}; evaluate again")
        return [
            Row(
                **{
                    **row,
                    "interval": tuple(row["interval"]),
                    "iqm_interval": tuple(row["iqm_interval"]),
                    "random_interval": None if row["random_interval"] is None else tuple(row["random_interval"]),
                    "returns": np.empty((0, row["users"])),
                }
            )
            for row in document["rows"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{path}: not a table of results ({error}); run the evaluation again") from error


def label(row: Row, *, learned: bool | None = None) -> str:
    """A row's name with its marks: sampled actions of a learned policy, and † for a reference that reads the truth.

    learned: whether the policy learned; None = where the row's kind says so.
    """
    sampled = " (sampled)" if row.sampled and (row.kind == "learned" if learned is None else learned) else ""
    return row.name + sampled + (" †" if row.kind == "truth" else "")


def heading(mode: str, window: int | None, trained: Collection[int] = ()) -> str:
    """The title of one setting, e.g. "NX_0: no repeats, exit window N = 1".

    trained: exit windows that learned rows were trained with, named where it is another.
    """
    other = set(trained) - {window}
    learned = f", learned rows trained for N = {' and '.join(map(str, sorted(trained)))}" if other else ""
    if mode == "NX_10":
        return f"NX_10: no repeats, exit off, 10 turns{learned}"
    what = {"FB": "FB: repeats allowed", "NX_0": "NX_0: no repeats"}[mode]
    return (f"{what}, no exit can happen" if window is None else f"{what}, exit window N = {window}") + learned


def tables(rows: Sequence[Row], trained: Collection[int] = ()) -> list[tuple[str, list[Row]]]:
    """Rows by setting, in the order given, the largest mean first. trained: see `heading`."""
    groups = groupby(rows, key=lambda row: (row.mode, row.window))
    return [(heading(*key, trained), sorted(group, key=lambda row: -row.mean)) for key, group in groups]


def styles(rows: Sequence[Row]) -> tuple[str, str]:
    """Formats of the rewards in a table: of sums over a session, and a turn."""
    return style([row.mean for row in rows]), style([row.each for row in rows], least=3)


def random_text(row: Row, form: str) -> str:
    """R_random with its interval. form: of sums over a session."""
    return "–" if row.random is None else _with_interval(row.random, row.random_interval, form)


def number_cells(row: Row, forms: tuple[str, str]) -> list[str]:
    """R_tra, IQM, Length, R_each, CV and MCD. forms: from `styles`."""
    return [
        _with_interval(row.mean, row.interval, forms[0]),
        _with_interval(row.iqm, row.iqm_interval, forms[0]),
        f"{row.length:.2f}",
        format(row.each, forms[1]),
        f"{row.coverage:.3f}",
        "–" if row.majority is None else f"{row.majority:.3f}",
    ]


def signed(found: Comparison | None, form: str) -> str:
    """A difference with its interval."""
    return "–" if found is None else f"{found.difference:+{form}} [{found.low:+{form}}, {found.high:+{form}}]"


def _with_interval(value: float, ends: tuple[float, float] | None, form: str) -> str:
    return "–" if ends is None else f"{value:{form}} [{ends[0]:{form}}, {ends[1]:{form}}]"


def markdown(
    rows: Sequence[Row],
    *,
    about: Mapping[str, Any] | None = None,
    comparisons: Mapping[str, Comparison] | None = None,
    published: Mapping[str, float | int | None] | None = None,
    sections: Sequence[Section] = (),
    verdict: Sequence[str] = (),
    trained: Collection[int] = (),
) -> str:
    """The whole report as Markdown: the verdict, a table a setting, comparisons, the published statistic, sections."""
    lines = ["# Evaluation", "", *(["## Verdict", "", " ".join(map(shown, verdict)), ""] if verdict else [])]
    lines += [f"- {key}: {shown(str(value))}" for key, value in (about or {}).items()]
    lines += [""] if about else []
    known = any(row.random is not None for row in rows)
    head = (*HEAD[:-1], *((RANDOM,) if known else ()), HEAD[-1])
    for title, group in tables(rows, trained):
        forms = styles(group)
        cells = [
            [label(row), *number_cells(row, forms), *([random_text(row, forms[0])] if known else []), str(row.seeds)]
            for row in group
        ]
        lines += [f"## {title}", "", *table_lines(head, cells, [row.kind == "learned" for row in group]), ""]
    lines += [NOTES, ""] if rows else []
    lines += [RANDOM_NOTE, ""] if known else []
    if comparisons:
        head = ("A - B", "difference [95%]", "users better under A", "p")
        form = style([0.0, *(c.difference for c in comparisons.values())])
        cells = [
            [name, signed(c, form), f"{c.users_better:.0%}", f"{c.p_value:.3g}"] for name, c in comparisons.items()
        ]
        lines += ["## Paired comparisons, same users and seeds", "", *table_lines(head, cells), ""]
    if published is not None:
        lines += ["## Published protocol", "", *_published(published), ""]
    for section in sections:
        lines += [f"## {section.title}", "", *section.lines, ""]
    return "\n".join(lines)


def _published(published: Mapping[str, float | int | None]) -> list[str]:
    found = [
        f"{name} {value:.3f} ± {published.get(f'{name}_std') or 0.0:.3f}"
        for name in ("R_tra", "Length", "R_each", "CV", "MCD")
        if (value := published.get(name)) is not None
    ]
    about = (
        f"Mean ± standard deviation over {published['epochs']} epochs of one run, 100 random users an epoch, sampled"
    )
    return [f"{about}, NX_0, N = 1: {', '.join(found)}. Neither a final score nor a spread over seeds."]


def table_lines(head: Sequence[str], rows: Sequence[Sequence[str]], bold: Sequence[bool] = ()) -> list[str]:
    """A Markdown table: names to the left, numbers to the right. bold: which names are bold, none where it is empty."""
    lines = [joined(head), "|---|" + "---:|" * (len(head) - 1)]
    for place, (name, *numbers) in enumerate(rows):
        text = f"**{shown(name)}**" if bold and bold[place] else shown(name)
        lines.append(joined([text, *numbers]))
    return lines


def joined(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"
