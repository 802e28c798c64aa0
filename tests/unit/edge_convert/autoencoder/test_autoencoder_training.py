"""Networks, training, checkpoints and the exported graph."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")

import onnxruntime  # noqa: E402

from edge_convert.autoencoder.graph import to_onnx  # noqa: E402
from edge_convert.autoencoder.networks import build, parameter_count  # noqa: E402
from edge_convert.autoencoder.pictures import Pictures  # noqa: E402
from edge_convert.autoencoder.plan import PARAMETER_LIMIT, ModelName, TrainPlan  # noqa: E402
from edge_convert.autoencoder.train import Hardware, Trainer, find_hardware, fit, kl_divergence, kl_weight  # noqa: E402
from edge_convert.progress import Silent  # noqa: E402
from edge_runtime.domain.errors import ConfigError  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path

TINY = TrainPlan(height_px=32, width_px=32, width=4, latent=16, epochs=6, batch=4, patience=6)
CPU = Hardware("cpu", bf16=False, threads=1)


@pytest.fixture(autouse=True)
def _one_thread():
    """Sums in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pictures(count: int = 14, channels: int = 1) -> Pictures:
    """Gradients at random angles; the last four are held out."""
    draw = np.random.default_rng(3)
    rows, columns = np.indices((32, 32)) / 31
    angles = draw.uniform(0, 1, (count, channels, 1, 1))
    drawn = (255 * (angles * rows + (1 - angles) * columns)).astype(np.uint8)
    return Pictures(drawn[:-4], drawn[-4:], tuple(range(count - 4, count)), "digest")


def trained(plan: TrainPlan, folder: Path, *, seen: Pictures | None = None) -> tuple[Trainer, torch.nn.Module]:
    """Trained to the end."""
    trainer = Trainer(plan, "digest", CPU)
    return trainer, fit(trainer, plan, seen or pictures(), folder / "t.checkpoint", Silent())


@pytest.mark.parametrize("model", ModelName)
@pytest.mark.parametrize("size", [128, 256, 512])
def test_networks_stay_below_fifteen_million_parameters(model: ModelName, size: int) -> None:
    """At every size, with a latent of 128."""
    plan = TrainPlan(model=model, height_px=size, width_px=size)
    assert plan.latent == 128
    assert 100_000 < parameter_count(build(plan)) < PARAMETER_LIMIT


def test_a_network_that_is_too_large_is_refused() -> None:
    """Before a minute is spent on it."""
    with pytest.raises(ConfigError, match="million parameters"):
        build(TrainPlan(model=ModelName.VAE, width=96))


@pytest.mark.parametrize("model", ModelName)
@pytest.mark.parametrize(("height", "width", "channels"), [(32, 32, 1), (64, 96, 3)])
def test_the_graph_is_the_network(model: ModelName, height: int, width: int, channels: int) -> None:
    """With normalisation folded in: ONNX Runtime gives PyTorch's reconstruction, of the input's shape, in 0…1."""
    plan = replace(TINY, model=model, height_px=height, width_px=width, channels=channels)
    torch.manual_seed(1)
    network = build(plan)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean, 0.0, 0.3)
            torch.nn.init.uniform_(module.running_var, 0.3, 2.0)
            torch.nn.init.normal_(module.weight, 1.0, 0.3)
            torch.nn.init.normal_(module.bias, 0.0, 0.3)
    network.eval()
    image = np.random.default_rng(0).random((1, channels, height, width), dtype=np.float32)
    model_bytes = to_onnx(network, plan).SerializeToString()
    session = onnxruntime.InferenceSession(model_bytes, providers=["CPUExecutionProvider"])
    found = session.run(["reconstruction"], {"image": image})[0]
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)).numpy()
    assert found.shape == image.shape
    assert 0 <= found.min() <= found.max() <= 1
    assert expected.std() > 0.001
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert model_bytes == to_onnx(network, plan).SerializeToString()


def test_every_node_of_the_graph_has_a_name_of_its_own() -> None:
    """What keeps an operation in higher precision names it."""
    nodes = [node.name for node in to_onnx(build(TINY).eval(), TINY).graph.node]
    assert all(nodes)
    assert len(set(nodes)) == len(nodes)


@pytest.mark.parametrize("model", ModelName)
def test_training_learns_to_draw(model: ModelName, tmp_path: Path) -> None:
    """The held-out pictures are drawn much better than by the mean grey level; the result is deterministic."""
    plan = replace(TINY, model=model, epochs=40, patience=40, rate=4e-3, beta=0.1)
    trainer, network = trained(plan, tmp_path)
    held_out = pictures().held_out / 255
    assert trainer.progress.best_error == min(trainer.progress.errors)
    assert trainer.progress.best_error < 0.5 * float(np.var(held_out))
    image = torch.from_numpy(held_out.astype(np.float32))
    with torch.inference_mode():
        error = float((network(image) - image).square().mean())
        assert torch.equal(network(image), network(image))
    assert error == pytest.approx(trainer.progress.best_error, rel=1e-4)


