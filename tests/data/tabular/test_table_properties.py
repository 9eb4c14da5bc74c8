"""Random tables, written in random parts and formats: what went in comes out, or is counted as dropped."""

import gzip

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from darlr.data.sources import prepare
from darlr.data.spelling import NO_ID, plain
from darlr.data.store import load, load_report
from darlr.options import TableConfig

word = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=4)
    .map(plain)
    .filter(lambda word: word not in NO_ID)
)
missing = st.none() | st.just("  ")
user = st.sampled_from(["ann", "bob", "7", "007", 'q"x', "a,b"]) | word | missing
event = st.tuples(user, word | missing, st.floats(-1e6, 1e6, width=32), st.integers(-5, 5))
FORMATS = (".csv", ".tsv", ".csv.gz", ".csv.zst", ".parquet")


def usable(events) -> bool:
    """At least two users with an item each."""
    return len({row[0] for row in events if (row[0] or "").strip() and (row[1] or "").strip()}) > 1


def expected(events, times: bool):
    """The rows that must come out, and how many go for which reason: the rules of docs/data.md, row by row."""
    kept, seen, gone = [], set(), {}
    for who, what, reward, time in events:
        row = (who, what, reward, time)
        if not (who or "").strip():
            reason = "no user id"
        elif not (what or "").strip():
            reason = "no item id"
        elif times and row in seen:
            reason = "exact repeat of an earlier row"
        else:
            kept.append(row if times else row[:3])
            seen.add(row)
            continue
        gone[reason] = gone.get(reason, 0) + 1
    return kept, gone


def write(frame: pl.DataFrame, folder, kinds) -> None:
    """Parts of the frame, each in its format; every row in one of them."""
    size = -(-frame.height // len(kinds))
    for k, kind in enumerate(kinds):
        part, path = frame[k * size : (k + 1) * size], folder / f"{k}{kind}"
        if kind == ".parquet":
            part.write_parquet(path)
        elif kind.endswith(".zst"):
            part.write_csv(path, compression="zstd")
        else:
            text = part.write_csv(separator="\t" if ".tsv" in kind else ",").encode()
            path.write_bytes(gzip.compress(text) if kind.endswith(".gz") else text)


@settings(max_examples=15)
@given(
    events=st.lists(event, min_size=2, max_size=14).filter(usable),
    kinds=st.lists(st.sampled_from(FORMATS), min_size=1, max_size=3),
    times=st.booleans(),
)
def test_rows_in_are_rows_out_or_counted(events, kinds, times, tmp_path_factory):
    folder = tmp_path_factory.mktemp("any")
    (folder / "raw").mkdir()
    schema = {"who": pl.String, "what": pl.String, "stars": pl.Float64, "when": pl.Int64}
    write(pl.DataFrame(events, schema=schema, orient="row"), folder / "raw", kinds)
    config = TableConfig(folder / "raw", user="who", item="what", reward="stars", timestamp="when" if times else None)
    prepare(config, folder / "out")
    log, report = load(folder / "out"), load_report(folder / "out")
    kept, gone = expected(events, times)
    columns = [[str(log.user_ids[u]) for u in log.user], [str(log.item_ids[i]) for i in log.item], log.reward.tolist()]
    columns += [log.timestamp.tolist()] if times else []
    assert list(zip(*columns, strict=True)) == kept
    assert {d.reason: d.count for d in report.dropped} == gone
    assert report.rows_read == len(events) == report.rows_kept + sum(gone.values())
    assert report.rows_kept == len(kept)
