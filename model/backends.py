"""The network at work: ONNX Runtime on a CPU, torch on a CUDA device, the same logits from both (within 1e-3 on
a CPU; half precision on a GPU moves them by a few hundredths at most). It refuses a device that is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from model import devices, probes, releases
from model.encoder import cache as files
from model.encoder import running, store
from model.encoder.record import EncoderRecord
from model.errors import ReleaseError
from model.releases import Release

Crops = NDArray[np.uint8]
Floats = NDArray[np.float32]
# The outputs of a network; the first is in every one, the last two are only told by an encoder's heads.
LOGITS, MAP, FEATURES, PHOTOGRAPH, KINDS = "logits", "map", "features", "photograph", "kinds"
RAW = "raw"  # an encoder's features before they are projected


class Backend(Protocol):
    """A network that is ready to run. `outputs` are the names that `look` knows."""

    device: str
    outputs: frozenset[str]

    def forward(self, crops: Crops) -> Floats:
        """float32 (n, heads) logits of uint8 (n, size, size, 3) RGB crops."""

    def look(self, crops: Crops, names: Sequence[str]) -> dict[str, Floats]:
        """By name, those of `names` that the network has: `logits` as `forward`; `map` (n, h, w), the logits of
        "altered here"; `features` (n, d), what the heads read.
        """


class OnnxBackend:
    """ONNX Runtime on `threads` threads of the CPU."""

    device = "cpu"

    def __init__(self, release: Release, threads: int) -> None:
        import onnxruntime

        path = release.file(releases.GRAPH)
        if path is None:
            raise ReleaseError(f"{release.directory} has no {releases.GRAPH}, which scoring on a CPU needs")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # decoding wants those cores
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime has no public base class for its errors
            raise ReleaseError(f"{path} is not a graph that can run here: {str(error).splitlines()[0]}") from error
        self.outputs = frozenset(output.name for output in self._session.get_outputs())
        size = self._session.get_inputs()[0].shape[0]
        self._fixed = size if isinstance(size, int) else None

    def forward(self, crops: Crops) -> Floats:
        """See `Backend.forward`."""
        return self.look(crops, [LOGITS])[LOGITS]

    def look(self, crops: Crops, names: Sequence[str]) -> dict[str, Floats]:
        """See `Backend.look`."""
        wanted = [name for name in names if name in self.outputs]
        if self._fixed is None:
            return dict(zip(wanted, self._run(wanted, crops), strict=True))
        # A graph for exactly so many crops gets them, the last one repeated until they are.
        rows = np.arange(-(-len(crops) // self._fixed) * self._fixed).clip(max=len(crops) - 1)
        parts = [self._run(wanted, crops[some]) for some in rows.reshape(-1, self._fixed)]
        joined = (np.concatenate(part)[: len(crops)] for part in zip(*parts, strict=True))
        return dict(zip(wanted, joined, strict=True))

    def _run(self, names: Sequence[str], crops: Crops) -> list[Floats]:
        found: list[Floats] = self._session.run(names, {"crops": crops})
        return found


class TorchBackend:
    """torch on `device`, in half precision where the device is CUDA; the network itself asks for channels last."""

    def __init__(self, release: Release, device: str) -> None:
        import torch
        from safetensors.torch import load_file

        from model import networks

        path = release.file(releases.WEIGHTS)
        if path is None:
            raise ReleaseError(f"{release.directory} has no {releases.WEIGHTS}, which scoring with torch needs")
        steps, weights = release.preprocessing, load_file(path)
        network = networks.restored(release.backbone, steps.mean, steps.std, weights, steps.size)
        self.device = device
        self.outputs = frozenset({LOGITS, FEATURES} | ({MAP} if network.has_map else set()))
        self._torch: Any = torch
        self._network: Any = network.to(device)

    def forward(self, crops: Crops) -> Floats:
        """See `Backend.forward`."""
        return self.look(crops, [LOGITS])[LOGITS]

    def look(self, crops: Crops, names: Sequence[str]) -> dict[str, Floats]:
        """See `Backend.look`."""
        torch = self._torch
        cuda = self.device.startswith("cuda")
        with torch.inference_mode(), torch.autocast("cuda", torch.float16, enabled=cuda):
            found = self._network.everything(torch.from_numpy(crops).to(self.device))
        named = zip((LOGITS, MAP, FEATURES), found, strict=True)
        return {
            name: np.asarray(tensor.float().cpu().numpy(), np.float32)
            for name, tensor in named
            if name in names and tensor is not None
        }


class ProbedEncoder:
    """A release's encoder with the heads that read it. `features` are the projected ones, float32 (n, k); `kinds` the
    logits of each kind of forgery, float32 (n, h); `photograph` float32 (n, 1), where the release learnt it; `raw` the
    encoder's own features, float32 (n, d).
    """

    def __init__(self, release: Release, device: str, threads: int, cache: Path | None) -> None:
        """`cache` is the encoder's cache directory, the user's own when None. Raises ReleaseError, EncoderError and
        DeviceError.
        """
        heads, recipe = release.file(releases.HEADS_FILE), release.file(releases.ENCODER)
        if release.encoder is None or heads is None or recipe is None:
            raise ReleaseError(
                f"{release.directory} has no {releases.HEADS_FILE} and {releases.ENCODER} for its encoder"
            )
        self.probe, self.fusion = probes.read(heads), np.asarray(release.fusion, np.float64)
        if self.fusion.ndim != 2 or len(self.fusion) != len(release.heads):
            raise ReleaseError(f"{release.directory} does not say how encoder and network are joined")
        self._encoder = _encoder(release, release.encoder, recipe, device, threads, cache)
        self.device = self._encoder.device
        named = {LOGITS, FEATURES, KINDS, RAW} | ({PHOTOGRAPH} if self.probe.photograph else set())
        self.outputs = frozenset(named)

    @property
    def share(self) -> float:
        """How much of the fused logits is the encoder's, 0 to 1."""
        weights = np.abs(self.fusion[:, :-1]).sum(axis=0)
        return float(weights[0] / max(weights.sum(), 1e-9))

    def forward(self, crops: Crops) -> Floats:
        """See `Backend.forward`."""
        return self.look(crops, [LOGITS])[LOGITS]

    def look(self, crops: Crops, names: Sequence[str]) -> dict[str, Floats]:
        """See `Backend.look`."""
        raw = self._encoder.features(crops)
        projected = self.probe.projection(raw)
        found = {LOGITS: np.asarray(self.probe.heads(projected), np.float32), FEATURES: projected, RAW: raw}
        if KINDS in names:
            found[KINDS] = self.probe.kinds(projected)
        if PHOTOGRAPH in names and self.probe.photograph is not None:
            found[PHOTOGRAPH] = self.probe.photograph(projected)
        return {name: values for name, values in found.items() if name in names}


def _encoder(
    release: Release, record: EncoderRecord, recipe: Path, device: str, threads: int, cache: Path | None
) -> running.OnnxEncoder | running.TorchEncoder:
    found, home, delta = devices.resolve(device), files.folder(cache), release.file(releases.DELTA)
    if found == devices.CPU:
        return running.OnnxEncoder(store.graph(record, recipe, home, delta), threads)
    return running.TorchEncoder(store.weights(record, home, delta), record.blocks, found)


def start(release: Release, device: str, threads: int) -> Backend:
    """The backend for `device`: `cpu`, `cuda:N`, or `auto` (the first CUDA device, else the CPU; always the CPU for a
    release that came as a graph alone). Raises DeviceError for a device that is not there.
    """
    found = devices.resolve("cpu" if device == "auto" and release.file(releases.WEIGHTS) is None else device)
    return OnnxBackend(release, threads) if found == devices.CPU else TorchBackend(release, found)
