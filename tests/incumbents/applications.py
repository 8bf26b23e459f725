"""Applications that have an adapter inside, or that are mounted beside others."""

from __future__ import annotations

import json
from typing import Any

from tests.incumbents.case import GUNICORN, JSON, UVICORN, Case, Serving, post
from tests.incumbents.exchanges import Step

__all__ = ["AIRFLOW", "CONNEXION", "DASH", "MCP", "MLFLOW", "SUPERSET"]

CONNEXION = Case(
    name="connexion",
    title="connexion",
    package="connexion",
    servings={
        "a2wsgi": Serving(UVICORN, "connexion_api:connexion_app"),
        "to_asgi": Serving(UVICORN, "connexion_checked:app", is_bridge=True),
        "to_asgi in to_wsgi": Serving(GUNICORN, "connexion_checked:app", is_bridge=True),
    },
    steps=(
        Step("/page"),
        Step("/page", "HEAD"),
        post("/greetings/Ann", {"words": "Hello"}),
        post("/greetings/J%C3%BCrgen", {"words": "Grüß Gott"}),
        post("/greetings/nobody", {"words": "Hello"}, status=404),
        post("/greetings/Ann", {"word": "Hello"}, status=400),
        Step("/greetings/Ann", "POST", 400, headers=JSON, body="{not json"),
        Step("/greetings/Ann", status=405),
        Step("/squares/12"),
        Step("/squares/twelve", status=404),
        Step("/nothing", status=404),
        Step("/openapi.json"),
        Step("/ui/"),
        Step("/ui", status=307),
    ),
    ready_path="/page",
)

_BLOCK = {"output": "doubled.children", "outputs": {"id": "doubled", "property": "children"}}
_INPUT = {"id": "number", "property": "value"}

DASH = Case(
    name="dash",
    title="Dash",
    package="dash",
    servings={
        "Werkzeug's dispatcher": Serving(GUNICORN, "dash_dispatched:app"),
        "WSGIMiddleware": Serving(UVICORN, "dash_in_fastapi:app"),
        "a2wsgi": Serving(UVICORN, "dash_in_fastapi:app_of_a2wsgi"),
        "Router": Serving(UVICORN, "dash_bridge:app", is_bridge=True),
        "Router under gunicorn": Serving(GUNICORN, "dash_bridge:app", is_bridge=True),
    },
    steps=(
        Step("/dash/", keep={"script": r'src="(/dash/_dash-component-suites/[^"]+)"'}),
        Step("/dash/", "HEAD"),
        Step("/dash/a/page/below"),
        Step("/dash/_dash-layout"),
        Step("/dash/_dash-dependencies"),
        Step("$script"),
        Step("/dash/_favicon.ico"),
        Step("/dash/assets/site.css"),
        Step("/dash/assets/site.css", status=206, headers={"range": "bytes=5-9"}),
        Step("/dash/assets/missing.css", status=404),
        post(
            "/dash/_dash-update-component",
            {**_BLOCK, "inputs": [{**_INPUT, "value": 21}], "changedPropIds": ["number.value"]},
        ),
        post(
            "/dash/_dash-update-component",
            {**_BLOCK, "inputs": [{**_INPUT, "value": None}], "changedPropIds": []},
            status=204,
        ),
        Step("/dash/_dash-update-component"),
        Step("/api/items", like="WSGIMiddleware"),
    ),
    varying=(r'(?<="end_id":")[\w~]+',),
    ready_path="/dash/",
)

