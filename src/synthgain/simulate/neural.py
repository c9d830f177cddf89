"""Small neural generators for the Gaussian worlds: a VAE, a flow and a diffusion model (the paper's open question).

Every world has networks of its own; those of R worlds are trained side by side as batched matrix products. All
chance comes from numpy's generator, so a seed gives the same numbers on the same machine and torch version.
Needs torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthgain.simulate.mixtures import Array, Rng
from synthgain.types import SynthgainError

HIDDEN, BATCH, RATE = 48, 256, 4e-3
COUPLINGS = 6  # of the flow
DIFFUSION_STEPS = 40

Tensor = Any  # torch.Tensor, which is imported only when a network is asked for


@dataclass(frozen=True)
class Schooled:
    """A trained generator: `speak(rng, n)` gives standardised points, which are put back to scale here."""

    speak: Callable[[Rng, int], Array]
    centre: Array
    spread: Array

    def draw(self, rng: Rng, n: int) -> Array:
        """n points a world, (R, n, d)."""
        return np.asarray(self.centre + self.spread * self.speak(rng, n))


def school(name: str, lessons: Array, rng: Rng, steps: int) -> Schooled:
    """A generator of that kind trained on `lessons` (R, n, d) for `steps` steps of Adam."""
    torch = _torch()
    centre, spread = lessons.mean(axis=1, keepdims=True), lessons.std(axis=1, keepdims=True) + 1e-9
    data = ((lessons - centre) / spread).astype(np.float32)
    worlds, _, d = data.shape
    kinds: dict[str, type[Vae] | type[Flow] | type[Diffusion]] = {"vae": Vae, "flow": Flow, "diffusion": Diffusion}
    with _one_thread(torch):
        network = kinds[name](torch, Networks(torch, rng, worlds), d)
        _train(torch, network, data, rng, steps)

    def speak(rng: Rng, n: int) -> Array:
        with torch.no_grad(), _one_thread(torch):
            return np.asarray(network.sample(rng, n).numpy().astype(np.float64))

    return Schooled(speak, centre, spread)


def _train(torch: Any, network: Vae | Flow | Diffusion, data: Any, rng: Rng, steps: int) -> None:
    row = np.arange(len(data))[:, None]
    optimiser = torch.optim.Adam(network.nets.parameters, lr=RATE)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        batch = torch.from_numpy(data[row, rng.integers(data.shape[1], size=(len(data), BATCH))])
        loss = network.loss(batch, rng)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        decay.step()


@contextmanager
def _one_thread(torch: Any) -> Iterator[None]:
    """These products are too small to share out; and one thread adds up in the same order on every machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _torch() -> Any:
    try:
        import torch
    except ImportError as missing:
        raise SynthgainError("neural generators need torch", next='pip install "synthgain[train]"') from missing
    return torch


class Networks:
    """Two-layer perceptrons for R worlds at once; `parameters` collects their weights for the optimiser."""

    def __init__(self, torch: Any, rng: Rng, worlds: int) -> None:
        self.torch, self.rng, self.worlds = torch, rng, worlds
        self.parameters: list[Tensor] = []

    def weight(self, *shape: int, scale: float) -> Tensor:
        """A trainable array (R, *shape), normal with that scale."""
        start = (scale * self.rng.standard_normal((self.worlds, *shape))).astype(np.float32)
        tensor = self.torch.from_numpy(start).requires_grad_()
        self.parameters.append(tensor)
        return tensor

    def perceptron(self, inputs: int, outputs: int, last: float = 0.1) -> Callable[[Tensor], Tensor]:
        """A network from (R, n, inputs) to (R, n, outputs); `last` scales its last layer at the start."""
        layers = []
        for i, o, scale in ((inputs, HIDDEN, 1.0), (HIDDEN, HIDDEN, 1.0), (HIDDEN, outputs, last)):
            layers.append((self.weight(i, o, scale=scale / math.sqrt(i)), self.weight(1, o, scale=0.1 * scale)))

        def run(x: Tensor) -> Tensor:
            for depth, (weight, bias) in enumerate(layers):
                x = self.torch.baddbmm(bias, x, weight)
                if depth < len(layers) - 1:
                    x = self.torch.nn.functional.silu(x)
            return x

        return run

    def noise(self, rng: Rng, n: int, d: int) -> Tensor:
        """Standard normal (R, n, d)."""
        return self.torch.from_numpy(rng.standard_normal((self.worlds, n, d)).astype(np.float32))


