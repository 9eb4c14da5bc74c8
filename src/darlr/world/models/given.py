"""A model of factors that another library has fitted: each prediction is one dot product."""

from collections.abc import Callable

from torch import Tensor, nn

from darlr.world.vectors import principal


class GivenFactors(nn.Module):
    """One member, which predicts x_u . y_i. Biases are two of the columns, of which the other side holds ones.

    left: float32 [U, d]. right: [I, d]. noise: [1], the variance of a reward around its prediction.
    """

    left: Tensor
    right: Tensor
    noise: Tensor
    members = 1

    def __init__(self, **tables: Tensor) -> None:
        super().__init__()
        for name in ("left", "right", "noise"):
            self.register_buffer(name, tables.pop(name))
        if tables:
            raise TypeError(f"unknown tables: {', '.join(tables)}")

    def forward(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, float32 [1, B] each, of users and items int64 [1, B]."""
        mean = (self.left[users] * self.right[items]).sum(-1)
        return mean, self.noise.log().expand_as(mean)

    def over(self, items: Tensor) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """See `WorldModel.over`."""
        right = self.right[items].T

        def of(users: Tensor) -> tuple[Tensor, Tensor]:
            mean = (self.left[users] @ right)[None]
            return mean, self.noise.log().expand_as(mean)

        return of

    def bilinear(self, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `darlr.world.factored.Bilinear`."""
        return self.left[users], self.right[items]

    def vectors(self, size: int, users: Tensor, items: Tensor) -> tuple[Tensor, Tensor]:
        """See `WorldModel.vectors`."""
        return principal(self.left, size)[users], principal(self.right, size)[items]