MLFLOW = Case(
    name="mlflow",
    title="MLflow",
    package="mlflow",
    servings={
        "mlflow server": Serving(UVICORN, "mlflow.server.fastapi_app:app"),
        "to_asgi": Serving(UVICORN, "mlflow_bridge:app", is_bridge=True),
        "to_asgi in to_wsgi": Serving(GUNICORN, "mlflow_bridge:app", is_bridge=True),
    },
    env={
        "_MLFLOW_SERVER_FILE_STORE": "sqlite:///{folder}/mlflow.db",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "{folder}/artifacts",
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    },
    steps=(
        Step("/", keep={"script": r'src="([^"]+\.js)"'}),
        Step("/health"),
        Step("/health", "HEAD"),
        Step("/version"),
        Step("/$script"),
        Step("/$script", status=206, headers={"range": "bytes=100-199"}),
        Step("/static-files/missing.js", status=404),
        post(
            "/api/2.0/mlflow/experiments/create",
            {"name": "Größe"},
            keep={"experiment": r'"experiment_id": "(\w+)"'},
        ),
        post("/api/2.0/mlflow/experiments/create", {"name": "Größe"}, status=400),
        Step("/api/2.0/mlflow/experiments/get-by-name?experiment_name=Gr%C3%B6%C3%9Fe"),
        post("/api/2.0/mlflow/experiments/search", {"max_results": 5}),
        post("/api/2.0/mlflow/experiments/search", {"max_results": "many"}, status=400),
        post(
            "/api/2.0/mlflow/runs/create",
            {"experiment_id": "$experiment", "run_name": "first", "start_time": 1},
            keep={"run": r'"run_id": "(\w+)"'},
        ),
        post(
            "/api/2.0/mlflow/runs/log-metric",
            {"run_id": "$run", "key": "loss", "value": 0.5, "timestamp": 1, "step": 1},
        ),
        post(
            "/api/2.0/mlflow/runs/log-batch",
            {"run_id": "$run", "params": [{"key": "k", "value": "v" * 400}]},
        ),
        Step("/api/2.0/mlflow/runs/get?run_id=$run"),
        Step("/api/2.0/mlflow/metrics/get-history?run_id=$run&metric_key=loss"),
        Step("/api/2.0/mlflow/runs/get?run_id=none", status=404),
        Step(
            "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=$run&path=notes.txt",
            "POST",
            body="a note\n" * 100_000,
        ),
        Step("/get-artifact?run_uuid=$run&path=notes.txt"),
        Step(
            "/api/2.0/mlflow-artifacts/artifacts/more/notes.txt",
            "PUT",
            body="more\n" * 100_000,
        ),
        Step("/api/2.0/mlflow-artifacts/artifacts/more/notes.txt"),
        Step("/api/2.0/mlflow-artifacts/artifacts?path=more"),
        Step("/no/such/page", status=404),
    ),
    varying=(
        r"\b[0-9a-f]{32}\b",  # identifiers of runs
        r"\b1\d{12}\b",  # times in milliseconds
    ),
    ready_path="/health",
)

_BOTH = JSON | {"accept": "application/json, text/event-stream"}


