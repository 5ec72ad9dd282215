"""`flowbatch run`: submit what a file describes and follow it to its end.

All objects are checked, here and by the server's dry run, before the first is created.
"""

from collections.abc import Container
from difflib import get_close_matches
from typing import Annotated, Any

import anyio
import msgspec
from cyclopts import Parameter

from flowbatch.api.batch import Job
from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import JOB, JOB_FLOW, KINDS, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.cli import EXIT_FAILED, EXIT_INTERRUPTED
from flowbatch.cli.live import Follower, print_result
from flowbatch.cli.liveflow import FlowFollower
from flowbatch.cli.load import load
from flowbatch.cli.options import FileArgument, NamespaceOptions
from flowbatch.cli.output import say
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.cli.validate import check
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors
from flowbatch.following.bringing import bring, companions
from flowbatch.kube.errors import AlreadyExists
from flowbatch.kube.request import Request, create_object
from flowbatch.kube.schema import served_fields

DEFAULT_NAMESPACE = "default"
#: Fields of a spec that name another object: field -> its kind.
_REFERENCES = {"queue": "Queue", "parent": "Queue", "priorityClassName": "PriorityClass"}
_BY_NAME: dict[tuple[str, str], Kind[Any]] = {(kind.api_version, kind.kind): kind for kind in KINDS}


def run(
    file: FileArgument,
    /,
    *,
    detach: Annotated[bool, Parameter(name=["--detach", "-d"], negative="")] = False,
    plain: Annotated[bool, Parameter(negative="")] = False,
    options: NamespaceOptions | None = None,
) -> int:
    """Submit the jobs and workflows of FILE.py, FILE.py:NAME or FILE.yaml and follow them.

    Exit code 1 if one of them does not complete.

    Parameters
    ----------
    file
        A Python file that defines jobs or workflows, or a YAML file, or - for standard input.
    detach
        Return once they are submitted.
    plain
        Print lines even in a terminal.
    """
    manifests = load(file, submitting=True)
    if problems := [each for manifest in manifests for each in check(manifest, file)]:
        raise SpecErrors(problems, file)
    chosen = options or NamespaceOptions()
    hints: list[str] = []
    try:
        return run_async(lambda: _run(manifests, file, hints, detach, plain, chosen))
    except KeyboardInterrupt:
        if hints:
            say(f"\ndetached; still running. {hints[0]}")
        return EXIT_INTERRUPTED


def _way_back(how: str, name: str) -> str:
    """How to look after what goes on, and how to stop it."""
    kind = "jobflow/" if how.endswith("jobflow/") else ""
    return f"Follow: flowbatch {how}{name}   Stop: flowbatch delete {kind}{name}"


async def _run(
    manifests: list[JsonObject], file: str, hints: list[str], detach: bool, plain: bool, options: NamespaceOptions
) -> int:
    async with connect(options) as session:
        served = await served_fields(session.client)
        if problems := [each for manifest in manifests for each in check(manifest, file, served)]:
            raise SpecErrors(problems, file)
        jobs, flows = await submit(session, manifests)
        hints += [_way_back("why jobflow/", flow.metadata.name) for flow in flows]
        hints += [_way_back("logs -f ", job.metadata.name) for job in jobs]
        if detach or not hints:
            return 0
        # Two live views at once would write over each other.
        lines = True if plain or (jobs and flows) else None
        done = [True, True]
        async with anyio.create_task_group() as following:
            following.start_soon(_follow_jobs, session, jobs, lines, done)
            following.start_soon(_follow_flows, session, flows, lines, done)
        return 0 if all(done) else EXIT_FAILED


async def _follow_jobs(session: Session, jobs: list[Job], plain: bool | None, done: list[bool]) -> None:
    if not jobs:
        return
    follower = Follower(session.client, jobs, plain=plain)
    await follower.run()
    for progress in follower.jobs:
        print_result(progress)
    done[0] = len(follower.jobs) == len(jobs) and all(job.succeeded for job in follower.jobs)


async def _follow_flows(session: Session, flows: list[JobFlow], plain: bool | None, done: list[bool]) -> None:
    if flows:
        follower = FlowFollower(session.client, flows, plain=plain)
        await follower.run()
        done[1] = follower.print_results()


