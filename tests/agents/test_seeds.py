from darlr.agents.learner import build_learner, derived
from tests.agents.tiny import make_world, options


def test_neighbouring_seeds_share_nothing():
    found = [derived(seed, purpose) for seed in range(100) for purpose in range(1, 20)]
    assert len(set(found)) == len(found)
    assert derived(3, 7, 1) != derived(3, 7, 2)
    assert derived(2**32 - 1, 1) == derived(2**32 - 1, 1)


def test_no_generator_of_one_run_is_one_of_another():
    generators = [build_learner(make_world(), options(seed=seed)).generators for seed in range(12)]
    seeds = [one.initial_seed() for run in generators for one in vars(run).values() if one]
    assert len(set(seeds)) == 12 * 4
