"""DARLR must solve worlds whose answer is known (docs/results.md has more seeds)."""

from dataclasses import replace

from benchmarks.known_worlds import CONFIG, checkerboard, clusters, picks, selector_config, share_of_best, train


def quick(config):
    """Few picks and a high learning rate: half the time of the benchmark's options."""
    agents = {
        name: replace(getattr(config, name), a2c=replace(getattr(config, name).a2c, learning_rate=6e-3))
        for name in ("recommender", "selector")
    }
    return replace(config, **agents | {"selector": replace(agents["selector"], picks=3)})


def test_darlr_reaches_the_oracle_on_a_checkerboard():
    """Where users leave, it must also learn to keep them."""
    problem, config = checkerboard(categories=4), quick(CONFIG)
    untrained = share_of_best(problem, train(problem, config, 0))
    assert untrained < 0.8
    assert share_of_best(problem, train(problem, config, 60)) >= 0.95


def test_the_selector_stays_in_the_users_cluster_unless_diversity_pays():
    problem = clusters()
    own, diversity = {}, {}
    for lambda_d in (0.0, 5.0):
        config = quick(selector_config(lambda_d))
        config = replace(config, session=replace(config.session, turns=2))  # the selector is paid in every turn
        own[lambda_d], diversity[lambda_d] = picks(problem, train(problem, config, 25), config)
    assert own[0.0] >= 0.9
    assert diversity[5.0] > 2 * diversity[0.0]


def test_another_seed_is_another_run():
    problem = checkerboard()
    first, second = (train(problem, replace(CONFIG, seed=seed), 1) for seed in (0, 1))
    assert (first.recommender.heads.actor.weight != second.recommender.heads.actor.weight).any()
