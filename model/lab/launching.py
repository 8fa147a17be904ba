"""Tune the encoder with what lies in this folder: `python run.py --seconds 450`. It needs torch, timm and numpy, and
no network. `python run.py --help` lists what may be asked.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CODE = HERE / "code.zip"

if __name__ == "__main__":
    expected = json.loads((HERE / "pack.json").read_text())["files"][CODE.name]
    if hashlib.sha256(CODE.read_bytes()).hexdigest() != expected:
        sys.exit(f"run.py: {CODE} is damaged: its SHA-256 is not the pack's")
    sys.path.insert(0, str(CODE))
    from model.lab import unpacking

    unpacking.main(HERE)
