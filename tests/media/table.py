"""All cases by name."""

from tests.media import clips, colours, metadata, stills, tiffs
from tests.media.cases import Case

CASES: dict[str, Case] = {**clips.CASES, **stills.CASES, **tiffs.CASES, **metadata.CASES, **colours.CASES}
