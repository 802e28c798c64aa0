"""Where PyTorch computes, and pixels as its tensors."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from edge_convert.backbone import IMAGENET_MEAN, IMAGENET_STD
from edge_runtime.domain.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_MEAN: Final = torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1)
_STD: Final = torch.tensor(IMAGENET_STD).view(1, 3, 1, 1)


@dataclass(frozen=True, slots=True)
class Device:
    """A processor and the precision of the convolutions on it."""

    name: str
    """"cpu", "cuda", …: torch's name."""
    bf16: bool

    @property
    def description(self) -> str:
        """For notes and figures."""
        model = torch.cuda.get_device_name() if self.name.startswith("cuda") else f"{torch.get_num_threads()} threads"
        return f"PyTorch {torch.__version__}, {self.name} ({model}){', bfloat16 convolutions' if self.bf16 else ''}"

    def place(self, network: Any) -> Any:
        """The network on this device, in the memory layout that its convolutions like."""
        return network.to(self.name, memory_format=torch.channels_last)

    def tensor(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Any:
        """N×3×H×W in 0…1."""
        stacked = torch.from_numpy(np.stack(pictures)).to(self.name)
        return stacked.permute(0, 3, 1, 2).to(torch.float32) / 255  # stays channels-last

    def normalised(self, unit: Any) -> Any:
        """ImageNet's normalisation of pixels in 0…1."""
        return (unit - _MEAN.to(unit.device)) / _STD.to(unit.device)

    def precision(self) -> contextlib.AbstractContextManager[Any]:
        """Bfloat16 convolutions if they are wanted."""
        return torch.autocast(self.name.split(":")[0], torch.bfloat16) if self.bf16 else contextlib.nullcontext()


def choose_device(name: str, threads: int, *, bf16: bool) -> Device:
    """`auto` takes a GPU if there is one; `threads` 0 leaves PyTorch's own choice.

    Raises:
        ConfigError: the device is not there.
    """
    if threads:
        torch.set_num_threads(threads)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.zeros(1, device=name)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA asserts
        raise ConfigError(f"PyTorch cannot use --device {name}: {error}", "Use --device auto or cpu.") from error
    return Device(name, bf16)
