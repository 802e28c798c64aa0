"""The last convolution of a patch network solved for, instead of learnt: ridge regression on what comes before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn


def last_of(network: Any) -> Any:
    """The last layer of a sequence, a convolution."""
    return list(network.children())[-1]


def inputs_of(network: Any, image: Any, places: Any) -> Any:
    """What the last convolution sees at some cells of its output: one row each, ending with a 1 for its bias.

    Args:
        network: a sequence of layers that ends with a convolution of stride 1 without padding.
        image: 1×3×H×W, normalised.
        places: indices of cells, row by row.
    """
    signal = image
    for layer in list(network.children())[:-1]:
        signal = layer(signal)
    tall, wide = last_of(network).kernel_size
    windows = signal[0].unfold(1, tall, 1).unfold(2, wide, 1)
    across = windows.shape[2]
    rows = windows[:, places // across, places % across].movedim(1, 0).flatten(1).float()
    return torch.cat([rows, torch.ones(len(rows), 1, device=rows.device)], dim=1)


class Moments:
    """Mean products of a convolution's inputs with one another, and with what it is to answer.

    Args:
        network: whose last convolution is meant.
        answers: channels of the wanted answers; 0 where only the inputs matter.
        device: PyTorch's name.
    """

    def __init__(self, network: Any, answers: int, device: str) -> None:
        last = last_of(network)
        width = last.in_channels * last.kernel_size[0] * last.kernel_size[1] + 1
        self._inputs = torch.zeros(width, width, device=device)
        self._answers = torch.zeros(width, answers, device=device)
        self._count = 0

    def add(self, inputs: Any, wanted: Any = None) -> None:
        """Rows of `inputs_of`, and as many rows of wanted answers."""
        self._inputs += inputs.T @ inputs
        if wanted is not None:
            self._answers += inputs.T @ wanted
        self._count += len(inputs)

    @property
    def inputs(self) -> Any:
        """P×P; the last row holds the inputs' means."""
        return self._inputs / max(1, self._count)

    @property
    def answers(self) -> Any:
        """P×Q."""
        return self._answers / max(1, self._count)


def solve(inputs: Any, answers: Any, ridge: float) -> Any:
    """Weights P×Q with the least mean squared error, `ridge` times the inputs' mean square being added to the diagonal.

    Computed in float64 on the CPU, which conditions of 1e8 need; the bias is not shrunk.
    """
    left = inputs.double().cpu()
    left.diagonal()[:-1].add_(ridge * left.diagonal()[:-1].mean())
    return torch.cholesky_solve(answers.double().cpu(), torch.linalg.cholesky(left)).float()


def weights_of(convolution: Any) -> Any:
    """A convolution's weights and bias as `solve` gives them."""
    return torch.cat([convolution.weight.detach().flatten(1).T, convolution.bias.detach()[None]]).float().contiguous()


def put(convolution: nn.Conv2d, weights: Any) -> None:
    """Set a convolution to what `solve` gave."""
    with torch.no_grad():
        convolution.weight.copy_(weights[:-1].T.reshape(convolution.weight.shape))
        convolution.bias.copy_(weights[-1])
