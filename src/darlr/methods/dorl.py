"""DORL: MOPO and the entropy term P_E, which pays for what logged behaviour leaves open (arXiv 2307.04571)."""

from darlr.methods.mopo import member_risk
from darlr.methods.registry import Method

DORL = Method("dorl", "DORL", risk=member_risk, entropy=True, reads=("lambda_u", "lambda_e"))
