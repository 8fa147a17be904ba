"""From a path to a scorer, by what lies there. It refuses what it does not recognise."""

from __future__ import annotations

from pathlib import Path

from model.errors import ReleaseError
from model.evaluation.scorers import ReleaseScorer, Scorer


def opened(
    path: Path, device: str = "auto", face_model: Path | None = None, encoder_cache: Path | None = None
) -> Scorer:
    """The scorer at `path`: a release's directory, an `.onnx` file (see `bare`) or MesoNet's `.h5` weights. Raises
    ReleaseError for anything else, or what does not load.
    """
    from model.detector import Detector

    if path.is_dir():
        return ReleaseScorer(Detector.load(path, device, face_model, cache=encoder_cache), face_model)
    if path.suffix == ".onnx":
        from model.peers import bare

        return bare.load(path, face_model)
    if path.suffix in {".h5", ".hdf5"}:
        from model.peers import mesonet

        return mesonet.load(path, face_model)
    raise ReleaseError(f"{path} is no release's directory, no .onnx file and no .h5 file")
