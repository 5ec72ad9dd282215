"""`flowbatch validate`: every problem of a file, without a cluster."""

from collections.abc import Callable

from flowbatch.api.meta import JsonObject
from flowbatch.cli.load import load
from flowbatch.cli.options import FileArgument
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.workload import rules

CHECKS: dict[tuple[str, str], Callable[[JsonObject], list[SpecError]]] = {
    ("batch.volcano.sh/v1alpha1", "Job"): rules.check_job,
    ("scheduling.volcano.sh/v1beta1", "Queue"): rules.check_queue,
    ("scheduling.volcano.sh/v1beta1", "PodGroup"): rules.check_pod_group,
    ("bus.volcano.sh/v1alpha1", "Command"): rules.check_command,
}


def validate(*files: FileArgument) -> int:
    """Check the jobs, queues and pod groups of FILE.py or FILE.yaml against every rule.

    Parameters
    ----------
    files
        Python or YAML files; - is standard input.
    """
    if not files:
        raise SpecError("FILE", "at least one file is needed")
    problems: list[SpecError] = []
    count = 0
    for file in files:
        for manifest in load(file):
            count += 1
            problems += check(manifest, file)
    if problems:
        raise SpecErrors(problems, ", ".join(files))
    print(f"{count} object{'' if count == 1 else 's'}: no problems")
    return 0


def check(manifest: JsonObject, source: str) -> list[SpecError]:
    """The problems of one manifest, with its kind and name in front of each path."""
    rule = CHECKS.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
    if rule is None:
        return []
    name = (manifest.get("metadata") or {}).get("name", "?") if isinstance(manifest.get("metadata"), dict) else "?"
    where = f"{source} {manifest['kind']}/{name} "
    return [SpecError(where + each.path, each.problem, each.value, each.hint) for each in rule(manifest)]
