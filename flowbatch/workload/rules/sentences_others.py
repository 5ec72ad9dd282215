"""What policies of the API server say about queues, pod groups and the rest. See `sentences`."""

from flowbatch.api.names import (
    DEFAULT_QUEUE,
    HIERARCHY,
    HIERARCHY_WEIGHTS,
    JDB_MAX_UNAVAILABLE,
    JDB_MIN_AVAILABLE,
    ROOT_QUEUE,
    SCHEDULER_NAME,
)
from flowbatch.workload.rules.cron import NAME_CHARS as CRON_NAME_CHARS
from flowbatch.workload.rules.names import LABEL_CHARS
from flowbatch.workload.rules.sentences import NOT_NEGATIVE, Policy, Sentence, among, amounts, listed, one_tier, unique
from flowbatch.workload.rules.sentences_job import JOB_POLICY, JOB_TEMPLATE_POLICY
from flowbatch.workload.vocabulary import CONCURRENCY_POLICIES, ORDERS, QUEUE_STATES, RETAIN_POLICIES

_SPEC = ("spec", "has(object.spec) ? object.spec : {}")
_ANNOTATIONS = ("annotations", "has(object.metadata.annotations) ? object.metadata.annotations : {}")


def _at_most(part: str, whole: str, path: str) -> Sentence:
    """No amount in one resource list is above the one of the same name in the other."""
    said = f"variables.{part}.all(k, !(k in variables.{whole}) || !isQuantity(string(variables.{part}[k])) || "
    said += f"!isQuantity(string(variables.{whole}[k])) || "
    said += f"!quantity(string(variables.{part}[k])).isGreaterThan(quantity(string(variables.{whole}[k]))))"
    return Sentence(path, said, f"must not be greater than spec.{whole}")


_PATH, _WEIGHTS = f"variables.annotations['{HIERARCHY}']", f"variables.annotations['{HIERARCHY_WEIGHTS}']"
_HAS_PATH = f"('{HIERARCHY}' in variables.annotations && {_PATH} != '')"
_HAS_WEIGHTS = f"('{HIERARCHY_WEIGHTS}' in variables.annotations && {_WEIGHTS} != '')"

