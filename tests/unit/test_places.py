from __future__ import annotations

from chaosctl import places


def test_assets_are_found_beside_the_package() -> None:
    assert (places.asset("terraform") / "versions.tf").is_file()
