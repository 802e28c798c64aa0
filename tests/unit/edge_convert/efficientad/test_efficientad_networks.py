"""The networks have the paper's shapes."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

from edge_convert.efficientad.networks import (  # noqa: E402
    INPUT_PX,
    MOST_CHANNELS,
    RECEPTIVE_FIELD_PX,
    PdnSize,
    cells,
    make_autoencoder,
    make_pdn,
    start_on,
)
from edge_runtime.domain.errors import ConfigError  # noqa: E402


@pytest.mark.parametrize(("size", "millions"), [(PdnSize.S, 2.69), (PdnSize.M, 8.03)])
def test_pdn_has_the_papers_number_of_parameters(size, millions):
    """PDN-S has 2.7 million parameters and PDN-M 8 million, at 384 outputs."""
    count = sum(value.numel() for value in make_pdn(size, 384).parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.01)


def _multiplications(size):
    """Of a quarter of one picture, at the most channels that a teacher of this size has."""
    side = INPUT_PX[size] // 2
    signal, total = torch.zeros(1, 3, side, side), 0
    with torch.inference_mode():
        for layer in make_pdn(size, MOST_CHANNELS[size]):
            signal = layer(signal)
            if isinstance(layer, torch.nn.Conv2d):
                total += layer.weight.numel() * signal[0, 0].numel()
    return total


def test_xs_does_an_eighth_of_what_s_does():
    """It is there to be fast, and a change of its layers is not to undo that."""
    assert _multiplications(PdnSize.XS) < _multiplications(PdnSize.S) / 8


@pytest.mark.parametrize("size", list(PdnSize))
def test_a_cell_sees_a_square_of_33_pixels_from_four_times_its_place(size):
    """The gradient of one output cell reaches exactly the pixels 4i to 4i + 32, in both directions."""
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 64, requires_grad=True)
    torch.nn.functional.softplus(make_pdn(size, 2)(image))[0, 0, 2, 5].backward()
    rows, columns = torch.nonzero(image.grad[0].abs().sum(dim=0), as_tuple=True)
    assert (rows.min(), rows.max()) == (8, 8 + RECEPTIVE_FIELD_PX - 1)
    assert (columns.min(), columns.max()) == (20, 20 + RECEPTIVE_FIELD_PX - 1)


@pytest.mark.parametrize("size", list(PdnSize))
def test_a_crop_gives_the_same_cells_as_the_whole_picture(size):
    """Training on crops asks the very question that the whole picture asks."""
    pdn = make_pdn(size, 3)
    image = torch.rand(1, 3, 96, 96)
    with torch.inference_mode():
        whole, cropped = pdn(image), pdn(image[:, :, 16:64, 32:80])
    torch.testing.assert_close(cropped, whole[:, :, 4:8, 8:12])


@pytest.mark.parametrize(("height", "width"), [(64, 64), (96, 160), (256, 256)])
def test_autoencoder_and_pdn_give_the_same_grid(height, width):
    """Student, teacher and autoencoder can be subtracted, for every input size."""
    image = torch.rand(1, 3, height, width)
    with torch.inference_mode():
        rebuilt = make_autoencoder(5, height, width)(image)
        found = make_pdn(PdnSize.S, 5)(image)
    assert rebuilt.shape == found.shape == (1, 5, cells(height), cells(width))


def test_bottleneck_of_the_papers_size_is_64_numbers():
    """At 256 pixels nothing of the place survives the encoder: only so does it learn what belongs together."""
    network = make_autoencoder(8, 256, 256)
    signal = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        for name, layer in network.named_children():
            signal = layer(signal)
            if name == "enc6":
                break
    assert signal.shape == (1, 64, 1, 1)


def test_starting_on_images_gives_every_inner_channel_unit_variance():
    """The first rectifier gets a signal with mean 0 and variance 1 whatever the images' brightness."""
    network = make_pdn(PdnSize.S, 3)
    images = 5 + 3 * torch.rand(4, 3, 64, 64)
    start_on(network, images)
    with torch.inference_mode():
        first = network.conv1(images)
    torch.testing.assert_close(first.mean((0, 2, 3)), torch.zeros(128), atol=1e-3, rtol=0)
    torch.testing.assert_close(first.std((0, 2, 3)), torch.ones(128), atol=1e-3, rtol=0)


@pytest.mark.parametrize("side", [32, 100, 2048])
def test_an_impossible_input_is_refused(side):
    """An input that cannot be halved five times is refused with the sizes that can."""
    with pytest.raises(ConfigError, match="does not fit EfficientAD") as caught:
        make_autoencoder(4, side, 256)
    assert "multiples of 32" in caught.value.action
