"""`flowbatch get`: objects as a table, JSON, YAML or names; `--watch` goes on with what changes."""

from typing import Any

import msgspec

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import JsonObject
from flowbatch.cli.options import ListOptions
from flowbatch.cli.output import as_list, print_objects, print_table, say
from flowbatch.cli.resources import Resource, resource
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.informer import Informer
from flowbatch.kube.errors import NotFound


def get(kind: str = "jobs", /, *names: str, options: ListOptions | None = None) -> int:
    """List jobs, pods, queues, podgroups or nodes.

    Parameters
    ----------
    kind
        jobs, pods, queues, podgroups or nodes (kubectl's short names too).
    names
        Only these objects.
    """
    return run_async(lambda: _get(resource(kind), names, options or ListOptions()))


async def _get(what: Resource[Any], names: tuple[str, ...], options: ListOptions) -> int:
    async with connect(options) as session:
        namespace = _namespace(what.kind, options, session)
        found, missing = await _fetch(session, what.kind, namespace, names, options.selector)
        _show(what, found, options, namespace)
        for name in missing:
            say(f'error: {what.kind.plural} "{name}" not found')
        if options.watch and not missing:
            await _watch(session, what, namespace, names, options)
        return 1 if missing else 0


def _namespace(kind: Kind[Any], options: ListOptions, session: Session) -> str | None:
    return None if options.all_namespaces or not kind.namespaced else session.namespace


async def _fetch(
    session: Session, kind: Kind[Any], namespace: str | None, names: tuple[str, ...], selector: str
) -> tuple[list[JsonObject], list[str]]:
    if not names:
        return await session.client.list_json(kind, namespace, label_selector=selector), []
    found, missing = [], []
    for name in names:
        try:
            found.append(await session.client.get_json(kind, name, namespace))
        except NotFound:
            missing.append(name)
    return found, missing


def _show(what: Resource[Any], found: list[JsonObject], options: ListOptions, namespace: str | None) -> None:
    kind = what.kind
    for each in found:
        each.setdefault("apiVersion", kind.api_version)
        each.setdefault("kind", kind.kind)
    if options.output in ("json", "yaml"):
        single = len(found) == 1
        print_objects(found if single else [as_list(found)], options.output)
    elif options.output == "name":
        group = f".{kind.group}" if kind.group else ""
        for each in found:
            print(f"{kind.kind.lower()}{group}/{each['metadata']['name']}")
    elif found:
        _print_rows(what, [msgspec.convert(each, kind.type) for each in found], options, not options.no_headers)
    elif not options.watch:
        say(f"No resources found in {namespace} namespace." if namespace else "No resources found.")


def _print_rows(what: Resource[Any], found: list[Any], options: ListOptions, headers: bool) -> None:
    width = len(what.header) - (0 if options.output == "wide" else what.wide)
    show_namespace = options.all_namespaces and what.kind.namespaced
    header = (*(("NAMESPACE",) if show_namespace else ()), *what.header[:width])
    rows = []
    for each in sorted(found, key=lambda one: one.metadata.key):
        lead = (each.metadata.namespace,) if show_namespace else ()
        rows.append((*lead, *what.row(each)[:width]))
    print_table(header, rows, headers=headers)


async def _watch(
    session: Session, what: Resource[Any], namespace: str | None, names: tuple[str, ...], options: ListOptions
) -> None:
    """Print a row per change until Ctrl-C; the informer reconnects by itself."""
    informer = Informer(session.client, what.kind, namespace=namespace, label_selector=options.selector)
    first = True

    def changed(old: Any, new: Any) -> None:
        nonlocal first
        # The first list was printed already.
        if informer.synced and new is not None and (not names or new.metadata.name in names):
            _print_rows(what, [new], options, headers=first and not options.no_headers)
            first = False

    informer.on_change(changed)
    await informer.run()
