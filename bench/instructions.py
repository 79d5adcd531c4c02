"""Instructions of small fixed jobs in the core, against those that the repository keeps.

Counts are the same on a busy machine as on a quiet one, and nearly so on all machines with the same compiler: more than
5 % above those kept is a change of the code, which belongs into its commit message with the new counts.

    python -m bench.instructions PROGRAM            compares
    python -m bench.instructions PROGRAM --write    keeps

PROGRAM is the target `instructions` of a build with CVXRELU_BUILD_DRIVER. Needs valgrind.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys

KEPT = pathlib.Path(__file__).with_suffix(".json")
ROOM = 1.05


def count(program: str, job: str) -> int:
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, job]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)} ended with {result.returncode}:\n{result.stderr}")
    return int(re.search(r"Collected : (\d+)", result.stderr)[1])


def compiler(program: str) -> str:
    comment = subprocess.run(["readelf", "-p", ".comment", program], capture_output=True, text=True, check=True).stdout
    versions = re.findall(r"\]\s+(.*)", comment)
    return next((version for version in versions if "clang" in version), versions[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    jobs = subprocess.run([options.program], capture_output=True, text=True, check=True).stdout.split()
    counts = {job: count(options.program, job) for job in jobs}
    found = {"compiler": compiler(options.program), "instructions": counts}
    if options.write:
        KEPT.write_text(json.dumps(found, indent=2) + "\n")
        return
    kept = json.loads(KEPT.read_text())
    comparable = kept["compiler"] == found["compiler"]
    for job, n in counts.items():
        print(f"{job:12s} {n / 1e6:10.1f} million instructions, {n / kept['instructions'][job]:.3f} of those kept")
    if not comparable:
        print(f"not compared: {found['compiler']} made this program, {kept['compiler']} the one whose counts are kept")
    slower = [job for job, n in counts.items() if n > ROOM * kept["instructions"][job]]
    if comparable and slower:
        sys.exit(f"more than {ROOM:.0%} of the instructions kept: {', '.join(slower)}")


if __name__ == "__main__":
    main()
