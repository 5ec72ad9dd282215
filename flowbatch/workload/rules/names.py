"""Names as Kubernetes allows them: labels, subdomains, label keys and values, environment variables.

Matched as whole ASCII strings; Python's `\\d`, `$` and friends let through what Go does not.
"""

import re

from flowbatch.errors import SpecError

LABEL_CHARS = 63
SUBDOMAIN_CHARS = 253

_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_ENV = re.compile(r"[ -<>-~]+")
_PORT_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?")

LABEL_FORM = "must be lower-case letters, digits and '-', and begin and end with a letter or digit"
SUBDOMAIN_FORM = "must be lower-case letters, digits, '-' and '.', and begin and end with a letter or digit"


def label_problem(name: str) -> str:
    """What keeps `name` from being a DNS-1123 label, or ""."""
    if not name:
        return "must not be empty"
    if len(name) > LABEL_CHARS:
        return f"is {len(name)} characters long: at most {LABEL_CHARS}"
    return "" if _LABEL.fullmatch(name) else LABEL_FORM


def subdomain_problem(name: str) -> str:
    """What keeps `name` from being a DNS-1123 subdomain, or ""."""
    if not name:
        return "must not be empty"
    if len(name) > SUBDOMAIN_CHARS:
        return f"is {len(name)} characters long: at most {SUBDOMAIN_CHARS}"
    return "" if _SUBDOMAIN.fullmatch(name) else SUBDOMAIN_FORM


def label_value_problem(value: str) -> str:
    """What keeps `value` from being a label's value, or ""."""
    if len(value) > LABEL_CHARS:
        return f"is {len(value)} characters long: a label value has at most {LABEL_CHARS}"
    ok = not value or _QUALIFIED.fullmatch(value)
    return "" if ok else "is no label value: letters, digits, '-', '_' and '.', a letter or digit at both ends"


def label_key_problem(key: str) -> str:
    """What keeps `key` from being a label's or an annotation's name, or ""."""
    prefix, slash, name = key.rpartition("/")
    if slash and (subdomain_problem(prefix) or "/" in prefix):
        return "has a prefix that is no DNS name"
    if not name or len(name) > LABEL_CHARS or not _QUALIFIED.fullmatch(name):
        return "is no label name: an optional prefix and '/', then at most 63 letters, digits, '-', '_' and '.'"
    return ""


def env_name_problem(name: str) -> str:
    """What keeps `name` from being an environment variable, or ""."""
    if not name:
        return "must not be empty"
    if "=" in name:
        return "must not contain '='"
    return "" if _ENV.fullmatch(name) else "must be printable ASCII"


def port_name_problem(name: str) -> str:
    """What keeps `name` from being a port's name (IANA_SVC_NAME), or ""."""
    fine = len(name) <= 15 and _PORT_NAME.fullmatch(name) and "--" not in name and re.search("[a-z]", name)
    return "" if fine else "must be at most 15 lower-case letters, digits and single '-', with at least one letter"


def suggestion(name: str) -> str:
    """A hint with the nearest valid label to `name`, if there is any sense in one."""
    near = re.sub("[^a-z0-9]+", "-", name.lower()[:LABEL_CHARS]).strip("-")
    return f'e.g. "{near}"' if near and near != name else ""


def named(path: str, name: str, problem: str) -> list[SpecError]:
    """`problem` of `name` at `path` as a list of none or one."""
    return [SpecError(path, problem, name, suggestion(name))] if problem else []
