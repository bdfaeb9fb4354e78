"""The paper's experiments: `compare` with a file of `hclnet.configs` and a template.

Missing runs are trained, finished runs are used again, and stopped runs continue. All experiments of one `out`
share its runs, so that tables 1, 3 and 4 and the figures cost each training once.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hclnet.paper.experiments import Experiment, FigureOf, TableOf, read_experiment
from hclnet.paper.pages import write_figure_page, write_table
from hclnet.paper.pictures import check_ids, draw_figure
from hclnet.paper.tables import table_of
from hclnet.storage import locked, whole, write_json
from hclnet.types import DataSet, Log
from hclnet.workflows.compare import compare
from hclnet.workflows.datasets import as_dataset
from hclnet.workflows.settings import with_preset

__all__ = ["Reproduction", "read_experiment", "reproduce"]


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out of an experiment.

    Attributes:
        experiment: that was run.
        content: what is in its JSON file.
        files: that were written, the one to look at first.
    """

    experiment: Experiment
    content: dict[str, Any]
    files: tuple[Path, ...]


def reproduce(
    name: str,
    data: str | Path | DataSet,
    out: str | Path | None = None,
    preset: str | Path | None = None,
    seeds: int = 1,
    split: str = "test",
    protocol: str = "hclnet",
    images: str = "6",
    log: Log | None = None,
    **settings: Any,
) -> Reproduction:
    """Run an experiment of the paper on a data set, and set what came out beside what the paper says.

    Args:
        name: table1, table2, table3, table4, fig1, fig3 or fig6.
        data: as for `hclnet.train`: a path or what `hclnet.read` returned; with boxes.
        out: shared by the experiments on one data set, for `runs/` and a folder per experiment; by default
            `runs/reproduce-<data>`.
        preset: the recipe, by name or as a file; the paper's own for the experiment by default.
        seeds: trainings per method. Figures show the first.
        split: that is scored.
        protocol: that localization is scored under.
        images: of a figure: how many test images are chosen at random, or their ids with commas between.
        log: called with log lines.
        settings: of training, maps and boxes, for all methods alike, over those of the preset.

    Raises:
        ValueError: the experiment, a setting or the data is not as it has to be.
    """
    experiment = read_experiment(name)
    chosen = str(preset or experiment.preset)
    given = with_preset(chosen, **settings)
    root = data.root if isinstance(data, DataSet) else Path(data)
    out = Path(out or Path("runs") / f"reproduce-{root.resolve().name}")
    home = out / name
    if isinstance(experiment, FigureOf):
        seeds = 1
        check_ids(images, as_dataset(data, int(given.get("seed", 0)), bool(given.get("as_classes"))))
    specs = list(experiment.specs.values())
    with ExitStack() as held:
        if out.exists():  # else `compare` makes it, once all is checked
            held.enter_context(locked(out, name))
        rows = compare(
            data,
            specs,
            out,
            seeds=seeds,
            split=split,
            protocol=protocol,
            report=isinstance(experiment, TableOf),
            tables=home,
            log=log,
            **given,
        )
        about = {"experiment": name, "preset": chosen, "data": rows[0]["data"], "split": split}
        if isinstance(experiment, TableOf):
            content = {**about, **table_of(experiment, rows, root.resolve().name)}
            files = write_table(content, home / name)
        else:
            content, sheet = draw_figure(experiment, rows, out, data, images, given)
            content = {**about, **content}
            with whole(home / f"{name}.png") as part:
                sheet.save(part, optimize=True)
            files = (write_figure_page(content, home / name), home / f"{name}.png")
        path = home / f"{name}.json"
        write_json(path, content, indent=1)
    return Reproduction(experiment, content, (*files, path))
