from dataclasses import replace

from darlr.data.log import check
from darlr.data.scope import catalogue, scope_of, within_scope
from darlr.data.sets.kuairec_binary import read as read_kuairec_binary
from darlr.data.sets.synthetic import generate
from darlr.options import SyntheticConfig
from tests.data.sets.kuairec_files import write


def test_without_a_block_everything_is_served_as_it_is():
    log = generate(SyntheticConfig(users=5, items=6, categories=2)).log
    scope = scope_of(log)
    assert scope.whole
    assert catalogue(log, scope) is log
    assert within_scope(log, scope) is log


def test_the_catalogue_holds_everybodys_events_on_the_blocks_items(tmp_path):
    log, _ = read_kuairec_binary(write(tmp_path))
    scope = scope_of(log)
    assert (scope.users.tolist(), scope.items.tolist(), scope.whole) == ([0, 2], [1, 3], False)
    assert (scope.candidates(log).tolist(), scope.feedback_items(log).tolist()) == ([1, 3], [0, 2, 4])
    found = catalogue(log, scope)
    check(found)
    assert found.item_ids == (1, 3)
    assert found.user_ids == log.user_ids
    assert (found.user.tolist(), found.item.tolist()) == ([1, 1, 1, 3], [0, 0, 1, 1])
    assert found.category_codes().tolist() == log.category_codes()[[1, 3]].tolist()


def test_served_events_are_those_of_the_scopes_users_in_service_codes(tmp_path):
    log, _ = read_kuairec_binary(write(tmp_path))
    scope = scope_of(log)
    nothing = within_scope(log, scope)
    check(nothing)
    assert (len(nothing), nothing.user_ids, nothing.item_ids) == (0, (10, 12), (1, 3))
    leaked = replace(log, user=log.user.copy())
    leaked.user[6] = 2  # 13's event on video 3 becomes 12's
    found = within_scope(leaked, scope)
    assert (found.user.tolist(), found.item.tolist(), len(found.user_features[0].values)) == ([1], [1], 2)
