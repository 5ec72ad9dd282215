"""What a policy of the API server says about jobs. See `sentences`."""

from flowbatch.api.names import ROOT_QUEUE
from flowbatch.workload.roles import PLUGINS
from flowbatch.workload.rules.names import LABEL_CHARS
from flowbatch.workload.rules.sentences import Policy, Sentence, among, listed, mapped, one_tier, unique
from flowbatch.workload.rules.update import JOB_FIELDS, TASK_FIELDS
from flowbatch.workload.vocabulary import (
    ACTIONS,
    ANY_EVENT,
    DEPENDENCY_STATUSES,
    EVENTS,
    ITERATIONS,
    MAX_REPLICAS,
    POD_PENDING,
    RESERVATION_POLICIES,
    TOPOLOGY_POLICIES,
)

#: A Go duration that is longer than nothing, and short enough for an int64 of nanoseconds.
DURATION = r"^[+]?((([0-9]{1,6}([.][0-9]{0,9})?)|([.][0-9]{1,9}))(ns|us|µs|μs|ms|s|m|h))+$"
_TASKS = "spec.tasks[*]"

JOB_VARIABLES = (
    ("spec", "has(object.spec) ? object.spec : {}"),
    ("tasks", listed("variables.spec", "tasks")),
    ("names", "variables.tasks.filter(t, has(t.name) && t.name != '').map(t, t.name)"),
    ("sizes", "variables.tasks.map(t, has(t.replicas) ? t.replicas : 0)"),
    ("total", "variables.sizes.size() == 0 ? 0 : variables.sizes.sum()"),
    ("policies", listed("variables.spec", "policies")),
    ("volumes", listed("variables.spec", "volumes")),
    ("before", "oldObject == null || !has(oldObject.spec) ? {} : oldObject.spec"),
    ("hadTasks", listed("variables.before", "tasks")),
    ("changes", "oldObject != null && variables.before != variables.spec"),
)


def _says(policy: str, event: str) -> str:
    """CEL: a policy waits for an event."""
    by_one = f"(has({policy}.event) && {policy}.event == {event})"
    return f"({by_one} || (has({policy}.events) && {event} in {policy}.events))"


_NO_EVENT = "((!has(p.event) || p.event == '') && (!has(p.events) || p.events == []))"
_KNOWN_EVENTS = (
    f"((!has(p.event) || p.event == '' || p.event in {among(EVENTS)}) && "
    f"{listed('p', 'events')}.all(e, e in {among(EVENTS)}))"
)
_READABLE = f"(p.timeout.matches('^[+]?0$') || p.timeout.matches('{DURATION}'))"
_WAITS = f"(has(p.timeout) && p.timeout.matches('{DURATION}') && p.timeout.matches('[1-9]'))"
#: CEL over one policy p, and what people are told where it is false.
_EACH_POLICY = (
    (f"has(p.action) && p.action in {among(ACTIONS)}", "must have an action that is known"),
    (_KNOWN_EVENTS, "must wait for events that are known"),
    (f"{_NO_EVENT} || !has(p.exitCode)", "must not have both an event and an exitCode"),
    (f"!{_NO_EVENT} || has(p.exitCode)", "must have an event, events or an exitCode"),
    ("!has(p.exitCode) || (p.exitCode >= 1 && p.exitCode <= 255)", "exitCode must be 1 to 255"),
    (f"!has(p.timeout) || {_READABLE}", "timeout must be a duration"),
    (f"!{_says('p', repr(POD_PENDING))} || {_WAITS}", "PodPending needs a timeout: every pod is pending at first"),
)


def _policies(items: str, path: str) -> list[tuple[str, str, str]]:
    """(path, CEL over the list `items`, message) of a job's policies, or of one task's."""
    others = among([word for word in EVENTS if word != ANY_EVENT])
    codes = f"{items}.filter(p, has(p.exitCode)).map(p, p.exitCode)"
    once = f"{among(EVENTS)}.all(e, {items}.filter(p, {_says('p', 'e')}).size() <= 1)"
    some_other = f"{others}.exists(e, {items}.exists(p, {_says('p', 'e')}))"
    return [
        *((path, f"{items}.all(p, {holds})", message) for holds, message in _EACH_POLICY),
        (path, once, "must not handle an event twice"),
        (path, unique(codes), "must not handle an exit code twice"),
        (
            path,
            f"!{items}.exists(p, {_says('p', repr(ANY_EVENT))}) || !{some_other}",
            '"*" leaves nothing to other events',
        ),
    ]


