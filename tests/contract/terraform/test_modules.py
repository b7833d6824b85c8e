"""terraform/ against Terraform itself: format, validity, its own tests. Without Terraform this fails and says why."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from chaosctl import places
from chaosctl.adapters import process
from chaosctl.adapters.terraform_plan import changes
from chaosctl.config import InfraSettings, Settings, ToolboxSettings
from chaosctl.events import ignore
from chaosctl.queries import costs, setups
from chaosctl.queries.costs import Resource
from chaosctl.toolbox import Toolbox, providers

ROOTS = ("terraform", "terraform/bootstrap", "terraform/alarms")
SET_BY_STAGES = {"region", "environment", "cluster_name", "namespace"}
ENDPOINT = "aws_sns_topic_subscription.endpoint"
NOT_TERRAFORMS = {"deletion_protection"}


class Terraform:
    """Terraform on copies of the modules, with providers from where the product takes them."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.program = Toolbox(places.cache_dir(), ToolboxSettings(), ignore).ensure("terraform")["terraform"]
        self.env: Mapping[str, str] = {
            "TF_CLI_CONFIG_FILE": str(providers.cli_config(home)),
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "AWS_REGION": "us-west-2",
        }
        shutil.copytree(places.asset("terraform"), home / "terraform", ignore=shutil.ignore_patterns(".terraform"))

    def init(self) -> None:
        """Providers for all modules."""
        for root in ROOTS:
            self(root, "init", "-backend=false", "-lockfile=readonly", "-input=false")

    def __call__(self, root: str, *words: str) -> str:
        return process.run([self.program, *words], cwd=self.home / root, env=self.env).stdout


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    ready = Terraform(tmp_path_factory.mktemp("terraform"))
    ready.init()
    return ready


def test_files_are_formatted(terraform: Terraform) -> None:
    assert terraform("terraform", "fmt", "-check", "-recursive") == ""


@pytest.mark.parametrize("root", ROOTS)
def test_modules_are_valid(terraform: Terraform, root: str) -> None:
    assert json.loads(terraform(root, "validate", "-json"))["valid"]


@pytest.mark.parametrize("root", ROOTS)
def test_their_own_tests_pass(terraform: Terraform, root: str) -> None:
    last = json.loads(terraform(root, "test", "-json").splitlines()[-1])
    assert last["test_summary"]["status"] == "pass" and last["test_summary"]["passed"] > 0


def test_the_lock_file_knows_every_platform() -> None:
    for root in ROOTS:
        text = (places.asset("terraform").parent / root / ".terraform.lock.hcl").read_text()
        assert text.count('"zh:') == 15 and text.count('"h1:') >= 1


def defaults(terraform: Terraform) -> dict[str, object]:
    """Default of each variable as Terraform sees it; asked through the console, which knows the types."""
    names = [*InfraSettings.model_fields, *SET_BY_STAGES]
    wanted = [name for name in names if name not in NOT_TERRAFORMS | {"public_access_cidrs"}]
    question = f"jsonencode({{{', '.join(f'{name} = nonsensitive(var.{name})' for name in wanted)}}})\n"
    done = process.run(
        [terraform.program, "console", "-var", 'public_access_cidrs=["203.0.113.7/32"]'],
        cwd=terraform.home / "console",
        env=terraform.env,
        stdin=question,
    )
    answer: dict[str, object] = json.loads(json.loads(done.stdout.strip().splitlines()[-1]))
    return answer


def test_settings_and_variables_have_the_same_names_and_defaults(terraform: Terraform) -> None:
    # Only the variables: a console over the whole module would want its backend.
    console = terraform.home / "console"
    console.mkdir()
    text = (terraform.home / "terraform/variables.tf").read_text()
    (console / "variables.tf").write_text(text + "\nlocals {\n  addon_names = []\n}\n")
    settings = Settings()
    expected = settings.infra.model_dump(exclude={*NOT_TERRAFORMS, "public_access_cidrs"})
    expected |= {name: getattr(settings, name) for name in SET_BY_STAGES}
    assert defaults(terraform) == expected


@pytest.fixture(scope="module")
def stack(terraform: Terraform) -> list[dict[str, Any]]:
    """What Terraform tells of the tests of the main module."""
    return _told(terraform, "terraform", "stack")


@pytest.fixture(scope="module")
def made(terraform: Terraform, stack: list[dict[str, Any]]) -> Mapping[str, list[Resource]]:
    """What the runs of the modules' tests make or plan, by the name of the run."""
    return {**_made(stack), **_made(_told(terraform, "terraform/alarms", "alarms"))}


def _told(terraform: Terraform, root: str, file: str) -> list[dict[str, Any]]:
    lines = terraform(root, "test", "-json", "-verbose", f"-filter=tests/{file}.tftest.hcl").splitlines()
    return [json.loads(line) for line in lines]


def _made(lines: list[dict[str, Any]]) -> dict[str, list[Resource]]:
    found = {}
    for told in lines:
        if told["type"] == "test_state":
            resources = told["test_state"]["root_module"]["resources"]
            found[told["@testrun"]] = [Resource(r["type"], r["values"]) for r in resources if r["mode"] == "managed"]
        if told["type"] == "test_plan":
            changes = [c for c in told["test_plan"].get("resource_changes", ()) if c["mode"] == "managed"]
            found[told["@testrun"]] = [
                Resource(c["type"], c["change"]["after"]) for c in changes if c["change"]["after"]
            ]
    return found


def test_the_token_in_a_url_is_neither_in_an_address_nor_in_what_plan_shows(stack: list[dict[str, Any]]) -> None:
    """Addresses are what plans, progress and logs show of a resource; of its values what is sensitive is hidden."""
    (state,) = (
        told["test_state"] for told in stack if told.get("@testrun") == "alarms_can_be_told" and "test_state" in told
    )
    (endpoint,) = (r for r in state["root_module"]["resources"] if r["address"].startswith(ENDPOINT))
    assert "t0ken" in endpoint["values"]["endpoint"]
    assert "t0ken" not in endpoint["address"]
    hidden = endpoint["sensitive_values"]
    assert hidden["endpoint"] is True
    before = {**endpoint["values"], "endpoint": "https://example.com/alarms?token=old"}
    change = {"actions": ["update"], "before": before, "after": endpoint["values"], "after_unknown": {}}
    change |= {"before_sensitive": hidden, "after_sensitive": hidden}
    shown = changes({"resource_changes": [{"address": endpoint["address"], "type": "x", "change": change}]})
    assert [(a.path, a.before, a.after) for a in shown[0].attributes] == [("endpoint", "(sensitive)", "(sensitive)")]


@pytest.mark.parametrize(
    ("run", "infra"),
    [("defaults", InfraSettings()), ("highly_available", InfraSettings(az_count=3, single_nat_gateway=False))],
)
def test_cost_counts_what_terraform_makes(made: Mapping[str, list[Resource]], run: str, infra: InfraSettings) -> None:
    resources, prices = [*made[run], *made["limits_are_those_of_what_is_watched"]], costs.load(None)
    real = costs.bill(resources, balancers=setups.BALANCERS, zones=infra.az_count, prices=prices)
    assert setups.fixed(infra, prices) == real, "chaosctl/queries/setups.py says otherwise"
