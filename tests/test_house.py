"""What the documents promise of the house, held against the house."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.main import SUMMARIES, VERBS
from moderation.settings import Settings

ROOT = Path(__file__).parent.parent


def text(name):
    return (ROOT / name).read_text()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_in_the_example(name):
    assert re.search(rf"^(# )?UNMASK_{name.upper()}=", text(".env.example"), re.MULTILINE)


def test_the_example_names_no_setting_that_does_not_exist():
    named = set(re.findall(r"^(?:# )?UNMASK_([A-Z0-9_]+)=", text(".env.example"), re.MULTILINE))
    assert named == {name.upper() for name in Settings.model_fields}


def test_make_help_lists_every_target():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("setup", "demo", "up", "test", "encoder", "check", "fix", "migration", "train", "evaluate", "bench"):
        assert f"make {target} " in listed


def test_every_verb_has_its_line_of_help():
    assert set(VERBS) == set(SUMMARIES)


def test_every_verb_that_the_readme_names_exists():
    named = set(re.findall(r"unmask ([a-z]+)\b", text("README.md") + text("CONTRIBUTING.md")))
    assert named <= set(VERBS) | {"up"}


def test_links_between_documents_lead_somewhere():
    for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text(name)):
            assert (ROOT / target).exists(), f"{name} links to {target}"


def test_the_api_image_installs_no_torch():
    extras = tomllib.loads(text("pyproject.toml"))["project"]["optional-dependencies"]
    base = tomllib.loads(text("pyproject.toml"))["project"]["dependencies"]
    heavy = ("torch", "timm", "onnx", "opencv", "unmask[")
    assert not [name for name in [*base, *extras["api"]] if name.startswith(heavy)]
    assert not [name for name in extras["demo"] + extras["worker"] + extras["model"] if name.startswith("torch")]
