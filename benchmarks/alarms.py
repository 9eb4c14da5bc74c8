"""False alarms in a million events, and events until a planted shift is found, of ADWIN as `darlr data check` uses it.

    python -m benchmarks.alarms --runs 50
    python -m benchmarks.alarms --river        # beside river.drift.ADWIN, where river is installed

Residuals are those of ratings from 1 to 5: of each of a thousand users with a mean of their own, in visits of ten
events, so that neighbouring events are alike; or independent ones. A shift moves the mean by a share of the standard
deviation after 5,000 events. One line of JSON for each row.
"""

import argparse
import json
import time
from collections.abc import Callable

import numpy as np

from darlr.evaluation.drift import CLOCK, DELTA, Adwin, Reals

WIDTH, BEFORE, MOST = 4.0, 5_000, 2_000
Draw = Callable[[int, np.random.Generator], Reals]
SHIFTS = (0.15, 0.2, 0.25, 0.5, 1.0)


def independent(n: int, generator: np.random.Generator) -> Reals:
    """Residuals without any order."""
    return np.asarray(generator.normal(0, 0.8, n).clip(-2, 2))


def visits(n: int, generator: np.random.Generator) -> Reals:
    """Residuals of users who come for ten events; a tenth of the variance is between users."""
    own = generator.normal(0, 0.25, 1000)[np.repeat(generator.integers(1000, size=-(-n // 10)), 10)[:n]]
    return np.asarray((own + generator.normal(0, 0.76, n)).clip(-2, 2))


def main() -> None:
    """Print all rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--river", action="store_true")
    given = parser.parse_args()
    kinds: dict[str, Draw] = {"independent": independent, "visits": visits}
    for name, drawn in kinds.items():
        values = drawn(given.events, np.random.default_rng(1))
        start = time.process_time()
        alarms = len(Adwin(WIDTH).add(values))
        row = {"residuals": name, "events": given.events, "false alarms": alarms, "delta": DELTA}
        print(json.dumps(row | {"cpu seconds": round(time.process_time() - start, 2)}, allow_nan=False), flush=True)
        for shift in SHIFTS:
            found = [delay(drawn, shift, np.random.default_rng([2, seed])) for seed in range(given.runs)]
            seen = sorted(one for one in found if one is not None)
            row = {"residuals": name, "shift": shift, "runs": given.runs, "found in 2,000": len(seen)}
            print(json.dumps(row | {"median": seen[len(seen) // 2] if seen else None}, allow_nan=False), flush=True)
    if given.river:
        beside_river()


def delay(
    drawn: Callable[[int, np.random.Generator], Reals], shift: float, generator: np.random.Generator
) -> int | None:
    """The number of events after the shift until a cut, None for none within MOST."""
    values = drawn(BEFORE + MOST + CLOCK, generator)
    values[BEFORE:] += shift * values[:BEFORE].std()
    window = Adwin(WIDTH)
    window.add(values[:BEFORE])
    cuts = window.add(values[BEFORE:])
    return next((cut for cut in cuts if cut <= MOST), None)


def beside_river() -> None:
    """Where both detectors find the same shifts, with the same confidence and without the term of the range."""
    from river.drift import ADWIN  # type: ignore[import-not-found]

    for seed in range(5):
        values = np.random.default_rng(seed).random(8_000)
        values[4_000:] = (values[4_000:] + 0.25 * (seed % 3)).clip(0, 1)
        theirs, cuts = ADWIN(delta=0.002, clock=CLOCK), []
        for place, value in enumerate(values):
            theirs.update(float(value))
            if theirs.drift_detected:
                cuts.append(place + 1)
        mine = Adwin(1.0, 0.002).add(values)
        print(json.dumps({"seed": seed, "shift": 0.25 * (seed % 3), "river": cuts, "own": mine}, allow_nan=False))


if __name__ == "__main__":
    main()
