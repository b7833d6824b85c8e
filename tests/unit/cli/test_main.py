from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module

import pytest

from chaosctl import __main__ as program
from chaosctl.cli.main import COMMANDS
from tests.unit.adapters.web_server import web_server
from tests.unit.cli.conftest import Cli, Inside

HEAVY = {"boto3", "botocore", "kubernetes", "rich", "pydantic", "asyncio", "moto", "yaml", "pyhelm3", "httpx", "ruamel"}


def test_help_imports_nothing_heavy(cli: Cli) -> None:
    script = (
        "import sys\nfrom chaosctl.__main__ import run\nassert run(['--help']) == 0\n"
        "print('LOADED', sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = cli.python("-c", script)
    assert done.returncode == 0
    loaded = done.stdout.rpartition("LOADED")[2]
    assert [name for name in HEAVY if f"'{name}'" in loaded] == []


@pytest.mark.parametrize(
    "words", [["version"], ["token", "--cluster-name", "c", "--region", "us-west-2", "--target", "lab"]]
)
def test_what_is_run_all_the_time_imports_neither_settings_nor_stages_nor_what_makes_a_lab(
    cli: Cli, words: list[str]
) -> None:
    heavy = ("chaosctl.stages.", "chaosctl.config", "chaosctl.toolbox", "chaosctl.lab.lab", "cryptography")
    script = (
        f"import sys\nfrom chaosctl.__main__ import run\nrun({words})\n"
        f"print('LOADED', [name for name in sys.modules if name.startswith({heavy})])"
    )
    assert cli.python("-c", script).stdout.rpartition("LOADED")[2].strip() == "[]"


def test_help_lists_every_command(cli: Cli) -> None:
    shown = cli.run("--help").stdout
    assert [name for name in COMMANDS if f"\n  {name} " not in shown] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_the_common_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = [name, "start", "--help"] if name == "lab" else [name, "--help"]
    assert program.run(words) == 0
    shown = capsys.readouterr().out
    assert [o for o in ("--target", "--environment", "--config", "--json", "--region") if o not in shown] == []


@pytest.mark.parametrize("name", [n for n in COMMANDS if n != "lab"])
def test_the_function_of_a_command_has_its_name(name: str) -> None:
    assert callable(getattr(import_module(f"chaosctl.cli.{name}"), name))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("upp",), "Did you mean 'up'"),
        (("up", "--nope"), "No such option"),
        (("smoke", "--requests", "x"), "--requests"),
        (("up", "--target", "moon"), "target"),
        (("up", "--env", "Not A Label"), "environment"),
        (("up", "--config", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_wrong_words(cli: Cli, words: tuple[str, ...], said: str) -> None:
    done = cli.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "What to do:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["target = [", "colour = 1\n[smoke]\nrequests = 0\n"])
def test_a_malformed_settings_file(cli: Cli, text: str) -> None:
    (cli.cwd / "chaosctl.toml").write_text(text)
    done = cli.run("status")
    assert done.returncode == 2
    assert "CONFIG-INVALID" in done.stderr


def test_errors_as_json(cli: Cli) -> None:
    done = cli.run("smoke", "--json")
    told = json.loads(done.stdout)
    assert (told["schema"], told["command"], told["ok"]) == (1, "smoke", False)
    assert told["error"]["status"] == done.returncode == 3
    assert told["error"]["code"] == "LAB-NOT-RUNNING"


def test_json_as_the_value_of_an_option_is_no_wish_for_json(inside: Inside) -> None:
    done = inside.run("smoke", "--url", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'--json' is not a URL" in done.stderr


@pytest.mark.parametrize(
    ("words", "command"), [(("lab", "start", "--json", "--target", "moon"), "lab start"), (("upp", "--json"), "upp")]
)
def test_an_error_as_json_names_the_command_as_far_as_it_is_known(
    inside: Inside, words: tuple[str, ...], command: str
) -> None:
    assert json.loads(inside.run(*words).stdout)["command"] == command


def test_nothing_there_is_fine_for_status_and_down(cli: Cli) -> None:
    assert cli.run("status").returncode == 0
    assert json.loads(cli.run("down", "--json").stdout)["result"]["left"] == []


def test_smoke_of_any_url(cli: Cli) -> None:
    with web_server() as web:
        assert cli.run("smoke", "--url", web.url).returncode == 0
        slow = cli.run("smoke", "--url", web.url, "--limit-ms", "0.001", "--json")
    assert slow.returncode == 8
    assert json.loads(slow.stdout)["result"]["passed"] is False


def test_the_end_of_a_pipe_is_no_error(cli: Cli) -> None:
    line = f"{sys.executable} -m chaosctl version --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], cwd=cli.cwd, env=cli.env, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bug_is_one_line_and_a_file(cli: Cli) -> None:
    script = (
        "import platform, sys\nimport chaosctl.cli.version\nfrom chaosctl.__main__ import run\n"
        "chaosctl.cli.version.platform = None\nsys.exit(run(['version']))"
    )
    done = cli.python("-c", script)
    assert done.returncode == 1
    assert "AttributeError" in done.stderr
    assert "Traceback" not in done.stderr
    (log,) = (cli.cwd / "state" / "logs").iterdir()
    assert "Traceback" in log.read_text()
