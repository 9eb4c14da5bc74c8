"""A run keeps the best of its start and its epochs."""

from typing import Any

import pytest
import torch

from darlr.agents.diagnostics import diagnose
from darlr.agents.sink import Earned, Keeper, Memory
from darlr.options import DiagnosticsConfig


class Net(torch.nn.Linear):
    """A policy that earns its one weight."""

    def __init__(self, earns: float) -> None:
        super().__init__(1, 1, bias=False)
        self.earn(earns)

    def earn(self, value: float) -> "Net":
        with torch.no_grad():
            self.weight.fill_(value)
        return self


def criterion(net: Any) -> Earned:
    value = float(net.weight.detach())
    return Earned(value, 10 * value, 5.0)


def keep(sink: Memory, *earned: float) -> tuple[Keeper, list[dict[str, Any]]]:
    net = Net(earned[0])
    keeper = Keeper(sink, criterion, net, 0)
    return keeper, [dict(keeper.see(epoch, net.earn(value))) for epoch, value in enumerate(earned[1:], 1)]


@pytest.mark.parametrize(
    ("earned", "epoch"), [((5, 3, 4), 0), ((5, 6, 4), 1), ((5, 4, 7), 2), ((5, 5, 5), 0), ((1, 3, 3), 1)]
)
def test_the_best_is_kept_and_the_earlier_of_equals(earned: tuple[float, ...], epoch: int):
    sink = Memory()
    _, rows = keep(sink, *earned)
    weights, facts = sink.load_best()
    assert facts["epoch"] == rows[-1]["kept"] == epoch
    assert float(weights["weight"]) == earned[epoch] == facts["earned"]["learned"]
    assert facts["start"]["shown"] == 10 * earned[0]
    assert [row["greedy_return"] for row in rows] == [10 * value for value in earned[1:]]
    assert [row["greedy_gain"] for row in rows] == [value - earned[0] for value in earned[1:]]


def test_going_on_ends_where_it_would_have_ended():
    sink = Memory()
    keep(sink, 5, 6)
    net = Net(4)
    keeper = Keeper(sink, criterion, net, 1)
    assert keeper.see(2, net)["kept"] == 1
    assert keeper.see(3, net.earn(9))["kept"] == 3
    assert sink.load_best()[1] == keeper.best


def test_an_epoch_that_is_done_again_changes_nothing():
    sink = Memory()
    keep(sink, 5, 6, 8)  # killed after epoch 2 was kept, before its checkpoint
    before = sink.load_best()
    net = Net(8)
    keeper = Keeper(sink, criterion, net, 1)
    assert keeper.see(2, net)["kept"] == 2
    assert sink.load_best() is before


@pytest.mark.parametrize(("gains", "epoch"), [((1.0, 1.1, 0.9, 1.0), 1), ((9.0, -5.0, 0.1, 0.1), 0), ((-1.0, -1.0), 0)])
def test_a_start_gives_way_to_what_is_surely_better(gains: tuple[float, ...], epoch: int):
    """An epoch that earns more on average, but not surely, is not kept."""

    def by_session(net: Any) -> Earned:
        after = float(net.weight.detach())
        sessions = tuple(3.0 * place + after * gain for place, gain in enumerate(gains))
        mean = sum(sessions) / len(sessions)
        return Earned(mean, mean, 5.0, sessions)

    sink, net = Memory(), Net(0.0)
    keeper = Keeper(sink, by_session, net, 0, epochs=2)
    assert keeper.see(1, net.earn(1.0))["kept"] == epoch
    found = sink.load_best()[1]
    assert len(found["start"]["sessions"]) == len(gains)
    if epoch:
        assert found["earned"]["error"] == pytest.approx(2.2414 * 0.08165 / 2, abs=1e-4)  # 97.5% of one of two epochs


def test_missing_weights_are_an_error():
    with pytest.raises(ValueError, match="no policy was kept yet"):
        Keeper(Memory(), criterion, Net(1), 3)


def row(gain: float | None, kept: int = 0) -> dict[str, Any]:
    common = {"turns": 5.0, "penalty": 0.0, "steps": 1, "epoch": 1}
    return common if gain is None else common | {"greedy_gain": gain, "kept": kept}


@pytest.mark.parametrize(
    ("gains", "warns"), [((-1, -1), True), ((-1,), False), ((-1, 0), False), ((1, -1, -1), True), ((None, None), False)]
)
def test_two_epochs_below_the_start_are_a_warning(gains: tuple[float | None, ...], warns: bool):
    rows = [row(gain) for gain in gains]
    found = [sign for sign in diagnose(rows, DiagnosticsConfig(), (1.0, 5.0)) if sign.signature == "below-start"]
    assert bool(found) == warns
    if found:
        assert "the start" in found[0].message
