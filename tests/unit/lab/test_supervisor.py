import configparser
from pathlib import Path

import pytest

from chaosctl.lab.layout import Layout
from chaosctl.lab.supervisor import Program, command, render


def parsed(program: Program, layout: Layout) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser()
    parser.read_string(render(program, layout))
    return parser[f"program:{program.name}"]


def test_plain_program_is_run_as_it_is() -> None:
    assert command(Program("x", ("sleep", "1"))) == ("sleep", "1")


def test_namespaces_are_entered_through_nsenter() -> None:
    program = Program("x", ("sleep", "1"), netns="blue", mount_ns=Path("/run/lab/ns/x"))

    assert command(program) == ("nsenter", "--mount=/run/lab/ns/x", "--net=/run/netns/blue", "--", "sleep", "1")


def test_percent_signs_survive_supervisord(tmp_path: Path) -> None:
    section = parsed(Program("x", ("date", "+%s"), env={"RATIO": "50%"}), Layout(tmp_path))

    assert section["command"] == "date +%%s"
    assert 'RATIO="50%%"' in section["environment"]


def test_unit_and_group_are_in_the_environment(tmp_path: Path) -> None:
    section = parsed(Program("x", ("true",), group="node:1"), Layout(tmp_path))

    assert section["environment"] == 'LAB_UNIT="x",LAB_GROUP="node:1"'


def test_another_revision_is_another_configuration(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    assert render(Program("x", ("true",), revision="1"), layout) != render(
        Program("x", ("true",), revision="2"), layout
    )


@pytest.mark.parametrize("argument", ["two\nlines", "a ;comment", "a #comment"])
def test_what_would_be_cut_off_is_refused(argument: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        render(Program("x", ("echo", argument)), Layout(tmp_path))


def test_double_quote_in_the_environment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="double quote"):
        render(Program("x", ("true",), env={"A": 'say "x"'}), Layout(tmp_path))


def test_containers_outlive_what_started_them(tmp_path: Path) -> None:
    assert parsed(Program("x", ("true",), as_group=False), Layout(tmp_path))["killasgroup"] == "false"
