"""`metrics` of a Volcano scheduler configuration: where the measured use of nodes comes from (usage plugin)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowbatch.errors import SpecError
from flowbatch.policy.arguments import Arguments

#: Volcano's words for where it asks; those that are reached through the API server have no address.
KINDS: Final = ("prometheus", "prometheus_adaptor", "elasticsearch", "local")
ADDRESSED: Final = ("prometheus", "elasticsearch")
LEAST_INTERVAL_MS: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class MetricsSource:
    """Whom to ask, and how often. A plain value: the shell does the asking and tells the engine with UsageSeen."""

    kind: str
    address: str = ""
    interval_ms: int = 30_000
    #: Do not check the server's certificate.
    insecure: bool = False
    index: str = ""
    username: str = ""
    #: Not shown where a policy is printed.
    password: str = field(default="", repr=False)
    hostname_field: str = ""


def read_metrics(value: Any, problems: list[SpecError]) -> MetricsSource | None:
    """The source that `metrics` names; None where it is empty."""
    if not value:
        return None
    if not isinstance(value, Mapping):
        problems.append(SpecError("metrics", "must be a mapping", value))
        return None
    told = Arguments(value, "metrics", problems)
    source = MetricsSource(
        kind=told.text("type", "prometheus", among=KINDS),
        address=told.text("address"),
        interval_ms=told.duration_ms("interval", 30_000, least=LEAST_INTERVAL_MS),
        insecure=told.flag("tls.insecureSkipVerify", default=False),
        index=told.text("elasticsearch.index"),
        username=told.text("elasticsearch.username"),
        password=told.text("elasticsearch.password"),
        hostname_field=told.text("elasticsearch.hostnameFieldName"),
    )
    if not source.address and source.kind in ADDRESSED:
        told.problem("address", "is needed to ask a source of this type")
    told.close()
    return source
