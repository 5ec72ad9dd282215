"""`flowbatch vc jobflow` and `jobtemplate`: create, delete, list, get, describe. One set of verbs, two kinds."""

from typing import Annotated, Any, Literal

import msgspec
from cyclopts import App, Parameter

from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import JOB_FLOW, JOB_TEMPLATE, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.cli.load import load
from flowbatch.cli.output import age, print_objects
from flowbatch.cli.session import run_async
from flowbatch.cli.vc.options import Cluster, Everywhere, File, Name, Namespace, connect, needed
from flowbatch.cli.vc.tables import NOTHING, spaced
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors
from flowbatch.kube.errors import ApiError
from flowbatch.workload import rules

Format = Annotated[Literal["yaml", "json"], Parameter(name=["--format", "-o"], help="the format of output")]
#: Space between vcctl's columns.
_GAP = 4
#: Between two objects that are described.
_RULE = "-" * 33


def _verbs(kind: Kind[Any], command: str, header: tuple[str, ...]) -> App:
    """The verbs of one kind."""
    app = App(name=command, help=f"vcctl command line operation {command}")

    @app.command(name="create", help=f"create a {command}")
    def create(*, filename: File = "", cluster: Cluster | None = None) -> int:
        needed(filename, f"file with a {command}", "--file")
        found = _of_file(kind, filename)
        return run_async(lambda: _create(kind, found, cluster))

    @app.command(name="delete", help=f"delete a {command}")
    def delete(
        *, name: Name = "", namespace: Namespace = "default", filename: File = "", cluster: Cluster | None = None
    ) -> int:
        if filename:
            metadata = [each["metadata"] for each in _of_file(kind, filename)]
            names = [(each.get("namespace") or namespace, each["name"]) for each in metadata]
        else:
            names = [(namespace, needed(name, command))]
        return run_async(lambda: _delete(kind, names, cluster))

    @app.command(name="list", help=f"list {command} information")
    def list_all(
        *, namespace: Namespace = "default", everywhere: Everywhere = False, cluster: Cluster | None = None
    ) -> int:
        return run_async(lambda: _show(kind, header, "", None if everywhere else namespace, cluster))

    @app.command(name="get", help=f"get a {command}")
    def get(*, name: Name = "", namespace: Namespace = "default", cluster: Cluster | None = None) -> int:
        needed(name, command)
        return run_async(lambda: _show(kind, header, name, namespace, cluster))

    @app.command(name="describe", help=f"describe a {command}, or all of them")
    def describe(
        *,
        name: Name = "",
        namespace: Namespace = "default",
        output: Format = "yaml",
        cluster: Cluster | None = None,
    ) -> int:
        return run_async(lambda: _describe(kind, name, namespace, output, cluster))

    return app


def _of_file(kind: Kind[Any], filename: str) -> list[JsonObject]:
    """The objects of this kind in a file. Raises SpecError, SpecErrors."""
    found = [each for each in load(filename) if each.get("kind") == kind.kind]
    if not found:
        raise SpecError(filename, f"has no {kind.kind} in it")
    problems = [problem for each in found for problem in rules.CHECKS[kind.api_version, kind.kind](each)]
    if problems:
        raise SpecErrors(problems, filename)
    return found


async def _create(kind: Kind[Any], found: list[JsonObject], cluster: Cluster | None) -> int:
    async with connect(cluster) as client:
        for each in found:
            namespace = each["metadata"].get("namespace") or "default"
            made = await client.create(kind, each, namespace)
            print(f"Created {kind.kind}: {namespace}/{made.metadata.name}")
    return 0


async def _delete(kind: Kind[Any], names: list[tuple[str, str]], cluster: Cluster | None) -> int:
    """All that can be deleted are; the rest is one error."""
    failed: list[str] = []
    async with connect(cluster) as client:
        for namespace, name in names:
            try:
                await client.delete(kind, name, namespace)
            except ApiError as problem:
                failed.append(f"delete {kind.kind} {namespace}/{name}: {problem}")
            else:
                print(f"Deleted {kind.kind}: {namespace}/{name}")
    if failed:
        raise FlowbatchError("\n".join(failed))
    return 0


async def _show(
    kind: Kind[Any], header: tuple[str, ...], name: str, namespace: str | None, cluster: Cluster | None
) -> int:
    async with connect(cluster) as client:
        found = [await client.get(kind, name, namespace)] if name else await client.list(kind, namespace)
    if not found:
        print(NOTHING)
        return 0
    spaced(_GAP, [header, *(_row(each)[: len(header)] for each in sorted(found, key=lambda each: each.metadata.key))])
    return 0


def _row(found: Any) -> tuple[object, ...]:
    meta = found.metadata
    phase = found.status.state.phase if isinstance(found, JobFlow) else ""
    return (meta.name, meta.namespace, phase, age(meta.creation_timestamp))


async def _describe(kind: Kind[Any], name: str, namespace: str, output: str, cluster: Cluster | None) -> int:
    async with connect(cluster) as client:
        if name:
            found = [await client.get_json(kind, name, namespace)]
        else:
            found = await client.list_json(kind, namespace)
    for number, each in enumerate(found):
        if number:
            print(_RULE)
        each.get("metadata", {}).pop("managedFields", None)
        print_objects([msgspec.to_builtins(each)], output)
    return 0


jobflow = _verbs(JOB_FLOW, "jobflow", ("Name", "Namespace", "Phase", "Age"))
jobtemplate = _verbs(JOB_TEMPLATE, "jobtemplate", ("Name", "Namespace"))
