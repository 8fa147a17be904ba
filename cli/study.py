"""`unmask study`: train and judge variants of a recipe on sources left out, and write the table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.train import OUT, set_threads, tune_memory

if TYPE_CHECKING:
    from model.albums import Album
    from model.studies import Study, Trial

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.argument("study", type=click.Path(exists=True, dir_okay=False, path_type=Path), metavar="STUDY.toml")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="A built dataset or a folder of labelled images.",
)
@click.option("--out", type=OUT, required=True, help="Results, and table.md when the last is there.")
@click.option("--cache", type=OUT, default=Path(".unmask/albums"), show_default=True, help="Where cut faces are kept.")
@click.option("--part", default="1/1", metavar="K/N", help="Of N processes that share the work, this is the K-th.")
def study(study: Path, data: Path, out: Path, cache: Path, part: str) -> None:
    """Train every variant of STUDY.toml once a fold and seed, and judge it on what the fold leaves out.

    Interrupted, it goes on where it was; a table is written from what is done whenever a run ends.
    """
    tune_memory()
    from cli.bars import progress_bar
    from model import studies

    mine, of = _share(part)
    told = studies.read(study)
    asked = list(studies.trials(told))
    set_threads(asked[0].recipe.threads)
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as bar:
        album = _album(told, data, cache)
        task = bar.add_task("trainings", total=len(asked))
        for number, trial in enumerate(asked):
            if number % of == mine and studies.result(out, trial) is None:
                bar.update(task, description=trial.name)
                _run(told, trial, album, data, out)
                (out / "table.md").write_text(studies.table(out, told))
            bar.advance(task)
    click.echo(studies.table(out, told))


def _share(part: str) -> tuple[int, int]:
    number, _, count = part.partition("/")
    if not (number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise click.BadParameter(f"{part!r} is not K/N", param_hint="--part")
    return int(number) - 1, int(count)


def _album(study: Study, data: Path, cache: Path) -> Album:
    """The faces of every image: what a fold leaves out of training is a choice of rows."""
    from model import albums, datasets, faces, recipes

    model = recipes.of(study.recipe).data.face_model
    items = [item for part in datasets.opened(data).values() for item in part]
    finder = faces.load(Path(model) if model else None)
    return albums.open_or_build(cache, items, finder, model or "own", lambda: None)


def _run(study: Study, trial: Trial, album: Album, data: Path, out: Path) -> None:
    import numpy as np

    from model import albums, batches, datasets, splits, studies, training
    from model.training.devices import joined
    from model.training.validation import Validation

    fold, told = study.folds[trial.fold], trial.recipe.data
    divided = datasets.opened(data, told.held_out)
    taught = {item.name for item in divided[splits.TRAIN]}
    asked = [item for item in divided[splits.UNSEEN] if item.source in fold.away]
    some = np.random.default_rng(0).permutation(len(asked))[: study.faces]
    judged = {asked[row].name for row in some}
    learnt = albums.chosen(album, lambda item: item.name in taught)
    kin = batches.families(learnt, told.synthetic, told.mates)
    with joined() as place:
        run = training.start(trial.recipe, place.device)
        home = out / trial.name
        home.mkdir(parents=True, exist_ok=True)
        training.train(run, learnt, kin, home / "checkpoint.pt", lambda *_: None, place=place)
        test = albums.chosen(album, lambda item: item.name in judged)
        judge = Validation(test, {**told.mates, **fold.mates}, place)
        scores = judge.scores(run)
    studies.record(out, trial, list(scores), [item.label for item in test.items], judge.area(scores))
    (out / trial.name / "checkpoint.pt").unlink()