def _each_task(holds: str) -> str:
    return f"variables.tasks.all(t, {holds})"


_LABEL = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_TEMPLATE = "has(t.template) && has(t.template.spec) && has(t.template.spec.containers)"
_CONTAINERS = f"(!({_TEMPLATE}) || t.template.spec.containers.all(c, %s))"

_COUNTS = (
    Sentence("spec.tasks", f"variables.total <= {MAX_REPLICAS}", f"ask for more than {MAX_REPLICAS} pods in all"),
    Sentence(
        "spec.minAvailable",
        "!has(variables.spec.minAvailable) || variables.spec.minAvailable <= variables.total",
        "must not be greater than the replicas of all tasks",
    ),
    Sentence(
        "spec.minSuccess",
        "!has(variables.spec.minSuccess) || variables.spec.minSuccess <= variables.total",
        "must not be greater than the replicas of all tasks",
    ),
    Sentence(
        f"{_TASKS}.partitionPolicy",
        _each_task(
            "!has(t.partitionPolicy) || t.partitionPolicy.totalPartitions * t.partitionPolicy.partitionSize == "
            "(has(t.replicas) ? t.replicas : 0)"
        ),
        "totalPartitions times partitionSize must be the task's replicas",
    ),
    Sentence(
        f"{_TASKS}.partitionPolicy",
        _each_task(
            "!has(t.partitionPolicy) || !has(t.partitionPolicy.minPartitions) || "
            "t.partitionPolicy.minPartitions <= t.partitionPolicy.totalPartitions"
        ),
        "minPartitions must not exceed totalPartitions",
    ),
)
#: What the job's own name has to do with it; a template's jobs are named later.
_OWN_NAMES = (
    Sentence(
        "metadata.name",
        f"object.metadata.name.size() <= {LABEL_CHARS}",
        f"must be at most {LABEL_CHARS} characters: pods carry it as a label",
    ),
    Sentence(
        f"{_TASKS}.name",
        _each_task(
            "!has(t.name) || object.metadata.name.size() + t.name.size() + 2 + "
            f"string(has(t.replicas) && t.replicas > 0 ? t.replicas - 1 : 0).size() <= {LABEL_CHARS}"
        ),
        f"makes a pod name of more than {LABEL_CHARS} characters",
    ),
)
_NAMES = (
    Sentence("spec.tasks", unique("variables.names"), "must not have a name twice"),
    Sentence(
        "spec.queue",
        f"!has(variables.spec.queue) || variables.spec.queue != '{ROOT_QUEUE}'",
        "takes no jobs: it is the parent of all queues",
    ),
    Sentence(
        "spec.queue",
        f"!has(variables.spec.queue) || variables.spec.queue.size() <= {LABEL_CHARS}",
        f"must be at most {LABEL_CHARS} characters",
    ),
    Sentence(
        f"{_TASKS}.topologyPolicy",
        _each_task(f"!has(t.topologyPolicy) || t.topologyPolicy in {among(['', *TOPOLOGY_POLICIES])}"),
        "is not known",
    ),
    Sentence(
        "spec.reservationPolicy",
        "!has(variables.spec.reservationPolicy) || "
        f"variables.spec.reservationPolicy in {among(['', *RESERVATION_POLICIES])}",
        "is not known",
    ),
    Sentence(
        "spec.networkTopology",
        f"!has(variables.spec.networkTopology) || {one_tier('variables.spec.networkTopology')}",
        "must not name both highestTierAllowed and highestTierName",
    ),
    Sentence(
        f"{_TASKS}.partitionPolicy.networkTopology",
        _each_task(
            "!has(t.partitionPolicy) || !has(t.partitionPolicy.networkTopology) || "
            f"{one_tier('t.partitionPolicy.networkTopology')}"
        ),
        "must not name both highestTierAllowed and highestTierName",
    ),
)
_DEPENDENCIES = (
    Sentence(
        f"{_TASKS}.dependsOn.name",
        _each_task(f"!has(t.dependsOn) || {listed('t.dependsOn', 'name')}.all(n, n in variables.names)"),
        "must be tasks of this job",
    ),
    Sentence(
        f"{_TASKS}.dependsOn.name",
        _each_task(f"!has(t.dependsOn) || !has(t.name) || !(t.name in {listed('t.dependsOn', 'name')})"),
        "must not be the task itself, which would wait for ever",
    ),
    Sentence(
        f"{_TASKS}.dependsOn.name",
        _each_task(f"!has(t.dependsOn) || {unique(listed('t.dependsOn', 'name'))}"),
        "must not name a task twice",
    ),
    Sentence(
        f"{_TASKS}.dependsOn.iteration",
        _each_task(
            f"!has(t.dependsOn) || !has(t.dependsOn.iteration) || t.dependsOn.iteration in {among(['', *ITERATIONS])}"
        ),
        "must be any or all",
    ),
    Sentence(
        f"{_TASKS}.dependsOn.status",
        _each_task(
            "!has(t.dependsOn) || !has(t.dependsOn.status) || "
            f"t.dependsOn.status in {among(['', *DEPENDENCY_STATUSES])}"
        ),
        "is not known",
    ),
)
_OBJECTS = (
    Sentence(
        "spec.plugins",
        mapped("variables.spec", "plugins", f"k in {among(list(PLUGINS))}"),
        "has a name that is no plugin",
    ),
    Sentence(
        "spec.volumes",
        "variables.volumes.all(v, has(v.mountPath) && v.mountPath != '' && !v.mountPath.contains(':'))",
        "must have a mountPath without ':'",
    ),
    Sentence(
        "spec.volumes",
        unique("variables.volumes.filter(v, has(v.mountPath)).map(v, v.mountPath)"),
        "must not mount one path twice",
    ),
    Sentence(
        "spec.volumes",
        "variables.volumes.all(v, (has(v.volumeClaimName) && v.volumeClaimName != '') || "
        "(has(v.volumeClaim) && v.volumeClaim != {}))",
        "must have a volumeClaimName or a volumeClaim",
    ),
    Sentence(
        f"{_TASKS}.template.spec.containers",
        _each_task(f"{_TEMPLATE} && t.template.spec.containers.size() > 0"),
        "must have at least one container",
    ),
    Sentence(
        f"{_TASKS}.template.spec.containers",
        _each_task(
            _CONTAINERS % "has(c.name) && c.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && c.name.size() <= 63"
        ),
        "must have names of lower-case letters, digits and '-'",
    ),
    Sentence(
        f"{_TASKS}.template.spec.containers",
        _each_task(_CONTAINERS % "has(c.image) && c.image != ''"),
        "must have an image",
    ),
)
_FIXED, _TASK_FIXED = among([*JOB_FIELDS, "tasks"]), among(TASK_FIELDS)
_SAME = "has(o.name) && o.name == t.name"
_CHANGES = (
    Sentence(
        "spec",
        f"!variables.changes || (variables.spec.all(f, f in {_FIXED} || (f in variables.before && "
        f"variables.before[f] == variables.spec[f])) && variables.before.all(f, f in {_FIXED} || f in variables.spec))",
        f"must not change, but for {', '.join(JOB_FIELDS)} and sizes of tasks",
    ),
    Sentence(
        "spec.tasks",
        "!variables.changes || variables.tasks.map(t, has(t.name) ? t.name : '') == "
        "variables.hadTasks.map(t, has(t.name) ? t.name : '')",
        "must not be added, removed or moved",
    ),
    Sentence(
        _TASKS,
        f"!variables.changes || variables.tasks.all(t, !has(t.name) || !variables.hadTasks.exists(o, {_SAME}) || "
        f"variables.hadTasks.exists(o, {_SAME} && "
        f"t.all(f, f in {_TASK_FIXED} || (f in o && o[f] == t[f])) && o.all(f, f in {_TASK_FIXED} || f in t)))",
        f"must not change, but for {' and '.join(TASK_FIELDS)}",
    ),
)
_OF_TASKS = [
    Sentence(path, f"variables.tasks.all(t, !has(t.policies) || ({holds}))", message)
    for path, holds, message in _policies("t.policies", f"{_TASKS}.policies")
]

_ANY_JOB = (
    *_COUNTS,
    *_NAMES,
    *(Sentence(*each) for each in _policies("variables.policies", "spec.policies")),
    *_OF_TASKS,
    *_DEPENDENCIES,
    *_OBJECTS,
)
JOB_POLICY = Policy(
    JOB_VARIABLES,
    (
        *_ANY_JOB,
        *_OWN_NAMES,
        *_CHANGES,
    ),
)
#: A CRD of jobs says the first one itself.
JOB_TEMPLATE_POLICY = Policy(
    JOB_VARIABLES, (Sentence("spec.tasks", "variables.tasks.size() > 0", "must have at least one task"), *_ANY_JOB)
)
