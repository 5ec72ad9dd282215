"""`flowbatch validate`: every problem of a file, without a cluster, or, where one is named, on that cluster."""

from flowbatch.api.meta import JsonObject
from flowbatch.cli.load import load
from flowbatch.cli.options import ClusterOptions, FileArgument
from flowbatch.cli.session import connect, run_async
from flowbatch.errors import SpecError, SpecErrors
from flowbatch.kube.schema import served_fields
from flowbatch.workload import rules


def validate(*files: FileArgument, options: ClusterOptions | None = None) -> int:
    """Check the jobs, queues, pod groups and scheduler configurations of FILE.py or FILE.yaml against every rule.

    With --kubeconfig or --context, also against what that cluster serves: on Volcano's own CRDs some fields are not.

    Parameters
    ----------
    files
        Python or YAML files; - is standard input.
    """
    if not files:
        raise SpecError("FILE", "at least one file is needed")
    problems: list[SpecError] = []
    served = run_async(lambda: _served(options)) if options and (options.kubeconfig or options.context) else None
    count = 0
    for file in files:
        for manifest in load(file):
            count += 1
            problems += check(manifest, file, served)
    if problems:
        raise SpecErrors(problems, ", ".join(files))
    print(f"{count} object{'' if count == 1 else 's'}: no problems")
    return 0


async def _served(options: ClusterOptions) -> frozenset[str]:
    async with connect(options) as session:
        return await served_fields(session.client)


def check(manifest: JsonObject, source: str, served: frozenset[str] | None = None) -> list[SpecError]:
    """The problems of one manifest, with its kind and name in front of each path.

    `served`: the optional fields a cluster's schemas have; None, where no cluster is asked, is all of them.
    """
    if (manifest.get("apiVersion"), manifest.get("kind")) == ("v1", "ConfigMap"):
        return check_config_map(manifest, source)
    rule = rules.CHECKS.get((str(manifest.get("apiVersion")), str(manifest.get("kind"))))
    if rule is None:
        return []
    name = (manifest.get("metadata") or {}).get("name", "?") if isinstance(manifest.get("metadata"), dict) else "?"
    where = f"{source} {manifest['kind']}/{name} "
    if rule is rules.check_job:
        found = rules.check_job(manifest, served=served)
    elif rule is rules.check_job_flow:
        found = rules.check_job_flow(manifest, served=served)
    else:
        found = rule(manifest)
    return [SpecError(where + each.path, each.problem, each.value, each.hint) for each in found]


def check_config_map(manifest: JsonObject, source: str) -> list[SpecError]:
    """The problems of a scheduler configuration, where a ConfigMap holds one."""
    from flowbatch.runtime.files import KEYS, read_config_map
    from flowbatch.runtime.policies import choose
    from flowbatch.runtime.settings import decode_settings

    data = manifest.get("data")
    if not isinstance(data, dict) or not any(key in data for key in KEYS):
        return []
    try:
        choose(decode_settings(read_config_map(manifest, source), source))
    except SpecErrors as error:
        name = (manifest.get("metadata") or {}).get("name", "?")
        return [
            SpecError(f"{source} ConfigMap/{name} {each.path}", each.problem, each.value, each.hint) for each in error
        ]
    return []
