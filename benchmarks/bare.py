"""The bare handler that `benchmarks.intake` measures ours beside: Flask parses the form, the file is stored."""

import os
import secrets
from pathlib import Path

from flask import Flask, request

FOLDER = Path(os.environ["BARE_FOLDER"])
application = Flask(__name__)


@application.get("/")
def well() -> str:
    """Says that it serves."""
    return "well"


@application.post("/")
def store() -> tuple[dict[str, str], int]:
    """Stores a file under a random name."""
    name = secrets.token_hex(16)
    request.files["file"].save(FOLDER / name)
    return {"name": name}, 202
