"""`flowbatch run`: submit what a file describes and follow it to its end.

All objects are checked, here and by the server's dry run, before the first is created.
"""

from typing import Any

import msgspec

from flowbatch.api.batch import Job
from flowbatch.api.kinds import JOB, KINDS, Kind
from flowbatch.api.meta import JsonObject
from flowbatch.cli import EXIT_FAILED, EXIT_INTERRUPTED
from flowbatch.cli.live import Follower, print_result
from flowbatch.cli.load import load
from flowbatch.cli.options import NamespaceOptions
from flowbatch.cli.output import say
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.cli.validate import check
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors, did_you_mean
from flowbatch.kube.errors import AlreadyExists
from flowbatch.kube.request import create_object

_BY_NAME: dict[tuple[str, str], Kind[Any]] = {(kind.api_version, kind.kind): kind for kind in KINDS}


def run(file: str, /, *, detach: bool = False, plain: bool = False, options: NamespaceOptions | None = None) -> int:
    """Submit the jobs of FILE.py, FILE.py:NAME or FILE.yaml and follow them; exit code 1 if one does not complete.

    Parameters
    ----------
    file
        A Python file that defines jobs, or a YAML file, or - for standard input.
    detach
        Return once they are submitted.
    plain
        Print lines even in a terminal.
    """
    manifests = load(file)
    if problems := [each for manifest in manifests for each in check(manifest, file)]:
        raise SpecErrors(problems, file)
    chosen = options or NamespaceOptions()
    names: list[str] = []
    try:
        return run_async(lambda: _run(manifests, names, detach, plain, chosen))
    except KeyboardInterrupt:
        if names:
            say(f"\ndetached; still running. Follow: flowbatch logs -f {names[0]}   Stop: flowbatch delete {names[0]}")
        return EXIT_INTERRUPTED


async def _run(
    manifests: list[JsonObject], names: list[str], detach: bool, plain: bool, options: NamespaceOptions
) -> int:
    async with connect(options) as session:
        created = await submit(session, manifests)
        names += [job.metadata.name for job in created]
        if detach or not created:
            return 0
        follower = Follower(session.client, created, plain=True if plain else None)
        await follower.run()
        for progress in follower.jobs:
            print_result(progress)
        done = len(follower.jobs) == len(created) and all(job.succeeded for job in follower.jobs)
        return 0 if done else EXIT_FAILED


async def submit(session: Session, manifests: list[JsonObject]) -> list[Job]:
    """Create all of `manifests`, or none of them; the jobs among them come back."""
    planned = [(kind_of(manifest), manifest, _namespace(manifest, session)) for manifest in manifests]
    for kind, manifest, namespace in planned:
        request = create_object(kind, manifest, namespace)
        await _send(session, kind, manifest, msgspec.structs.replace(request, params=(("dryRun", "All"),)))
    jobs = []
    for kind, manifest, namespace in planned:
        body = await _send(session, kind, manifest, create_object(kind, manifest, namespace))
        say(f"{kind.kind.lower()}/{manifest['metadata'].get('name', '')} created")
        if kind is JOB:
            jobs.append(msgspec.json.decode(body, type=Job))
    return jobs


async def _send(session: Session, kind: Kind[Any], manifest: JsonObject, request: Any) -> bytes:
    try:
        return await session.client.send(request)
    except AlreadyExists as error:
        name = manifest["metadata"].get("name")
        hint = f"; delete it first: flowbatch delete {name}" if kind is JOB else ""
        raise FlowbatchError(f"{kind.kind.lower()} {name} exists already{hint}; nothing was created") from error


def kind_of(manifest: JsonObject) -> Kind[Any]:
    """The kind of a manifest. Raises SpecError for one flowbatch does not submit."""
    kind = _BY_NAME.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
    if kind is None:
        known = sorted({name for _, name in _BY_NAME})
        hint = did_you_mean(str(manifest.get("kind")), known) + ", or use kubectl apply"
        raise SpecError(
            "kind", "is not one flowbatch submits", f"{manifest.get('apiVersion')} {manifest['kind']}", hint
        )
    return kind


def _namespace(manifest: JsonObject, session: Session) -> str | None:
    kind = kind_of(manifest)
    return (manifest["metadata"].get("namespace") or session.namespace) if kind.namespaced else None
