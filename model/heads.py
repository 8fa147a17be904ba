"""The heads of a network and the one logit they make: all that serving must know of the network, without torch.

Our own networks have two heads. A detector of somebody else's making that only says how fake a face is has one, and
nothing is made up for what it does not tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

HEADS = ("manipulated", "synthetic")
ONE_HEAD = ("fake",)


def fake_logit(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 (n,): the logit of P(fake) from logits (n, heads). Real is one more class whose logit is 0, so the odds
    of fake are the sum of the heads' odds.
    """
    return np.asarray(np.logaddexp.reduce(np.asarray(logits, np.float64), axis=-1), np.float64)


def whole_logit(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """float64 (n,): the logit of P(fake) for pictures without a face: *synthetic* alone where there are two heads,
    since nothing that is no face can be a manipulated one.
    """
    return np.asarray(logits, np.float64)[..., -1]
