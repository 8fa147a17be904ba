"""Lets timm be imported beside a torchvision whose compiled operators do not load. Import it before timm.

A CPU build of torch beside the registry's default build of torchvision cannot load `torchvision/_C`; torchvision
then registers shape rules for `torchvision::nms` and `torchvision::qnms`, which were never defined, and its import
(so timm's too) raises. Declaring the two schemas is enough: nothing here calls them. It refuses to declare them
where `_C` loads, since that library defines them itself.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
from pathlib import Path

import torch

_SCHEMAS = {
    "torchvision::nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "torchvision::qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _compiled_operators_load() -> bool:
    spec = importlib.util.find_spec("torchvision")  # finds the package without running it
    if spec is None or spec.origin is None:
        return True
    folder = Path(spec.origin).parent
    candidates = [folder / f"_C{suffix}" for suffix in (".so", *importlib.machinery.EXTENSION_SUFFIXES, ".pyd")]
    for library in filter(Path.exists, candidates):
        try:
            torch.ops.load_library(str(library))  # type: ignore[no-untyped-call]
        except OSError:
            continue
        return True
    return False


if not _compiled_operators_load():
    for _name, _schema in _SCHEMAS.items():
        torch.library.define(_name, _schema)
