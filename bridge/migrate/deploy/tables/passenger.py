"""Passenger: ``Passengerfile.json``, and the directives of Apache and nginx."""

from __future__ import annotations

import re

from bridge.migrate.deploy.tables.rows import USER, Table, by_hand, carried, not_needed, timeout

__all__ = ["PASSENGER", "passenger_name"]

_PROXY = by_hand(
    "proxy",
    "Passenger's web server does this, not the app's server",
    "keep a proxy in front of uvicorn, and do it there",
    stops=True,
)

PASSENGER = Table.of(
    [
        (
            carried("app", "app", "the app that the new command names"),
            "app_type startup_file PassengerAppType PassengerStartupFile passenger_app_type "
            "passenger_startup_file PassengerAppStartCommand passenger_app_start_command "
            "app_start_command",
        ),
        (carried("bind", "bind"), "address port socket_file"),
        (
            carried("workers", "workers"),
            "max_pool_size PassengerMaxPoolSize passenger_max_pool_size",
        ),
        (
            by_hand(
                "workers",
                "the new server starts a fixed number of processes",
                "set --workers to the number that the app needs",
            ),
            "min_instances PassengerMinInstances passenger_min_instances max_instances "
            "PassengerMaxInstances passenger_max_instances PassengerMaxInstancesPerApp "
            "passenger_max_instances_per_app",
        ),
        (
            carried("threads", "threads"),
            "thread_count PassengerThreadCount passenger_thread_count",
        ),
        (
            not_needed("threads", "bridge runs sync code on threads"),
            "concurrency_model PassengerConcurrencyModel passenger_concurrency_model",
        ),
        (
            carried("limit", "max_requests"),
            "max_requests PassengerMaxRequests passenger_max_requests",
        ),
        (carried("environment", "environment"), "env envvars passenger_env_var"),
        (
            by_hand(
                "environment",
                "Passenger sets WSGI_ENV and others to it",
                "set the variables that the app reads, where the new command is started",
            ),
            "environment PassengerAppEnv passenger_app_env",
        ),
        (
            by_hand(
                "environment",
                "the new command runs in the environment that it is installed in",
                "install it beside the app, for that interpreter",
            ),
            "python PassengerPython passenger_python",
        ),
        (
            carried("directory", "app_dir"),
            "app_root PassengerAppRoot passenger_app_root",
        ),
        (
            USER,
            "user PassengerUser PassengerGroup passenger_user passenger_group PassengerDefaultUser "
            "PassengerDefaultGroup passenger_default_user passenger_default_group "
            "PassengerUserSwitching passenger_user_switching umask",
        ),
        (
            timeout("proxy_read_timeout"),
            "max_request_time PassengerMaxRequestTime passenger_max_request_time start_timeout "
            "PassengerStartTimeout passenger_start_timeout pool_idle_time PassengerPoolIdleTime "
            "passenger_pool_idle_time max_preloader_idle_time PassengerMaxPreloaderIdleTime "
            "passenger_max_preloader_idle_time",
        ),
        (
            by_hand(
                "limit",
                "uvicorn has no such limit",
                "set --limit-concurrency; limit the memory by systemd or the container",
            ),
            "max_request_queue_size PassengerMaxRequestQueueSize passenger_max_request_queue_size "
            "memory_limit PassengerMemoryLimit passenger_memory_limit "
            "force_max_concurrent_requests_per_process "
            "PassengerForceMaxConcurrentRequestsPerProcess "
            "passenger_force_max_concurrent_requests_per_process",
        ),
        (
            by_hand("log", "uvicorn logs to stdout and stderr", "redirect its output"),
            "log_file log_level app_log_file PassengerLogFile PassengerLogLevel "
            "PassengerAppLogFile passenger_log_file passenger_log_level passenger_app_log_file "
            "PassengerFriendlyErrorPages passenger_friendly_error_pages friendly_error_pages",
        ),
        (
            by_hand(
                "static",
                "uvicorn serves no files",
                "serve files of the project by WhiteNoise or nginx, and uploads by nginx",
                stops=True,
            ),
            "static_files_dir passenger_document_root PassengerDocumentRoot Alias root",
        ),
        (
            _PROXY,
            "ssl ssl_certificate ssl_certificate_key server_name nginx_config_template base_uri "
            "PassengerBaseURI passenger_base_uri sticky_sessions PassengerStickySessions "
            "passenger_sticky_sessions PassengerSetHeader passenger_set_header "
            "passenger_unset_header passenger_headers_hash_max_size Rewrite* Redirect* Header "
            "RequestHeader Require SSL* Auth* ServerName ServerAlias Listen",
        ),
        (
            by_hand(
                "hook",
                "no other server calls Passenger's hooks",
                "run it before the server starts, or at the app's startup",
                stops=True,
            ),
            "hook_* PassengerHook* prestart PassengerPreStart passenger_pre_start",
        ),
        (
            not_needed("process", "it is internal to Passenger, or to Apache"),
            "daemonize pid_file data_buffer_dir spawn_method PassengerSpawnMethod "
            "passenger_spawn_method PassengerEnabled passenger_enabled PassengerRoot "
            "passenger_root PassengerRuby passenger_ruby ruby PassengerDefaultRuby "
            "PassengerBufferResponse passenger_buffer_response PassengerHighPerformance "
            "PassengerAllowEncodedSlashes PassengerRestartDir passenger_restart_dir restart_dir "
            "PassengerShowVersionInHeader passenger_show_version_in_header DocumentRoot Options "
            "AllowOverride ErrorLog CustomLog LogLevel LoadModule Order Allow ServerAdmin "
            "PassengerAppGroupName passenger_app_group_name rolling_restarts engine "
            "PassengerDisableSecurityUpdateCheck passenger_disable_security_update_check "
            "passenger_friendly_error_page*",
        ),
    ]
)


def passenger_name(written: str) -> str:
    """``max_requests`` for ``PassengerMaxRequests`` and ``passenger_max_requests``."""
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", written).lower().removeprefix("passenger_")
    is_same = name in PASSENGER.rows and name != "root"  # that of Passenger itself
    return name if is_same and written.lower().startswith("passenger") else written
