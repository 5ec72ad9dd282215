"""`python child.py PARENT ARGUMENTS...`: `flowbatch ARGUMENTS...`, but not without its parent.

Runs before anything else in the child: asks the kernel for SIGTERM at the parent's death, then becomes flowbatch.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to PARENT and turn it into flowbatch."""
    parent = int(sys.argv[1])
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
    os.execv(sys.executable, [sys.executable, "-m", "flowbatch", *sys.argv[2:]])  # noqa: S606  (our own program)


if __name__ == "__main__":
    main()
