"""What do pods of this machine have in place of what an image would set?"""

import os
import sys

import pytest

from flowbatch.embedded.nodes.workplace import base_environment


def test_pods_import_the_starters_modules_but_not_this_pythons_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/home/me/project", *filter(None, sys.path), "/opt/shared"]))
    entries = base_environment()["PYTHONPATH"].split(os.pathsep)
    assert (entries[0], entries[-1]) == ("/home/me/project", "/opt/shared")
    assert not [each for each in entries if "site-packages" in each or "lib-dynload" in each or each.endswith(".zip")]
    monkeypatch.setenv("PYTHONPATH", "")
    assert "PYTHONPATH" not in base_environment()
