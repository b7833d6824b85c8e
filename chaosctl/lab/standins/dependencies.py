"""What the stand-ins that call AWS need of site-packages: botocore and its own dependencies, with few API calls.

The whole model of EC2 costs 40 MB of memory and a second at each start; the operations used here are a hundredth of it.
"""

from __future__ import annotations

import gzip
import importlib.util
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from chaosctl.lab.image_archive import Entry
from chaosctl.lab.python_runtime import module

PACKAGES = ("botocore", "urllib3", "jmespath", "dateutil", "six")
OPERATIONS = {
    "autoscaling": (
        "DescribeAutoScalingGroups", "SetDesiredCapacity", "TerminateInstanceInAutoScalingGroup",
    ),
    "ec2": (
        "DescribeSubnets", "DescribeSecurityGroups", "CreateSecurityGroup", "DeleteSecurityGroup",
        "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress",
    ),
    "elbv2": (
        "DescribeLoadBalancers", "CreateLoadBalancer", "DeleteLoadBalancer", "SetSecurityGroups", "SetSubnets",
        "DescribeLoadBalancerAttributes", "ModifyLoadBalancerAttributes",
        "DescribeListeners", "CreateListener", "ModifyListener", "DeleteListener",
        "DescribeListenerCertificates", "AddListenerCertificates", "RemoveListenerCertificates",
        "DescribeListenerAttributes", "ModifyListenerAttributes",
        "DescribeRules", "CreateRule", "ModifyRule", "DeleteRule",
        "DescribeTargetGroups", "CreateTargetGroup", "ModifyTargetGroup", "DeleteTargetGroup",
        "DescribeTargetGroupAttributes", "ModifyTargetGroupAttributes",
        "RegisterTargets", "DeregisterTargets", "DescribeTargetHealth", "DescribeTags",
    ),
}  # fmt: skip
_LEFT_OUT = ("botocore/data/", "dateutil/zoneinfo/", "urllib3/contrib/emscripten/")
_SHARED_DATA = ("_retry.json", "endpoints.json", "partitions.json", "sdk-default-configuration.json")


def entries(destination: str) -> Iterator[Entry]:
    """The packages as files below `destination`."""
    for name in PACKAGES:
        yield from _package(name, destination)
    data = _location("botocore") / "data"
    for name in _SHARED_DATA:
        yield Entry(f"{destination}/botocore/data/{name}", data / name)
    for service, operations in OPERATIONS.items():
        yield from _service(data / service, f"{destination}/botocore/data/{service}", operations)


def _location(package: str) -> Path:
    """The package's directory, or the module's file."""
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None  # a dependency of boto3, which chaosctl depends on
    path = Path(spec.origin)
    return path.parent if path.name == "__init__.py" else path


def _package(name: str, destination: str) -> Iterator[Entry]:
    location = _location(name)
    root = location.parent
    for source in sorted(location.rglob("*.py")) if location.is_dir() else [location]:
        if not str(source.relative_to(root)).startswith(_LEFT_OUT):
            yield from module(source, destination, root)
    if name == "botocore":
        yield Entry(f"{destination}/botocore/cacert.pem", location / "cacert.pem")


def _service(directory: Path, destination: str, operations: Iterable[str]) -> Iterator[Entry]:
    latest = max(directory.iterdir())
    model = json.loads(gzip.decompress((latest / "service-2.json.gz").read_bytes()))
    text = json.dumps(reduced(model, operations), sort_keys=True).encode()
    yield Entry(f"{destination}/{latest.name}/service-2.json", text)
    for name in ("endpoint-rule-set-1.json.gz", "paginators-1.json"):
        yield Entry(f"{destination}/{latest.name}/{name}", latest / name)


def reduced(model: dict[str, Any], operations: Iterable[str]) -> dict[str, Any]:
    """A botocore service model with only these operations and the shapes that they reach, without documentation."""
    kept = {name: _undocumented(model["operations"][name]) for name in operations}
    shapes: dict[str, Any] = {}
    wanted = list(_references(list(kept.values())))
    while wanted:
        name = wanted.pop()
        if name not in shapes:
            shapes[name] = _undocumented(model["shapes"][name])
            wanted += _references(shapes[name])
    return {"version": model["version"], "metadata": model["metadata"], "operations": kept, "shapes": shapes}


def _undocumented(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _undocumented(v) for k, v in value.items() if not (k == "documentation" and isinstance(v, str))}
    return [_undocumented(item) for item in value] if isinstance(value, list) else value


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "shape" and isinstance(item, str):
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)
