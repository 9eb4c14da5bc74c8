"""Where a fast twin takes the place of a plain function: the one place that decides it.

- `fast.objective.Objective` of `agents.a2c.policy_gain`: always, as all logits at once would fill the memory.
- `fast.attention.Folded.attend` of `agents.tracker.Layer.attend`: with one head; of several, each would cost a matrix.
- `fast.products.onednn_product` of `fast.products.plain_product`: large products on processors where oneDNN is faster.
- `fast.kernels.compiled` of `fast.kernels.PLAIN`: by the option `compile`.
- `simulation.policy.draw_by_chunks` of `simulation.policy.draw_at_once`: many actions on a CPU. It is chosen there, as
  evaluation draws too and knows no agents.

Each computes what its plain twin does, to rounding; tests/agents/fast holds it to that.
"""

from typing import TYPE_CHECKING

from torch import Tensor, nn

from darlr.agents.fast import attention
from darlr.agents.fast.objective import Objective
from darlr.agents.fast.products import onednn_product, plain_product, worth_it

if TYPE_CHECKING:
    from darlr.agents.decisions import Decisions


def policy_gain(decisions: "Decisions", weight: Tensor, bonus: float, entropies: bool) -> tuple[Tensor, Tensor]:
    """`darlr.agents.a2c.policy_gain`; without a bonus entropies are 0 where they are not asked for."""
    actor = decisions.actor
    gain: tuple[Tensor, Tensor] = Objective.apply(  # type: ignore[no-untyped-call]
        decisions.hidden, actor.weight, actor.bias, decisions, weight, bonus, entropies
    )
    return gain


def fold(query_key_value: nn.Linear, out: nn.Linear, heads: int) -> attention.Folded | None:
    """The folded layers of an attention; None where the plain one is taken."""
    return attention.fold(query_key_value, out) if heads == 1 else None


def product(rows: Tensor, columns: Tensor, bias: Tensor | None = None) -> Tensor:
    """rows [n, k] @ columns [m, k].T + bias [m], float32 [n, m]."""
    fast = onednn_product if worth_it(rows, columns) else plain_product
    return fast(rows, columns, bias)
