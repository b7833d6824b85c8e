"""HTTPS with a domain, and a secret of the app, as a user does it: up, foreign clients, chaos, drift, down.

The tests of this module run in their order on one deployment. None looks inside chaosctl.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import mmap
import re
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.user import User

pytestmark = pytest.mark.lab
DOMAIN = "shop.example.com"
SECRET, OTHER = "chaotic-backend/database", "chaotic-backend/other"
SETTINGS = f"""
[tls]
domain = "{DOMAIN}"
zone = "example.com"
[app]
secrets = {{DATABASE_SECRET = "{SECRET}"}}
"""
# What an SDK does for an app: credentials from Pod Identity, a signed request. From the standard library alone, since
# the backend's image has nothing else. It tells only a digest.
READ = """
import datetime, hashlib, hmac, json, os, sys, urllib.request
def fetch(url, body=None, **headers):
    asked = urllib.request.Request(url, body, {k.replace("_", "-"): v for k, v in headers.items()})
    return json.load(urllib.request.urlopen(asked, timeout=10))
token = open(os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).read()
key = fetch(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], Authorization=token)
url = os.environ["AWS_ENDPOINT_URL"] + "/"
host, region = url.split("/")[2], os.environ["AWS_REGION"]
body = json.dumps({"SecretId": sys.argv[1]}).encode()
now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
headers = {"host": host, "x-amz-date": now, "x-amz-security-token": key["Token"],
           "x-amz-target": "secretsmanager.GetSecretValue"}
names = ";".join(sorted(headers))
lines = "".join(f"{name}:{headers[name]}\\n" for name in sorted(headers))
canonical = "\\n".join(["POST", "/", "", lines, names, hashlib.sha256(body).hexdigest()])
scope = f"{now[:8]}/{region}/secretsmanager/aws4_request"
text = "\\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(canonical.encode()).hexdigest()])
signer = ("AWS4" + key["SecretAccessKey"]).encode()
for part in scope.split("/"):
    signer = hmac.digest(signer, part.encode(), "sha256")
headers["Authorization"] = (f"AWS4-HMAC-SHA256 Credential={key['AccessKeyId']}/{scope}, SignedHeaders={names}, "
                            f"Signature={hmac.new(signer, text.encode(), 'sha256').hexdigest()}")
headers["Content-Type"] = "application/x-amz-json-1.1"
try:
    found = fetch(url, body, **headers)["SecretString"]
except urllib.error.HTTPError as error:
    print(json.load(error)["__type"])
