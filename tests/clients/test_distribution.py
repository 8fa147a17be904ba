"""What the client promises as a package: it stands alone, it is typed, and both clients do the same."""

import ast
import inspect
import sys
import tomllib
from pathlib import Path

import pytest

import unmask_client
from cli import main
from unmask_client import AsyncClient, Client, asynchronous, client

ROOT = Path(__file__).resolve().parents[2] / "clients" / "python"
SOURCES = sorted((ROOT / "src" / "unmask_client").glob("*.py"))


def imported(source):
    """The top packages that a module imports, wherever in it."""
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name.partition(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield node.module.partition(".")[0]


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.name)
def test_it_imports_httpx_and_nothing_of_unmasks_rooms(source):
    strangers = set(imported(source)) - set(sys.stdlib_module_names) - {"unmask_client", "httpx"}
    assert strangers <= ({"rich"} if source.name == "progress.py" else set())


def test_its_distribution_needs_httpx_alone():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert [name.partition(">")[0] for name in project["dependencies"]] == ["httpx"]
    assert (ROOT / "src" / "unmask_client" / "py.typed").exists()
    assert (ROOT / "LICENSE").read_text() == (ROOT.parents[1] / "LICENSE").read_text()


def test_everything_it_promises_is_there():
    assert all(hasattr(unmask_client, name) for name in unmask_client.__all__)


@pytest.mark.parametrize(
    ("waits", "awaits"),
    [
        (Client, AsyncClient),
        (client.Endpoints, asynchronous.AsyncEndpoints),
        (client.Deliveries, asynchronous.AsyncDeliveries),
    ],
)
def test_both_clients_have_the_same_calls(waits, awaits):
    calls, awaited = (
        {name: inspect.signature(call).parameters for name, call in vars(kind).items() if name[0] != "_"}
        for kind in (waits, awaits)
    )
    assert calls == awaited
    assert len(calls) >= 3
    assert all(inspect.getdoc(call) for name, call in vars(waits).items() if name[0] != "_")


def test_a_command_that_lacks_it_says_where_it_is(capsys):
    assert main._told(ModuleNotFoundError("No module", name="unmask_client")) == main.MISCONFIGURED
    assert "pip install ./clients/python" in capsys.readouterr().err
