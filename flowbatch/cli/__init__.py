"""The flowbatch command; one module per verb, imported lazily.

`main` is the only place that turns an exception into an exit code: 0 done, 1 failed, 2 bad input, 3 unreachable.
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowbatch import __version__
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors

if TYPE_CHECKING:
    from cyclopts import App

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

#: verb -> where it lives; nothing is imported until it is asked for.
VERBS = {
    "up": "flowbatch.cli.up:up",
    "run": "flowbatch.cli.run:run",
    "render": "flowbatch.cli.render:render",
    "validate": "flowbatch.cli.validate:validate",
    "get": "flowbatch.cli.get:get",
    "describe": "flowbatch.cli.describe:describe",
    "logs": "flowbatch.cli.logs:logs",
    "why": "flowbatch.cli.why:why",
    "suspend": "flowbatch.cli.suspend:suspend",
    "resume": "flowbatch.cli.suspend:resume",
    "delete": "flowbatch.cli.delete:delete",
    "queue": "flowbatch.cli.queue:app",
    "scheduler": "flowbatch.cli.programs:scheduler",
    "controllers": "flowbatch.cli.programs:controllers",
    "nodes": "flowbatch.cli.programs:nodes",
    "completion": "flowbatch.cli.completion:completion",
    "version": "flowbatch.cli.version:version",
}


class Unreachable(FlowbatchError):
    """No API server answers; the message says which was tried and what to do."""


def build() -> "App":
    """The command tree."""
    from cyclopts import App

    app = App(
        name="flowbatch",
        help="A batch system for Kubernetes: jobs as gangs, fair queues, and the reason why anything waits.",
        version=__version__,
        result_action="return_int_as_exit_code_else_zero",
    )
    for verb, place in VERBS.items():
        app.command(place, name=verb)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `flowbatch` and `kubectl flowbatch`."""
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are one clear message on stderr, never a traceback."""
    from cyclopts import CycloptsError

    try:
        result = build()(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _complain(_usage(error, arguments), EXIT_BAD_INPUT)
    except (SpecErrors, SpecError) as error:
        return _complain(str(error), EXIT_BAD_INPUT)
    except Unreachable as error:
        return _complain(str(error), EXIT_UNREACHABLE)
    except FlowbatchError as error:
        return _complain(str(error), _code(error))
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not worth a word.
        sys.stderr.close()
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return result if isinstance(result, int) else 0


def _code(error: FlowbatchError) -> int:
    from flowbatch.kube.errors import Invalid, TransportError

    if isinstance(error, TransportError):
        return EXIT_UNREACHABLE
    return EXIT_BAD_INPUT if isinstance(error, Invalid) else EXIT_FAILED


def _usage(error: Exception, arguments: Sequence[str]) -> str:
    verb = next((word for word in arguments if word in VERBS), "")
    return f"{error}\nsee: flowbatch {verb + ' ' if verb else ''}--help"


def _complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
