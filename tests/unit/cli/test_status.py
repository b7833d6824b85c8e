from __future__ import annotations

import json
import signal
import subprocess
import sys

from tests.unit.cli.conftest import Cli


def test_watching_as_json_is_one_line_for_each_look_and_ends_well_with_ctrl_c(cli: Cli) -> None:
    words = [sys.executable, "-m", "chaosctl", "status", "--watch", "--every", "1", "--json"]
    with subprocess.Popen(words, cwd=cli.cwd, env=cli.env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        looks = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert [look["result"]["cluster"] for look in looks] == [None, None]


def test_nothing_is_deployed(cli: Cli) -> None:
    assert "nothing is deployed" in cli.run("status").stdout
