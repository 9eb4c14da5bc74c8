"""GT: MBPO on a world whose rewards are the true ones. A reference that says what learning could reach at best."""

from darlr.methods.registry import Method

GT = Method("gt", "GT", truth=True)
