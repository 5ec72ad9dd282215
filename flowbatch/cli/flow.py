"""A flow in the terminal: found by name, drawn as layers of steps, and why it is where it is."""

from collections.abc import Sequence

from flowbatch.api.cron import CronJob
from flowbatch.api.flow import JobFlow
from flowbatch.api.kinds import CRON_JOB, JOB, JOB_FLOW
from flowbatch.cli.job import NoSuchJob, find_named, view_job
from flowbatch.cli.output import age, duration, print_table
from flowbatch.cli.session import Session
from flowbatch.errors import did_you_mean
from flowbatch.workload.explain import explain
from flowbatch.workload.flow.changes import FLOW_ENDS, PROBING, RUNNING, SKIPPED, WAITING
from flowbatch.workload.flow.graph import compiled
from flowbatch.workload.flow.picture import headline, lines, statuses, told, waits_for
from flowbatch.workload.suspension import suspended

FLOW_PREFIXES = ("jobflow/", "jobflows/", "jf/", "jobflow.flow.volcano.sh/")
CRON_PREFIXES = ("cronjob/", "cronjobs/", "cronvcjob/", "cronvj/", "cronjob.batch.volcano.sh/")
#: Steps of which `why` tells more than where they are.
MOST_EXPLAINED = 8


def bare(name: str, prefixes: Sequence[str]) -> str | None:
    """`name` without its kind, if it is one of these; else None."""
    return next((name.removeprefix(each) for each in prefixes if name.startswith(each)), None)


async def find_flow(session: Session, name: str) -> JobFlow:
    """The flow called `name`. Raises NoSuchJob."""
    return await find_named(session, JOB_FLOW, bare(name, FLOW_PREFIXES) or name, "jobflow")


async def find_cron(session: Session, name: str) -> CronJob:
    """The CronJob called `name`. Raises NoSuchJob."""
    return await find_named(session, CRON_JOB, bare(name, CRON_PREFIXES) or name, "cronjob")


def flow_fields(flow: JobFlow) -> dict[str, object]:
    """What `describe` says before the picture."""
    state = flow.status.state.phase or "Pending"
    return {
        "Name": flow.metadata.name,
        "Namespace": flow.metadata.namespace,
        "Status": f"{state}, suspended" if suspended(flow) and state not in FLOW_ENDS else state,
        "Age": age(flow.metadata.creation_timestamp),
        "Jobs": "deleted when it has succeeded" if flow.spec.job_retain_policy == "delete" else "kept",
    }


def print_picture(flow: JobFlow) -> None:
    """The graph, layer by layer, with what each step has come to."""
    rows = []
    for each in lines(flow):
        took = "-"
        if each.began is not None:
            took = duration(each.ended - each.began) if each.ended is not None else age(each.began)
        drawn = f"  {each.branch} {each.mark} {each.name}" if each.mark else f"  {each.branch}   {each.name}"
        rows.append((drawn, each.state, took if each.state else "", each.told))
    print("Steps:")
    if rows:
        print_table(("      STEP", "STATE", "TOOK", ""), rows)


async def print_why(session: Session, flow: JobFlow) -> None:
    """Where the flow is, and of what has begun and does not run, why."""
    print(headline(flow))
    if suspended(flow) and flow.status.state.phase not in FLOW_ENDS:
        print(f"  resume it: flowbatch resume jobflow/{flow.metadata.name}")
        return
    explained = 0
    for step in statuses(flow):
        if step.state != SKIPPED and (step.state == PROBING or step.reason):
            print(f"  step {step.name}: {step.message or step.reason}")
        elif step.state == RUNNING and step.items is None and explained < MOST_EXPLAINED:
            explained += 1
            await _print_job(session, f"{flow.metadata.name}-{step.name}", step.name)


def print_waiting(flow: JobFlow) -> None:
    """What steps that have not begun wait for."""
    graph, steps = compiled(flow.spec), statuses(flow)
    waiting = [at for at, step in enumerate(steps) if step.state in ("", WAITING) and not step.reason]
    if graph.problem or suspended(flow):
        return
    for at in waiting[:MOST_EXPLAINED]:
        print(f"  step {steps[at].name}: {waits_for(graph, steps, at) or 'about to begin'}")
    if len(waiting) > MOST_EXPLAINED:
        print(f"  and {len(waiting) - MOST_EXPLAINED} more steps wait")


async def print_step(session: Session, flow: JobFlow, name: str) -> None:
    """Why one step is where it is. Raises NoSuchJob."""
    steps = statuses(flow)
    found = [at for at, step in enumerate(steps) if step.name == name]
    if not found:
        hint = did_you_mean(name, [step.name for step in steps])
        raise NoSuchJob(f'no step "{name}" in workflow {flow.metadata.name}; {hint}')
    step = steps[found[0]]
    print(f"{step.state or WAITING}: {told(compiled(flow.spec), steps, found[0])}".removesuffix(": "))
    if step.state == RUNNING and step.items is None:
        await _print_job(session, f"{flow.metadata.name}-{step.name}", step.name)


async def _print_job(session: Session, name: str, step: str) -> None:
    if await session.client.list(JOB, session.namespace, field_selector=f"metadata.name={name}"):
        view = await view_job(session, name)
        first, *rest = str(explain(view.job, view.group, view.queue, view.pods)).splitlines()
        print("\n".join([f"  step {step}: {first}", *(f"  {line}" for line in rest)]))


def cron_fields(cron: CronJob) -> dict[str, object]:
    """What `describe` says of a CronJob."""
    spec, status = cron.spec, cron.status
    deadline = spec.starting_deadline_seconds
    return {
        "Name": cron.metadata.name,
        "Namespace": cron.metadata.namespace,
        "Schedule": f"{spec.schedule} ({spec.time_zone or 'UTC'})",
        "Suspended": "yes" if spec.suspend else "no",
        "Concurrency": spec.concurrency_policy,
        "Deadline": "none" if deadline is None else f"{deadline} s after the time",
        "Last run": age(status.last_schedule_time) + " ago" if status.last_schedule_time else "none yet",
        "Last success": age(status.last_successful_time) + " ago" if status.last_successful_time else "none yet",
        "Active": ", ".join(each.name for each in status.active) or "none",
    }
