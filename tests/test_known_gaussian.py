"""Where sessions tell, A2C must learn to use the belief (docs/results.md has more seeds)."""

from dataclasses import replace

from benchmarks.known_gaussian import FROM_START, NOTHING, START, gaussian, options, returns, train
from darlr.options import A2CConfig

TURNS = 4
QUICK = A2CConfig(learning_rate=2e-2, entropy_coefficient=0.1, hidden=(32,))


def test_from_nothing_a2c_learns_what_the_belief_means_where_it_is_scaled() -> None:
    world = gaussian(users=64, items=8, width=2, seed=1)
    greedy = options(START, FROM_START, TURNS)
    best = returns(world, train(world, greedy, 0).recommender, TURNS).mean()
    share = {}
    for scale in (16.0, 1.0):
        config = replace(options(NOTHING, QUICK, TURNS, scale=scale), seed=1)
        share[scale] = float(returns(world, train(world, config, 40).recommender, TURNS).mean() / best)
    assert share[16.0] > 0.95
    assert share[1.0] < 0.8  # an input that is too small is not learned from
    after = returns(world, train(world, greedy, 5).recommender, TURNS).mean()
    assert after > 0.98 * best
