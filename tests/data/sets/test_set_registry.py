"""Every data set is a module and a line: read by name, and with a truth that evaluation alone knows."""

from darlr.data.sets.registry import SETS
from darlr.evaluation.public_truths import TRUTHS
from darlr.options import KuaiRecConfig, SyntheticConfig


def test_every_data_set_has_a_reader_files_that_are_described_and_a_truth():
    assert {"synthetic", *TRUTHS} == set(SETS)
    for name, entry in SETS.items():
        assert callable(entry.read)
        assert entry.name == name
        assert not entry.folder or entry.title


def test_a_data_set_takes_its_own_options_and_no_others(tmp_path):
    small = SyntheticConfig(users=5, items=6, categories=2)
    assert SETS["synthetic"].read(tmp_path, small)[0].n_users == 5
    assert SETS["synthetic"].own(KuaiRecConfig()) == SyntheticConfig()
    assert SETS["kuairec"].own(small) == KuaiRecConfig()
    assert SETS["kuairand"].own(small) is None
