"""`unmask doctor`: is everything there that an installation needs? It changes nothing, and says what to do."""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import click
from rich.console import Console
from rich.table import Table

from cli import home
from moderation.errors import UnmaskError
from moderation.settings import Settings


class Unwell(Exception):
    """What is wrong, and where known what to do."""


@dataclass(frozen=True)
class Finding:
    """One check's outcome; `detail` is what was found, or what is wrong."""

    check: str
    ok: bool
    detail: str


@click.command()
@click.option("--json", "in_json", is_flag=True, help="One JSON object.")
def doctor(in_json: bool) -> None:
    """Check engines, storage, migrations, the detector and its device. Exits 1 when anything is missing."""
    settings = home.settings()
    findings = [_examine(name, check, settings) for name, check in CHECKS.items()]
    well = all(finding.ok for finding in findings)
    if in_json:
        click.echo(json.dumps({"ok": well, "checks": [asdict(finding) for finding in findings]}))
    else:
        table = Table("check", "", "found", box=None)
        for finding in findings:
            table.add_row(finding.check, "[green]ok[/]" if finding.ok else "[red]no[/]", finding.detail)
        Console().print(table)
    sys.exit(0 if well else 1)


def _examine(name: str, check: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return Finding(name, True, check(settings))
    except Exception as error:  # noqa: BLE001 - a doctor goes on to the next check, whatever the last one found
        told = error.detail if isinstance(error, UnmaskError) else str(error) or type(error).__name__
        return Finding(name, False, told.splitlines()[0])


def _settings(settings: Settings) -> str:
    if len(set(settings.secret_key)) < 10:
        raise Unwell("UNMASK_SECRET_KEY is hardly random; take `openssl rand -base64 48`")
    return f"listening on {settings.host}:{settings.port}, a secret key of {len(settings.secret_key)} characters"


def _database(settings: Settings) -> str:
    import psycopg

    began = time.perf_counter()
    with psycopg.connect(settings.database_url, connect_timeout=5) as connection:
        server = connection.info.parameter_status("server_version")
        connection.execute("SELECT 1")
    return f"PostgreSQL {server}, answered in {1000 * (time.perf_counter() - began):.0f} ms"


def _migrations(settings: Settings) -> str:
    from alembic.script import ScriptDirectory

    from cli import ledger, migrate
    from moderation import database

    head = ScriptDirectory.from_config(migrate.configuration(settings.database_url)).get_current_head()
    with ledger.opened(settings) as session:
        found = database.revision(session)
    if found != head:
        raise Unwell(f"the database is at {found or 'nothing'}, this program is at {head}: unmask migrate")
    return f"at {head}"


def _redis(settings: Settings) -> str:
    from moderation import queue

    app = queue.application(settings.redis_url)
    queue.check(app)
    orders = {lane: queue.length(app, lane) for lane in queue.LANES}
    return "unread orders: " + ", ".join(f"{lane.rpartition('.')[2]} {count}" for lane, count in orders.items())


def _storage(settings: Settings) -> str:
    from moderation import blobs

    blobs.connect(settings.media).check()
    return settings.media


def _detector(settings: Settings) -> str:
    """Loads the release on the device that workers will use, and scores one generated picture."""
    import io

    from PIL import Image

    from model import selection
    from model.detector import Detector, Failure

    release = selection.chosen(settings.detector, settings.encoder_cache)
    detector = Detector.load(release, settings.device, settings.face_model, cache=settings.encoder_cache)
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, "PNG")
    began = time.perf_counter()
    (answer,) = detector.score([file.getvalue()])
    if isinstance(answer, Failure):
        raise Unwell(f"a generated picture was not scored: {answer.detail}")
    return (
        f"{detector.release.name} {detector.release.version}, one picture in "
        f"{1000 * (time.perf_counter() - began):.0f} ms: {answer.band}"
    )


def _encoder(settings: Settings) -> str:
    """Missing is no fault here: the check of the detector fails where the release that serves needs the encoder."""
    from model.encoder import cache, checking
    from model.encoder.published import ENCODER

    folder = cache.folder(settings.encoder_cache)
    return checking.state(ENCODER, folder) or f"not in {folder}; full releases need it: run `unmask encoder fetch`"


def _device(settings: Settings) -> str:
    try:
        import torch
    except ModuleNotFoundError:
        cards = 0
    else:
        cards = torch.cuda.device_count()
    if settings.device.startswith("cuda") and not cards:
        raise Unwell(f"UNMASK_DEVICE is {settings.device}, but there is no CUDA device here")
    import onnxruntime

    return f"{settings.device}: {cards or 'no'} CUDA device(s); on the CPU ONNX Runtime {onnxruntime.__version__}"


def _signers(settings: Settings) -> str:
    from worker import anchors

    if settings.c2pa_anchors is None:
        return "no list (UNMASK_C2PA_ANCHORS): a C2PA manifest is valid or not, and no signer trusted"
    return f"{anchors.count(settings.c2pa_anchors)} certificates in {settings.c2pa_anchors}"


CHECKS: dict[str, Callable[[Settings], str]] = {
    "settings": _settings,
    "database": _database,
    "migrations": _migrations,
    "redis": _redis,
    "storage": _storage,
    "detector": _detector,
    "encoder": _encoder,
    "device": _device,
    "signers": _signers,
}