@pytest.mark.parametrize("model", ModelName)
def test_a_resumed_training_equals_an_uninterrupted_one(model: ModelName, tmp_path: Path) -> None:
    """To the last bit of every weight, and in what it remembers of the way."""
    plan = replace(TINY, model=model)
    whole, network = trained(plan, tmp_path)
    first = Trainer(plan, "digest", CPU)
    with Silent().stage("", 0) as stage:
        first.run_epoch(pictures(), stage)
        first.run_epoch(pictures(), stage)
    first.save(tmp_path / "half.checkpoint")
    second = Trainer(plan, "digest", CPU)
    second.load(tmp_path / "half.checkpoint")
    resumed = fit(second, plan, pictures(), tmp_path / "half.checkpoint", Silent())
    assert second.progress == whole.progress
    for name, values in network.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], values), name


def test_a_finished_training_is_not_trained_further(tmp_path: Path) -> None:
    """Resuming it goes straight to what follows."""
    whole, network = trained(TINY, tmp_path)
    again = Trainer(TINY, "digest", CPU)
    again.load(tmp_path / "t.checkpoint")
    assert again.finished
    same = fit(again, TINY, pictures(), tmp_path / "t.checkpoint", Silent())
    assert again.progress == whole.progress
    assert all(torch.equal(same.state_dict()[name], values) for name, values in network.state_dict().items())


def test_training_ends_when_patience_does(tmp_path: Path) -> None:
    """Held-out noise cannot be drawn: the best epoch stays, and it is the one that is exported."""
    draw = np.random.default_rng(0)
    noise = replace(pictures(), held_out=draw.integers(0, 255, (4, 1, 32, 32)).astype(np.uint8))
    plan = replace(TINY, epochs=60, patience=3, rate=1e-2)
    trainer, _ = trained(plan, tmp_path, seen=noise)
    assert trainer.progress.epoch == trainer.progress.best_epoch + 3 < 60


@pytest.mark.parametrize(
    ("plan", "digest", "said"),
    [
        (replace(TINY, latent=8), "digest", "latent"),
        (replace(TINY, model=ModelName.VAE), "digest", "model"),
        (TINY, "other", "other images"),
    ],
)
def test_a_foreign_checkpoint_is_refused(plan: TrainPlan, digest: str, said: str, tmp_path: Path) -> None:
    """Says what differs; nothing is trained on the wrong weights."""
    Trainer(TINY, "digest", CPU).save(tmp_path / "c")
    with pytest.raises(ConfigError, match=said):
        Trainer(plan, digest, CPU).load(tmp_path / "c")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\xff\xd8\xff\xe0 a picture", None])
def test_what_is_no_checkpoint_is_called_that(content: bytes | None, tmp_path: Path) -> None:
    """Damaged, empty or missing."""
    if content is not None:
        (tmp_path / "c").write_bytes(content)
    with pytest.raises(ConfigError, match="no checkpoint"):
        Trainer(TINY, "digest", CPU).load(tmp_path / "c")


def test_a_checkpoint_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """With the option that mends it."""
    with pytest.raises(ConfigError, match="cannot write"):
        fit(Trainer(TINY, "digest", CPU), TINY, pictures(), tmp_path / "no" / "c", Silent())


def test_the_divergence_is_that_of_two_normals() -> None:
    """As PyTorch's own distributions compute it, in nats per image."""
    draw = torch.Generator().manual_seed(0)
    mean, log_variance = torch.randn((5, 7), generator=draw), torch.randn((5, 7), generator=draw)
    normal = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), expected)


def test_beta_is_annealed() -> None:
    """From nothing to β over the stated share of the epochs, and no further; without annealing at once."""
    plan = replace(TINY, model=ModelName.VAE, epochs=10, annealing=0.5, beta=4.0)
    assert [kl_weight(plan, epoch) for epoch in range(8)] == pytest.approx([0, 0.8, 1.6, 2.4, 3.2, 4, 4, 4])
    assert kl_weight(replace(plan, annealing=0.0), 0) == 4.0


def test_a_strong_beta_empties_the_latent(tmp_path: Path) -> None:
    """The weight really reaches the loss: with a huge β the mean of the latent no longer depends on the picture."""
    spreads = []
    for beta in (0.0, 1e4):
        plan = replace(TINY, model=ModelName.VAE, epochs=12, patience=12, rate=4e-3, beta=beta, annealing=0.0)
        trainer = Trainer(plan, "digest", CPU)
        with Silent().stage("", 0) as stage:
            for _ in range(plan.epochs):
                trainer.run_epoch(pictures(), stage)
        network = trainer._network.eval()
        with torch.inference_mode():
            latent = network.mean(network.encoder(torch.from_numpy(pictures().training / np.float32(255))))
        spreads.append(float(latent.std(dim=0).mean()))
    assert spreads[1] < 0.2 * spreads[0]


def test_a_device_that_is_not_there_is_said() -> None:
    """And `auto` finds one that is."""
    assert find_hardware("auto", 1).device in {"cpu", "cuda"}
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="GPU"):
            find_hardware("cuda", 1)


def test_divergence_is_said(tmp_path: Path) -> None:
    """A rate that blows up ends with words, not with a bundle of NaN."""
    plan = replace(TINY, rate=math.inf)
    with pytest.raises(ConfigError, match="diverged"):
        fit(Trainer(plan, "digest", CPU), plan, pictures(), tmp_path / "c", Silent())
