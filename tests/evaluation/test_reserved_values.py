"""What is kept for evaluation is a random sample of a log with propensities: intervals cover what is true."""

from benchmarks.reserved_values import coverage


def test_values_from_reserved_events_cover_the_truth():
    """The mean of the log, its own policy, and one that was learned from the rest.

    Keeping whole cells, all but one of a user, covered hardly any: users of one arm gave nothing, and an arm that the
    policy knew from the rest was never among the kept ones.
    """
    found = coverage(users=600, logs=40, resamples=100)
    assert len(found) == 4
    assert all(share >= 0.8 for share in found.values()), found
