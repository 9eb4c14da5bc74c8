"""What a table says, in a few sentences: who is first, what ties, whether training paid, what to serve."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from darlr.evaluation.evaluate import Row
from darlr.evaluation.lists import BY_SEED, ONCE
from darlr.evaluation.report import label
from darlr.evaluation.statistics import Comparison, compare

START = ", start"  # behind a method's name: its policy before training
SIMPLE = [name for name in (*ONCE, *BY_SEED) if not name.endswith("greedy")]
AWARE = ", exit-aware"
NAMED = 4  # rows that a sentence names


@dataclass(frozen=True)
class Trust:
    """How far what sessions were played on can be believed, in a sentence. believable: whether it may rank policies."""

    sentence: str = ""
    believable: bool = True


def verdict(rows: Sequence[Row], trust: Trust, serve: Callable[[Row], str | None]) -> list[str]:
    """Three or four sentences on rows of one setting.

    serve: how a row becomes what is served, None where it can't be. Rows that read the truth and sampled twins are left
    out: nobody would serve the former, and the latter repeat the greedy ones.
    """
    said = [trust.sentence] if trust.sentence else []
    fair = sorted((row for row in rows if row.kind != "truth" and not _twin(row)), key=lambda row: -row.mean)
    if len(fair) < 2:
        return said
    if len({row.mean for row in rows}) == 1:
        return ["All rows earn the same, so nothing here tells one policy from another.", *said]
    first, *others = fair
    tied = [row for row in others if _difference(first, row).low <= 0]
    learned = next((row for row in fair if row.kind == "learned"), None)
    against = [] if learned is None else _learned(learned, fair)
    if not trust.believable:
        doubt = "Nothing here says what to serve; test on users, or keep what serves today."
        return [*said, _first("Taken at its word, first is", first, tied), *against, doubt]
    return [_first("First is", first, tied), *against, *said, _serve([first, *tied], fair, serve)]


def _twin(row: Row) -> bool:
    """Whether a row samples from a policy that has a greedy row too; the random one has none."""
    return row.sampled and row.kind == "learned"


def _difference(one: Row, other: Row) -> Comparison:
    """Paired by user and seed; of unequal numbers of seeds, above 1, as many as both have."""
    both = min(one.seeds, other.seeds)
    return compare(*(row.returns if both == 1 else row.returns[:both] for row in (one, other)))


def comparisons(rows: Sequence[Row]) -> Mapping[str, Comparison]:
    """Every learned greedy row against its start and the best one from logs alone, and the best one against the others.

    Paired by user and seed; rows with other numbers of seeds than their partner are left out.
    """
    learned = sorted((r for r in rows if r.kind == "learned" and not r.sampled), key=lambda r: -r.mean)
    log = sorted((r for r in rows if r.kind == "log" and not r.name.endswith(START)), key=lambda r: -r.mean)
    starts = {row.name.removesuffix(START): row for row in rows if row.name.endswith(START)}
    pairs = [(row, starts[row.name]) for row in learned if row.name in starts]
    pairs += [(row, log[0]) for row in learned if log] + [(learned[0], row) for row in learned[1:]]
    return {
        f"{label(one)} - {label(other)}": _difference(one, other)
        for one, other in pairs
        if one.seeds == other.seeds or 1 in (one.seeds, other.seeds)
    }


def _names(rows: Sequence[Row]) -> str:
    names = [row.name for row in rows[:NAMED]]
    more = len(rows) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _first(lead: str, first: Row, tied: Sequence[Row]) -> str:
    lead = f"{lead} {first.name} with {first.mean:.4g} a session"
    if not tied:
        sure = "surely ahead of every other row but the references"
        return f"{lead}, and it is {sure} (95% intervals of paired differences)."
    ties = "ties" if len(tied) == 1 else "tie"
    return f"{lead}; {_names(tied)} {ties} with it (the 95% interval of the paired difference holds 0)."


def _learned(learned: Row, rows: Sequence[Row]) -> list[str]:
    start = next((row for row in rows if row.name == learned.name + START), None)
    simple = next((row for row in rows if row.name.removesuffix(AWARE) in SIMPLE), None)
    parts = [_against(learned, row, what) for row, what in ((start, "its start"), (simple, "")) if row is not None]
    return [f"{learned.name} as it would be served " + " and ".join(parts) + "."] if parts else []


def _against(learned: Row, other: Row, what: str) -> str:
    """How the learned row stands to another, with the paired difference."""
    found = _difference(learned, other)
    named = what or f"the best simple list ({other.name})"
    if found.difference == found.low == found.high == 0:
        return f"is {named}" if what else f"earns what {named} earns"
    text = f"{found.difference:+.3g} [{found.low:+.3g}, {found.high:+.3g}]"
    if found.low > 0:
        return f"beats {named} by {text}"
    return f"is worse than {named}: {text}" if found.high < 0 else f"can't be told from {named}: {text}"


def _serve(best: Sequence[Row], rows: Sequence[Row], serve: Callable[[Row], str | None]) -> str:
    """The simplest of the rows that tie for the first place, or, where none can be served, the best that can."""

    def cost(row: Row) -> tuple[int, float]:
        plain = row.name.removesuffix(AWARE)
        kind = 0 if plain in SIMPLE else 3 if row.kind == "learned" else 2 if row.name.endswith(START) else 1
        return kind, -row.mean

    able = {row.name: how for row in rows if (how := serve(row)) is not None}
    chosen = min((row for row in best if row.name in able), key=cost, default=None)
    if chosen is None:
        chosen = next((row for row in rows if row.name in able), None)
        if chosen is None or best[0].sampled:
            return f"There is nothing to serve: {best[0].name} is first."
        why = f"of the rows that can be exported, which {best[0].name} can't, it earns most"
    else:
        why = "it is first" if chosen is best[0] else "it is the simplest of those that tie for the first place"
    return f"Serve {chosen.name}, as {why}: {able[chosen.name]}"
