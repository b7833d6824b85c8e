from pathlib import Path

from chaosctl.lab import namespaces


def test_mounts_with_blanks_are_recognized(tmp_path: Path) -> None:
    table = tmp_path / "mountinfo"
    table.write_text("40 1 0:5 / /srv/my\\040lab rw - tmpfs tmpfs rw\n41 1 0:6 / /srv/\u00fc rw - tmpfs tmpfs rw\n")

    assert namespaces.mount_points(table) == [Path("/srv/my lab"), Path("/srv/\u00fc")]
