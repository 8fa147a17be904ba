"""The network's two heads and the one logit they make: all that serving must know of the network, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEADS = ("manipulated", "synthetic")


def fake_logit(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 (n,): the logit of P(fake) from logits (n, 2). Real is a third class whose logit is 0, so the odds of
    fake are the sum of the two heads' odds.
    """
    return np.asarray(np.logaddexp(*np.moveaxis(np.asarray(logits, np.float64), -1, 0)), np.float64)
