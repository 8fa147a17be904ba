"""A bar for a folder, where rich is installed (`unmask-client[progress]`); nothing where it is not."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from unmask_client.folders import Sent


@contextmanager
def shown(total: int, *, wanted: bool) -> Iterator[Callable[[Sent], None]]:
    """Shows a bar on stderr for the length of a block; yields what moves it on by one file."""
    try:
        from rich import console, progress
    except ModuleNotFoundError:
        wanted = False
    if not wanted:
        yield lambda _: None
        return
    refused = 0
    columns = (
        progress.TextColumn("sending"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn("{task.fields[refused]} refused"),
        progress.TimeRemainingColumn(),
    )
    with progress.Progress(*columns, console=console.Console(stderr=True)) as bar:
        task = bar.add_task("sending", total=total, refused=0)

        def advance(sent: Sent) -> None:
            nonlocal refused
            refused += sent.error is not None
            bar.update(task, advance=1, refused=refused)

        yield advance
