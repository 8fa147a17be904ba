"""Which face of a file is kept, to learn from it: the one that a decision on the file can be ascribed to.

A decision is about a file and not about a face. In a file where several people are seen at once, nobody said who is
forged. Taking such files only where the answer is `real` would teach a detector that people in company are real. So
nothing is kept of them. A clip that shows one face at a time counts once, by its most suspicious face: if the clip is
fake, that one is the likeliest to be forged, and if it is real, that one is the error to learn from.
"""

import numpy as np

from model.detector import Judgement
from moderation.features import Kept


def kept(answer: Judgement) -> list[Kept]:
    """Returns what may be kept of a file's faces: of one face, or nothing."""
    frames = [face.frame for face in answer.faces]
    if not frames or len(set(frames)) < len(frames) or answer.faces_not_judged:
        return []
    place, face = max(enumerate(answer.faces), key=lambda each: each[1].score)
    traits = face.traits
    if traits is None or not np.isfinite(traits.features).all():
        return []
    features, logits = traits.features.astype("<f2"), traits.logits.astype("<f4")
    return [Kept(place, traits.encoder, features.tobytes(), traits.network, logits.tobytes())]
