from pathlib import Path

from chaosctl.lab import gateway
from chaosctl.lab.layout import Layout
from tests.unit.lab.examples import CLUSTER


def test_each_cluster_gets_its_own_address_and_keeps_it(tmp_path: Path) -> None:
    layout = Layout(tmp_path)

    assert gateway.address(layout, "one") == layout.loopback(1)
    assert gateway.address(layout, "two") == layout.loopback(2)
    assert gateway.address(layout, "one") == layout.loopback(1)


def test_both_sides_are_joined(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    text = gateway.render(layout, CLUSTER, "127.128.0.2", "127.128.0.1:4566")

    assert "bind 127.128.0.2:443\n" in text
    assert f"server api 10.0.10.3:6443 namespace {layout.vpc_netns('vpc-1')}\n" in text
    assert "server aws 127.128.0.1:4566\n" in text


def test_pods_cannot_pretend_to_be_of_another_cluster(tmp_path: Path) -> None:
    text = gateway.render(Layout(tmp_path), CLUSTER, "127.128.0.2", "127.128.0.1:4566")

    assert "http-request set-header X-Chaosctl-Cluster demo\n" in text
    assert text.count("http-request del-header X-Chaosctl-Cluster\n") == 2
