# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.bench.tree import tree_cpu_s, tree_memory, tree_of
from tests.waiting import until


def test_a_tree_is_a_process_with_all_that_it_started() -> None:
    sleeper = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    process = subprocess.Popen([sys.executable, "-c", sleeper], start_new_session=True)
    try:
        until(lambda: len(tree_of([process.pid])) == 2, "the second process does not come")
        memory = tree_memory([process.pid])
        assert memory.pss > memory.files > 0
        assert tree_cpu_s([process.pid]) >= 0
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert tree_memory([process.pid]).pss == 0  # who has ended counts nothing, and is no error
