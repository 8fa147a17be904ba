"""Paired tests are what their authors defined, and a comparison is on equal files or none."""

from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom, norm

from model import metrics, splits
from model.errors import DatasetError
from model.evaluation import comparison, paired
from model.evaluation.answers import Answer
from model.evaluation.scoring import Trial
from model.metrics import Scored
from model.sources import Item


@pytest.fixture(scope="module")
def rivals():
    """Two related score lists of 400 files, the first better; rounded, so that there are ties."""
    chance = np.random.default_rng(6)
    labels = chance.integers(0, 2, 400)
    shared = chance.normal(labels * 0.8, 1)
    first, second = (shared + chance.normal(labels * gain, 1) for gain in (0.6, 0.2))
    return first.round(1), second.round(1), labels


def by_the_definition(first, second, labels):
    """DeLong's variance from the structural components over all pairs, as the paper writes it."""
    components = []
    for scores in (first, second):
        x, y = scores[labels == 1], scores[labels == 0]
        psi = (x[:, None] > y[None]) + 0.5 * (x[:, None] == y[None])
        components.append((psi.mean(1), psi.mean(0), psi.mean()))
    s10 = np.cov([component[0] for component in components])
    s01 = np.cov([component[1] for component in components])
    spread = s10 / (labels == 1).sum() + s01 / (labels == 0).sum()
    difference = components[0][2] - components[1][2]
    return difference, 2 * norm.sf(abs(difference) / np.sqrt(spread[0, 0] + spread[1, 1] - 2 * spread[0, 1]))


def test_delong_is_the_papers_and_its_difference_is_that_of_the_aucs(rivals):
    first, second, labels = rivals
    found = paired.delong(first, second, labels)
    assert (found.difference, found.p) == pytest.approx(by_the_definition(*rivals))
    assert found.difference == pytest.approx(metrics.auc(first, labels) - metrics.auc(second, labels))
    assert paired.delong(second, first, labels).p == pytest.approx(found.p)


def test_delong_agrees_with_a_bootstrap(rivals):
    first, second, labels = rivals
    found = paired.delong(first, second, labels)
    error = abs(found.difference) / norm.isf(found.p / 2)
    files = [str(index) for index in range(len(labels))]
    low, high = paired.auc_difference(Scored(first, labels, files), Scored(second, labels, files))
    assert (high - low) / (2 * 1.96) == pytest.approx(error, rel=0.1)


def test_delong_finds_nothing_where_there_is_nothing_about_19_times_in_20():
    chance = np.random.default_rng(7)
    labels = np.tile([0, 1], 60)
    small = 0
    for _ in range(300):
        shared = chance.normal(labels, 1)
        first, second = shared + chance.normal(0, 1, 120), shared + chance.normal(0, 1, 120)
        small += paired.delong(first, second, labels).p < 0.05
    assert 5 <= small <= 27


def test_equal_scores_do_not_differ(rivals):
    first, _, labels = rivals
    assert paired.delong(first, first, labels) == paired.Test(0.0, 1.0)
    assert paired.delong(labels * 2.0, labels * 3.0, labels).p == 1.0


def test_one_file_of_a_class_is_too_few():
    with pytest.raises(ValueError, match="two files"):
        paired.delong(np.arange(3.0), np.arange(3.0), np.array([0, 1, 1]))


def test_mcnemar_is_the_sign_test_on_what_only_one_got_right():
    first = np.array([1.0] * 9 + [0.0] * 2 + [1.0] * 30)
    second = np.array([0.0] * 9 + [1.0] * 2 + [1.0] * 30)
    found = paired.mcnemar(first, second)
    assert found.p == pytest.approx(2 * binom.cdf(2, 11, 0.5))
    assert found.difference == pytest.approx(7 / 41)
    assert paired.mcnemar(first, first).p == 1.0


def test_different_files_are_not_compared(rivals):
    first, _, labels = rivals
    files = [str(index) for index in range(len(labels))]
    with pytest.raises(ValueError, match="same files"):
        paired.auc_difference(Scored(first, labels, files), Scored(first, 1 - labels, files))


class Named:
    def __init__(self, name, digest, even=0.5):
        self.name, self.digest, self.cuts = name, digest, {"even": even}


def answered(answers):
    """Trials of eight files, four of each class, with these answers by place and even scores elsewhere."""
    return [
        Trial(
            Item(Path(), f"s/{index}", "s", index % 2, str(index)),
            splits.TEST,
            answers.get(index, Answer(0.2 + 0.6 * (index % 2), "clear")),
        )
        for index in range(8)
    ]


def test_a_file_that_one_could_not_score_is_left_out_for_all_and_listed():
    ours = answered({0: Answer(0.9, "inconclusive", ("no_face",))})
    theirs = answered({0: Answer(0.1), 3: Answer(None, failure="torn-file")})
    found = comparison.compare([(Named("ours", "a" * 64), ours), (Named("theirs", "b" * 64), theirs)], ())
    assert found["left_out"] == [
        {"name": "s/0", "why": {"ours": "no_face"}},
        {"name": "s/3", "why": {"theirs": "torn-file"}},
    ]
    assert [found["sets"]["s (test)"][name]["files"] for name in ("ours", "theirs")] == [6, 6]


def test_each_decides_at_its_own_cut_and_the_first_is_compared_with_every_other():
    ours, theirs = answered({}), answered({index: Answer(0.05 + 0.1 * (index % 2)) for index in range(8)})
    scorers = Named("same", "a" * 64), Named("same", "b" * 64, even=0.1), Named("third", "c" * 64)
    found = comparison.compare(list(zip(scorers, (ours, theirs, theirs), strict=True)), ())
    rows = found["sets"]["s (test)"]
    assert list(rows) == ["same (aaaaaa)", "same (bbbbbb)", "third"]
    assert [row["accuracy"] for row in rows.values()] == [1.0, 1.0, 0.5]
    assert "delong_p" not in rows["same (aaaaaa)"]
    assert rows["third"]["accuracy_difference"] == 0.5
    assert rows["third"]["mcnemar_p"] == pytest.approx(2 * 0.5**4)


def test_no_shared_file_is_no_comparison():
    silent = answered({index: Answer(None, failure="empty-file") for index in range(8)})
    with pytest.raises(DatasetError, match="no file"):
        comparison.compare([(Named(name, name * 64), silent) for name, _ in product("ab", "x")], ())
