"""Training with parameter servers, in the open: softmax regression on 1,797 handwritten digits, over TCP.

Every pod runs this program. Who is who comes from `TF_CONFIG` (this pod's role and the ports) and `VC_PS_HOSTS` (the
servers' names), as the tensorflow and svc plugins give them. Each server holds one slice of the parameters; each
worker reads all slices, computes a gradient on its own share of the data, and sends each server its slice back.
Nobody waits for anybody (asynchronous SGD). Servers serve until they are stopped.
"""

import os

# Many small processes share few cores: a thread pool in each would only be in the way.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import gzip
import importlib.util
import itertools
import json
import socket
import socketserver
import sys
import threading
import time
from pathlib import Path

import numpy as np

PIXELS, DIGITS = 64, 10
SIZE = (PIXELS + 1) * DIGITS
EPOCHS, BATCH, RATE = 12, 24, 0.3
HELD_OUT = 360
PULL, PUSH = b"G", b"P"
PATIENCE_S = 60.0


def load_digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's copy of the UCI digits, read from its file: importing the library would take seconds."""
    found = importlib.util.find_spec("sklearn")
    if found is None or not found.submodule_search_locations:
        sys.exit("the digits are a file of scikit-learn: pip install scikit-learn")
    file = Path(found.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"
    with gzip.open(file) as rows:
        table = np.loadtxt(rows, delimiter=",")
    table = table[np.random.default_rng(7).permutation(len(table))]
    images = np.hstack([table[:, :-1] / 16.0, np.ones((len(table), 1))])
    return images, table[:, -1].astype(int)


def slices(servers: int) -> list[slice]:
    """Which parameters each server holds."""
    edges = np.linspace(0, SIZE, servers + 1).astype(int)
    return [slice(start, end) for start, end in itertools.pairwise(edges)]


# Servers -------------------------------------------------------------------------------------------------------------


class Shard(socketserver.ThreadingTCPServer):
    """One slice of the parameters, and the lock under which gradients are taken off it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], length: int) -> None:
        super().__init__(address, Requests)
        self.values = np.zeros(length)
        self.lock = threading.Lock()


class Requests(socketserver.StreamRequestHandler):
    """One worker's connection: `G` gets the slice, `P` and a gradient moves it."""

    def handle(self) -> None:
        shard = self.server
        assert isinstance(shard, Shard)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while verb := self.rfile.read(1):
            if verb == PUSH:
                gradient = np.frombuffer(self.rfile.read(8 * len(shard.values)))
                with shard.lock:
                    shard.values -= RATE * gradient
            elif verb == PULL:
                with shard.lock:
                    self.wfile.write(shard.values.tobytes())


def serve(host: str, port: int, length: int) -> None:
    """Serve one slice until killed. This pod's own name may take a moment to resolve."""
    with keep_trying(lambda: Shard((host, port), length), f"listen as {host}:{port}") as shard:
        print(f"serving {length} of {SIZE} parameters on {host}:{port}", flush=True)
        shard.serve_forever()


# Workers -------------------------------------------------------------------------------------------------------------


class Server:
    """A worker's connection to one server."""

    def __init__(self, host: str, port: int, length: int) -> None:
        self.length = length
        self.socket = keep_trying(lambda: socket.create_connection((host, port), 5), f"reach {host}:{port}")
        self.socket.settimeout(PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies = self.socket.makefile("rb")

    def pull(self) -> np.ndarray:
        self.socket.sendall(PULL)
        return np.frombuffer(self.replies.read(8 * self.length))

    def push(self, gradient: np.ndarray) -> None:
        self.socket.sendall(PUSH + gradient.tobytes())


def probabilities(images: np.ndarray, weights: np.ndarray) -> np.ndarray:
    scores = images @ weights.reshape(PIXELS + 1, DIGITS)
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def loss(images: np.ndarray, digits: np.ndarray, weights: np.ndarray) -> float:
    chosen = probabilities(images, weights)[np.arange(len(digits)), digits]
    return float(-np.log(chosen + 1e-12).mean())


def gradient(images: np.ndarray, digits: np.ndarray, weights: np.ndarray) -> np.ndarray:
    error = probabilities(images, weights)
    error[np.arange(len(digits)), digits] -= 1.0
    return (images.T @ error / len(digits)).ravel()


def train(index: int, workers: int, addresses: list[tuple[str, int]]) -> None:
    """This worker's epochs over its share of the data, its loss after each, and the accuracy at the end."""
    images, digits = load_digits()
    mine = slice(HELD_OUT + index, None, workers)
    share, labels = images[mine], digits[mine]
    parts = slices(len(addresses))
    servers = [Server(*address, part.stop - part.start) for address, part in zip(addresses, parts, strict=True)]
    order = np.random.default_rng(index)

    def pull() -> np.ndarray:
        return np.concatenate([server.pull() for server in servers])

    print(f"worker {index}: {len(share)} images, loss {loss(share, labels, pull()):.3f} before training", flush=True)
    for epoch in range(1, EPOCHS + 1):
        for batch in np.array_split(order.permutation(len(share)), len(share) // BATCH):
            step = gradient(share[batch], labels[batch], pull())
            for server, part in zip(servers, parts, strict=True):
                server.push(step[part])
        print(f"worker {index}: epoch {epoch:2d}, loss {loss(share, labels, pull()):.3f}", flush=True)
    right = probabilities(images[:HELD_OUT], pull()).argmax(axis=1) == digits[:HELD_OUT]
    print(f"worker {index}: accuracy {right.mean():.3f} on {HELD_OUT} images that no worker saw", flush=True)


# Who is who ----------------------------------------------------------------------------------------------------------


def keep_trying(attempt, what: str):  # noqa: ANN001, ANN201  (any callable, and what it gives)
    """`attempt()`, again and again while its peer is still starting."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return attempt()
        except OSError as problem:
            if time.monotonic() > deadline:
                sys.exit(f"cannot {what}: {problem}")
            time.sleep(0.1)


def main() -> None:
    config = json.loads(os.environ["TF_CONFIG"])
    role, index = config["task"]["type"], int(config["task"]["index"])
    ports = [int(address.rpartition(":")[2]) for address in config["cluster"]["ps"]]
    addresses = list(zip(os.environ["VC_PS_HOSTS"].split(","), ports, strict=True))
    if role == "ps":
        part = slices(len(addresses))[index]
        serve(*addresses[index], part.stop - part.start)
    else:
        train(index, len(config["cluster"]["worker"]), addresses)


if __name__ == "__main__":
    main()
