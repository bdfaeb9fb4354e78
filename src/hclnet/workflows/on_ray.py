"""Locating by Ray Data: actors on any number of machines, each of which has a localizer, reads images and locates.

The list of images goes through Ray in parts, and what was found comes back in the order of the list. So whoever calls
this writes the same files as without Ray.
"""

from __future__ import annotations

import json
import os
import socket
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from hclnet import __version__
from hclnet.data.parts import TOGETHER, read_parts, write_parts
from hclnet.data.remote import place
from hclnet.formats.journal import differences
from hclnet.localizer.localizer import Localizer
from hclnet.types import Log
from hclnet.workflows.ray_cluster import connected, first_line, resources, told_if_busy

Rows = Callable[[Iterable[str | Path]], Generator[dict[str, Any], None, None]]
"""Files -> their lines in the journal, in order."""

_PART = 64  # images of a part at most: so many are located once more where a worker dies
_PARTS = 4  # for each worker at least, as far as there are images
_ROUND = 64  # groups of parts, a million images: Ray Data keeps notes of each part until its dataset is done
_STUCK = 7200  # seconds without any progress


@contextmanager
def rows_by_ray(
    asked: Any,
    header: dict[str, Any],
    files: Iterator[str | Path],
    most: int,
    target: Path,
    workers: int | None,
    device: str,
    log: Log | None = None,
) -> Iterator[Rows]:
    """What gives the lines of files, each once and in their order; Ray is there while the block lasts.

    Args:
        asked: what is located, by which localizer: a `workflows.asked.Asked`.
        header: of the results. A worker that would make others is refused.
        files: all that will be asked for.
        most: how many these are at most.
        target: where the list of them is kept meanwhile.
        workers: how many; by default one for each card, or for each processor where there is no card.
        device: auto, cpu or cuda.
        log: told when nothing begins, since all that Ray has is taken.

    Raises:
        ValueError: Ray can't be reached, it has not what is asked for, a worker has another localizer, or Ray stops.
        Unwritable: the list can't be written.
    """
    first = next(files, None)
    if first is None:  # nothing is missing
        yield partial(_taken, iter(()))
        return
    try:
        with connected(workers) as ray:
            cards, count = resources(ray, workers, device)
            size = max(1, min(_PART, most // (_PARTS * count)))
            groups = write_parts(target, chain([first], files), size)
            box = [ray.put(asked)]  # in a list Ray leaves it to the worker to take it out
            on = "cuda" if cards else device
            with (
                told_if_busy(ray, cards, log) as begun,
                closing(_in_rounds(ray, target, groups, count, cards, (header, box, on))) as stream,
            ):
                yield partial(_taken, _followed(stream, begun))
    finally:
        target.unlink(missing_ok=True)


def _followed(stream: Iterator[dict[str, Any]], begun: Callable[[], None]) -> Iterator[dict[str, Any]]:
    """The lines, with a call at the first."""
    for row in stream:
        begun()
        yield row


def _taken(stream: Iterator[dict[str, Any]], files: Iterable[str | Path]) -> Generator[dict[str, Any], None, None]:
    for file in files:
        row = next(stream, None)
        assert row is not None and row["path"] == str(file), f"{file} was to come next"
        yield row


class Worker:
    """An actor's: has a localizer, and locates parts of the list.

    Args:
        header: what the results are to have in common.
        box: a list with a reference to what is asked of which localizer.
        device: that is computed on.
    """

    def __init__(self, header: dict[str, Any], box: list[Any], device: str) -> None:
        self.fault: str | None = None
        try:
            self._asked = _unpacked(header, box, device)
        except Exception as error:  # raised here it would come out as pages of Ray's own calls
            self.fault = _fault(error)

    def __call__(self, part: Any) -> Any:
        """Locate a part: a table of one row with `number` and `files`.

        Returns:
            A table of one row: `number`, `rows`, the lines of the journal as JSON, and `fault`, why there are none.
        """
        import pyarrow as pa

        rows: list[str] = []
        if self.fault is None:
            files = [place(os.fsdecode(one)) for one in part["files"][0].as_py()]
            try:
                rows = [json.dumps(row) for row in self._asked.rows(files)]
            except Exception as error:
                self.fault = _fault(error)
        lines = pa.array([rows], pa.list_(pa.string()))
        return pa.table({"number": part["number"], "rows": lines, "fault": pa.array([self.fault], pa.string())})


def _fault(error: Exception) -> str:
    return f"A worker on {socket.gethostname()} can't locate: {first_line(error)}"


def _unpacked(header: dict[str, Any], box: list[Any], device: str) -> Any:
    """What is asked, on the worker's device.

    Raises:
        ValueError: the results would be others than those of the process that has sent it.
    """
    import ray

    if __version__ != header["hclnet"]:
        raise ValueError(f"it has hclnet {__version__}, not {header['hclnet']}. Install the same everywhere.")
    asked = ray.get(box[0])
    if isinstance(asked.localizer, Localizer):
        asked.localizer.to(device)
    if unlike := differences(header, asked.header(header["format"])):
        raise ValueError(f"its results would not be the same: {'; '.join(unlike)}. Set it up like the others.")
    return asked


def _in_rounds(ray: Any, target: Path, groups: int, *others: Any) -> Generator[dict[str, Any], None, None]:
    """The lines of all files of the list, in order, by as many datasets of Ray's as are needed."""
    for first in range(0, groups, _ROUND):
        yield from _located(ray, target, range(first, min(first + _ROUND, groups)), *others)


def _located(
    ray: Any, target: Path, groups: range, count: int, cards: int, arguments: tuple[Any, ...]
) -> Generator[dict[str, Any], None, None]:
    """The lines of all files of some groups of the list, in order.

    Raises:
        ValueError: a worker can't locate, or Ray stops.
    """
    context = _context(ray)
    with context.current(context):
        parts = ray.data.read_datasource(_datasource(ray, target, groups), num_cpus=0, override_num_blocks=1)
        found = parts.map_batches(
            Worker,
            batch_size=1,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=count),
            num_cpus=1,
            num_gpus=1 if cards else None,
            fn_constructor_args=arguments,
            udf_modifying_row_count=False,
        )
        number = groups.start * TOGETHER
        try:
            for block in found.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
                for part in block.to_pylist():
                    if part["fault"] is not None:
                        raise ValueError(part["fault"])
                    assert part["number"] == number, f"part {part['number']} came in place of {number}"
                    number += 1
                    yield from map(json.loads, part["rows"])
        except ray.exceptions.RayError as error:
            raise ValueError(f"Ray has stopped: {first_line(error)} What was located is kept; start again.") from error


def _context(ray: Any) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")  # of its own defaults
        context = ray.data.DataContext.get_current().copy()
    context.execution_options.preserve_order = True
    context.target_max_block_size = 1  # byte: each part is a block, which is what Ray hands out
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_no_progress_timeout_s = _STUCK
    return context


def _datasource(ray: Any, target: Path, groups: range) -> Any:
    """Some groups of the list as Ray Data reads them: by one process on this machine, where the file is."""
    from ray.data.block import BlockMetadata

    read = partial(read_parts, str(target.absolute()), groups)
    task = ray.data.ReadTask(read, BlockMetadata(None, None, None, None))

    class Parts(ray.data.Datasource):
        supports_distributed_reads = False

        def estimate_inmemory_data_size(self) -> int | None:
            return None

        def get_read_tasks(self, parallelism: int, **_: Any) -> list[Any]:
            return [task]

    return Parts()
