"""What all recipes do when a pod is lost: start the whole gang again, a bounded number of times."""

from flowbatch_dsl.policies import On


def restart_on_loss() -> list[On]:
    """A gang that misses a member cannot go on: restart all of it."""
    return [On(["PodFailed", "PodEvicted"], do="RestartJob")]


def max_retry(retries: int) -> int:
    """`maxRetry` on the wire for `retries` fresh starts: the restart that reaches maxRetry fails the job instead."""
    return retries + 1
