"""YAML as text: read by the rules of 1.2, in which `on` and `no` are words; written with sorted keys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class NotYaml(ValueError):
    """A text that is no YAML; says where."""


def read(text: str) -> Any:
    """The one document of a text. Raises NotYaml."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe").load(text)
    except YAMLError as error:
        raise NotYaml(str(error)) from error


def read_all(text: str) -> Iterator[Any]:
    """Every document of a text. Raises NotYaml."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        yield from YAML(typ="safe").load_all(text)
    except YAMLError as error:
        raise NotYaml(str(error)) from error


def written(document: Any) -> str:
    """A document in lines that are easy to compare."""
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=True, width=160)
    return text
