"""Which lines of Terraform do its own tests exercise?

    python benchmarks/terraform_coverage.py [--json]

Runs `terraform test` for each root module, with the mocked providers of its tests. A resource or data source counts,
with all lines of its block that are neither blank nor a comment, when some run has an instance of it in its plan or
state.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaosctl import places
from tests.contract.terraform.test_modules import ROOTS, Terraform

HEAD = re.compile(r'^(resource|data) "(\w+)" "(\w+)" {')


@dataclass(frozen=True)
class Block:
    """A resource or data source: its address, and how many lines it has."""

    address: str
    lines: int


def main() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as directory:
        terraform = Terraform(Path(directory))
        terraform.init()
        report = {root: measure(terraform, root) for root in ROOTS}
    lines, covered = (sum(module[key] for module in report.values()) for key in ("lines", "covered"))
    whole = {"modules": report, "lines": lines, "covered": covered, "percent": round(100 * covered / lines, 1)}
    print(json.dumps(whole) if options.json else "\n".join(f"{key}: {value}" for key, value in whole.items()))


def measure(terraform: Terraform, root: str) -> dict[str, Any]:
    instances = set(_instances(terraform(root, "test", "-json", "-verbose")))
    blocks = [
        block for file in sorted((places.asset("terraform").parent / root).glob("*.tf")) for block in _blocks(file)
    ]
    missed = [block.address for block in blocks if block.address not in instances]
    return {
        "lines": sum(block.lines for block in blocks),
        "covered": sum(block.lines for block in blocks if block.address in instances),
        "missed": missed,
    }


def _instances(said: str) -> Iterator[str]:
    """Addresses without index of everything that some run planned or had, data sources as data.TYPE.NAME."""
    yield from re.findall(r'"address":"((?:data\.)?\w+\.\w+)', said)


def _blocks(file: Path) -> Iterator[Block]:
    address, lines = "", 0
    for line in file.read_text().splitlines():
        if head := HEAD.match(line):
            kind, type_, name = head.groups()
            address, lines = f"{'data.' if kind == 'data' else ''}{type_}.{name}", 0
        if address and line.strip() and not line.strip().startswith("#"):
            lines += 1
        if address and line == "}":
            yield Block(address, lines)
            address = ""


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
