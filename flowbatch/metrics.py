"""Every metric of flowbatch, named once; nothing else creates one.

They live in a registry of their own, so that a notebook which embeds flowbatch keeps its default registry clean.
Labels are kept few and bounded: kinds, verbs, reasons; never a name that users choose, except queues.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

_FAST_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
_SLOW_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"flowbatch_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"flowbatch_{name}", what, labels, registry=REGISTRY)


def _histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"flowbatch_{name}", what, labels, registry=REGISTRY, buckets=buckets)


# The API, as this program uses it.
API_REQUESTS = _counter(
    "api_requests_total", "Answers by verb, resource and code; code 0: none.", "verb", "resource", "code"
)
API_SECONDS = _histogram("api_request_seconds", "From sending a request to its whole answer.", _SLOW_S, "verb")
WRITES_FENCED = _counter("writes_fenced_total", "Writes refused here because this replica does not lead.")
LEADING = _gauge("leading", "1 while this replica holds the lease.", "lease")

# What is watched.
WATCH_EVENTS = _counter("watch_events_total", "Watch lines received, bookmarks included.", "kind")
RELISTS = _counter("relists_total", "Complete reads of a collection, by how: watchlist or list.", "kind", "how")
GONE = _counter("gone_total", "410 answers: the resourceVersion was too old.", "kind")
WATCH_FAILURES = _counter("watch_failures_total", "Watches and lists that ended badly.", "kind", "reason")
UNREADABLE_OBJECTS = _counter("unreadable_objects_total", "Objects that do not decode and are left out.", "kind")
HANDLER_FAILURES = _counter("handler_failures_total", "Change handlers that raised.", "kind")
INFORMER_OBJECTS = _gauge("informer_objects", "Objects in the store.", "kind")
LAST_EVENT_SECONDS = _gauge("seconds_since_last_event", "Since anything arrived on the watch.", "kind")
DECODE_SECONDS = _counter("decode_seconds_total", "Time spent decoding and storing watch lines.", "kind")

# Scheduling.
CYCLE_SECONDS = _histogram("cycle_seconds", "One scheduling cycle of the engine.", _FAST_S)
PENDING_GANGS = _gauge("pending_gangs", "Gangs that wait for a decision.", "queue")
PARKED_GANGS = _gauge("parked_gangs", "Gangs that cannot run now, by what would wake them.", "blocker")
BINDS = _counter("binds_total", "Pods bound.")
BIND_FAILURES = _counter("bind_failures_total", "Bindings that failed, by reason.", "reason")
BIND_SECONDS = _histogram("bind_seconds", "From the decision to the API server's answer.", _SLOW_S)
EVICTIONS = _counter("evictions_total", "Pods evicted, by cause.", "cause")
UNKNOWN_OUTCOMES = _counter("unknown_outcomes_total", "Writes without an answer, resolved by reading.")
POLICY_ERRORS = _counter("policy_errors_total", "Policies that raised or overran and were dropped.", "policy")
EXTENDER_CALLS = _counter("extender_calls_total", "Requests to HTTP extenders, by what came of them.", "verb", "result")
EXTENDER_SECONDS = _histogram("extender_call_seconds", "From sending one to its whole answer.", _SLOW_S, "verb")
SHADOW_DIFFERENCES = _counter("shadow_differences_total", "Gangs that the shadow policy treats otherwise.", "kind")
SHADOW_WISHES = _gauge("shadow_wishes", "Waiting gangs that the shadow policy would have run.")
SHADOW_SECONDS = _counter("shadow_seconds_total", "Time spent in the shadow.")
SHADOW_FAILURES = _counter("shadow_failures_total", "Shadows that raised and were switched off.")
POLICY_SECONDS = _counter("policy_seconds_total", "Time spent in policies that are not flowbatch's own.", "policy")
MAILBOX_FACTS = _gauge("mailbox_facts", "Facts that wait for the engine.")
GANG_WAIT_SECONDS = _histogram("gang_wait_seconds", "From a gang's creation to its last bind.", _SLOW_S, "queue")

# Controllers.
RECONCILE_SECONDS = _histogram("reconcile_seconds", "One reconciliation.", _FAST_S, "controller")
RECONCILE_FAILURES = _counter(
    "reconcile_failures_total", "Reconciliations that raised and are tried again.", "controller"
)
WORKQUEUE_DEPTH = _gauge("workqueue_depth", "Keys that wait for a controller.", "controller")
# The program's own settings.
CONFIG_RELOADS = _counter("config_reloads_total", "Changed settings that were taken over.")
CONFIG_FAILURES = _counter("config_reload_failures_total", "Changed settings that were refused; the old ones stay.")
CONFIG_SOUND = _gauge("config_last_reload_successful", "1 unless the settings file holds a version that was refused.")
CONFIG_SUCCESS_SECONDS = _gauge(
    "config_last_reload_success_timestamp_seconds", "When settings were last taken over, epoch seconds; 0: at start."
)
LOOP_LAG_SECONDS = _gauge("loop_lag_seconds", "How late the event loop last woke up.")


def observe_request(verb: str, resource: str, code: int, seconds: float) -> None:
    """Count one API request and its answer."""
    API_REQUESTS.labels(verb, resource, str(code)).inc()
    API_SECONDS.labels(verb).observe(seconds)


def exposition() -> bytes:
    """Everything, in Prometheus' text format."""
    from prometheus_client import generate_latest

    return generate_latest(REGISTRY)


# Admission.
ADMISSION_REVIEWS = _counter(
    "admission_reviews_total", "Reviews by webhook, kind and what came of them.", "webhook", "kind", "result"
)
ADMISSION_SECONDS = _histogram("admission_review_seconds", "From a review's arrival to its answer.", _FAST_S, "webhook")
