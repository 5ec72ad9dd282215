"""Does `import flowbatch_dsl` stay cheap?"""

import subprocess
import sys

HEAVY = [
    *("asyncio", "anyio", "yaml", "dataclasses", "rich", "aiohttp", "numpy", "kubernetes_asyncio", "kubernetes"),
    *("orjson", "structlog", "cyclopts", "logging", "socket", "ssl", "subprocess"),
]


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_importing_loads_nothing_heavy() -> None:
    code = f"import flowbatch_dsl, sys; print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code) == "[]"


def test_building_a_job_loads_nothing_heavy_either() -> None:
    build = "mpi('a', ['x'], resources=Resources(cpu=0.5)).but(queue='b').manifests()"
    code = f"from flowbatch_dsl import mpi, Resources; import sys; {build}; "
    code += f"print([name for name in {HEAVY} if name in sys.modules])"
    assert run(code) == "[]"


def test_neither_does_making_steps_and_workflows() -> None:
    code = f"""
from flowbatch_dsl import Job, Task, Workflow, flow, step, sweep, when
import sys

@step
def f(x: int) -> int: return x

@flow
def g() -> int: return f(1)

job = Job("a", tasks=[Task("t", ["x"])])
Workflow("w", job >> Job("b", tasks=[Task("t", ["x"])])).manifests()
print([name for name in {HEAVY} if name in sys.modules])
"""
    assert run(code) == "[]"


def test_every_public_name_is_there_and_star_import_gives_them() -> None:
    code = (
        "import flowbatch_dsl as f; [getattr(f, name) for name in f.__all__]; from flowbatch_dsl import *; print(Run)"
    )
    assert "Run" in run(code)


def test_a_wrong_name_is_an_attribute_error() -> None:
    assert run("import flowbatch_dsl as f; print(hasattr(f, 'Jobb'), 'Run' in dir(f))") == "False True"
