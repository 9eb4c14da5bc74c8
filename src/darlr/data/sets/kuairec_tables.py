"""What every cut of KuaiRec has: its files of users and videos, and the categories of the videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from darlr.data.log import FeatureColumn
from darlr.data.sets.kuaishou import ITEM, Side, ids, number_lists, occurs_before
from darlr.data.tabular.file import read_file
from darlr.data.tabular.table import Table

FEAT = "feat"
USERS, CATEGORIES = "user_features.csv", "item_categories.csv"
CATEGORY = "category"


def read_categories(path: Path) -> Side:
    """The videos, and the feature `category`: 1 to 4 of 31 each."""
    table = read_file(path, [ITEM, FEAT], only_needed=True)
    found = ids(table, ITEM)
    again = occurs_before([found])
    if again.any():
        row = int(again.argmax())
        table.fail(row, ITEM, f"video {found[row]} occurs before")
    order, category = np.argsort(found), _categories(table)
    return Side(found[order], (replace(category, values=category.values[order]),))


def _categories(table: Table) -> FeatureColumn:
    """The lists of `feat`, such as "[27, 9]", as codes in rows of the file."""
    text = table.frame[FEAT].str.strip_chars()
    wrong = ~text.str.contains(r"^\[\d+(\s*,\s*\d+)*\]$").fill_null(False)
    if wrong.any():
        row = int(wrong.arg_max() or 0)
        shown = "empty" if text[row] is None else f"'{text[row]}' is not a list of categories such as [27, 9]"
        table.fail(row, FEAT, shown)
    return number_lists(CATEGORY, text)
