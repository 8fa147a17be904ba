"""What training minimises: classes, the map of altered places, agreement of a crop with its degraded copy, and
agreement with a teacher.

It is a module around the network, so that several devices average the gradients of all of it. It refuses to weigh
anything that the recipe does not name.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.networks import TwoHeads
from model.recipes import Loss


class Objective(nn.Module):
    """The loss of a batch under a recipe's `[loss]`."""

    def __init__(self, network: TwoHeads, loss: Loss) -> None:
        super().__init__()
        self.network, self._loss = network, loss

    def forward(
        self, crops: Tensor, classes: Tensor, maps: Tensor, known: Tensor, degraded: Tensor, taught: Tensor | None
    ) -> Tensor:
        """A scalar; see `batches.Batch`. `taught` are a teacher's logits (n, its heads) of the crops."""
        count, copies = len(crops), 2 if len(degraded) else 1
        logits, cells, _ = self.network.everything(torch.cat([crops, degraded]) if copies == 2 else crops)
        loss = loss_of(logits, classes.repeat(copies), self._loss.label_smoothing)
        if cells is not None:
            loss = loss + self._loss.map_weight * map_loss(cells, maps.repeat(copies, 1, 1), known.repeat(copies))
        if copies == 2:
            loss = loss + self._loss.consistency * _gap(logits[:count], logits[count:], self._loss.consistency_form)
        if taught is not None:
            loss = loss + self._loss.distillation * distance(logits[:count], taught, self._loss.temperature)
        return loss


def loss_of(logits: Tensor, classes: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of real and the heads' classes, the real logit pinned to 0; see `networks`."""
    return functional.cross_entropy(pinned(logits), classes, label_smoothing=smoothing)


def map_loss(logits: Tensor, maps: Tensor, known: Tensor) -> Tensor:
    """Binary cross-entropy of each cell, over the crops (n,) whose alteration is `known`; `maps` uint8 0 to 255."""
    cells = functional.binary_cross_entropy_with_logits(logits, maps.float() / 255, reduction="none").mean(dim=(1, 2))
    return (cells * known).sum() / known.sum().clamp(min=1)


def divergence(logits: Tensor, others: Tensor) -> Tensor:
    """The symmetric Kullback-Leibler divergence of two answers about the same crops: stability training (Zheng et al.,
    "Improving the Robustness of Deep Neural Networks via Stability Training", CVPR 2016), in both directions.
    """
    one, other = (functional.log_softmax(pinned(answer), dim=1) for answer in (logits, others))
    return ((one.exp() - other.exp()) * (one - other)).sum(dim=1).mean() / 2


def squares(logits: Tensor, others: Tensor) -> Tensor:
    """Mean squared difference of two answers' probabilities (Laine and Aila, "Temporal Ensembling for Semi-Supervised
    Learning", ICLR 2017).
    """
    return functional.mse_loss(pinned(logits).softmax(dim=1), pinned(others).softmax(dim=1))


def distance(logits: Tensor, taught: Tensor, temperature: float) -> Tensor:
    """Divergence of the softened answers from the teacher's, times the square of the temperature (Hinton et al.,
    "Distilling the Knowledge in a Neural Network", 2015). Where the two have different heads, of P(fake) alone.
    """
    if logits.shape[1] != taught.shape[1]:
        logits, taught = (answer.logsumexp(dim=1, keepdim=True) for answer in (logits, taught))
    student = functional.log_softmax(pinned(logits) / temperature, dim=1)
    teacher = functional.log_softmax(pinned(taught) / temperature, dim=1)
    return functional.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def pinned(logits: Tensor) -> Tensor:
    """float32 (n, 1 + heads): the logits after that of real, which is 0."""
    return torch.cat([torch.zeros_like(logits[:, :1]), logits], dim=1)


def _gap(logits: Tensor, others: Tensor, form: str) -> Tensor:
    return divergence(logits, others) if form == "divergence" else squares(logits, others)
