"""All settings of gunicorn, under the names of its configuration file."""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import (
    LOG,
    STATISTICS,
    TIMEOUT,
    Table,
    by_hand,
    carried,
    not_needed,
)

__all__ = ["GUNICORN", "HOOKS"]

HOOKS = (
    "on_starting on_reload when_ready pre_fork post_fork post_worker_init worker_int worker_abort "
    "pre_exec pre_request post_request child_exit worker_exit nworkers_changed on_exit ssl_context"
)

_HEAD = by_hand(
    "limit",
    "uvicorn limits the head as a whole, to 64 KiB, and only with --http h11",
    "let the proxy limit it: large_client_header_buffers",
)
_PARSER = by_hand(
    "limit",
    "it makes gunicorn accept or refuse certain requests, and uvicorn has its own parser",
    "let the proxy in front refuse them",
)

GUNICORN = Table.of(
    [
        (carried("app", "app", "the app that the command names"), "wsgi_app"),
        (carried("bind", "bind"), "bind"),
        (carried("workers", "workers"), "workers"),
        (carried("threads", "threads"), "threads"),
        (carried("log", "loglevel"), "loglevel"),
        (carried("timeout", "keepalive"), "keepalive"),
        (carried("limit", "backlog"), "backlog"),
        (carried("timeout", "graceful_timeout"), "graceful_timeout"),
        (carried("limit", "max_requests"), "max_requests"),
        (carried("limit", "max_requests_jitter"), "max_requests_jitter"),
        (carried("proxy", "forwarded_allow_ips"), "forwarded_allow_ips"),
        (carried("tls", "certfile"), "certfile"),
        (carried("tls", "keyfile"), "keyfile"),
        (carried("tls", "ca_certs"), "ca_certs"),
        (carried("tls", "cert_reqs"), "cert_reqs"),
        (carried("tls", "ciphers"), "ciphers"),
        (carried("process", "reload"), "reload!"),
        (carried("environment", "environment"), "raw_env"),
        (carried("directory", "app_dir"), "chdir pythonpath"),
        (carried("log", "accesslog"), "accesslog"),
        (carried("process", "config", "its settings are in the lines of that file"), "config"),
        (TIMEOUT, "timeout"),
        (
            by_hand(
                "process",
                "uvicorn imports the app in each worker, which starts later and shares no memory",
                "allow memory for a copy of the app in each worker",
            ),
            "preload_app!",
        ),
        (
            by_hand(
                "limit",
                "uvicorn accepts connections without a limit",
                "set --limit-concurrency of uvicorn, beyond which it answers 503; bridge run "
                "has --wait-target-s instead",
            ),
            "worker_connections",
        ),
        (
            not_needed("bind", "the workers of uvicorn share one listening socket"),
            "reuse_port!",
        ),
        (
            by_hand("process", "uvicorn writes no PID file", "let the supervisor track the PID"),
            "pidfile",
        ),
        (
            LOG,
            "errorlog access_log_format logger_class logconfig logconfig_dict logconfig_json "
            "syslog! syslog_addr syslog_prefix syslog_facility disable_redirect_access_to_syslog!",
        ),
        (
            STATISTICS,
            "statsd_host statsd_prefix dogstatsd_tags enable_backlog_metric!",
        ),
        (_HEAD, "limit_request_line limit_request_fields limit_request_field_size"),
        (
            _PARSER,
            "permit_obsolete_folding! strip_header_spaces! header_map "
            "permit_unconventional_http_method! permit_unconventional_http_version! "
            "casefold_http_method! forwarder_headers",
        ),
        (
            by_hand(
                "proxy",
                "uvicorn reads only X-Forwarded-Proto and X-Forwarded-For",
                "let the proxy set X-Forwarded-Proto",
            ),
            "secure_scheme_headers",
        ),
        (
            by_hand(
                "user",
                "uvicorn cannot change to another user: it would run as the one that starts it",
                "start it as that user: User= of systemd, user= of supervisor, USER of a "
                "Dockerfile",
                stops=True,
            ),
            "user",
        ),
        (
            by_hand(
                "user",
                "uvicorn cannot change to another group",
                "start it in that group",
                stops=True,
            ),
            "group",
        ),
        (
            by_hand("user", "uvicorn sets no umask", "set it before the server starts", stops=True),
            "umask",
        ),
        (
            by_hand(
                "process",
                "uvicorn runs in the foreground",
                "let a supervisor start it",
                stops=True,
            ),
            "daemon!",
        ),
        (
            by_hand("app", "uvicorn cannot read Paste files", "name the app", stops=True),
            "paste raw_paste_global_conf",
        ),
        (
            by_hand(
                "proxy",
                "uvicorn does not support the PROXY protocol",
                "let the proxy send HTTP with X-Forwarded-For",
                stops=True,
            ),
            "proxy_protocol proxy_allow_ips",
        ),
        (
            by_hand(
                "bind",
                "it enables protocols other than HTTP/1.1",
                "let the proxy speak HTTP/2",
                stops=True,
            ),
            "http_protocols http2_cleartext http2_max_concurrent_streams http2_initial_window_size "
            "http2_max_frame_size http2_max_header_list_size",
        ),
        (
            by_hand(
                "hook",
                "it is a gunicorn hook, which no other server calls",
                "move its code to the app's startup and shutdown (lifespan), or to import",
                stops=True,
            ),
            HOOKS,
        ),
        (
            by_hand(
                "hook",
                "uvicorn does not run this file",
                "move the line to the app, or to the script that starts the server",
                stops=True,
            ),
            "code",
        ),
        (
            by_hand(
                "tls",
                "uvicorn has no such option",
                "let the proxy end TLS",
                stops=True,
            ),
            "do_handshake_on_connect! suppress_ragged_eofs!",
        ),
        (not_needed("tls", "gunicorn ignores it, too, since version 21"), "ssl_version"),
        (
            by_hand(
                "bind",
                "uvicorn speaks HTTP, not uwsgi's or FastCGI's protocol",
                "let the proxy speak HTTP: proxy_pass instead of uwsgi_pass or fastcgi_pass",
                stops=True,
            ),
            "protocol uwsgi_allow_ips",
        ),
        (
            by_hand(
                "daemon",
                "gunicorn's processes for long tasks exist only there",
                "use a task queue: Celery, RQ, django-tasks",
                stops=True,
            ),
            "dirty_apps dirty_workers dirty_timeout dirty_threads dirty_graceful_timeout "
            "on_dirty_starting dirty_post_fork dirty_worker_init dirty_worker_exit",
        ),
        (
            by_hand("process", "uvicorn reloads all Python files", "use --reload-include"),
            "reload_engine reload_extra_files",
        ),
        (
            by_hand("process", "it starts no server", "remove it", stops=True),
            "check_config! print_config! version! help!",
        ),
        (by_hand("process", "it traces every line", "use a debugger"), "spew!"),
        (
            not_needed(
                "process", "uvicorn has one kind of worker, and `bridge` brings the threads"
            ),
            "worker_class",
        ),
        (
            not_needed("process", "gunicorn's own workers use it"),
            "worker_tmp_dir tmp_upload_dir control_socket control_socket_mode no_control_socket! "
            "control_socket_disable! websocket_max_message_size "
            "http_parser asgi_loop asgi_lifespan asgi_disconnect_grace_period root_path",
        ),
        (not_needed("process", "it names the process in ps"), "proc_name default_proc_name"),
        (
            not_needed("log", "uvicorn's output is that of the app"),
            "capture_output! enable_stdio_inheritance!",
        ),
        (not_needed("limit", "uvicorn sends files as the app gives them"), "sendfile!"),
        (not_needed("user", "it belongs to user and group"), "initgroups!"),
    ]
)
