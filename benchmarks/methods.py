"""The methods that are trained, as words of `darlr train`; DARLR+'s options live in `darlr.experiments.study`."""

from darlr.experiments.study.studies import DARLR_PLUS

PLUS = "--label DARLR+ " + " ".join(f"--{name} {value}" for name, value in DARLR_PLUS.items())
METHODS = {name: f"--method {name}" for name in ("mbpo", "mopo", "ips", "dorl", "roler", "darlr")}
METHODS["darlr+"] = f"--method darlr {PLUS}"
