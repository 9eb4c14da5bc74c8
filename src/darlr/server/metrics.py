"""What the server counts, in the format of Prometheus."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from darlr.decisions.records import Decision
from darlr.server.arms import Arms

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Metrics:
    """Counters, gauges and histograms of one server. No label holds text that a client chooses."""

    def __init__(self) -> None:
        self.registry = own = CollectorRegistry()
        self._known: dict[tuple[Any, tuple[str, ...]], Any] = {}
        self.requests = Counter("darlr_requests", "Requests by path and status.", ["path", "status"], registry=own)
        self.seconds = Histogram("darlr_request_seconds", "Time to an answer.", ["path"], buckets=SECONDS, registry=own)
        self.waiting = Gauge("darlr_waiting", "Requests in the queue of the inference thread.", registry=own)
        self.together = Histogram(
            "darlr_batch_size", "Requests that were computed together.", buckets=(1, 2, 4, 8, 16, 32), registry=own
        )
        self.decisions = Counter(
            "darlr_decisions", "Lists of items that were recommended.", ["arm", "strategy"], registry=own
        )
        self.unknown = Counter(
            "darlr_unknown_users", "Decisions for users who are not in the log.", ["arm"], registry=own
        )
        self.feedback = Counter("darlr_feedback", "Feedback events.", ["result"], registry=own)
        self.models = Gauge(
            "darlr_model_info", "The policies that are served.", ["arm", "run", "version"], registry=own
        )

    def answered(self, path: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._of(self.requests, path, str(status)).inc()
        self._of(self.seconds, path).observe(seconds)

    def _of(self, counted: Any, *labels: str) -> Any:
        """The one of these labels, which the library takes long to find."""
        key = counted, labels
        if key not in self._known:
            self._known[key] = counted.labels(*labels)
        return self._known[key]

    def decided(self, decision: Decision) -> None:
        """Count a decision."""
        self._of(self.decisions, decision.arm, decision.strategy).inc()
        if not decision.user_known:
            self._of(self.unknown, decision.arm).inc()

    def took(self, accepted: int, rejected: int, unknown: int) -> None:
        """Count feedback. unknown: for requests that were never answered."""
        self.feedback.labels("unknown").inc(unknown)
        self.feedback.labels("accepted").inc(accepted)
        self.feedback.labels("rejected").inc(rejected)

    def serves(self, arms: Arms) -> None:
        """Name the policies that are served now."""
        self.models.clear()
        for arm in arms.arms:
            self.models.labels(arm.name, arm.run, arm.policy.version).set(1)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)
