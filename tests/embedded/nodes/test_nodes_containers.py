"""Do containers run as Kubernetes runs them: exit codes, restarts, init containers, grace, last words?"""

from tests.embedded.nodes.conftest import Field


async def test_a_command_runs_and_its_output_is_the_log(field_: Field):
    assert await field_.output("hello", ["sh", "-c", "echo hello; echo world >&2"]) == "hello\nworld\n"


async def test_the_exit_code_fails_the_pod(field_: Field):
    await field_.run_pod("bad", ["sh", "-c", "exit 7"])
    status = (await field_.finished("bad"))["status"]
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (status["phase"], ended["exitCode"], ended["reason"]) == ("Failed", 7, "Error")