class Vae:
    """Gaussian encoder and decoder with a latent of d numbers; the decoder's variance is learned, one a coordinate."""

    def __init__(self, torch: Any, nets: Networks, d: int) -> None:
        self.torch, self.nets, self.d = torch, nets, d
        self.encode, self.decode = nets.perceptron(d, 2 * d), nets.perceptron(d, d, last=1.0)
        self.log_variance = nets.weight(1, d, scale=0.01)

    def loss(self, x: Tensor, rng: Rng) -> Tensor:
        """Minus the evidence lower bound, summed over worlds (each has its own weights)."""
        mean, log_var = self.encode(x).chunk(2, dim=-1)
        z = mean + (0.5 * log_var).exp() * self.nets.noise(rng, x.shape[1], self.d)
        misfit = 0.5 * ((x - self.decode(z)) ** 2 * (-self.log_variance).exp() + self.log_variance)
        prior = 0.5 * (mean**2 + log_var.exp() - 1 - log_var)
        return (misfit + prior).sum(dim=-1).mean(dim=1).sum()

    def sample(self, rng: Rng, n: int) -> Tensor:
        """n standardised points a world."""
        there = self.decode(self.nets.noise(rng, n, self.d))
        return there + (0.5 * self.log_variance).exp() * self.nets.noise(rng, n, self.d)


class Flow:
    """Affine couplings that move one half of the coordinates given the other, in turn."""

    def __init__(self, torch: Any, nets: Networks, d: int) -> None:
        self.torch, self.nets, self.d, self.cut = torch, nets, d, d // 2
        self.couplings = []
        for turn in range(COUPLINGS):
            seen = self.cut if turn % 2 == 0 else d - self.cut
            self.couplings.append(nets.perceptron(seen, 2 * (d - seen)))

    def loss(self, x: Tensor, rng: Rng) -> Tensor:
        """Minus the log-likelihood, summed over worlds."""
        log_det = 0.0
        for turn, net in enumerate(self.couplings):
            seen, moved = self._halves(x, turn)
            scale, shift = net(seen).chunk(2, dim=-1)
            scale = 2 * self.torch.tanh(scale / 2)
            x = self._joined(seen, moved * scale.exp() + shift, turn)
            log_det = log_det + scale.sum(dim=-1)
        return (0.5 * (x**2).sum(dim=-1) - log_det).mean(dim=1).sum()

    def sample(self, rng: Rng, n: int) -> Tensor:
        """n standardised points a world: the couplings backwards."""
        x = self.nets.noise(rng, n, self.d)
        for turn in reversed(range(COUPLINGS)):
            seen, moved = self._halves(x, turn)
            scale, shift = self.couplings[turn](seen).chunk(2, dim=-1)
            x = self._joined(seen, (moved - shift) * (-2 * self.torch.tanh(scale / 2)).exp(), turn)
        return x

    def _halves(self, x: Tensor, turn: int) -> tuple[Tensor, Tensor]:
        first, second = x[..., : self.cut], x[..., self.cut :]
        return (first, second) if turn % 2 == 0 else (second, first)

    def _joined(self, seen: Tensor, moved: Tensor, turn: int) -> Tensor:
        return self.torch.cat([seen, moved] if turn % 2 == 0 else [moved, seen], dim=-1)


class Diffusion:
    """Denoising diffusion with a cosine schedule; the network sees the noisy point and the time."""

    def __init__(self, torch: Any, nets: Networks, d: int) -> None:
        self.torch, self.nets, self.d = torch, nets, d
        self.guess = nets.perceptron(d + 6, d)
        times = np.linspace(0, 1, DIFFUSION_STEPS + 1)
        self.kept = np.clip(np.cos(0.5 * np.pi * (times + 0.01) / 1.01) ** 2, 1e-4, 0.9999).astype(np.float32)

    def loss(self, x: Tensor, rng: Rng) -> Tensor:
        """Squared error of the guessed noise, summed over worlds."""
        step = rng.integers(1, DIFFUSION_STEPS + 1, size=(x.shape[0], x.shape[1], 1))
        kept = self.torch.from_numpy(self.kept[step])
        noise = self.nets.noise(rng, x.shape[1], self.d)
        seen = kept.sqrt() * x + (1 - kept).sqrt() * noise
        return ((self.guess(self._with_time(seen, step)) - noise) ** 2).sum(dim=-1).mean(dim=1).sum()

    def sample(self, rng: Rng, n: int) -> Tensor:
        """n standardised points a world, by ancestral sampling."""
        x = self.nets.noise(rng, n, self.d)
        for step in range(DIFFUSION_STEPS, 0, -1):
            now, then = float(self.kept[step]), float(self.kept[step - 1])
            guess = self.guess(self._with_time(x, np.full((x.shape[0], n, 1), step)))
            clean = ((x - math.sqrt(1 - now) * guess) / math.sqrt(now)).clamp(-6, 6)
            spread = math.sqrt((1 - then) / (1 - now) * (1 - now / then))
            x = math.sqrt(then) * clean + math.sqrt(max(0.0, 1 - then - spread**2)) * guess
            if step > 1:
                x = x + spread * self.nets.noise(rng, n, self.d)
        return x

    def _with_time(self, x: Tensor, step: Any) -> Tensor:
        angle = (np.pi * step / DIFFUSION_STEPS).astype(np.float32) * np.array([0.5, 1.0, 2.0], dtype=np.float32)
        waves = np.concatenate([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)
        return self.torch.cat([x, self.torch.from_numpy(waves)], dim=-1)
