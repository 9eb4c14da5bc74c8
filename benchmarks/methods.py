"""The methods that are trained, as words of `darlr train`."""

METHODS = {name: f"--method {name}" for name in ("mbpo", "mopo", "ips", "dorl", "roler", "darlr", "darlr+")}
