"""What a release says of the encoder it was made with: enough to obtain it, convert it and recognise it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model.crops import Cutting

SIZE, MARGIN = 224, 1.15
BLOCKS = (3, 6, 9, 12)  # whose tokens are read, counted from 1
MEAN = (0.48145466, 0.4578275, 0.40821073)  # of CLIP's training pictures, 0 to 1
STD = (0.26862954, 0.26130258, 0.27577711)
EPSILON = 1e-5  # of the LayerNorms


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """`source` is the SHA-256 of the published file, `graph` the digest (see `graph.digest`) of the int8 graph that the
    release's recipe makes of it, tuned by the release's `delta` (SHA-256 of its file, empty for none; see `delta`).
    `blocks` are those whose tokens the heads read; crops are of `size` pixels at
    `margin` times the face's box, cut `through` a view (see `crops.Cutting`).
    """

    source: str
    graph: str
    blocks: tuple[int, ...] = BLOCKS
    size: int = SIZE
    margin: float = MARGIN
    through: bool = True
    delta: str = ""

    @property
    def cutting(self) -> Cutting:
        """How its crops are cut."""
        from model.crops import Cutting  # needs OpenCV, which tuning does without

        return Cutting(self.size, self.margin, self.through)
