"""Sentences on a table: the first row and its ties, what training gained, and which policy to serve."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from darlr.evaluation.evaluate import Row
from darlr.evaluation.lists import BY_SEED, ONCE
from darlr.evaluation.report import label
from darlr.evaluation.statistics import Comparison, compare

START = ", start"  # follows the name of a method for its policy before training
SIMPLE = [name for name in (*ONCE, *BY_SEED) if not name.endswith("greedy")]
AWARE = ", exit-aware"
NAMED = 4  # the most rows that a sentence names
Serve = Callable[[Row], str | None]  # how a row is served, or None where it cannot be


@dataclass(frozen=True)
class Trust:
    """A sentence on the quality of the rewards of sessions. believable: whether these rewards can rank policies."""

    sentence: str = ""
    believable: bool = True


def verdict(rows: Sequence[Row], trust: Trust, serve: Serve) -> list[str]:
    """Return up to four sentences on rows of one setting; references and sampled twins of greedy rows are left out."""
    trusted = [trust.sentence] if trust.sentence else []
    fair = [row for row in rows if row.kind != "truth" and not (row.sampled and row.kind == "learned")]
    if len(fair) < 2:
        return trusted
    if len({row.mean for row in rows}) == 1:
        return ["All rows earn the same, so this table cannot rank policies.", *trusted]
    first, *others = fair = _by_mean(fair)
    tied = [row for row in others if _difference(first, row).low <= 0]
    learned = next((row for row in fair if row.kind == "learned"), None)
    against = [] if learned is None else _learned(learned, fair)
    if not trust.believable:
        doubt = "This table cannot choose a policy to serve; test on users, or keep the policy that is served today."
        return [*trusted, _first("By these doubtful rewards the first row is", first, tied), *against, doubt]
    return [_first("The first row is", first, tied), *against, *trusted, _serve([first, *tied], fair, serve)]


def _by_mean(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: -row.mean)


def _difference(one: Row, other: Row) -> Comparison:
    """Compare two rows, paired by user and seed; of unequal numbers of seeds above 1 the smaller number is used."""
    both = min(one.seeds, other.seeds)
    return compare(*(row.returns if both == 1 else row.returns[:both] for row in (one, other)))


def comparisons(rows: Sequence[Row]) -> Mapping[str, Comparison]:
    """Compare each greedy learned row with its start and the best simple row, and the best one with the others.

    Rows with different numbers of seeds, both above 1, are not compared.
    """
    learned = _by_mean([row for row in rows if row.kind == "learned" and not row.sampled])
    log = _by_mean([row for row in rows if row.kind == "log" and not row.name.endswith(START)])
    starts = {row.name.removesuffix(START): row for row in rows if row.name.endswith(START)}
    pairs = [(row, starts[row.name]) for row in learned if row.name in starts]
    pairs += [(row, log[0]) for row in learned if log] + [(learned[0], row) for row in learned[1:]]
    return {
        f"{label(one)} - {label(other)}": _difference(one, other)
        for one, other in pairs
        if one.seeds == other.seeds or 1 in (one.seeds, other.seeds)
    }


def _first(lead: str, first: Row, tied: Sequence[Row]) -> str:
    lead = f"{lead} {first.name} with {first.mean:.4g} a session"
    if not tied:
        return f"{lead}. It is ahead of every other row but the references (95% intervals of paired differences)."
    more = f" and {len(tied) - NAMED} more" if len(tied) > NAMED else ""
    names = ", ".join(row.name for row in tied[:NAMED]) + more
    ties = "ties" if len(tied) == 1 else "tie"
    return f"{lead}; {names} {ties} with it (the 95% interval of the paired difference holds 0)."


def _learned(learned: Row, rows: Sequence[Row]) -> list[str]:
    """Compare the learned row with its start and the best simple list."""
    start = next((row for row in rows if row.name == learned.name + START), None)
    simple = next((row for row in rows if row.name.removesuffix(AWARE) in SIMPLE), None)
    parts = [] if start is None else [_against(learned, start, "its start", "is its start")]
    if simple is not None:
        named = f"the best simple list ({simple.name})"
        parts.append(_against(learned, simple, named, f"earns what {named} earns"))
    return [f"{learned.name} as it would be served {' and '.join(parts)}."] if parts else []


def _against(learned: Row, other: Row, named: str, same: str) -> str:
    found = _difference(learned, other)
    if found.difference == found.low == found.high == 0:
        return same
    text = f"{found.difference:+.3g} [{found.low:+.3g}, {found.high:+.3g}]"
    if found.low > 0:
        return f"beats {named} by {text}"
    return f"is worse than {named}: {text}" if found.high < 0 else f"ties with {named}: {text}"


def _serve(best: Sequence[Row], rows: Sequence[Row], serve: Serve) -> str:
    """Name the simplest row that ties for the first place, or where none can be served the best one that can."""

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
        why = f"it earns the most of the rows that can be exported ({best[0].name} cannot)"
    else:
        why = "it is first" if chosen is best[0] else "it is the simplest of the rows that tie for the first place"
    return f"Serve {chosen.name}, as {why}: {able[chosen.name]}"
