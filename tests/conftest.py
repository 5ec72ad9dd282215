"""What every tier shares: how hypothesis looks, the loop of async tests, the choice of cluster for `tests/cluster`."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# A red run must mean that somebody broke something: every run of `make test` asks hypothesis the same questions, and a
# slow machine is no failure. Looking for what nobody has asked yet is done on purpose, with `FLOWBATCH_EXPLORE=1`.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("same", PATIENT, derandomize=True, database=None)
settings.register_profile("explore", PATIENT, derandomize=False, print_blob=True)
settings.load_profile("explore" if os.environ.get("FLOWBATCH_EXPLORE") == "1" else "same")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--on",
        choices=("embedded", "real", "etcd34"),
        default="embedded",
        help="which API server tests/cluster runs on: embedded, a real kube-apiserver, or one on Debian's etcd 3.4",
    )


def pytest_configure() -> None:
    # A suite that a shell started in the background ignores Ctrl-C, and so would every program that its tests start.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
