"""`darlr recommend`: recommend items to users with a trained policy."""

import json
import math
import warnings
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from darlr.cli.policy_options import Recommend
from darlr.data.tabular.file import require_file, suffix_of
from darlr.errors import ConfigError, DataError
from darlr.evaluation.numbers import style
from darlr.experiments.progress import say
from darlr.io.files import replacing
from darlr.io.text import one_line
from darlr.serving.ids import NEW, Ids
from darlr.serving.read import open_policy
from darlr.serving.served import User


def run(options: Recommend) -> None:
    """Recommend to the named users, and print or write the answer."""
    if options.count < 1:
        raise ConfigError(f"option count: must be at least 1, not {options.count}")
    if options.out is not None and suffix_of(options.out) not in (".csv", ".parquet"):
        raise ConfigError(f"option out: {options.out} must end in .csv or .parquet")
    history = [parse(event) for event in options.history]
    users = named_users(options)
    policy = open_policy(options.run)
    if options.users is not None:
        refuse_id_as_header(options.users, policy.users)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        answer = policy.recommend(
            users,
            options.count,
            history=history or None,
            exclude=options.exclude or None,
            only=options.only,
            new_items=options.new_items,
            strategy=options.choose.strategy,
            epsilon=options.choose.epsilon,
            request_id=options.request_id,
        )
    for warning in caught:
        say(f"warning: {warning.message}")
    unknown = answer.filter(~pl.col("known") & pl.col("user").is_not_null())["user"].unique(maintain_order=True)
    if len(unknown):
        listed = ", ".join(repr(str(user)) for user in unknown[:5]) + (" and others" if len(unknown) > 5 else "")
        are = f"users {listed} are" if len(unknown) > 1 else f"user {listed} is"
        say(f"{are} not in the log; this is the answer for a new user with the history given")
    if options.out is not None:
        write(answer, options.out)
    elif options.json:
        print(json.dumps(records(answer, several=len(users) > 1), allow_nan=False))
    else:
        Console().print(table(answer, several=len(users) > 1))
    wanted = options.count * len(users)
    if len(answer) < wanted:
        say(f"{len(answer)} of {wanted}: no other items may be recommended")


def named_users(options: Recommend) -> list[User]:
    """The named users; ConfigError where there is none, or where a history could be that of several."""
    users: list[User] = [*options.user, *([] if options.users is None else read_users(options.users))]
    users += [NEW] * options.new
    if not users:
        raise ConfigError("option user: name users with --user, --users or --new")
    if options.history and len(users) > 1:
        raise ConfigError("option history: belongs to one user, and several are named")
    return users


def read_users(path: Path) -> list[str]:
    """The user ids of a file, one a line, or the first column of a table; DataError where there are none."""
    require_file(path)
    if suffix_of(path) is None:
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: is no UTF-8 text ({error}); write one id a line, or give a .csv file") from error
        ids = [line.strip() for line in lines]
    else:
        ids = read_table(path).to_series(0).cast(pl.String).drop_nulls().to_list()
    found = [name for name in ids if name]
    if not found:
        raise DataError(f"{path}: holds no user ids; write one a line")
    return found


def read_table(path: Path, rows: int | None = None) -> pl.DataFrame:
    """A CSV, TSV or Parquet file, or its first rows; DataError where it cannot be read."""
    suffix = suffix_of(path) or ""
    mark = "\t" if "tsv" in suffix else ","
    try:
        if suffix == ".parquet":
            return pl.read_parquet(path.absolute(), glob=False, n_rows=rows)
        return pl.read_csv(path.absolute(), glob=False, infer_schema=False, separator=mark, n_rows=rows)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: cannot be read as a table ({error})") from error


def refuse_id_as_header(path: Path, known: Ids) -> None:
    """Raise DataError for a table without a header, whose first user would get no answer."""
    header = read_table(path, 1).columns[0] if suffix_of(path) else ""
    if known.code(header) is not None:
        raise DataError(f"{path}: its first line must be a header, and '{header}' is a user; write a header above it")


def records(answer: pl.DataFrame, *, several: bool) -> list[dict[str, object]]:
    """The answer for JSON: the items of one user, or rows with their users."""
    return answer.to_dicts() if several else answer.select("item", "score", "propensity").to_dicts()


def table(answer: pl.DataFrame, *, several: bool) -> Table:
    """The answer for a terminal."""
    shown = Table(*(["user"] if several else []), "rank", "item", "score", "propensity")
    forms = [style(answer[name].to_list(), least=3) for name in ("score", "propensity")]
    for user, rank, item, *numbers in answer.select("user", "rank", "item", "score", "propensity").rows():
        who = [Text(one_line(str(user)) if user is not None else "(new)", overflow="fold")] if several else []
        written = [f"{number:{form}}" for number, form in zip(numbers, forms, strict=True)]
        shown.add_row(*who, str(rank), Text(one_line(str(item)), overflow="fold"), *written)
    return shown


def write(answer: pl.DataFrame, path: Path) -> None:
    """Write the answer as CSV or Parquet, whole or not at all."""
    with replacing(path) as draft:
        if path.suffix == ".parquet":
            answer.write_parquet(draft)
        else:
            answer.write_csv(draft)
    say(f"{len(answer):,} recommendations in {path}")


def parse(event: str) -> tuple[str, float]:
    """An event ITEM:REWARD. The last colon counts, because ids may hold colons."""
    item, _, reward = event.rpartition(":")
    try:
        value = float(reward)
    except ValueError:
        value = math.nan
    if not item or not math.isfinite(value):
        raise ConfigError(f"option history: '{event}' is not ITEM:REWARD, such as 42:3.5")
    return item, value
