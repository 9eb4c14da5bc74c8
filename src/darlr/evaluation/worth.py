"""The report on logged decisions: what was served, its arms, and what other policies would have been worth."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darlr.evaluation.held_out import Interval
from darlr.evaluation.numbers import style
from darlr.evaluation.pictures import canvas
from darlr.evaluation.report import table_lines, with_interval
from darlr.evaluation.sections import text
from darlr.evaluation.slates import Served, Value
from darlr.io.files import atomic_write_text, write_json
from darlr.io.text import markdown, plain

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.figure import Figure

SCHEMA = 1  # of decisions.json
ABOUT_SERVED = (
    "value is the mean reward of a shown item that has one, in the log's unit, with its 95% interval over {by}. "
    "difference is the value less that of the first arm."
)
ABOUT_VALUES = (
    "Estimates of the mean reward of a shown item if the policy had chosen all lists, with 95% bootstrap intervals "
    "over {by}. DR is doubly robust. SNIPS uses self-normalised inverse propensities. DM is the prediction of the "
    "policy's own world model, fitted to the rewards of other decisions, and is right only if the model is. gain is DR "
    "less the value of what was served in the same decisions, paired. ESS is the smallest effective sample size of a "
    "rank. support is the share of the policy's lists that the log could have shown; it is at most 1, up to chance, if "
    "propensities are right. It is assumed that the reward of a rank does not depend on items further down the list, "
    "and that the same requests would have come. A policy that learned from these decisions is judged too well: hold "
    "decisions out."
)


@dataclass(frozen=True)
class Candidate:
    """A policy under a strategy. value: what it is worth; None where the log can say nothing, as `refused` explains.

    replayed: a sentence on the decisions of this policy's version that were repeated.
    """

    name: str
    value: Value | None
    refused: str | None = None
    replayed: str | None = None


@dataclass(frozen=True)
class Worth:
    """What logged decisions earned, and what other policies would be worth. It can be printed, read and saved.

    about: sentences on the log. by: what intervals resample. whole, arms: what was served. candidates: the policies,
    each at one number of ranks or more.
    """

    about: Sequence[str]
    by: str
    whole: Served
    arms: Sequence[Served]
    candidates: Sequence[Candidate] = field(default_factory=tuple)

    @cached_property
    def frame(self) -> "pl.DataFrame":
        """The candidates, one a row; an interval is three columns."""
        import polars as pl

        rows = []
        for one in self.candidates:
            row: dict[str, Any] = {"policy": one.name, "refused": one.refused}
            for name, value in ({} if one.value is None else vars(one.value)).items():
                if isinstance(value, Interval):
                    row |= {name: value.value, f"{name}_low": value.low, f"{name}_high": value.high}
                else:
                    row[name] = row.get(name) or value
            rows.append(row)
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def verdict(self) -> str:
        """A sentence on each policy."""
        return " ".join(_said(one) for one in self.candidates)

    def lines(self) -> list[str]:
        """The report as Markdown, without its title."""
        known = [one.value for one in self.candidates if one.value is not None]
        values = [part for one in known for part in (one.dr, one.snips, one.dm) if part is not None]
        earned = [one.value.value for one in (self.whole, *self.arms)]
        form = style([*earned, *(value.value for value in values)], least=3)
        cells = [
            [one.arm, text(one.value, form), _signed(one.more, form), f"{one.decisions:,}", f"{one.items:,}"]
            for one in (self.whole, *self.arms)
        ]
        head = ["arm", "value [95%]", "difference [95%]", "decisions", "items with a reward"]
        lines = [*(f"- {markdown(one)}" for one in self.about), "", "## What was served", ""]
        lines += [*table_lines(head, cells), "", ABOUT_SERVED.format(by=self.by)]
        if not self.candidates:
            return lines
        cells = []
        for one in self.candidates:
            v = one.value
            if v is None:
                cells.append([one.name, *"–––––––"])
                continue
            parts = [text(part, form) for part in (v.dr, v.snips, v.dm)]
            parts.insert(1, _signed(v.gain, form))
            cells.append([one.name, str(v.ranks), *parts, f"{v.effective:.1f}", f"{v.support.value:.2f}"])
        head = ["policy", "ranks", "DR [95%]", "gain [95%]", "SNIPS [95%]", "DM [95%]", "ESS", "support"]
        named = [
            (markdown(one.name) + ("" if one.value is None else f", {_ranks(one.value)}"), one)
            for one in self.candidates
        ]
        refused = [f"- {name}: no estimate: {markdown(one.refused)}." for name, one in named if one.refused]
        replayed = [f"- {markdown(one.name)}: {one.replayed}." for one in self.candidates if one.replayed]
        lines += ["", "## What policies would be worth", "", *table_lines(head, cells), ""]
        lines += [*refused, *([""] if refused else []), ABOUT_VALUES.format(by=self.by)]
        return [*lines, *(["", "## Decisions that were repeated", "", *dict.fromkeys(replayed)] if replayed else [])]

    def markdown(self) -> str:
        """The whole report."""
        return "\n".join(["# Decisions", "", markdown(self.verdict), "", *self.lines(), ""])

    def json(self) -> dict[str, Any]:
        """The report as JSON values."""
        return {
            "schema": SCHEMA,
            "about": list(self.about),
            "by": self.by,
            "served": asdict(self.whole),
            "arms": [asdict(one) for one in self.arms],
            "candidates": [asdict(one) for one in self.candidates],
            "verdict": self.verdict,
        }

    def save(self, folder: str | Path, *, pictures: bool = True) -> None:
        """Write decisions.md, decisions.json and decisions.png into a folder, each file atomically.

        Raises RunError where the folder cannot be written, and MachineError without matplotlib, after the tables are
        written; `pictures=False` leaves the picture out.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        write_json(place / "decisions.json", self.json())
        atomic_write_text(place / "decisions.md", self.markdown())
        if pictures:
            canvas.save(self.picture(), place / "decisions.png")

    def picture(self) -> "Figure":
        """Draw each value with its interval. Raises MachineError without matplotlib."""
        bars = [(f"served: {one.arm}", one.value, canvas.LOGGED) for one in (self.whole, *self.arms)]
        for one in self.candidates:
            if one.value is not None and one.value.dr is not None and one.value.snips is not None:
                name = f"{one.name}, {_ranks(one.value)}"
                bars += [(f"{name}, DR", one.value.dr, canvas.LEARNED)]
                bars += [(f"{name}, SNIPS", one.value.snips, canvas.BASELINE)]
        figure = canvas.blank(1.2 + 0.3 * len(bars))
        axes = figure.add_subplot()
        for place, (_, value, colour) in enumerate(reversed(bars)):
            axes.plot([value.low, value.high], [place, place], color=colour, linewidth=2)
            axes.plot(value.value, place, "o", color=colour, markersize=6)
        axes.set_yticks(range(len(bars)), [name for name, *_ in reversed(bars)])
        axes.set_ylim(-0.6, len(bars) - 0.4)
        axes.set_xlabel("mean reward of a shown item, with 95% intervals", fontsize=9, color=canvas.INK)
        canvas.head(figure, "What the decisions earned, and what policies would be worth")
        return canvas.finished(figure)

    def __str__(self) -> str:
        """Return what the command line prints."""
        return "\n".join([*plain(self.lines()), "", self.verdict])


def _ends(value: Interval) -> tuple[float, float]:
    return value.low, value.high


def _signed(value: Interval | None, form: str) -> str:
    return "–" if value is None else with_interval(value.value, _ends(value), f"+{form}")


def _ranks(value: Value) -> str:
    return "first rank" if value.ranks == 1 else f"{value.ranks} ranks"


def _said(one: Candidate) -> str:
    if one.value is None or one.value.gain is None:
        return f"{one.name}: these decisions cannot say what it is worth."
    gain, where = one.value.gain, _ranks(one.value)
    if gain.low > 0:
        return f"{one.name} ({where}) is better than what was served, by {gain.value:.3g}."
    if gain.high < 0:
        return f"{one.name} ({where}) is worse than what was served, by {-gain.value:.3g}."
    return f"{one.name} ({where}) ties with what was served."
