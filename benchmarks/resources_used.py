"""``python benchmarks/resources_used.py COMMAND...`` runs a command and prints what it took, as JSON.

A process counts what its parent held when it was made: so this one is small, and imports nothing that is not.
"""

import json
import os
import subprocess
import sys
import time

if __name__ == "__main__":
    started = time.perf_counter()
    with open(os.devnull, "wb") as nothing:  # noqa: PTH123 (pathlib is more than this needs)
        process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=nothing)
        _, status, used = os.wait4(process.pid, 0)
    found = {
        "seconds": time.perf_counter() - started,
        "cpu": used.ru_utime + used.ru_stime,
        "peak_bytes": used.ru_maxrss * 1024,
        "code": os.waitstatus_to_exitcode(status),
    }
    sys.stdout.write(json.dumps(found) + "\n")
