"""`flowbatch get`: objects as a table, JSON, YAML or names; `--watch` goes on with what changes."""

from collections.abc import Sequence
from typing import Any

import msgspec

from flowbatch.api.kinds import Kind
from flowbatch.api.meta import JsonObject
from flowbatch.cli.options import ListOptions
from flowbatch.cli.output import Table, as_list, print_objects, say
from flowbatch.cli.resources import Resource, resource
from flowbatch.cli.session import Session, connect, run_async
from flowbatch.errors import SpecError
from flowbatch.informer import Informer
from flowbatch.kube.errors import NotFound


def get(kind: str = "jobs", /, *names: str, options: ListOptions | None = None) -> int:
    """List jobs, workflows, cron jobs, pods, queues, podgroups or nodes.

    Parameters
    ----------
    kind
        jobs, jobflows, jobtemplates, cronjobs, pods, queues, podgroups or nodes (kubectl's short names too); or
        KIND/NAME.
    names
        Only these objects.
    """
    kind, slash, name = kind.partition("/")
    if slash and not name:
        raise SpecError("RESOURCE", "expected KIND/NAME", f"{kind}/", "e.g. job/pi")
    names = (name, *names) if slash else names
    return run_async(lambda: _get(resource(kind), names, options or ListOptions()))


async def _get(what: Resource[Any], names: tuple[str, ...], options: ListOptions) -> int:
    if options.watch and options.output in ("json", "yaml"):
        raise SpecError("--watch", "prints a table or names", f"-o {options.output}")
    async with connect(options) as session:
        namespace = _namespace(what.kind, options, session)
        found, missing = await _fetch(session, what.kind, namespace, names, options.selector)
        printer = Printer(what, options)
        printer.print(found)
        if not found and not missing and options.output in ("table", "wide"):
            say(f"No resources found in {namespace} namespace." if namespace else "No resources found.")
        for name in missing:
            say(f'error: {what.kind.plural} "{name}" not found')
        if options.watch and not missing:
            await _watch(session, what, namespace, names, options, printer)
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


class Printer:
    """Prints objects of one kind in the form that was asked for; rows that follow keep to the columns of the first."""

    def __init__(self, what: Resource[Any], options: ListOptions) -> None:
        self._what = what
        self._output = options.output
        self._lead = options.all_namespaces and what.kind.namespaced
        width = len(what.header) - (0 if options.output == "wide" else what.wide)
        self._width = width
        header = (*(("NAMESPACE",) if self._lead else ()), *what.header[:width])
        self._table = Table(header, headers=not options.no_headers)

    def print(self, found: list[JsonObject]) -> None:
        """Print whole objects."""
        kind = self._what.kind
        for each in found:
            each.setdefault("apiVersion", kind.api_version)
            each.setdefault("kind", kind.kind)
        if self._output in ("json", "yaml"):
            print_objects(found if len(found) == 1 else [as_list(found)], self._output)
        else:
            typed = [msgspec.convert(each, kind.type) for each in found]
            self.rows(sorted(typed, key=lambda one: one.metadata.key))

    def rows(self, found: Sequence[Any]) -> None:
        """Print a row, or just the name, for each."""
        kind = self._what.kind
        if self._output == "name":
            group = f".{kind.group}" if kind.group else ""
            for each in found:
                print(f"{kind.kind.lower()}{group}/{each.metadata.name}", flush=True)
        else:
            self._table.print([self._row(each) for each in found])

    def _row(self, each: Any) -> Sequence[object]:
        lead = (each.metadata.namespace,) if self._lead else ()
        return (*lead, *self._what.row(each)[: self._width])

    def shown(self, each: Any) -> Sequence[object]:
        """What a reader can tell two states of an object apart by: its row, but not the age."""
        cells = zip(self._what.header[: self._width], self._what.row(each)[: self._width], strict=True)
        return [cell for name, cell in cells if name != "AGE"]


async def _watch(
    session: Session,
    what: Resource[Any],
    namespace: str | None,
    names: tuple[str, ...],
    options: ListOptions,
    printer: Printer,
) -> None:
    """Print a row per change that shows, until Ctrl-C; the informer reconnects by itself."""
    informer = Informer(session.client, what.kind, namespace=namespace, label_selector=options.selector)

    def changed(old: Any, new: Any) -> None:
        # The first list is on the screen already.
        if not informer.synced or (names and (new or old).metadata.name not in names):
            return
        if new is None:
            say(f"{what.kind.kind.lower()}/{old.metadata.name} deleted")
        elif old is None or printer.shown(old) != printer.shown(new):
            printer.rows([new])

    informer.on_change(changed)
    await informer.run()
