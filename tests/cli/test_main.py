"""The command itself: quick, lazy, and one line for whatever people can mend."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from cli.main import SUMMARIES, VERBS, unmask
from tests.installations import UNNAMED, command


def test_help_lists_every_verb_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from cli.main import unmask; unmask(['--help'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'numpy', 'sqlalchemy', 'flask', 'celery'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(verb in done.stdout for verb in VERBS)
    assert list(SUMMARIES) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_there(verb: str) -> None:
    done = CliRunner().invoke(unmask, [verb, "--help"])
    assert done.exit_code == 0, done.output
    assert "Usage:" in done.output


def test_an_unknown_verb_is_wrong_usage() -> None:
    assert CliRunner().invoke(unmask, ["juggle"]).exit_code == 2


@pytest.mark.parametrize(
    ("settings", "code", "line"),
    [
        (
            {
                "UNMASK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                "UNMASK_REDIS_URL": "redis://127.0.0.1:1/0",
                "UNMASK_MEDIA": "file:///nowhere",
                "UNMASK_SECRET_KEY": "k" * 40,
            },
            4,
            "the database does not answer",
        ),
        ({"UNMASK_DATABASE_URL": "postgresql://127.0.0.1/none"}, 3, "UNMASK_SECRET_KEY"),
        ({"UNMASK_PORT": "many"}, 3, "UNMASK_PORT"),
    ],
)
def test_what_people_can_mend_is_one_line(settings: dict[str, str], code: int, line: str) -> None:
    done = subprocess.run(
        command("platform", "list"), env=os.environ | UNNAMED | settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert line in done.stderr
