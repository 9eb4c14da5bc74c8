"""IPS: MBPO on a world model that weights logged rows by the inverse popularity of their items."""

from darlr.methods.registry import Method

IPS = Method("ips", "IPS", weighting="inverse-popularity")
