"""`python full.py full|gone FOLDER ARGUMENTS...`: `hclnet ARGUMENTS` again and again, each time with another of the
files that it writes on a full disk, and then gone on with to the end. Or the run's folder is removed at that moment.
`FOLDER/whole` is the run that nothing disturbed.

What a training writes is found out from that run: the files that replace another one whole, all others that are opened
to be written, and databases. In place of the file there is a link to `/dev/full`, so that whoever writes, also in C++
or Rust, gets what the system says on a full disk. Each time is a process of its own; it is a copy of this one, which
has loaded all that takes long. Printed is a line of JSON for each.
"""

import json
import os
import shutil
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import hclnet.storage

_real = hclnet.storage.whole
_writes = []  # so far
_how, _home, _turn = None, None, None  # what happens, in which folder, and at which of the writes


@contextmanager
def whole(path, *args, **options):
    with _real(path, *args, **options) as part:
        _write(Path(path), part)
        yield part


def _write(path, place):
    """Note that a file is written; if its turn has come, it is on a full disk."""
    if _home is not None and path.is_relative_to(_home):
        if len(_writes) == _turn:
            place.symlink_to("/dev/full") if _how == "full" else shutil.rmtree(_home / "run")
        _writes.append(path.relative_to(_home))


def _hook(event, args):
    if event == "sqlite3.connect" or (event == "open" and args[2] & (os.O_WRONLY | os.O_RDWR)):
        with suppress(TypeError):  # a number, of what is open
            path = Path(os.fsdecode(args[0]))
            if not (path.exists() or ".part" in path.suffixes or path.name == hclnet.storage.LOCK):
                _write(path, path)


hclnet.storage.whole = whole  # before others take it from there

import hclnet.training.run  # noqa: E402
import hclnet.workflows.train  # noqa: E402
from hclnet.training.folder import is_run  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.addaudithook(_hook)

import killing  # noqa: E402
from killing import finish, start  # noqa: E402


def _begin(home, turn=None):
    global _home, _turn
    _home, _turn = home, turn
    _writes.clear()
    os.environ["HCLNET_CACHE"] = str(home / "cache")


def _undisturbed(arguments, folder):
    """What a training writes, in order: noted by a process of its own, as it is left when all are done."""
    _begin(folder / "whole")
    listed = folder / "writes.json"
    if not (process := os.fork()):
        sys.argv = ["hclnet", *arguments, "--out", str(_home / "run")]
        try:
            killing.main()
        except SystemExit:
            listed.write_text(json.dumps([str(path) for path in _writes]))
        finally:
            os._exit(0)
    os.waitpid(process, 0)
    return json.loads(listed.read_text())


def run():
    global _how
    _how, folder, *arguments = sys.argv[1:]
    folder = Path(folder)
    said = folder / "said"
    for number, name in enumerate(_undisturbed(arguments, folder)):
        if _how == "gone" and not name.startswith("run/"):
            continue
        home = folder / str(number)
        call = [*arguments, "--out", str(home / "run")]
        said.write_text("")
        _begin(home, number)
        code = os.waitstatus_to_exitcode(os.waitpid(start(call, said), 0)[1])
        _begin(home)
        there = sorted(str(path.relative_to(home)) for path in home.rglob("*") if not path.is_dir())
        print(json.dumps({"file": name, "code": code, "said": said.read_text(), "there": there}), flush=True)
        finish([*call, "--resume"] if is_run(home / "run") else call, said)


if __name__ == "__main__":
    run()
