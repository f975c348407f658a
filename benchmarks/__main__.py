"""Measure scenarios, print their tables, and write them into docs/benchmarks."""

from __future__ import annotations

import argparse
import time

from benchmarks.measure import Bench
from benchmarks.plots import plot
from benchmarks.report import PLOTS, load, machine, markdown, save, write_page
from benchmarks.scenarios import QUICK, SCENARIOS
from benchmarks.server import PROFILES
from benchmarks.workers import Workers
from tests.servers import ObjectServer


def main() -> None:
    """Run the scenarios that the command line names."""
    arguments = _arguments()
    if arguments.render:
        for result in load(SCENARIOS):
            plot(result, PLOTS)
        print(f"Written: {write_page(SCENARIOS)}")
        return
    names = arguments.only or (QUICK if arguments.quick else tuple(SCENARIOS))
    repeat = arguments.repeat or (1 if arguments.quick else 3)
    writes = not (arguments.quick or arguments.no_write or arguments.profile)
    print(machine(), end="\n\n")
    if arguments.quick:
        print("A quick run: the sizes are smaller than those that the verdicts are meant for.\n")
    with ObjectServer.start() as server, Workers() as workers:
        bench = Bench(server, workers, repeat=repeat, quick=arguments.quick, profiles=arguments.profile)
        for name in names:
            begin = time.perf_counter()
            result = SCENARIOS[name](bench)
            if writes:
                plot(result, PLOTS)
                save(result)
            print(markdown(result), f"\n{name} took {time.perf_counter() - begin:.0f} s\n", flush=True)
    if writes:
        print(f"Written: {write_page(SCENARIOS)}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rows; writes nothing")
    parser.add_argument("--only", nargs="+", choices=SCENARIOS, metavar="NAME", help=", ".join(SCENARIOS))
    parser.add_argument("--profile", nargs="+", choices=PROFILES, help="networks to measure on; writes nothing")
    parser.add_argument("--repeat", type=int, help="runs of each row; 3, or 1 if quick")
    parser.add_argument("--render", action="store_true", help="write plots and page from the saved results")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks as it is")
    return parser.parse_args()


if __name__ == "__main__":
    main()
