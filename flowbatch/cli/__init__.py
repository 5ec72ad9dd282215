"""The flowbatch command; one module per verb, imported lazily.

`main` is the only place that turns an exception into an exit code: 0 done, 1 failed, 2 bad input, 3 unreachable.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING

from flowbatch import __version__
from flowbatch.errors import FlowbatchError, SpecError, SpecErrors

if TYPE_CHECKING:
    from cyclopts import App

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2
EXIT_UNREACHABLE = 3
EXIT_INTERRUPTED = 130

#: verb -> where it lives and what it is for, in the order of `--help`; nothing is imported until it is asked for.
VERBS = {
    "up": ("flowbatch.cli.up:up", "Run a cluster on this machine, with pods as real processes."),
    "run": ("flowbatch.cli.run:run", "Submit the jobs of a Python or YAML file and follow them to their end."),
    "validate": ("flowbatch.cli.validate:validate", "Find every mistake in a file, without a cluster."),
    "render": ("flowbatch.cli.render:render", "Print the YAML that a Python file stands for."),
    "convert": (
        "flowbatch.cli.convert:convert",
        "Print the Job that a batch Job, MPIJob, JobSet or TrainJob stands for.",
    ),
    "get": ("flowbatch.cli.get:get", "List jobs, workflows, cron jobs, pods, queues, podgroups or nodes."),
    "describe": ("flowbatch.cli.describe:describe", "Show everything about one job, queue, workflow or cron job."),
    "why": ("flowbatch.cli.why:why", "Say why a job waits and what would start it."),
    "logs": ("flowbatch.cli.logs:logs", "Print or follow the output of a job's pods."),
    "suspend": ("flowbatch.cli.suspend:suspend", "Stop jobs and free their room; no retry is spent."),
    "resume": ("flowbatch.cli.suspend:resume", "Let suspended jobs run again."),
    "delete": ("flowbatch.cli.delete:delete", "Delete jobs with all that belongs to them."),
    "queue": ("flowbatch.cli.queue:app", "Make, show, open, close and delete queues."),
    "vc": ("flowbatch.cli.vc:app", "Volcano's command line: vcctl, vsub, vjobs and their relatives."),
    "scheduler": ("flowbatch.cli.programs:scheduler", "Run the scheduler against a cluster."),
    "controllers": ("flowbatch.cli.programs:controllers", "Run the controllers against a cluster."),
    "webhook": ("flowbatch.cli.programs:webhook", "Answer a cluster's admission reviews."),
    "nodes": ("flowbatch.cli.programs:nodes", "Attach process or simulated nodes to a cluster."),
    "completion": ("flowbatch.cli.completion:completion", "Print the completion script of a shell."),
    "version": ("flowbatch.cli.version:version", "Print the version."),
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
    for number, (verb, (place, purpose)) in enumerate(VERBS.items()):
        app.command(place, name=verb, help=purpose, sort_key=number)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `flowbatch` and `kubectl flowbatch`."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    sys.exit(invoke(sys.argv[1:] if arguments is None else arguments))


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """Ctrl-C while modules are still being imported: nothing has been done yet, and some imports swallow exceptions."""
    os._exit(EXIT_INTERRUPTED)


def heed_interrupts() -> None:
    """From here on Ctrl-C is a KeyboardInterrupt, as everywhere in Python: called before anything is begun."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; errors are one clear message on stderr, never a traceback."""
    from cyclopts import CycloptsError

    try:
        result = build()(list(arguments), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _complain(_usage(error, arguments), EXIT_BAD_INPUT)
    except BrokenPipeError:
        return _unheard()
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except (FlowbatchError, OSError, BaseExceptionGroup) as error:
        cause = _only_cause(error)
        if isinstance(cause, BrokenPipeError):
            return _unheard()
        if not isinstance(cause, FlowbatchError | OSError):
            raise
        told = f"{cause.strerror}: {cause.filename}" if isinstance(cause, OSError) and cause.filename else str(cause)
        return _complain(told, _code(cause))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _unheard()
    return result if isinstance(result, int) else 0


def _unheard() -> int:
    """The reader of our output went away (`| head`): not worth a word, not even at exit, when Python flushes again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _only_cause(error: BaseException) -> BaseException:
    """What went wrong inside task groups, if it was one thing; a group of several is given as it is."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _code(error: FlowbatchError | OSError) -> int:
    from flowbatch.kube.errors import ApiError, TransportError

    if isinstance(error, Unreachable | TransportError):
        return EXIT_UNREACHABLE
    refused = isinstance(error, ApiError) and error.status in (400, 422)
    return EXIT_BAD_INPUT if refused or isinstance(error, SpecError | SpecErrors) else EXIT_FAILED


def _usage(error: Exception, arguments: Sequence[str]) -> str:
    chain = list(getattr(error, "command_chain", None) or [word for word in arguments if word in VERBS][:1])
    return f"{error}\nsee: {' '.join(['flowbatch', *chain, '--help'])}"


def _complain(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
