"""`ssh` and `sshd` as pods find them: a remote command without a remote daemon, between pods of one job.

`ssh` hands its own stdin, stdout and stderr to the node, which starts the command in the named pod with them; when
either side ends, so does the other. `sshd` only says that this container may be reached, until it is told to stop.
"""

import os
import signal
import socket
import sys

from flowbatch.embedded.nodes.inside import wire

#: Where the node listens; the variable is set only where pods have no mounts of their own.
NODE = os.environ.get("FLOWBATCH_NODE", "/run/flowbatch/node/socket")
_WITH_VALUE = "BbcDEeFIiJLlmOoPpQRSWw"
_FAILED = 255


class UsageError(Exception):
    """The command line is not one of ssh's."""


def parse(arguments: list[str]) -> tuple[str, dict[str, str], list[str]]:
    """Host, `-o` options (lower-case keys) and remote command of an OpenSSH command line. Raises UsageError."""
    options: dict[str, str] = {}
    rest = list(arguments)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        flag = rest.pop(0)
        if flag == "--":
            break
        letters = flag[1:]
        while letters:
            letter, letters = letters[0], letters[1:]
            if letter in _WITH_VALUE:
                if not letters and not rest:
                    raise UsageError(f"option requires an argument -- {letter}")
                value, letters = (letters, "") if letters else (rest.pop(0), "")
                if letter == "o":
                    key, _, word = value.replace("=", " ", 1).strip().partition(" ")
                    options[key.lower()] = word.strip()
            elif letter == "n":
                options["-n"] = "yes"
    if not rest:
        raise UsageError("usage: ssh [options] [user@]host [command]")
    host = rest.pop(0).removeprefix("ssh://").rpartition("@")[2]
    if rest and rest[0] == "--":
        rest.pop(0)
    return host, options, rest


def ssh(arguments: list[str]) -> int:
    """Run a command in another pod of the job; the exit code is the command's, or 255."""
    if arguments[:1] == ["-V"]:
        print("OpenSSH_9.9, as flowbatch plays it", file=sys.stderr)
        return 0
    try:
        host, options, command = parse(arguments)
    except UsageError as error:
        print(f"ssh: {error}", file=sys.stderr)
        return _FAILED
    stdin = os.open("/dev/null", os.O_RDONLY) if "-n" in options else 0
    try:
        with _connect() as node:
            request = {"do": "ssh", "host": host, "command": " ".join(command), "wait": options.get("connecttimeout")}
            wire.send(node, request, (stdin, 1, 2))
            answer = wire.receive(node)[0]
    except OSError as error:
        answer = {"error": f"cannot reach this node: {error}"}
    if answer is None or "error" in answer:
        print(f"ssh: {answer['error'] if answer else f'connection to {host} lost'}", file=sys.stderr)
        return _FAILED
    return int(answer["code"])


def sshd() -> int:
    """Be reachable until SIGTERM (or until the node is gone), whatever the arguments."""
    if "-t" in sys.argv[1:]:
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with _connect() as node:
        wire.send(node, {"do": "listen"})
        if not {"-D", "-De", "-eD"} & set(sys.argv[1:]) and os.fork():
            return 0  # a daemon, as sshd without -D is
        while wire.receive(node)[0] is not None:
            continue
    return 0


def _connect() -> socket.socket:
    node = socket.socket(socket.AF_UNIX, wire.KIND)
    node.connect(NODE)
    return node


def main(role: str, arguments: list[str]) -> None:
    """Entry point of both shims."""
    try:
        sys.exit(ssh(arguments) if role == "ssh" else sshd())
    except KeyboardInterrupt:
        sys.exit(130)
