"""Functions that no pod can import (of notebook cells, say) go along in a ConfigMap, where their author asks for it.

A pickle is bound to the Python that made it: its minor version goes along, and the runner refuses another one. Source
text is never looked at.
"""

import base64
import hashlib
import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any

from flowbatch.api.meta import JsonObject
from flowbatch_dsl.frozen import thaw
from flowbatch_dsl.strategic import merge
from flowbatch_dsl.task import MAIN
from flowbatch_dsl.workflows.target import Unreachable

#: What a ConfigMap holds at most. Source: Kubernetes, ConfigMap.
MAX_BYTES = 1024 * 1024
MOUNT = "/etc/flowbatch/step"
FUNCTION_KEY, VERSION_KEY = "function.pickle", "python-version"
_VOLUME = "flowbatch-step"


def this_python() -> str:
    """The version that a pickle is bound to."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def pickled(function: FunctionType) -> bytes:
    """`function` with all it refers to that is in no module. Raises Unreachable, saying what to do."""
    try:
        import cloudpickle
    except ImportError:
        raise Unreachable('pickle=True needs cloudpickle: pip install "flowbatch[notebook]"') from None
    try:
        body: bytes = cloudpickle.dumps(function)
    except Exception as problem:  # whatever the things that it refers to raise
        raise Unreachable(f"{function.__qualname__} cannot be pickled: {problem}") from problem
    if len(body) * 4 / 3 > MAX_BYTES:
        raise Unreachable(
            f"{function.__qualname__} is {len(body):,} bytes pickled, and a ConfigMap holds {MAX_BYTES:,} in base64: "
            "what it refers to is too large; load that inside the function"
        )
    return body


def config_map(name: str, body: bytes) -> JsonObject:
    """The ConfigMap that carries the function; its name says what is in it, so that another function is another one."""
    digest = hashlib.sha256(body + this_python().encode()).hexdigest()[:8]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-{digest}"},
        "data": {VERSION_KEY: this_python()},
        "binaryData": {FUNCTION_KEY: base64.b64encode(body).decode()},
    }


def mounted(pod: Mapping[str, Any], name: str) -> JsonObject:
    """The author's pod template with the ConfigMap mounted."""
    mount = {"name": _VOLUME, "mountPath": MOUNT, "readOnly": True}
    ours = {
        "spec": {
            "volumes": [{"name": _VOLUME, "configMap": {"name": name}}],
            "containers": [{"name": MAIN, "volumeMounts": [mount]}],
        }
    }
    return merge(thaw(pod), ours)
