"""The door and the scoring worker behind it, with the shipped detector, in one process."""

import pytest

from model.detector import Detector
from model.sandbox import Limits
from tests.api.conftest import app, blobs, caller, enrol, orders  # noqa: F401 - fixtures
from worker import scoring
from worker.scoring import Bench


@pytest.fixture(scope="session")
def detector():
    return Detector.load(device="cpu", limits=Limits())


@pytest.fixture
def work(Session, blobs, detector):  # noqa: F811
    """Scores whatever waits."""
    bench = Bench(Session, blobs, detector, limit=8, lease_seconds=60, apart=detector.apart)
    return lambda: scoring.run(bench, budget_seconds=60)
