"""The rules of a CronJob (volcano.md 7, "cronjobs validate"): when it runs, and the Job it makes."""

from collections.abc import Iterator

from flowbatch.api.meta import JsonObject
from flowbatch.errors import SpecError, did_you_mean
from flowbatch.workload.cron.schedule import BadSchedule, parse_schedule, parse_zone
from flowbatch.workload.rules import names
from flowbatch.workload.rules.reading import dict_of, text_of
from flowbatch.workload.rules.table import Rule
from flowbatch.workload.vocabulary import CONCURRENCY_POLICIES

#: With the eleven characters that a run's job has more, a label still holds the name (Kubernetes' figure).
NAME_CHARS = 52
#: Longer than any schedule needs to be.
_SCHEDULE_CHARS = 1000
_AT_LEAST_0 = "must be at least 0"

CRON_RULES: tuple[Rule, ...] = (
    Rule("spec.startingDeadlineSeconds", lambda count: count >= 0, _AT_LEAST_0, "self >= 0"),
    Rule("spec.successfulJobsHistoryLimit", lambda count: count >= 0, _AT_LEAST_0, "self >= 0"),
    Rule("spec.failedJobsHistoryLimit", lambda count: count >= 0, _AT_LEAST_0, "self >= 0"),
)


def check_cron(manifest: JsonObject) -> Iterator[SpecError]:
    """Its name, its schedule and zone, and what becomes of runs that overlap."""
    name = text_of(manifest, "metadata", "name")
    given = text_of(manifest, "metadata", "generateName")
    if not name and not given:
        yield SpecError("metadata.name", "is missing")
    elif name and len(name) > NAME_CHARS:
        yield SpecError("metadata.name", f"is {len(name)} characters long: at most {NAME_CHARS}", name)
    elif name:
        yield from names.named("metadata.name", name, names.subdomain_problem(name))
    spec = manifest.get("spec")
    if not isinstance(spec, dict):
        if spec is None:
            yield SpecError("spec", "is missing")
        return
    yield from _zone(spec)
    yield from _schedule(spec)
    policy = text_of(spec, "concurrencyPolicy")
    if policy and policy not in CONCURRENCY_POLICIES:
        hint = did_you_mean(policy[:100], CONCURRENCY_POLICIES)
        yield SpecError("spec.concurrencyPolicy", "is not known", policy, hint)
    if spec.get("jobTemplate") is None:
        yield SpecError("spec.jobTemplate", "is missing")


def _zone(spec: JsonObject) -> Iterator[SpecError]:
    zone = spec.get("timeZone")
    if isinstance(zone, str):
        try:
            parse_zone(zone)
        except BadSchedule as problem:
            yield SpecError("spec.timeZone", str(problem), zone, 'e.g. "Europe/Berlin"; leave it out for UTC')


def _schedule(spec: JsonObject) -> Iterator[SpecError]:
    text = spec.get("schedule")
    if not isinstance(text, str):
        if text is None:
            yield SpecError("spec.schedule", "is missing", None, 'e.g. "30 2 * * *"')
        return
    if len(text) > _SCHEDULE_CHARS:
        yield SpecError("spec.schedule", f"is longer than {_SCHEDULE_CHARS} characters")
        return
    try:
        parse_schedule(text)
    except BadSchedule as problem:
        yield SpecError("spec.schedule", str(problem), text, 'e.g. "30 2 * * *", "@hourly", "@every 90m"')


def child_of(manifest: JsonObject) -> JsonObject:
    """The Job of a run as a manifest, under the longest name that a run's job has."""
    template = dict_of(manifest, "spec", "jobTemplate")
    name = text_of(manifest, "metadata", "name") or f"{text_of(manifest, 'metadata', 'generateName')}xxxxx"
    inner = {key: value for key, value in dict_of(template, "metadata").items() if key in ("labels", "annotations")}
    return {"metadata": {**inner, "name": f"{name[:NAME_CHARS]}-{'0' * 8}"}, "spec": template.get("spec")}
