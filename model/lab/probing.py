"""What heads say of kinds left out, fitted to frozen and to tuned features alike: has tuning gained anything?

The same heads as a release's (see `model.lab.heads`): standardised features, their principal directions, the logits of
both kinds of forgery and one of any, by logistic regression with a prior; and the same figures as `model.lab.leaving`.
All of it in torch, since a machine for tuning needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import metrics
from model.lab import balance
from model.lab.balance import REAL
from model.lab.pairing import Bools, Table

DIRECTIONS, STRENGTH, SHARE = 512, 0.03, 0.5
ITERATIONS = 100
FEWEST = 6  # crops of a class, below which there is no figure
LEARNT = 12_000  # crops that heads are fitted to, drawn of more


@dataclass(frozen=True, slots=True)
class Question:
    """One source of a fold: the rows of its forgeries and of the reals that they are held against."""

    source: str
    fakes: NDArray[np.int64]
    reals: NDArray[np.int64]


def questions(table: Table, away: Sequence[str], mates: Mapping[str, Sequence[str]]) -> list[Question]:
    """What is asked of each source that is `away`: plain crops, against reals that the fold did not learn from."""
    found = []
    for source in away:
        against = list(mates.get(source, (source,)))
        fakes = np.flatnonzero(table.plain & (table.classes != REAL) & (table.sources == source))
        reals = np.flatnonzero(table.plain & (table.classes == REAL) & np.isin(table.sources, against) & ~table.half)
        if min(len(fakes), len(reals)) >= FEWEST:
            found.append(Question(source, fakes, reals))
    return found


def learnt(taught: Bools, seed: int = 0) -> NDArray[np.int64]:
    """The rows that heads are fitted to: at most `LEARNT` of those that are `taught`."""
    rows = np.flatnonzero(taught)
    return np.sort(np.random.default_rng(seed).permutation(rows)[:LEARNT])


def answers(
    known: Tensor, table: Table, rows: NDArray[np.int64], asked: Sequence[tuple[Question, Tensor, Tensor]]
) -> dict[str, float]:
    """AUC by source, of heads fitted to features `known` (n, d) of the table's `rows`; for each question the features
    of its fakes and of its reals.
    """
    torch.manual_seed(0)
    centre, scale = known.mean(dim=0), known.std(dim=0, unbiased=False) + 1e-3
    standard = (known - centre) / scale
    kept = min(DIRECTIONS, *standard.shape)
    _, _, turned = torch.svd_lowrank(standard, q=kept, niter=2)
    values, sources, classes = standard @ turned, table.sources[rows], table.classes[rows]
    fakes = (classes != REAL).astype(np.int64)
    kinds = _fitted(values, classes, balance.weights(sources, classes), 2)
    overall = _fitted(values, fakes, balance.weights(sources, fakes), 1)
    found = {}
    for question, theirs, ours in asked:
        some = (torch.cat([theirs, ours]) - centre) / scale @ turned
        either = torch.logsumexp(some @ kinds[:-1] + kinds[-1], dim=1)
        scores = (1 - SHARE) * either + SHARE * (some @ overall[:-1] + overall[-1])[:, 0]
        labels = np.repeat([1, 0], [len(theirs), len(ours)])
        found[question.source] = metrics.auc(scores.double().cpu().numpy(), labels)
    return found


def _fitted(values: Tensor, classes: NDArray[np.int64], weights: NDArray[np.float64], heads: int) -> Tensor:
    """float32 (k + 1, heads), the bias last: softmax against real with weighted crops and a Gaussian prior."""
    count, width = values.shape
    answer = torch.from_numpy(classes).to(values.device)
    shares = torch.from_numpy(weights / weights.sum()).to(values.device, torch.float32)
    matrix = torch.zeros((width + 1, heads), device=values.device, requires_grad=True)
    descent = torch.optim.LBFGS([matrix], max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        descent.zero_grad()
        logits = values @ matrix[:-1] + matrix[-1]
        logits = torch.cat([logits.new_zeros((count, 1)), logits], dim=1)
        found = torch.nn.functional.cross_entropy(logits, answer, reduction="none")
        total = (found * shares).sum() + (matrix[:-1] ** 2).sum() / (2 * STRENGTH * count)
        total.backward()  # type: ignore[no-untyped-call]
        return total

    descent.step(loss)  # type: ignore[no-untyped-call]
    return matrix.detach()