else:
    print(hashlib.sha256(found.encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def user(newcomer: User) -> User:
    (newcomer.home / "chaosctl.toml").write_text(SETTINGS)
    return newcomer


@pytest.fixture(scope="module")
def value(aws: Any) -> str:
    """The value of a secret that somebody stored, and that must be nowhere else."""
    value = f"seeded-{secrets.token_hex(16)}"
    for name in (SECRET, OTHER):
        aws("secretsmanager").create_secret(Name=name, SecretString=value)
    return value


def curl(user: User, *words: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
    return user.run("curl", "-sS", *words, status=status)


@pytest.fixture(scope="module")
def trust(deployed: str) -> str:
    """The file of the authority that `up` names."""
    found = re.search(r"clients have to trust (\S+)", deployed)
    assert found is not None, deployed
    return found[1]


# --- TLS


def test_users_get_the_domain_over_https(user: User, deployed: str, trust: str) -> None:
    assert f"Your app: https://{DOMAIN}" in deployed
    answer = curl(user, "--cacert", trust, "-D", "-", f"https://{DOMAIN}/probe/data").stdout
    assert "200" in answer.splitlines()[0] and '"users"' in answer
    assert "strict-transport-security: max-age=31536000" in answer.lower()


def test_who_does_not_trust_the_authority_gets_nothing(user: User, deployed: str) -> None:
    assert curl(user, f"https://{DOMAIN}/", status=60).stdout == ""


def test_http_is_redirected(user: User, deployed: str) -> None:
    answer = curl(user, "-o", "/dev/null", "-w", "%{http_code} %{redirect_url}", f"http://{DOMAIN}/probe/data?a=b")
    assert answer.stdout in (f"301 https://{DOMAIN}/probe/data?a=b", f"301 https://{DOMAIN}:443/probe/data?a=b")


@pytest.mark.parametrize(("version", "status"), [("1.1", 35), ("1.2", 0)])
def test_the_security_policy_holds(user: User, trust: str, version: str, status: int) -> None:
    curl(user, "--cacert", trust, f"--tlsv{version}", "--tls-max", version, f"https://{DOMAIN}/", status=status)


def test_acm_has_issued_it_and_the_load_balancer_uses_it(user: User, aws: Any) -> None:
    (shown,) = user.json("status")["certificates"]
    held = aws("acm").describe_certificate(CertificateArn=shown["arn"])["Certificate"]
    assert (held["Status"], held["Type"], held["DomainName"]) == ("ISSUED", "AMAZON_ISSUED", DOMAIN)
    assert len(held["InUseBy"]) == 1


def test_smoke_tells_how_it_is_secured(user: User, deployed: str) -> None:
    found = user.json("smoke")["security"]
    assert (found["certificate"]["names"], found["plain"]) == ([DOMAIN], "redirected")
    assert found["hsts"] == "max-age=31536000"


def test_doctor_looks_at_it(user: User, deployed: str) -> None:
    assert f"{DOMAIN}, until " in user.chaosctl("doctor", status=None).stdout


def test_chaos_verifies_the_certificate_too(user: User, deployed: str) -> None:
    result = user.json("chaos", "--kill-pods", "--seed", "7")
    assert result["verdict"] == "PASS", result


def test_a_second_up_changes_nothing(user: User, deployed: str) -> None:
    stages = user.json("up")["stages"]
    assert {name: stage["changed"] for name, stage in stages.items()} == dict.fromkeys(stages, False)


def test_after_up_plan_has_nothing_to_change(user: User, deployed: str) -> None:
    assert user.json("plan", status=0)["different"] is False


def test_a_name_that_was_taken_away_is_drift_and_comes_back(user: User, aws: Any, trust: str) -> None:
    route53 = aws("route53")
    zone = route53.list_hosted_zones()["HostedZones"][0]["Id"]
    records = route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    (alias,) = [record for record in records if "AliasTarget" in record]
    change = {"Changes": [{"Action": "DELETE", "ResourceRecordSet": alias}]}
    route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch=change)
    found = user.json("status", "--drift", status=9)["drift"]
    assert [difference["object"] for difference in found] == [f"DNS name {DOMAIN}"]
    assert [change["object"] for change in user.json("plan", status=9)["aws"]] == [f"DNS name {DOMAIN}"]
    assert user.json("app")["changed"] is True
    curl(user, "--cacert", trust, f"https://{DOMAIN}/")


# --- secrets


def read(user: User, name: str) -> str:
    return user.kubectl(
        "-n", "chaotic-backend", "exec", "deployment/chaotic-backend", "--", "python3", "-c", READ, name
    ).strip()


def test_the_app_reads_its_secret_with_pod_identity(user: User, aws: Any, value: str) -> None:
    spec = json.loads(user.kubectl("-n", "chaotic-backend", "get", "deployment", "chaotic-backend", "-o", "json"))
    environment = spec["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DATABASE_SECRET", "value": SECRET} in environment
    assert read(user, SECRET) == hashlib.sha256(value.encode()).hexdigest()


def test_and_no_other(user: User, value: str) -> None:
    assert read(user, OTHER) == "AccessDeniedException"


def test_secret_values_are_nowhere(user: User, aws: Any, value: str) -> None:
    """Not in Terraform's state, the releases, the cluster, the images, the logs, or what chaosctl writes and says.

    The lab's AWS holds what it was given, nodes and etcd what runs on them: their files are not looked at.
    """
    key = json.loads((user.state / "lab" / "aws" / "operator.json").read_text())["SecretAccessKey"]
    texts = {f"state {name}": text for name, text in states(aws)}
    texts["objects"] = user.kubectl("get", "all,configmaps,secrets,ingresses", "-A", "-o", "yaml")
    texts["releases"] = "".join(decoded(user))
    texts |= {f"logs {name}": text for name, text in logged(user)}
    for words in (("status",), ("plan",), ("doctor",), ("smoke",), ("lab", "status")):
        done = user.chaosctl(*words, "--json", status=None)
        texts[" ".join(words)] = done.stdout + done.stderr
    texts |= {str(path): path.read_bytes().decode(errors="replace") for path in written(user)}
    assert len(texts) > 30 and all(texts.values())
    hidden = [form for word in (value, key) for form in (word, base64.b64encode(word.encode()).decode())]
    for archive in images(user):
        assert not [form for form in hidden if archive.find(form.encode()) >= 0]
    for what, text in texts.items():
        assert not [form for form in hidden if form in text], what
        if not what.startswith(str(user.state / "lab")):
            assert "PRIVATE KEY-----" not in text, what


def logged(user: User) -> Iterator[tuple[str, str]]:
    """Every line that containers wrote, as CloudWatch has it and as the kubelets do."""
    namespaces = json.loads(user.kubectl("get", "namespaces", "-o", "json"))["items"]
    for name in (item["metadata"]["name"] for item in namespaces):
        pods = json.loads(user.kubectl("-n", name, "get", "pods", "-o", "json"))["items"]
        if not pods:
            continue
        found = user.json("logs", "--namespace", name, "--since", "1d", "--limit", "1000000")
        assert found["earlier"] == 0, "not all of them were read"
        yield f"{name} in {found['source']}", "\n".join(line["text"] for line in found["lines"]) or "-"
        for pod in (item["metadata"]["name"] for item in pods):
            yield f"{name}/{pod}", user.kubectl("-n", name, "logs", pod, "--all-containers", "--tail=-1") or "-"
    told = user.json("logs", "--since", "1d", "--limit", "1000000")
    assert (told["source"], bool(told["lines"])) == ("cloudwatch", True), "CloudWatch was not looked at"


def images(user: User) -> Iterator[mmap.mmap]:
    """The archives of all images; their layers are not compressed, so that a text in them is found."""
    readable = False
    for path in sorted((user.state / "lab" / "images").glob("*.tar")):
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            readable |= content.find(b"chaosctl/lab/standins/backend") >= 0  # the name of a file in a layer
            yield content
    assert readable, "no file of any layer can be seen"


def states(aws: Any) -> Iterator[tuple[str, str]]:
    s3 = aws("s3")
    for bucket in s3.list_buckets()["Buckets"]:
        for item in s3.list_objects_v2(Bucket=bucket["Name"])["Contents"]:
            yield item["Key"], s3.get_object(Bucket=bucket["Name"], Key=item["Key"])["Body"].read().decode() or "-"


def decoded(user: User) -> Iterator[str]:
    """Helm's releases as text: secrets in the cluster, packed twice."""
    listed = json.loads(user.kubectl("get", "secrets", "-A", "-l", "owner=helm", "-o", "json"))
    for secret in listed["items"]:
        yield gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"]))).decode()


def written(user: User) -> Iterator[Path]:
    """What chaosctl wrote: all but what is AWS itself in the lab, its nodes' disks, etcd, and keys where they live.

    Images are looked through by themselves, and the logs that the lab's AWS holds through its API.
    """
    ours = ("aws", "nodes", "clusters", "authority", "load-balancers", "images")
    for path in user.state.rglob("*"):
        inside = path.relative_to(user.state).parts
        if path.is_file() and path.stat().st_size and not (inside[0] == "lab" and inside[1] in ours):
            yield path


# --- the end


def test_https_without_a_domain_serves_the_labs_own_certificate(user: User, aws: Any, trust: str) -> None:
    (user.home / "chaosctl.toml").write_text(
        SETTINGS.replace(f'domain = "{DOMAIN}"\nzone = "example.com"', "enabled = true")
    )
    user.chaosctl("app")
    url = user.chaosctl("url").stdout.strip()
    assert re.fullmatch(r"https://\S+\.us-west-2\.elb\.amazonaws\.com", url)
    curl(user, "--cacert", trust, f"{url}/probe/data")
    assert user.json("smoke")["security"]["certificate"]["names"] == ["*.us-west-2.elb.amazonaws.com"]
    assert DOMAIN not in Path("/etc/hosts").read_text()


def test_down_removes_certificate_and_names_and_leaves_the_zone(user: User, aws: Any) -> None:
    (user.home / "chaosctl.toml").write_text(SETTINGS)
    user.chaosctl("app")
    assert DOMAIN in Path("/etc/hosts").read_text()
    user.chaosctl("down", "--yes")
    assert DOMAIN not in Path("/etc/hosts").read_text()
