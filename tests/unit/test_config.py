from pathlib import Path

import pytest

from chaosctl import config
from chaosctl.errors import ExitStatus, UsageProblem


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> None:
    Path(config.CONFIG_FILE).write_text(text)


def test_defaults_are_those_of_the_mission() -> None:
    settings = config.load()
    assert (settings.region, settings.cluster_name) == ("us-west-2", "chaotic-backend-cluster")
    assert settings.infra.node_instance_types == ["t3.medium"]
    assert (settings.infra.node_min_size, settings.infra.node_max_size) == (2, 4)


def test_the_command_line_wins_over_environment_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write('region = "eu-west-1"\n[smoke]\nrequests = 60\nlimit_ms = 100\n')
    monkeypatch.setenv("CHAOSCTL_SMOKE__REQUESTS", "70")
    settings = config.load(region="eu-north-1", target=None)
    assert (settings.region, settings.smoke.requests, settings.smoke.limit_ms) == ("eu-north-1", 70, 100)


ROLE = "arn:aws:iam::123456789012:role/deployer"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("region = ", "Invalid value"),
        ('regoin = "us-west-2"', "regoin"),
        ('region = "mars"', "region"),
        ('cluster_name = "Not A Label"', "cluster_name"),
        ("[infra]\nnode_min_size = 5", "node_min_size"),
        ('[infra]\npublic_access_cidrs = ["10.0.0.1/8"]', "public_access_cidrs"),
        ('[infra]\nadmin_principal_arns = ["arn:aws:sts::123456789012:assumed-role/ci/run"]', "admin_principal_arns"),
        ('[infra]\nadmin_principal_arns = ["A"]\ndeveloper_principal_arns = ["A"]'.replace("A", ROLE), "both in"),
        ('[infra]\naddon_versions = {ebs = "v1"}', "no such add-on: ebs"),
        ("[infra]\nlog_retention_days = 31", "log_retention_days"),
        ("[infra]\nnode_disk_gib = 8", "node_disk_gib"),
        ('target = "moon"', "target"),
        ("[smoke]\nrequests = 49", "smoke.requests"),
        ('[tls]\ndomain = "Shop"', "tls.domain"),
        ('[tls]\ndomain = "shop.example.com"\nzone = "ample.com"', "not in zone"),
        ('[tls]\nzone = "example.com"', "not in zone"),
        ('[tls]\ncertificate_arn = "arn:aws:iam::123456789012:server-certificate/x"', "tls.certificate_arn"),
        ('[app]\nsecrets = {password = "shop/database"}', "environment variable"),
        ('[app]\nsecrets = {PASSWORD = "shop/*"}', "Secrets Manager"),
    ],
)
def test_a_mistake_is_named(text: str, named: str) -> None:
    write(text)
    with pytest.raises(UsageProblem) as failure:
        config.load()
    assert named in failure.value.why
    assert failure.value.status is ExitStatus.USAGE


def test_all_mistakes_are_named_at_once() -> None:
    write('region = "mars"\n[smoke]\nrequests = 0\n')
    with pytest.raises(UsageProblem) as failure:
        config.load()
    assert "region" in failure.value.why
    assert "smoke.requests" in failure.value.why


def test_a_named_file_must_exist() -> None:
    with pytest.raises(UsageProblem, match="cannot be read"):
        config.load(Path("nowhere.toml"))


def test_a_variable_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAOSCTL_LAB", "yes")
    with pytest.raises(UsageProblem, match="mistakes") as failure:
        config.load()
    assert '"lab"' in failure.value.why


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("", False),
        ("enabled = true", True),
        ('domain = "shop.example.com"', True),
        ('domain = "shop.example.com"\nenabled = false', False),
    ],
)
def test_tls_is_on_when_a_domain_is_named_unless_it_is_said(text: str, on: bool) -> None:
    write(f"[tls]\n{text}")
    assert config.load().tls.on is on
