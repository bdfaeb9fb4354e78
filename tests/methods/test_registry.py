import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

import hclnet.methods
from hclnet.backbones import build_backbone
from hclnet.methods import build_method, get_method, method_names
from hclnet.methods.cam import CAM


def test_an_unknown_method_is_an_error_that_lists_those_there_are():
    with pytest.raises(ValueError, match=rf"There is no method 'cma'; there are {', '.join(method_names())}"):
        get_method("cma")
    with pytest.raises(ValueError, match="There is no method 'branch'"):
        get_method("branch")


def test_a_method_of_another_package_is_found_by_its_entry_point(monkeypatch):
    class Theirs(CAM):
        name = "theirs"

    module = ModuleType("their_package")
    module.Theirs = Theirs
    monkeypatch.setitem(sys.modules, "their_package", module)
    entry = EntryPoint("theirs", "their_package:Theirs", "hclnet.methods")
    monkeypatch.setattr(hclnet.methods, "entry_points", lambda group: [entry])
    assert method_names()[-1] == "theirs" and get_method("theirs") is Theirs
    method = build_method("theirs", build_backbone("efficientnet_lite0", weights="none"), 2, {"convs": 0})
    assert isinstance(method, Theirs)
