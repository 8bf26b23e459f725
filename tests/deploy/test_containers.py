"""The Dockerfile, the compose file and the Kubernetes manifests.

Docker needs a daemon and images from a registry, so the image is not built here. Its command and
its health check are run as the Dockerfile has them, in a copy of what it copies; the rest is
compared. ``nox -s hosts`` validates the manifests against the schemas of Kubernetes.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

from tests.harness.ports import HOST, held_port, port_of
from tests.harness.servers import ROOT, Address, ServerSpec, serve

DEPLOY = ROOT / "deploy"
CONTEXT = DEPLOY / "site"


def _instructions() -> list[tuple[str, str]]:
    text = (DEPLOY / "docker" / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def _last(name: str) -> str:
    return [rest for each, rest in _instructions() if each == name][-1]


def _option(command: list[str], name: str) -> float:
    return float(command[command.index(name) + 1])


def _command() -> list[str]:
    command: list[str] = json.loads(_last("CMD"))
    return command


def _health_check() -> list[str]:
    check: list[str] = json.loads(_last("HEALTHCHECK").partition("CMD")[2])
    return check


def test_the_image_is_slim_and_runs_as_an_ordinary_user() -> None:
    names = [name for name, _ in _instructions()]
    assert all("-slim" in rest for name, rest in _instructions() if name == "FROM")
    assert names.index("USER") > names.index("COPY")
    user = _last("USER")
    assert f" {user}" in next(rest for _, rest in _instructions() if rest.startswith("useradd"))


def test_the_image_copies_what_is_there(tmp_path: Path) -> None:
    for name, rest in _instructions():
        if name == "COPY" and not rest.startswith("--from"):
            assert (CONTEXT / rest.split()[0]).exists()


def test_the_requirements_are_those_that_the_tests_run_with() -> None:
    for line in (CONTEXT / "requirements.txt").read_text("utf-8").splitlines():
        requirement = Requirement(line)
        assert requirement.specifier.contains(version(requirement.name), prereleases=True)


def test_the_command_serves_and_the_health_check_notices_when_it_does_not(tmp_path: Path) -> None:
    site = tmp_path / "site"
    shutil.copytree(CONTEXT, site, ignore=shutil.ignore_patterns("__pycache__"))
    program, *arguments = _command()
    assert program == "bridge"

    def command(at: Address, target: str) -> list[str]:
        return ["bridge", *arguments, "--port", str(at.port), "--drain-s", "0"]

    with serve(ServerSpec("the image", "asgi", command), "main:app", cwd=site) as server:
        assert _is_healthy(server.port)
    with held_port() as holder:
        assert not _is_healthy(port_of(holder))


def _is_healthy(port: int) -> bool:
    program, *arguments = _health_check()
    assert program == "python"
    arguments = [each.replace("127.0.0.1:8000", f"{HOST}:{port}") for each in arguments]
    done = subprocess.run([sys.executable, *arguments], capture_output=True, check=False)
    return done.returncode == 0


# -- compose ---------------------------------------------------------------------------------------


def _services() -> dict[str, Any]:
    path = DEPLOY / "docker" / "compose.yaml"
    services: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))["services"]
    return services


def test_compose_names_files_that_are_there() -> None:
    folder = DEPLOY / "docker"
    services = _services()
    build = services["app"]["build"]
    context = folder / build["context"]
    assert context.resolve() == CONTEXT
    assert (context / build["dockerfile"]).resolve() == folder / "Dockerfile"
    for service in services.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith(".") or (folder / source).is_file()


def test_compose_waits_for_services_that_have_a_health_check() -> None:
    services = _services()
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert name == "app" or "healthcheck" in services[name]  # that of the image


def test_compose_gives_more_time_than_the_command_takes_to_stop() -> None:
    limit_s = float(_services()["app"]["stop_grace_period"].removesuffix("s"))
    assert limit_s > _option(_command(), "--drain-s") + _option(_command(), "--grace-s") + 30


def test_nginx_passes_requests_to_the_service_on_its_port() -> None:
    text = (DEPLOY / "nginx" / "site.conf").read_text("utf-8")
    assert set(re.findall(r"^ *server ([\w:]+)", text, re.MULTILINE)) == {f"app:{_last('EXPOSE')}"}
    assert "app" in _services()


# -- Kubernetes ------------------------------------------------------------------------------------


def _manifests() -> dict[str, Any]:
    path = DEPLOY / "kubernetes" / "site.yaml"
    return {each["kind"]: each for each in yaml.safe_load_all(path.read_text("utf-8"))}


def _pod() -> dict[str, Any]:
    spec: dict[str, Any] = _manifests()["Deployment"]["spec"]["template"]["spec"]
    return spec


def test_the_probes_ask_what_the_command_answers() -> None:
    container = _pod()["containers"][0]
    path = container["args"][container["args"].index("--healthz") + 1]
    paths = {name: container[name]["httpGet"]["path"] for name in container if "Probe" in name}
    assert paths == {
        "startupProbe": f"{path}/ready",
        "readinessProbe": f"{path}/ready",
        "livenessProbe": f"{path}/live",
    }
    ports = {port["name"] for port in container["ports"]}
    assert {container[name]["httpGet"]["port"] for name in paths} <= ports


def test_kubernetes_drains_a_pod_before_it_ends() -> None:
    container = _pod()["containers"][0]
    drain_s = _option(container["args"], "--drain-s")
    probe = container["readinessProbe"]
    assert drain_s > probe["periodSeconds"] * probe["failureThreshold"]
    needed_s = drain_s + _option(container["args"], "--grace-s") + 25
    assert _pod()["terminationGracePeriodSeconds"] >= needed_s


def test_the_service_and_the_disruption_budget_select_the_pods() -> None:
    manifests = _manifests()
    labels = manifests["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert manifests["Service"]["spec"]["selector"] == labels
    assert manifests["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == labels
    replicas = manifests["Deployment"]["spec"]["replicas"]
    assert manifests["PodDisruptionBudget"]["spec"]["maxUnavailable"] < replicas
    assert manifests["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_the_pods_have_no_rights_that_they_do_not_need() -> None:
    assert _pod()["securityContext"]["runAsNonRoot"]
    rights = _pod()["containers"][0]["securityContext"]
    assert not rights["allowPrivilegeEscalation"]
    assert rights["readOnlyRootFilesystem"]
    assert rights["capabilities"] == {"drop": ["ALL"]}
