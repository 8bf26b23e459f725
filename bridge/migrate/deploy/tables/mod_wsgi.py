"""Apache's directives around mod_wsgi, and the options of mod_wsgi-express.

``WSGIDaemonProcess+threads`` is the argument ``threads`` of that directive.
"""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import (
    LOG,
    USER,
    Table,
    by_hand,
    carried,
    not_needed,
    stays,
    timeout,
)

__all__ = ["MOD_WSGI", "MOD_WSGI_EXPRESS"]

_PROXY = stays(
    "proxy", "Apache stays as the proxy in front: ProxyPass replaces WSGIScriptAlias in its site"
)
_TIMEOUT = timeout("timeout")
_LIMIT = by_hand(
    "limit",
    "uvicorn has no such limit",
    "let the proxy limit it, or the app",
)
_INTERNAL = not_needed("process", "it is internal to mod_wsgi")
_MEMORY = by_hand(
    "limit",
    "uvicorn does not limit its own resources",
    "set MemoryMax=, LimitNOFILE= or CPUQuota= of systemd, or limits of the container",
)
_START = by_hand(
    "hook",
    "uvicorn runs nothing besides the app",
    "import it in the app, or run it at the app's startup (lifespan)",
    stops=True,
)

MOD_WSGI = Table.of(
    [
        (carried("app", "app", "the app that the new command names"), "WSGIScriptAlias"),
        (
            by_hand("rewrite", "uvicorn serves one app", "use a Router, or the proxy", stops=True),
            "WSGIScriptAliasMatch WSGIHandlerScript WSGIDispatchScript WSGIActionScript",
        ),
        (carried("process", "config", "its arguments are listed one by one"), "WSGIDaemonProcess"),
        (carried("workers", "workers"), "WSGIDaemonProcess+processes"),
        (carried("threads", "threads"), "WSGIDaemonProcess+threads"),
        (
            carried("directory", "home", "the new command runs the program in its bin folder"),
            "WSGIDaemonProcess+python-home WSGIPythonHome",
        ),
        (
            carried("directory", "app_dir"),
            "WSGIDaemonProcess+python-path WSGIDaemonProcess+home WSGIPythonPath",
        ),
        (
            carried("limit", "max_requests"),
            "WSGIDaemonProcess+maximum-requests",
        ),
        (
            carried("limit", "backlog"),
            "WSGIDaemonProcess+listen-backlog ListenBacklog",
        ),
        (
            carried("timeout", "graceful_timeout"),
            "WSGIDaemonProcess+shutdown-timeout WSGIDaemonProcess+graceful-timeout",
        ),
        (
            USER,
            "WSGIDaemonProcess+user WSGIDaemonProcess+group "
            "WSGIDaemonProcess+supplementary-groups "
            "WSGIDaemonProcess+umask",
        ),
        (
            USER,
            "WSGIDaemonProcess+root WSGIDaemonProcess+script-user WSGIDaemonProcess+script-group",
        ),
        (
            _TIMEOUT,
            "WSGIDaemonProcess+request-timeout "
            "WSGIDaemonProcess+inactivity-timeout "
            "WSGIDaemonProcess+deadlock-timeout "
            "WSGIDaemonProcess+socket-timeout "
            "WSGIDaemonProcess+queue-timeout "
            "WSGIDaemonProcess+connect-timeout "
            "WSGIDaemonProcess+restart-interval "
            "WSGIDaemonProcess+startup-timeout "
            "WSGIDaemonProcess+eviction-timeout "
            "WSGIDaemonProcess+interrupt-timeout",
        ),
        (
            _MEMORY,
            "WSGIDaemonProcess+cpu-time-limit "
            "WSGIDaemonProcess+cpu-priority "
            "WSGIDaemonProcess+memory-limit "
            "WSGIDaemonProcess+virtual-memory-limit "
            "WSGIDaemonProcess+stack-size",
        ),
        (
            not_needed("environment", "containers have a locale of their own, Python uses UTF-8"),
            "WSGIDaemonProcess+lang WSGIDaemonProcess+locale",
        ),
        (
            _INTERNAL,
            "WSGIDaemonProcess+display-name WSGIDaemonProcess+python-eggs "
            "WSGIDaemonProcess+header-buffer-size WSGIDaemonProcess+receive-buffer-size "
            "WSGIDaemonProcess+response-buffer-size WSGIDaemonProcess+response-flush-delay "
            "WSGIDaemonProcess+response-socket-timeout WSGIDaemonProcess+send-buffer-size "
            "WSGIDaemonProcess+server-metrics WSGIDaemonProcess+socket-user "
            "WSGIDaemonProcess+switch-interval",
        ),
        (
            _INTERNAL,
            "WSGIScriptAlias+process-group WSGIScriptAlias+application-group "
            "WSGIImportScript+process-group WSGIImportScript+application-group "
            "WSGIFreeThreading WSGISwitchInterval WSGIServerMetrics WSGISlowRequests "
            "WSGITelemetryOptions WSGITelemetryService WSGIApplicationGroup WSGIProcessGroup "
            "WSGISocketPrefix WSGISocketRotation WSGIRestrictEmbedded WSGIRestrictStdin "
            "WSGIRestrictStdout WSGIRestrictSignal WSGIPythonOptimize WSGIPythonWarnings "
            "WSGIPythonEggs WSGIPythonHashSeed WSGIDontWriteBytecode WSGIDestroyInterpreter "
            "WSGIPerInterpreterGIL WSGIPy3kWarningFlag WSGICaseSensitivity WSGIScriptReloading "
            "WSGIAcceptMutex WSGILazyInitialization WSGIEnableSendfile WSGIErrorOverride "
            "WSGIChunkedRequest WSGIMapHEADToGET WSGIIgnoreActivity WSGIRestrictProcess "
            "LoadModule",
        ),
        (carried("app", "callable", "the app that the new command names"), "WSGICallableObject"),
        (
            not_needed("rewrite", "uvicorn passes every header on, Authorization included"),
            "WSGIPassAuthorization",
        ),
        (
            by_hand(
                "proxy",
                "uvicorn reads only X-Forwarded-For and X-Forwarded-Proto, of trusted proxies",
                "set --forwarded-allow-ips to the address of the proxy",
                stops=True,
            ),
            "WSGITrustedProxies WSGITrustedProxyHeaders",
        ),
        (
            by_hand(
                "rewrite",
                "the script decides about access, and no other server calls it",
                "do it in the app's middleware, or at the proxy",
                stops=True,
            ),
            "WSGIPassApacheRequest WSGIAccessScript WSGIAuthUserScript WSGIAuthGroupScript "
            "WSGIGroupAuthoritative WSGIUserAuthoritative",
        ),
        (_START, "WSGIImportScript"),
        (
            _PROXY,
            "Alias AliasMatch DocumentRoot ExpiresActive ExpiresDefault ExpiresByType "
            "AddOutputFilterByType AddEncoding AddType ErrorDocument DirectoryIndex FileETag "
            "Options SetOutputFilter EnableSendfile",
        ),
        (
            _PROXY,
            "Rewrite* Redirect* Header RequestHeader Require Allow Deny Order Auth* SetEnvIf* "
            "SSL* ProxyPass* ProxyPreserveHost RemoteIP* AllowOverride Satisfy Protocols* "
            "ServerAlias AllowEncodedSlashes LimitExcept BrowserMatch* UseCanonicalName "
            "ModSecurity* SecRule* Include*",
        ),
        (
            by_hand(
                "environment",
                "mod_wsgi passes it in the environ of each request, not in os.environ",
                "set it in the environment of the new server, and read os.environ",
                stops=True,
            ),
            "SetEnv PassEnv UnsetEnv",
        ),
        (_LIMIT, "LimitRequest* MaxRequestWorkers MaxConnectionsPerChild"),
        (_TIMEOUT, "Timeout TimeOut RequestReadTimeout"),
        (carried("timeout", "keepalive"), "KeepAliveTimeout"),
        (
            not_needed("timeout", "uvicorn keeps connections alive"),
            "KeepAlive MaxKeepAliveRequests",
        ),
        (
            _PROXY,
            "ErrorLog CustomLog LogLevel LogFormat TransferLog ErrorLogFormat",
        ),
        (LOG, "WSGIVerboseDebugging"),
        (
            _PROXY,
            "Listen ServerName",
        ),
        (
            not_needed("process", "it is about Apache itself"),
            "ServerAdmin ServerRoot ServerTokens ServerSignature PidFile Mutex TraceEnable "
            "HostnameLookups User Group StartServers MinSpareServers MaxSpareServers ServerLimit "
            "ThreadsPerChild MinSpareThreads MaxSpareThreads ThreadLimit Define UnDefine "
            "AddDefaultCharset DefaultRuntimeDir TypesConfig MIMEMagicFile AddHandler SetHandler "
            "UnsetHandler NameVirtualHost IndexOptions CoreDumpDirectory BufferedLogs",
        ),
    ]
)
MOD_WSGI_EXPRESS = Table.of(
    [
        (carried("bind", "bind"), "host port"),
        (carried("workers", "workers"), "processes"),
        (carried("threads", "threads"), "threads"),
        (carried("limit", "max_requests"), "maximum-requests"),
        (carried("timeout", "graceful_timeout"), "shutdown-timeout graceful-timeout"),
        (carried("timeout", "keepalive"), "keep-alive-timeout"),
        (carried("limit", "backlog"), "server-backlog"),
        (carried("process", "reload"), "reload-on-changes!"),
        (carried("directory", "app_dir"), "working-directory python-path"),
        (carried("log", "loglevel"), "log-level"),
        (
            carried("app", "app", "the app that the new command names"),
            "application-type entry-point callable-object",
        ),
        (USER, "user group"),
        (
            _TIMEOUT,
            "request-timeout socket-timeout queue-timeout connect-timeout deadlock-timeout "
            "inactivity-timeout restart-interval startup-timeout eviction-timeout header-timeout "
            "interrupt-timeout slow-requests header-max-timeout header-min-rate body-timeout "
            "body-max-timeout body-min-rate cpu-time-limit ignore-activity",
        ),
        (
            _MEMORY,
            "initial-workers minimum-spare-workers maximum-spare-workers max-clients memory-limit "
            "virtual-memory-limit cpu-priority",
        ),
        (_LIMIT, "limit-request-body"),
        (
            LOG,
            "log-directory log-to-terminal! access-log! access-log-name access-log-format "
            "error-log-name error-log-format startup-log! startup-log-name rotate-logs! "
            "max-log-size verbose-debugging! error-override!",
        ),
        (
            by_hand(
                "static",
                "uvicorn serves no files",
                "serve files of the project by WhiteNoise or nginx, and uploads by nginx",
                stops=True,
            ),
            "url-alias document-root directory-index directory-listing! "
            "allow-override error-document add-handler",
        ),
        (
            _PROXY,
            "https-port https-only! hsts-policy ssl-certificate ssl-certificate-file "
            "ssl-certificate-key-file ssl-certificate-chain-file ssl-ca-certificate-file "
            "ssl-verify-client ssl-environment! server-name server-alias allow-localhost! "
            "proxy-mount-point proxy-url-alias proxy-virtual-host trust-proxy-header trust-proxy "
            "rewrite-rules include-file compress-responses! http2! auth-user-script auth-type "
            "auth-group-script auth-group host-access-script proxy-timeout ssl-port setenv "
            "passenv with-cgi! with-php5! with-newrelic! with-newrelic-agent! "
            "with-newrelic-platform! with-wdb! service-script service-user service-group "
            "service-log-file mount-point",
        ),
        (
            by_hand("log", "uvicorn sends no telemetry", "measure in the app, or at the proxy"),
            "enable-telemetry! telemetry-interval telemetry-options telemetry-service "
            "telemetry-ui-port",
        ),
        (_START, "envvars-script shell-executable"),
        (
            by_hand("process", "it is for development", "remove it"),
            "debug-mode! enable-debugger! debugger-startup! enable-coverage! coverage-directory "
            "enable-profiler! profiler-directory enable-recorder! recorder-directory enable-gdb! "
            "gdb-executable",
        ),
        (
            _INTERNAL,
            "application-group process-group daemon-backlog free-threading! orphan-interpreter! "
            "pid-file response-flush-delay rotatelogs-executable switch-interval python-warnings "
            "lang mime-types server-root modules-directory httpd-executable "
            "process-name server-mpm server-metrics! server-status! embedded-mode! "
            "python-eggs response-buffer-size "
            "response-socket-timeout send-buffer-size receive-buffer-size header-buffer-size "
            "enable-sendfile! locale disable-reloading! "
            "setup-only! chunked-request! socket-prefix enable-docs! "
            "map-head-to-get",
        ),
    ]
)
