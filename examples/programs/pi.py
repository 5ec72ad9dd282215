"""Pi by the midpoint rule: every rank sums its share, rank 0 adds up and says who took part."""

import math
import sys

from mpi4py import MPI

STEPS = 2_000_000


def main() -> None:
    world = MPI.COMM_WORLD
    steps = int(sys.argv[1]) if len(sys.argv) > 1 else STEPS
    width = 1.0 / steps
    share = math.fsum(4.0 / (1.0 + ((i + 0.5) * width) ** 2) for i in range(world.rank, steps, world.size))
    pi = world.reduce(share * width, op=MPI.SUM, root=0)
    hosts = world.gather(MPI.Get_processor_name(), root=0)
    if pi is not None and hosts is not None:
        print(f"pi is about {pi:.12f}, off by {abs(pi - math.pi):.1e}")
        for host in sorted(set(hosts)):
            print(f"{hosts.count(host)} ranks on {host}")


if __name__ == "__main__":
    main()