async def submit(session: Session, manifests: list[JsonObject]) -> tuple[list[Job], list[JobFlow]]:
    """Create all of `manifests`, or none of them; the jobs and the flows among them come back.

    What is neither and exists already is left as it is, and that is said. A flow owns the JobTemplates that it names.
    """
    kinds = [kind_of(manifest) for manifest in manifests]
    bring = {
        (kind.kind, str(manifest["metadata"].get("name"))) for kind, manifest in zip(kinds, manifests, strict=True)
    }
    for kind, manifest in zip(kinds, manifests, strict=True):
        trial = rehearsal(manifest, bring)
        request = create_object(kind, trial, _namespace(trial, session))
        await _send(session, kind, msgspec.structs.replace(request, params=(("dryRun", "All"),)), manifest)
    jobs, flows = [], []
    owned = companions(manifests)
    brought = {id(each) for templates in owned.values() for each in templates}
    for place, (kind, manifest) in enumerate(zip(kinds, manifests, strict=True)):
        if id(manifest) in brought:
            continue
        if kind is JOB_FLOW:
            flows.append(await _bring(session, manifest, owned[place]))
            continue
        body = await _send(session, kind, create_object(kind, manifest, _namespace(manifest, session)), manifest)
        title = f"{kind.kind.lower()}/{manifest['metadata'].get('name', '')}"
        say(f"{title} created" if body else f"{title} exists already; it is left as it is")
        if kind is JOB and body:
            jobs.append(msgspec.json.decode(body, type=Job))
    return jobs, flows


async def _bring(session: Session, flow: JsonObject, templates: list[JsonObject]) -> JobFlow:
    try:
        return await bring(session.client, flow, templates, _namespace(flow, session) or "", say)
    except AlreadyExists as error:
        raise _taken(flow) from error


def _taken(flow: JsonObject) -> FlowbatchError:
    name = flow["metadata"].get("name")
    return FlowbatchError(
        f"workflow {name} exists already; nothing was created\n"
        f"look: flowbatch describe jobflow/{name}   delete it: flowbatch delete jobflow/{name}"
    )


def rehearsal(manifest: JsonObject, bring: Container[tuple[str, str]]) -> JsonObject:
    """`manifest` for a dry run: what it refers to and the same file brings is not there yet, so it is left out."""
    metadata, spec = manifest["metadata"], manifest.get("spec")
    if ("Namespace", str(metadata.get("namespace"))) in bring:
        metadata = {**metadata, "namespace": DEFAULT_NAMESPACE}
    if isinstance(spec, dict):
        spec = {field: value for field, value in spec.items() if (_REFERENCES.get(field, ""), str(value)) not in bring}
    return {**manifest, "metadata": metadata, **({"spec": spec} if spec is not None else {})}


async def _send(session: Session, kind: Kind[Any], request: Request, manifest: JsonObject) -> bytes:
    """The object as created; nothing for one that exists already and is neither job nor flow."""
    try:
        return await session.client.send(request)
    except AlreadyExists as error:
        if kind is JOB_FLOW:
            raise _taken(manifest) from error
        if kind is not JOB:
            return b""
        name = manifest["metadata"].get("name")
        raise FlowbatchError(
            f"job {name} exists already; nothing was created\nfollow it: flowbatch logs -f {name}   "
            f"delete it: flowbatch delete {name}"
        ) from error


def kind_of(manifest: JsonObject) -> Kind[Any]:
    """The kind of a manifest. Raises SpecError for one flowbatch does not submit."""
    kind = _BY_NAME.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
    if kind is None:
        known = {name: version for version, name in _BY_NAME}
        name, version = str(manifest.get("kind")), str(manifest.get("apiVersion"))
        if name in known:
            raise SpecError("apiVersion", f"kind {name} is not known in this version", version, f'use "{known[name]}"')
        near = get_close_matches(name, known, n=1)
        hint = f'did you mean "{near[0]}"?' if near else f"for other kinds: kubectl apply -f, or make it a {JOB.kind}"
        raise SpecError("kind", "is not one flowbatch submits", f"{version} {name}", hint)
    return kind


def _namespace(manifest: JsonObject, session: Session) -> str | None:
    kind = kind_of(manifest)
    return (manifest["metadata"].get("namespace") or session.namespace) if kind.namespaced else None