QUEUE_POLICY = Policy(
    (
        _SPEC,
        _ANNOTATIONS,
        ("capability", "has(variables.spec.capability) ? variables.spec.capability : {}"),
        ("deserved", "has(variables.spec.deserved) ? variables.spec.deserved : {}"),
        (
            "guarantee",
            "has(variables.spec.guarantee) && has(variables.spec.guarantee.resource) ? "
            "variables.spec.guarantee.resource : {}",
        ),
    ),
    (
        Sentence(
            "metadata.name",
            f"object.metadata.name.size() <= {LABEL_CHARS}",
            f"must be at most {LABEL_CHARS} characters: pods carry it as a label",
        ),
        Sentence(
            "spec.parent",
            "!has(variables.spec.parent) || variables.spec.parent != object.metadata.name",
            "must not be the queue itself",
        ),
        Sentence(
            "spec.parent",
            f"object.metadata.name != '{ROOT_QUEUE}' || !has(variables.spec.parent) || variables.spec.parent == ''",
            "must be empty: root is the parent of all queues",
        ),
        Sentence(
            "status.state",
            f"!has(object.status) || !has(object.status.state) || "
            f"object.status.state in {among(['', *QUEUE_STATES, 'Closing', 'Unknown'])}",
            "is not a state",
        ),
        *amounts("variables.spec", "capability", "spec.capability"),
        *amounts("variables.spec", "deserved", "spec.deserved"),
        Sentence(
            "spec.guarantee.resource",
            "variables.guarantee.all(k, isQuantity(string(variables.guarantee[k])) && "
            f"{NOT_NEGATIVE.replace('$v', 'variables.guarantee[k]')})",
            "has an amount that is no quantity, or negative",
        ),
        Sentence(
            "spec.guarantee.resource",
            "variables.guarantee.all(k, k in variables.deserved)",
            "must be in spec.deserved: what is guaranteed must be deserved",
        ),
        _at_most("guarantee", "deserved", "spec.guarantee.resource"),
        _at_most("guarantee", "capability", "spec.guarantee.resource"),
        _at_most("deserved", "capability", "spec.deserved"),
        Sentence(
            f"metadata.annotations.{HIERARCHY}", f"{_HAS_PATH} == {_HAS_WEIGHTS}", "must stand beside its weights"
        ),
        Sentence(
            f"metadata.annotations.{HIERARCHY_WEIGHTS}",
            f"!{_HAS_PATH} || !{_HAS_WEIGHTS} || {_PATH}.split('/').size() == {_WEIGHTS}.split('/').size()",
            "must have as many parts as the path",
        ),
        Sentence(
            f"metadata.annotations.{HIERARCHY_WEIGHTS}",
            f"!{_HAS_PATH} || !{_HAS_WEIGHTS} || "
            f"{_WEIGHTS}.split('/').all(w, w.matches('^[0-9]*[.]?[0-9]*$') && w.matches('[1-9]'))",
            "must be numbers above 0",
        ),
    ),
    deletion=(
        Sentence(
            "metadata.name",
            f"!(oldObject.metadata.name in {among([ROOT_QUEUE, DEFAULT_QUEUE])})",
            "cannot be deleted: the cluster needs this queue",
        ),
    ),
)
POD_GROUP_POLICY = Policy(
    (_SPEC,),
    (
        Sentence(
            "spec.queue",
            f"!has(variables.spec.queue) || variables.spec.queue != '{ROOT_QUEUE}'",
            "takes no pod groups: it is the parent of all queues",
        ),
        Sentence(
            "spec.minTaskMember",
            "!has(variables.spec.minTaskMember) || "
            "variables.spec.minTaskMember.all(k, variables.spec.minTaskMember[k] >= 0)",
            "must be at least 0",
        ),
        *amounts("variables.spec", "minResources", "spec.minResources"),
        Sentence(
            "spec.networkTopology",
            f"!has(variables.spec.networkTopology) || {one_tier('variables.spec.networkTopology')}",
            "must not name both highestTierAllowed and highestTierName",
        ),
        Sentence(
            "spec.declaredTasks",
            f"{listed('variables.spec', 'declaredTasks')}.all(t, !has(t.minimum) || t.minimum <= t.count)",
            "minimum must not be greater than count",
        ),
        Sentence(
            "spec.declaredTasks",
            unique(f"{listed('variables.spec', 'declaredTasks')}.map(t, t.name)"),
            "must not declare a task twice",
        ),
    ),
)
_MEMBERS = listed("variables.spec", "members")
HYPER_NODE_POLICY = Policy(
    (_SPEC,),
    (
        Sentence("spec.members", f"{_MEMBERS}.size() > 0", "must have at least one member"),
        Sentence(
            "spec.members[*].selector.labelMatch",
            f"{_MEMBERS}.all(m, m.type != 'HyperNode' || !has(m.selector) || !has(m.selector.labelMatch))",
            "selects nodes only: a HyperNode is named, or matched by name",
        ),
        Sentence("spec.members[*].selector", f"{_MEMBERS}.all(m, has(m.selector))", "is missing"),
    ),
)
COMMAND_POLICY = Policy(
    (
        ("action", "has(object.action) ? object.action : ''"),
        ("kind", "has(object.target) && has(object.target.kind) ? object.target.kind : ''"),
    ),
    (
        Sentence("action", f"variables.action in {among(ORDERS)}", "is not an action"),
        Sentence("target", "has(object.target) && variables.kind != ''", "is missing: the object that is ordered"),
        Sentence(
            "action",
            f"!(variables.action in {among(ORDERS)}) || variables.kind == '' || "
            "(variables.kind == 'Queue') == variables.action.endsWith('Queue')",
            "is no order for this kind",
        ),
    ),
)
CRON_JOB_POLICY = Policy(
    (_SPEC,),
    (
        Sentence(
            "metadata.name",
            f"object.metadata.name.size() <= {CRON_NAME_CHARS}",
            f"must be at most {CRON_NAME_CHARS} characters: jobs are named after it",
        ),
        Sentence(
            "spec.concurrencyPolicy",
            f"!has(variables.spec.concurrencyPolicy) || "
            f"variables.spec.concurrencyPolicy in {among(['', *CONCURRENCY_POLICIES])}",
            "is not known",
        ),
    ),
)
_STEPS = "variables.steps"
_TARGETS = f"(has(s.dependsOn) ? {listed('s.dependsOn', 'targets')} : [])"
JOB_FLOW_POLICY = Policy(
    (
        _SPEC,
        ("steps", listed("variables.spec", "flows")),
        ("names", "variables.steps.filter(s, has(s.name)).map(s, s.name)"),
    ),
    (
        Sentence(
            "spec.jobRetainPolicy",
            f"!has(variables.spec.jobRetainPolicy) || "
            f"variables.spec.jobRetainPolicy in {among(['', *RETAIN_POLICIES])}",
            "is not known",
        ),
        Sentence(
            "spec.flows[*].dependsOn.targets",
            f"{_STEPS}.size() > 500 || {_STEPS}.all(s, {_TARGETS}.all(t, t in variables.names))",
            "must be steps of this flow",
        ),
        Sentence(
            "spec.flows[*].dependsOn.targets",
            f"{_STEPS}.all(s, !has(s.name) || !(s.name in {_TARGETS}))",
            "must not be the step itself",
        ),
    ),
)
_BUDGETS = (JDB_MIN_AVAILABLE, JDB_MAX_UNAVAILABLE)
POD_POLICY = Policy(
    (_ANNOTATIONS,),
    (
        Sentence(
            "metadata.annotations",
            f"!({' && '.join(repr(key) + ' in variables.annotations' for key in _BUDGETS)})",
            f"must not have both {' and '.join(_BUDGETS)}",
        ),
        *(
            Sentence(
                f"metadata.annotations.{key}",
                f"!('{key}' in variables.annotations) || (variables.annotations['{key}']"
                ".matches('^([0-9]{1,9}|0*[1-9][0-9]?%)$') && "
                f"variables.annotations['{key}'].matches('[1-9]'))",
                "must be a whole number above 0, or 1% to 99%",
            )
            for key in _BUDGETS
        ),
    ),
    meant=f"has(object.spec.schedulerName) && object.spec.schedulerName == '{SCHEDULER_NAME}'",
)

#: By kind name; pods are Kubernetes' own kind.
POLICIES = {
    "Job": JOB_POLICY,
    "Queue": QUEUE_POLICY,
    "PodGroup": POD_GROUP_POLICY,
    "HyperNode": HYPER_NODE_POLICY,
    "Command": COMMAND_POLICY,
    "CronJob": CRON_JOB_POLICY,
    "JobTemplate": JOB_TEMPLATE_POLICY,
    "JobFlow": JOB_FLOW_POLICY,
    "Pod": POD_POLICY,
}
