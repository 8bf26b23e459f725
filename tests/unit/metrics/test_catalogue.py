"""The metrics, and what names them: the dashboard, the alert rules, the reference."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge.metrics.catalogue import CATALOGUE, Metric
from tests.harness.servers import ROOT
from tests.harness.tools import find_program

DASHBOARD = ROOT / "deploy" / "grafana" / "bridge.json"
ALERTS = ROOT / "deploy" / "prometheus" / "bridge-alerts.yml"
REFERENCE = ROOT / "docs" / "reference" / "metrics.md"
HOWTO = ROOT / "docs" / "howto" / "metrics.md"

METRICS = list(CATALOGUE.values())


def samples_of(metric: Metric) -> set[str]:
    if metric.kind != "histogram":
        return {metric.name}
    return {f"{metric.name}_{each}" for each in ("bucket", "count", "sum")}


SAMPLES = {name for metric in METRICS for name in samples_of(metric)}


def expressions() -> list[str]:
    dashboard: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    targets = [each for panel in dashboard["panels"] for each in panel.get("targets", ())]
    return [target["expr"] for target in targets]


def named_in(text: str) -> set[str]:
    return set(re.findall(r"\bbridge_[a-z_]+", text))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: str(metric.name))
def test_a_name_says_the_unit_and_the_kind(metric: Metric) -> None:
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.bounds or metric.name.endswith("_seconds")
    assert bool(metric.bounds) == (metric.kind == "histogram")
    assert list(metric.bounds) == sorted(set(metric.bounds))
    assert metric.help[0].isupper()
    assert metric.help.endswith(".")


def test_the_dashboard_shows_each_metric_and_no_other() -> None:
    shown = named_in("\n".join(expressions()))

    assert shown - SAMPLES == set()
    assert [metric.name for metric in METRICS if not shown & samples_of(metric)] == []


def test_panels_do_not_overlap() -> None:
    places: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text("utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not places & cells, panel["title"]
        places |= cells


def test_the_alert_rules_name_metrics_that_exist() -> None:
    assert named_in(ALERTS.read_text("utf-8")) - SAMPLES == set()


def test_prometheus_accepts_the_rules_and_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    promtool = find_program("promtool", package="prometheus")
    queries = [each.replace("$__rate_interval", "5m") for each in expressions()]
    rules = [{"record": f"query:{n}", "expr": query} for n, query in enumerate(queries)]
    dashboard = tmp_path / "dashboard.yml"
    dashboard.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))

    done = subprocess.run(
        [promtool, "check", "rules", ALERTS, dashboard], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_lists_every_metric() -> None:
    rows = dict(re.findall(r"^\| `(bridge_\w+)` \| (\w+) \|", REFERENCE.read_text("utf-8"), re.M))

    assert rows == {metric.name: metric.kind for metric in METRICS}


def test_pages_name_metrics_that_exist() -> None:
    assert named_in(HOWTO.read_text("utf-8")) - SAMPLES - set(CATALOGUE) == set()