def _call(method: str, params: object = None, **others: Any) -> Step:
    """A step with a JSON-RPC request of MCP."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or {}}
    return Step("/tools/mcp", "POST", headers=_BOTH, body=json.dumps(body), **others)


_CLIENT = {"capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}

MCP = Case(
    name="mcp",
    title="An MCP server beside Flask",
    package="mcp",
    servings={
        "Starlette": Serving(UVICORN, "mcp_alone:app"),
        "Router under gunicorn": Serving(GUNICORN, "mcp_in_flask:app", is_bridge=True),
        "Router": Serving(UVICORN, "mcp_in_flask:app", is_bridge=True),
    },
    steps=(
        _call("initialize", {"protocolVersion": "2025-06-18", **_CLIENT}),
        _call("tools/list"),
        _call("tools/call", {"name": "add", "arguments": {"a": 2, "b": 3}}),
        _call("tools/call", {"name": "add", "arguments": {"a": "two"}}),
        _call("no/such/method"),
        Step("/tools/mcp", "POST", 400, headers=_BOTH, body="{not json"),
        Step("/tools/mcp", "POST", 406, headers=JSON, body="{}"),
        Step("/tools/mcp", "PUT", 405, headers=_BOTH, body="{}"),
        Step("/tools/missing", status=404),
    ),
    ready_path="/tools/missing",
)

_TOKENS = (
    r"(?<='nonce-)[\w-]{32}",
    r"(?<=nonce=\")[\w-]+",
    r"\b(I[jm]|eyJ)[\w-]+\.[\w-]+\.[\w-]+",  # of itsdangerous, and JSON web tokens
    r"(?<=session=)[^;]+",
    r"(?<=_token=)[^;]+",
    r"\b0x[0-9a-f]{8,}",  # addresses of objects
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+",
)

_ANN = (
    *("--username", "ann", "--password", "sesame"),
    *("--firstname", "Ann", "--lastname", "Lee", "--email", "ann@example.test"),
)

_SIGN_IN = Step("/auth/login/", keep={"csrf": r'name="csrf_token" type="hidden" value="([^"]+)"'})

AIRFLOW = Case(
    name="airflow",
    title="Airflow",
    package="apache-airflow",
    servings={
        "airflow api-server": Serving(UVICORN, "airflow.api_fastapi.main:app"),
        "to_asgi": Serving(UVICORN, "airflow_checked:app", is_bridge=True),
    },
    env={
        "AIRFLOW_HOME": "{folder}",
        "AIRFLOW__API__SECRET_KEY": "not-a-secret",
        "AIRFLOW__API_AUTH__JWT_SECRET": "not-a-secret" * 8,
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.providers.fab.auth_manager.fab_auth_manager.FabAuthManager"
        ),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
        "AIRFLOW__CORE__PLUGINS_FOLDER": "{folder}/plugins",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:///{folder}/airflow.db",
    },
    prepare=(
        ("airflow", "db", "migrate"),
        ("airflow", "users", "create", "--role", "Admin", *_ANN),
    ),
    steps=(
        Step("/api/v2/version"),
        Step("/api/v2/dags", status=401),
        Step("/pluginsv2/hello/"),
        Step("/pluginsv2/hello", status=308),
        Step("/pluginsv2/hello/", "POST", 400, body="x" * 3_000_000),
        _SIGN_IN,
        Step("/auth/users/list/", status=302),
        Step("/auth/missing", status=404),
        Step(
            "/auth/login/",
            "POST",
            302,
            form={"csrf_token": "$csrf", "username": "ann", "password": "sesame"},
        ),
        Step("/auth/users/list/"),
        Step("/auth/roles/list/"),
        Step("/auth/logout/", status=302),
    ),
    varying=_TOKENS,
    ready_path="/api/v2/version",
)

_TOKEN = {"authorization": "Bearer $token"}

SUPERSET = Case(
    name="superset",
    title="Superset",
    package="apache-superset",
    servings={
        "gunicorn": Serving(GUNICORN, "superset.app:create_app()"),
        "to_asgi": Serving(UVICORN, "superset_bridge:app", is_bridge=True),
    },
    env={"SUPERSET_DATABASE": "sqlite:///{folder}/superset.db", "SUPERSET_HOME": "{folder}"},
    prepare=(
        ("superset", "db", "upgrade"),
        ("superset", "fab", "create-admin", *_ANN),
        ("superset", "init"),
    ),
    steps=(
        Step("/health"),
        Step("/health", "HEAD"),
        Step("/", status=302),
        Step("/login/", keep={"csrf": r'csrf_token[^>]*value="([^"]+)"'}),
        Step("/api/v1/me/", status=401),
        post(
            "/api/v1/security/login",
            {"username": "ann", "password": "sesame", "provider": "db"},
            keep={"token": r'"access_token":"([^"]+)"'},
        ),
        Step("/api/v1/chart/", headers=_TOKEN),
        Step("/api/v1/database/?q=(page_size:5)", headers=_TOKEN),
        Step("/api/v1/dashboard/_info", headers=_TOKEN),
        Step("/api/v1/chart/77", status=404, headers=_TOKEN),
        Step(
            "/login/",
            "POST",
            302,
            form={"csrf_token": "$csrf", "username": "ann", "password": "sesame"},
        ),
        Step("/superset/welcome/"),
        Step("/api/v1/me/"),
        Step("/static/assets/images/favicon.png"),
        Step("/static/assets/images/favicon.png", status=206, headers={"range": "bytes=0-99"}),
        Step("/no/such/page", status=404),
        Step("/logout/", status=302),
    ),
    varying=_TOKENS,
    ready_path="/health",
)
