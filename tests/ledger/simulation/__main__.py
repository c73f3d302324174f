"""`python -m ledger.simulation --seed 1 --minutes 10`: episode after episode, seed after seed."""

from __future__ import annotations

import argparse
import sys
import time

from ledger.simulation.run import Shape, SimulationError, own_houses, simulate


def main() -> int:
    """0 where every episode ended as the oracle says; 1 with the seed and the story of one that
    did not. An episode alone: `--seed <its seed> --minutes 0`."""
    parser = argparse.ArgumentParser(prog="python -m ledger.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first episode")
    parser.add_argument("--minutes", type=float, default=1.0, help="no episode begins after these")
    parser.add_argument("--steps", type=int, default=Shape.steps, help="of an episode")
    parser.add_argument("--fault-chance", type=float, default=Shape.fault_chance, help="of a step")
    parser.add_argument("--ledgers", type=int, default=2, help="processes over one store")
    given = parser.parse_args()
    shape = Shape(steps=given.steps, fault_chance=given.fault_chance)
    end = time.monotonic() + 60 * given.minutes
    with own_houses(given.ledgers) as houses:
        seed = given.seed
        while True:
            try:
                done = simulate(houses, seed, shape)
            except SimulationError as error:
                sys.stdout.write(f"{error}\n")
                return 1
            counts = f"{len(done.sent)} calls, {len(done.faults)} faults"
            sys.stdout.write(f"seed {seed}: {counts}, as foretold\n")
            sys.stdout.flush()
            seed += 1
            if time.monotonic() >= end:
                return 0


if __name__ == "__main__":
    sys.exit(main())
