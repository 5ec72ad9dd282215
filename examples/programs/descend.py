"""Gradient descent on a bowl that is steep one way and flat the other; the loss is left for whoever asks."""

import argparse
import json
from pathlib import Path

STEPS = 60


def descend(rate: float, momentum: float) -> float:
    x, y, dx, dy = 4.0, 4.0, 0.0, 0.0
    for _ in range(STEPS):
        dx, dy = momentum * dx - rate * 4 * x, momentum * dy - rate * 0.4 * y
        x, y = x + dx, y + dy
    return 2 * x * x + 0.2 * y * y


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--momentum", type=float, required=True)
    said = parser.parse_args()
    loss = descend(said.rate, said.momentum)
    print(f"rate {said.rate}, momentum {said.momentum}: loss {loss:.3g}")
    Path("/dev/termination-log").write_text(json.dumps({"loss": loss}))


if __name__ == "__main__":
    main()
