"""Is what docs/authoring-workflows.md shows true? Its Python blocks, one after the other, are imported as a module."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest

from flowbatch_dsl import Workflow

PAGE = Path(__file__).parents[3] / "docs" / "authoring-workflows.md"


def test_the_page_is_a_program_that_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) == 5
    (tmp_path / "page.py").write_text("\n\n".join(blocks))
    monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("page", tmp_path / "page.py")
    assert spec is not None
    assert spec.loader is not None
    page = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "page", page)
    spec.loader.exec_module(page)
    shown = [value for value in vars(page).values() if isinstance(value, Workflow)]
    assert [workflow.name for workflow in shown] == ["nightly", "careful", "grid", "pipeline"]
    for workflow in shown:
        assert workflow.validate().ok, str(workflow.validate())
