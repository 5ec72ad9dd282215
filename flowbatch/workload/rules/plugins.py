"""Job plugins: known names, arguments that can be read, tasks that they need."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.roles import PLUGINS, parse_flags
from flowbatch.workload.roles.missing import bad_ports
from flowbatch.workload.rules.reading import dict_of, dicts_of, items_of, list_of, task_name, texts_of


def check_plugins(manifest: JsonObject) -> Iterator[SpecError]:
    """spec.plugins of a job."""
    spec = dict_of(manifest, "spec")
    tasks = {task_name(index, task): index for index, task in dicts_of(spec, "tasks")}
    for name, _ in items_of(spec, "plugins"):
        path = f"spec.plugins.{name[:100]}"
        if name not in PLUGINS:
            yield SpecError(path, "is not a plugin", name, did_you_mean(name[:100], PLUGINS))
            continue
        arguments = [text for _, text in texts_of(spec, "plugins", name)]
        if len(arguments) != len(list_of(spec, "plugins", name)):
            continue  # some are no strings, and are refused for that
        plugin, parsed = PLUGINS[name], parse_flags(arguments, PLUGINS[name].flags)
        for index, problem, hint in parsed.problems:
            yield SpecError(f"{path}[{index}]", problem, arguments[index], hint)
        for found in (*bad_ports(parsed), *plugin.problems(tasks, parsed)):
            yield SpecError(path, found.problem, found.value, found.hint)
