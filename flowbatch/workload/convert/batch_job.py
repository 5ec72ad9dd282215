"""batch/v1 Job: one task of as many pods as there are completions.

Such pods start one by one as room allows, so `minAvailable` is 1, and the job is done when all of them succeeded
(`minSuccess`); a failed pod is made again until `backoffLimit` failures are spent.
"""

from flowbatch.api.meta import JsonObject
from flowbatch.workload.convert.fields import Fields
from flowbatch.workload.convert.pieces import (
    field_variable,
    give_env,
    job_manifest,
    life,
    max_retry,
    pod_template,
    priority_of,
)

TASK = "main"
#: Kubernetes' own defaults.
BACKOFF_LIMIT = 6
BACKOFF: JsonObject = {"backoffSeconds": 10, "maxBackoffSeconds": 360}


def convert_batch_job(fields: Fields) -> JsonObject:
    """The Job that does what a batch/v1 Job does."""
    spec = fields.inside("spec")
    task, count = task_of(spec, TASK)
    least = _least(spec, count)
    policies = [*_failures(spec), {"event": "PodFailed", "action": "RestartPod"}]
    retries = {"maxRetry": max_retry(spec.whole("backoffLimit", BACKOFF_LIMIT)), "retry": BACKOFF}
    common = {"minAvailable": 1, **least, **retries, **priority_of(task["template"]), **life(spec)}
    job = job_manifest(fields, {**common, "policies": policies, "tasks": [task]})
    if task["template"]["spec"].get("subdomain"):
        job["spec"]["plugins"] = {"svc": []}
        task["template"]["spec"].pop("subdomain")
        name = job["metadata"].get("name", "JOB")
        fields.findings.lose(
            f"{spec.at('template')}.spec.subdomain", f"pods are {name}-{TASK}-INDEX.{name} to each other"
        )
    return job


def task_of(spec: Fields, name: str, copies: int = 1) -> tuple[JsonObject, int]:
    """A task with the pods of `copies` Jobs of this spec, and the number of pods of one."""
    parallelism = spec.whole("parallelism", 1)
    count = spec.whole("completions", parallelism)
    if parallelism == 0:
        spec.findings.lose(spec.at("parallelism"), "is 0, a paused Job: set spec.suspend instead")
    elif parallelism < count:
        why = f"all {count} pods are made at once and run as room allows; bound them by the queue's capability"
        spec.findings.lose(spec.at("parallelism"), why)
    template = pod_template(spec, restart="Never")
    if spec.text("completionMode") == "Indexed":
        give_env(template, field_variable("JOB_COMPLETION_INDEX"))
        if copies > 1 and count > 1:
            spec.findings.lose(spec.at("completionMode"), "the index counts through the pods of all copies")
    spec.lose("backoffLimitPerIndex")
    spec.lose("maxFailedIndexes")
    if spec.truth("manualSelector"):
        spec.findings.lose(spec.at("manualSelector"))
    spec.skip("selector")
    if spec.text("podReplacementPolicy", "Failed") != "Failed":
        spec.findings.lose(spec.at("podReplacementPolicy"), "a pod is replaced when it is gone, not before")
    count = max(1, count)
    return {"name": name, "replicas": count * copies, "template": template}, count


def _least(spec: Fields, count: int) -> JsonObject:
    """How many must succeed: all, fewer by a success policy, or one where it is a queue of work without a number."""
    least = count if spec.has("completions") or count == 1 else None
    for rule in spec.inside("successPolicy").each("rules"):
        rule.lose("succeededIndexes", "which pods succeed makes no difference, only how many")
        if rule.has("succeededCount"):
            least = min(rule.whole("succeededCount", count), least or count)
    return {} if least is None else {"minSuccess": least}


def _failures(spec: Fields) -> list[JsonObject]:
    """A failure policy's rules, as far as an exit code ends the whole job."""
    found: list[JsonObject] = []
    for rule in spec.inside("podFailurePolicy").each("rules"):
        codes, action = rule.inside("onExitCodes"), rule.text("action")
        values = [each for each in codes.items("values") if isinstance(each, int) and each]
        if action == "FailJob" and values and codes.text("operator") == "In":
            codes.lose("containerName", "any container's exit code counts")
            found += [{"exitCode": value, "action": "TerminateJob"} for value in values]
            rule.findings.lose(rule.at("action"), "the job ends as Terminated, not as Failed")
            rule.lose("onPodConditions")
        elif action == "Ignore" and not values and rule.has("onPodConditions"):
            pass  # pods that the cluster took away never count as failures of the user's
        elif action != "Count":
            codes.skip("operator", "containerName")
            rule.skip("onPodConditions")
            rule.findings.lose(rule.at("action"), f"{action or 'this'} by such a rule is not possible")
    return found
