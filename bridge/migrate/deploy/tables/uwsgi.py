"""All options of uwsgi 2.0 and its plugins, under the names of its ini files.

Serving comes first: addresses, workers, the app and limits; then what uwsgi does besides, and its
internals.
"""

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

__all__ = ["SHORT_OPTIONS", "UWSGI", "UWSGI_VARIABLE", "uwsgi_option"]

UWSGI = Table.of(
    [
        (
            carried("bind", "bind"),
            "http http-socket http11-socket",
        ),
        (
            by_hand(
                "bind",
                "uvicorn speaks HTTP there, and not uwsgi's own protocol, which uwsgi_pass uses",
                "use proxy_pass in the proxy (X505) when the new server starts",
                stops=True,
            ),
            "socket uwsgi-socket",
        ),
        (
            by_hand(
                "bind",
                "uvicorn speaks HTTP on one address, and not this protocol",
                "let it listen by --host and --port or --uds, and the proxy speak HTTP to it",
                stops=True,
            ),
            "fastcgi-socket fastcgi-nph-socket scgi-socket scgi-nph-socket raw-socket "
            "puwsgi-socket shared-socket undeferred-shared-socket zerg zerg-fallback! zerg-server "
            "zergpool zerg-pool udp multicast multicast-ttl multicast-loop map-socket mongrel2 "
            "zeromq http-zerg zmq zeromq-socket zmq-socket",
        ),
        (
            carried("bind", "protocol", "http is what uvicorn speaks"),
            "protocol socket-protocol",
        ),
        (
            by_hand(
                "tls",
                "the TLS options of uvicorn are others",
                "use uvicorn --ssl-certfile and --ssl-keyfile, or let the proxy end TLS",
                stops=True,
            ),
            "https https2 http-to-https https-socket ssl-socket suwsgi-socket ssl-verbose! "
            "ssl-verify-depth? ssl-sessions-use-cache? ssl-session-use-cache? ssl-sessions-timeout "
            "ssl-session-timeout sni sni-dir sni-dir-ciphers ssl-enable3! ssl-enable-sslv3! "
            "ssl-enable-tlsv1! ssl-option! sni-regexp ssl-tmp-dir https-session-context",
        ),
        (
            not_needed("bind", "it is about uwsgi's own sockets and protocols"),
            "http-socket-modifier1 http-socket-modifier2 https-socket-modifier1 "
            "https-socket-modifier2 fastcgi-modifier1 fastcgi-modifier2 scgi-modifier1 "
            "scgi-modifier2 raw-modifier1 raw-modifier2 http-modifier1 http-modifier2 http-to "
            "httprouter http-events http-processes http-workers http-use-pattern http-use-base "
            "http-use-cache? http-use-code-string http-use-socket? http-quiet http-cheap! "
            "http-stud-prefix http-resubscribe http-fallback http-server-name-as-http-host "
            "http-manage-source! https-export-cert! http-auto-chunked! "
            "http-raw-body! http-chunked-input! http-manage-expect? http-manage-rtsp! "
            "http-gracetime allowed-modifiers remap-modifier freebind! abstract-socket! "
            "chmod-socket? chmod? chown-socket tcp-fast-open tcp-fastopen tcp-fast-open-client! "
            "tcp-fastopen-client! no-defer-accept! tcp-nodelay! so-keepalive! socket-sndbuf "
            "socket-rcvbuf shutdown-sockets! manage-script-name! ignore-script-name! "
            "start_response-nodelay!",
        ),
        (
            carried("workers", "workers"),
            "processes workers",
        ),
        (
            carried("threads", "threads"),
            "threads",
        ),
        (
            carried("timeout", "keepalive"),
            "http-keepalive?",
        ),
        (
            carried("limit", "backlog"),
            "listen",
        ),
        (
            carried("limit", "max_requests"),
            "max-requests",
        ),
        (
            carried("limit", "max_requests_jitter"),
            "max-requests-delta",
        ),
        (
            carried("process", "reload"),
            "py-autoreload py-auto-reload python-autoreload python-auto-reload",
        ),
        (
            carried("app", "app", "the app that the command names"),
            "module wsgi wsgi-file file callable mount",
        ),
        (
            by_hand(
                "app",
                "no other server finds an app like this",
                "name the app as module:attribute",
                stops=True,
            ),
            "eval test pecan paste paste-logger! web3 pump wsgi-lite ini-paste ini-paste-logged "
            "worker-mount vhost! vhost-host! python-worker-override pymodule-alias "
            "post-pymodule-alias",
        ),
        (
            by_hand(
                "hook",
                "uvicorn imports the app only",
                "import the module in the app, or start the program by the supervisor",
                stops=True,
            ),
            "import pyimport py-import python-import shared-import shared-pyimport "
            "shared-py-import shared-python-import pyrun py-sharedarea python-raw pyshell? "
            "pyshell-oneshot? python py worker-exec worker-exec2",
        ),
        (
            carried("directory", "app_dir"),
            "chdir chdir2",
        ),
        (
            carried("directory", "app_dir"),
            "pythonpath python-path pp",
        ),
        (
            carried("directory", "home", "the new command runs the program in its bin folder"),
            "home virtualenv venv pyhome",
        ),
        (
            carried("environment", "environment"),
            "env",
        ),
        (
            by_hand(
                "environment",
                "uvicorn reads no folder of variables, and unsets none",
                "set the variables where the server is started",
                stops=True,
            ),
            "envdir early-envdir unenv",
        ),
        (
            by_hand(
                "user",
                "uvicorn cannot change to another user or group: it would run as the one that "
                "starts it",
                "start it as that user: User= of systemd, user= of supervisor, USER of a "
                "Dockerfile",
                stops=True,
            ),
            "uid gid add-gid immediate-uid immediate-gid http-uid http-gid",
        ),
        (
            by_hand(
                "user",
                "uvicorn sets no umask",
                "set it before the server starts: UMask= of systemd, umask= of supervisor",
                stops=True,
            ),
            "umask",
        ),
        (
            not_needed("user", "it belongs to uid and gid"),
            "no-initgroups!",
        ),
        (
            by_hand(
                "user",
                "uvicorn does not confine itself",
                "let systemd or the container do it",
                stops=True,
            ),
            "emperor-cap vassals-cap vassal-cap chroot pivot-root pivot_root cap unshare unshare2 "
            "setns-socket setns-socket-skip setns-skip setns setns-preopen! jailed! jail jail-ip4 "
            "jail-ip6 jidfile jid-file jail2 libjail jail-attach refork! re-fork! refork-as-root! "
            "re-fork-as-root! refork-post-jail! re-fork-post-jail! privileged-binary-patch "
            "unprivileged-binary-patch privileged-binary-patch-arg unprivileged-binary-patch-arg "
            "master-as-root! drop-after-init! drop-after-apps! cgroup cgroup-opt cgroup-dir-mode "
            "namespace namespace-keep-mount ns namespace-net ns-net",
        ),
        (
            by_hand(
                "process", "uvicorn has no such option", "let systemd set it: Nice=, CPUAffinity="
            ),
            "ksm? never-swap! prio cpu-affinity",
        ),
        (
            not_needed("process", "uvicorn ends on SIGTERM anyway"),
            "die-on-term!",
        ),
        (
            by_hand(
                "process", "uvicorn runs in the foreground", "let a supervisor start it", stops=True
            ),
            "daemonize daemonize2",
        ),
        (
            carried("process", "config", "its effect is in the other lines"),
            "ini xml xmlconfig yaml yml json js config fallback-config inherit include "
            "inject-before inject-after set set-placeholder set-ph declare-option declare-option2 "
            "resolve get skip-zero! for for-glob for-times for-readline endfor? end-for? "
            "blacklist end-blacklist! whitelist end-whitelist! sqlite3 sqlite ldap ldap-schema! "
            "ldap-schema-ldif! endif? end-if? if-opt if-not-opt if-env if-not-env ifenv if-reload! "
            "if-not-reload! if-hostname if-not-hostname if-hostname-match if-not-hostname-match "
            "if-exists if-not-exists ifexists if-plugin if-not-plugin ifplugin if-file if-not-file "
            "if-dir if-not-dir ifdir if-directory",
        ),
        (
            TIMEOUT,
            "harakiri min-worker-lifetime max-worker-lifetime max-worker-lifetime-delta "
            "socket-timeout so-send-timeout! socket-send-timeout! so-write-timeout! "
            "socket-write-timeout! chunked-input-timeout http-timeout http-harakiri "
            "http-headers-timeout http-connect-timeout",
        ),
        (
            not_needed("timeout", "it belongs to harakiri"),
            "harakiri-verbose! harakiri-graceful-timeout harakiri-graceful-signal "
            "harakiri-queue-threshold harakiri-no-arh! no-harakiri-arh! "
            "no-harakiri-after-req-hook!",
        ),
        (
            by_hand(
                "timeout",
                "uvicorn ends at once, or waits for all requests",
                "set --timeout-graceful-shutdown",
            ),
            "worker-reload-mercy reload-mercy",
        ),
        (
            by_hand(
                "limit",
                "uvicorn limits the head as a whole, to 64 KiB, and only with --http h11",
                "let the proxy limit it: large_client_header_buffers",
            ),
            "buffer-size max-vars http-buffer-size response-headers-limit",
        ),
        (
            by_hand(
                "limit",
                "uvicorn accepts a body of any size",
                "limit it in the app (Django: DATA_UPLOAD_MAX_MEMORY_SIZE for forms, Flask: "
                "MAX_CONTENT_LENGTH), and at the proxy: client_max_body_size",
            ),
            "limit-post chunked-input-limit",
        ),
        (
            by_hand(
                "limit",
                "uvicorn passes bodies to the app as they arrive",
                "let the proxy buffer requests: proxy_request_buffering on",
            ),
            "post-buffering post-buffering-bufsize body-read-warning upload-progress",
        ),
        (
            by_hand(
                "limit",
                "uvicorn does not check the memory of its workers",
                "use --limit-max-requests, or a memory limit of the container",
            ),
            "reload-on-as reload-on-rss evil-reload-on-as evil-reload-on-rss limit-as limit-nproc "
            "mem-collector-freq reload-on-fd brutal-reload-on-fd cheaper-rss-limit-soft "
            "cheaper-rss-limit-hard reload-on-exception! reload-on-exception-type "
            "reload-on-exception-value reload-on-exception-repr",
        ),
        (
            by_hand(
                "limit",
                "uvicorn does not set it",
                "set LimitNOFILE= of systemd, or ulimits of compose",
            ),
            "max-fd",
        ),
        (
            by_hand(
                "hook",
                "uvicorn runs nothing besides the app",
                "run it before the server starts: ExecStartPre= of systemd, the entrypoint "
                "script, an init container; or at the app's startup (lifespan)",
                stops=True,
            ),
            "hook-asap hook-pre-jail hook-post-jail hook-in-jail hook-as-root hook-as-user "
            "hook-as-user-atexit hook-pre-app hook-post-app hook-post-fork hook-accepting "
            "hook-accepting1 hook-accepting-once hook-accepting1-once hook-master-start hook-touch "
            "hook-emperor-start hook-emperor-stop hook-emperor-reload hook-emperor-lost "
            "hook-as-vassal hook-as-emperor hook-as-mule hook-as-gateway after-request-hook "
            "after-request-call exec-asap exec-pre-jail exec-post-jail exec-in-jail exec-as-root "
            "exec-as-user exec-as-user-atexit exec-pre-app exec-post-app exec-as-vassal "
            "exec-as-emperor mount-asap mount-pre-jail mount-post-jail mount-in-jail mount-as-root "
            "mount-as-vassal mount-as-emperor umount-asap umount-pre-jail umount-post-jail "
            "umount-in-jail umount-as-root umount-as-vassal umount-as-emperor wait-for-interface "
            "wait-for-interface-timeout wait-interface wait-interface-timeout wait-for-iface "
            "wait-for-iface-timeout wait-iface wait-iface-timeout wait-for-fs wait-for-file "
            "wait-for-dir wait-for-mountpoint wait-for-fs-timeout wait-for-socket "
            "wait-for-socket-timeout call-asap call-pre-jail call-post-jail call-in-jail "
            "call-as-root call-as-user call-as-user-atexit call-pre-app call-post-app "
            "call-as-vassal call-as-vassal1 call-as-vassal3 call-as-emperor call-as-emperor1 "
            "call-as-emperor2 call-as-emperor4 touch-exec touch-signal fs-signal file-write "
            "dumbloop-modifier1 dumbloop-code dumbloop-function symcall symcall-use-next! "
            "symcall-register-rpc symcall-post-fork",
        ),
        (
            by_hand(
                "daemon",
                "uvicorn starts no other program",
                "let systemd, supervisor or a container of its own start it",
                stops=True,
            ),
            "attach-daemon attach-control-daemon smart-attach-daemon smart-attach-daemon2 "
            "legion-attach-daemon legion-smart-attach-daemon legion-smart-attach-daemon2 "
            "daemons-honour-stdin! attach-daemon2",
        ),
        (
            by_hand(
                "daemon",
                "spoolers and mules exist only in uwsgi",
                "use a task queue: Celery, RQ, django-tasks",
                stops=True,
            ),
            "mule-harakiri mule-reload-mercy spooler spooler-external spooler-ordered! "
            "spooler-chdir spooler-processes spooler-quiet! spooler-max-tasks spooler-harakiri "
            "spooler-frequency spooler-freq mule? mules farm mule-msg-size? touch-mules-reload "
            "touch-spoolers-reload spooler-import spooler-pyimport spooler-py-import "
            "spooler-python-import",
        ),
        (
            by_hand(
                "cron",
                "cron and signals exist only in uwsgi",
                "use cron, a systemd timer, or the task queue's scheduler",
                stops=True,
            ),
            "signal signal-bufsize signals-bufsize signal-timer timer signal-rbtimer rbtimer cron "
            "cron2 unique-cron cron-harakiri legion-cron cron-legion unique-legion-cron "
            "unique-cron-legion curl-cron legion-curl-cron curl-cron-legion",
        ),
        (
            by_hand(
                "cache",
                "caches, queues and locks between processes exist only in uwsgi",
                "use Redis or memcached, through the framework's cache",
                stops=True,
            ),
            "locks lock-engine ftok persistent-ipcsem! sharedarea cache cache-blocksize "
            "cache-store cache-store-sync cache-no-expire! cache-expire-freq "
            "cache-report-freed-items! cache-udp-server cache-udp-node cache-sync "
            "cache-use-last-modified! add-cache-item load-file-in-cache load-file-in-cache-gzip "
            "cache2 queue queue-blocksize queue-store queue-store-sync check-cache?",
        ),
        (
            by_hand(
                "static",
                "uvicorn serves no files",
                "serve files of the project by WhiteNoise or nginx, and uploads by nginx",
                stops=True,
            ),
            "check-static check-static-docroot! static-check static-map static-map2 "
            "static-skip-ext static-index static-safe static-cache-paths static-cache-paths-name "
            "mimefile mime-file static-expires-type static-expires-type-mtime static-expires "
            "static-expires-mtime static-expires-uri static-expires-uri-mtime "
            "static-expires-path-info static-expires-path-info-mtime honour-range! "
            "file-serve-mode fileserve-mode",
        ),
        (
            not_needed("static", "it belongs to check-static and static-map"),
            "static-gzip static-gzip-all! static-gzip-dir static-gzip-prefix static-gzip-ext "
            "static-gzip-suffix",
        ),
        (
            by_hand(
                "static",
                "uvicorn sends no error pages of its own",
                "let the proxy send them: error_page",
            ),
            "error-page-403 error-page-404 error-page-500",
        ),
        (
            not_needed("static", "uvicorn sends files on its event loop"),
            "offload-threads offload-thread disable-sendfile! wsgi-disable-file-wrapper!",
        ),
        (
            by_hand(
                "rewrite",
                "uvicorn changes no request and no response",
                "do it in the proxy, or in the app's middleware",
                stops=True,
            ),
            "cgi-mode! route route-host route-uri route-qs route-remote-addr route-user-agent "
            "route-remote-user route-referer route-label route-if route-if-not route-run "
            "final-route final-route-status final-route-host final-route-uri final-route-qs "
            "final-route-remote-addr final-route-user-agent final-route-remote-user "
            "final-route-referer final-route-label final-route-if final-route-if-not "
            "final-route-run error-route error-route-status error-route-host error-route-uri "
            "error-route-qs error-route-remote-addr error-route-user-agent error-route-remote-user "
            "error-route-referer error-route-label error-route-if error-route-if-not "
            "error-route-run response-route response-route-status response-route-host "
            "response-route-uri response-route-qs response-route-remote-addr "
            "response-route-user-agent response-route-remote-user response-route-referer "
            "response-route-label response-route-if response-route-if-not response-route-run "
            "router-list! routers-list! add-header rem-header del-header collect-header "
            "response-header-collect pull-header cgi cgi-map-helper cgi-helper cgi-from-docroot! "
            "cgi-buffer-size cgi-timeout cgi-index cgi-allowed-ext cgi-unset cgi-loadlib "
            "cgi-optimize! cgi-optimized! cgi-path-info! cgi-do-not-kill-on-error! "
            "cgi-async-max-attempts! cgi-close-stdin-on-eof! cgi-safe http-var",
        ),
        (
            by_hand(
                "rewrite",
                "uvicorn does not compress",
                "let the proxy compress: gzip on; or use the framework's GZip middleware",
            ),
            "http-auto-gzip!",
        ),
        (
            by_hand(
                "proxy",
                "uvicorn does not support the PROXY protocol",
                "let the proxy send HTTP with X-Forwarded-For",
                stops=True,
            ),
            "enable-proxy-protocol! http-enable-proxy-protocol?",
        ),
        (
            by_hand(
                "websocket",
                "its WebSockets are uwsgi's own",
                "use WebSockets of the ASGI server (F701)",
            ),
            "websockets-ping-freq websocket-ping-freq websockets-pong-tolerance "
            "websocket-pong-tolerance websockets-max-size websocket-max-size http-websockets!",
        ),
        (
            LOG,
            "logto logto2 log-format logformat logformat-strftime! log-format-strftime! "
            "log-syslog? log-socket req-logger logger-req logger log-encoder log-req-encoder "
            "log-drain log-filter log-route log-req-route log-alarm log-truncate! log-maxsize "
            "log-backupname logdate? log-date? log-prefix? log-zero! log-slow log-4xx! log-5xx! "
            "log-big log-sendfile log-ioerror log-micros! log-zeromq",
        ),
        (
            not_needed("log", "it is about uwsgi's own log"),
            "log-x-forwarded-for! memory-report! log-master! log-master-bufsize log-master-stream! "
            "log-master-req-stream! threaded-logger! log-reopen! logger-list! loggers-list! "
            "logfile-chown! logfile-chmod",
        ),
        (
            carried("log", "no_access_log"),
            "disable-logging!",
        ),
        (
            by_hand(
                "log", "uvicorn sends no alarms", "let the monitoring watch the log", stops=True
            ),
            "metric-alarm alarm-metric alarm alarm-cheap alarm-freq alarm-fd alarm-segfault "
            "segfault-alarm alarm-backlog backlog-alarm lq-alarm alarm-lq alarm-listen-queue "
            "listen-queue-alarm alarm-log not-log-alarm not-alarm-log alarm-list! alarms-list! "
            "alarm-msg-size",
        ),
        (
            STATISTICS,
            "backtrace-depth profiler enable-metrics! metric metric-threshold metrics-dir "
            "metrics-dir-restore! metric-dir metric-dir-restore! metrics-no-cores! stats "
            "stats-server stats-http! stats-minified! stats-min! stats-push "
            "stats-pusher-default-freq stats-pushers-default-freq stats-no-cores! "
            "stats-no-metrics! notify-socket subscription-notify-socket snmp? snmp-community "
            "iprint carbon carbon-timeout carbon-freq carbon-id carbon-no-workers! "
            "carbon-max-retry carbon-retry-delay carbon-root carbon-hostname-dots "
            "carbon-name-resolve! carbon-resolve-names! carbon-idle-avg carbon-use-metrics! "
            "http-stats http-stats-server http-ss nagios! ping ping-timeout pty-socket pty-log! "
            "pty-input! pty-connect pty-uconnect pty-no-isig! pty-exec py-tracebacker rrdtool "
            "rrdtool-freq rrdtool-lib zabbix-template?",
        ),
        (
            by_hand(
                "process",
                "uvicorn writes no PID file, and reads no FIFO",
                "let the supervisor track the PID",
            ),
            "pidfile pidfile2 safe-pidfile safe-pidfile2 master-fifo",
        ),
        (
            by_hand(
                "process",
                "uvicorn does not watch files in production",
                "let the supervisor restart it: a restart by systemd",
            ),
            "touch-reload touch-workers-reload touch-chain-reload touch-logrotate touch-logreopen "
            "fs-reload fs-brutal-reload propagate-touch! check-mountpoint mountpoint-check "
            "check-mount mount-check reload-os-env! py-auto-reload-ignore check-interval",
        ),
        (
            by_hand(
                "workers",
                "uvicorn has a fixed number of workers",
                "set the number of workers, and let the platform scale: uvicorn --workers",
            ),
            "cheap! cheaper cheaper-initial cheaper-algo cheaper-step cheaper-overload "
            "cheaper-algo-list! cheaper-algos-list! cheaper-list! idle die-on-idle! "
            "cheaper-busyness-max cheaper-busyness-min cheaper-busyness-multiplier "
            "cheaper-busyness-penalty cheaper-busyness-verbose! cheaper-busyness-backlog-alert "
            "cheaper-busyness-backlog-multiplier cheaper-busyness-backlog-step "
            "cheaper-busyness-backlog-nonzero",
        ),
        (
            by_hand(
                "threads",
                "there are no green threads on an event loop",
                "use uvicorn's event loop, and threads for blocking code (F703)",
            ),
            "async loop loop-list! loops-list! asyncio coroae fiber! gevent gevent-monkey-patch! "
            "gevent-early-monkey-patch! gevent-wait-for-hub! greenlet! rbthreads! rb-threads! "
            "stackless! tornado ugreen! ugreen-stacksize",
        ),
        (
            by_hand(
                "process",
                "it starts and watches other instances of uwsgi",
                "let systemd, supervisor or a container for each start them",
                stops=True,
            ),
            "emperor emperor-proxy-socket emperor-wrapper emperor-wrapper-override "
            "emperor-wrapper-fallback emperor-nofollow! emperor-procname emperor-freq "
            "emperor-required-heartbeat emperor-curse-tolerance emperor-pidfile emperor-tyrant! "
            "emperor-tyrant-nofollow! emperor-stats emperor-stats-server early-emperor! "
            "emperor-broodlord emperor-throttle emperor-max-throttle emperor-magic-exec! "
            "emperor-on-demand-extension emperor-on-demand-ext emperor-on-demand-directory "
            "emperor-on-demand-dir emperor-on-demand-exec emperor-extra-extension "
            "emperor-extra-ext emperor-no-blacklist! emperor-use-clone emperor-graceful-shutdown! "
            "imperial-monitor-list! imperial-monitors-list! vassals-inherit vassals-include "
            "vassals-inherit-before vassals-include-before vassals-start-hook vassals-stop-hook "
            "vassal-sos vassal-sos-backlog vassals-set vassal-set heartbeat weight auto-weight",
        ),
        (
            by_hand(
                "process",
                "it connects instances of uwsgi with each other",
                "use another way to communicate between processes, and the load balancer of the "
                "platform",
                stops=True,
            ),
            "rpc-max legion legion-mcast legion-node legion-freq legion-tolerance "
            "legion-death-on-lord-error legion-skew-tolerance legion-lord legion-unlord "
            "legion-setup legion-death legion-join legion-node-joined legion-node-left "
            "legion-quorum legion-scroll legion-scroll-max-size legion-scroll-list-max-size "
            "subscriptions-sign-check subscriptions-sign-check-tolerance "
            "subscriptions-sign-skip-uid subscriptions-credentials-check "
            "subscriptions-use-credentials! subscription-algo subscription-dotsplit! subscribe-to "
            "st subscribe subscribe2 subscribe-freq subscription-tolerance "
            "unsubscribe-on-graceful-reload! start-unsubscribed! subscribe-with-modifier1 "
            "legion-cron-curl http-subscription-server http-subscription-fallback-key xslt-docroot "
            "xslt-ext xslt-var xslt-stylesheet xslt-content-type",
        ),
        (
            by_hand(
                "process",
                "it is a router of uwsgi",
                "use nginx, HAProxy or the platform's load balancer",
                stops=True,
            ),
            "fastrouter fastrouter-processes fastrouter-workers fastrouter-zerg "
            "fastrouter-use-cache? fastrouter-use-pattern fastrouter-use-base fastrouter-fallback "
            "fastrouter-use-code-string fastrouter-use-socket? fastrouter-to fastrouter-gracetime "
            "fastrouter-events fastrouter-quiet fastrouter-cheap! fastrouter-subscription-server "
            "fastrouter-subscription-slot fastrouter-timeout fastrouter-post-buffering "
            "fastrouter-post-buffering-dir fastrouter-stats fastrouter-stats-server fastrouter-ss "
            "fastrouter-harakiri fastrouter-uid fastrouter-gid fastrouter-resubscribe "
            "fastrouter-resubscribe-bind fastrouter-buffer-size fastrouter-fallback-on-no-key! "
            "fastrouter-subscription-fallback-key forkptyrouter forkpty-router forkptyurouter "
            "forkpty-urouter forkptyrouter-command forkpty-router-command forkptyrouter-cmd "
            "forkpty-router-cmd forkptyrouter-rows forkptyrouter-cols forkptyrouter-processes "
            "forkptyrouter-workers forkptyrouter-zerg forkptyrouter-fallback forkptyrouter-events "
            "forkptyrouter-cheap! forkptyrouter-timeout forkptyrouter-stats "
            "forkptyrouter-stats-server forkptyrouter-ss forkptyrouter-harakiri rawrouter "
            "rawrouter-processes rawrouter-workers rawrouter-zerg rawrouter-use-cache? "
            "rawrouter-use-pattern rawrouter-use-base rawrouter-fallback rawrouter-use-code-string "
            "rawrouter-use-socket? rawrouter-to rawrouter-gracetime rawrouter-events "
            "rawrouter-max-retries rawrouter-quiet rawrouter-cheap! rawrouter-subscription-server "
            "rawrouter-subscription-slot rawrouter-timeout rawrouter-stats rawrouter-stats-server "
            "rawrouter-ss rawrouter-harakiri rawrouter-xclient! rawrouter-buffer-size sslrouter "
            "sslrouter2 sslrouter-session-context sslrouter-processes sslrouter-workers "
            "sslrouter-zerg sslrouter-use-cache? sslrouter-use-pattern sslrouter-use-base "
            "sslrouter-fallback sslrouter-use-code-string sslrouter-use-socket? sslrouter-to "
            "sslrouter-gracetime sslrouter-events sslrouter-max-retries sslrouter-quiet "
            "sslrouter-cheap! sslrouter-subscription-server sslrouter-timeout sslrouter-stats "
            "sslrouter-stats-server sslrouter-ss sslrouter-harakiri sslrouter-sni! "
            "sslrouter-buffer-size tuntap-router tuntap-device tuntap-use-credentials? "
            "tuntap-router-firewall-in tuntap-router-firewall-out tuntap-router-route "
            "tuntap-router-stats tuntap-device-rule",
        ),
        (
            by_hand(
                "app",
                "it runs programs of another language",
                "use a server for that language",
                stops=True,
            ),
            "go-load gccgo-load go-args gccgo-args goroutines jvm-main-class jvm-opt jvm-class "
            "jvm-classpath jwsgi lua lua-load lua-shell! luashell! lua-gc-freq! mono-app "
            "mono-gc-freq mono-key mono-version mono-config mono-assembly mono-exec mono-index "
            "notfound-log! php-ini php-config php-ini-append php-config-append php-set php-index "
            "php-docroot php-allowed-docroot php-allowed-ext php-allowed-script "
            "php-server-software php-app php-app-qs php-fallback php-fallback2 php-fallback-qs "
            "php-app-bypass php-var php-constant php-dump-config! php-exec-before php-exec-begin "
            "php-exec-after php-exec-end php-sapi-name psgi psgi-enable-psgix-io! "
            "perl-no-die-catch! perl-local-lib perl-version! perl-args perl-arg perl-exec "
            "perl-exec-post-fork perl-auto-reload perl-auto-reload-ignore plshell? "
            "plshell-oneshot! perl-no-plack! rails rack ruby-gc-freq rb-gc-freq rb-lib ruby-lib "
            "rb-require ruby-require rbrequire rubyrequire require shared-rb-require "
            "shared-ruby-require shared-rbrequire shared-rubyrequire shared-require gemset rvm "
            "rvm-path rbshell? rbshell-oneshot! ring-load clojure-load ring-app",
        ),
        (
            by_hand(
                "process",
                "it is a plugin of uwsgi",
                "use the operating system, or a library of the app",
                stops=True,
            ),
            "geoip-country geoip-city geoip-use-disk! glusterfs-mount glusterfs-timeout pam "
            "pam-user pypy-lib pypy-setup pypy-home pypy-wsgi pypy-wsgi-file pypy-ini-paste "
            "pypy-paste pypy-eval pypy-eval-post-fork pypy-exec pypy-exec-post-fork pypy-pp "
            "pypy-python-path pypy-pythonpath rados-mount rados-timeout rsyslog-packet-size "
            "rsyslog-split-messages! webdav-mount webdav-css webdav-javascript webdav-js "
            "webdav-class-directory webdav-div webdav-lock-cache webdav-principal-base "
            "webdav-add-option webdav-add-prop webdav-add-collection-prop webdav-add-object-prop "
            "webdav-add-prop-href webdav-add-collection-prop-href webdav-add-object-prop-href "
            "webdav-add-prop-comp webdav-add-collection-prop-comp webdav-add-object-prop-comp "
            "webdav-add-rtype-prop webdav-add-rtype-collection-prop webdav-add-rtype-object-prop "
            "webdav-skip-prop",
        ),
        (
            not_needed("process", "uvicorn has no plugins"),
            "plugins plugin need-plugins need-plugin plugins-dir plugin-dir plugins-list! "
            "plugin-list! autoload! dlopen binary-path close-on-exec! close-on-exec2!",
        ),
        (
            by_hand(
                "process",
                "it is a command to uwsgi, and serves nothing",
                "remove it, or keep uwsgi for it",
                stops=True,
            ),
            "stop reload pause suspend resume connect-and-read extract help! usage! print-sym "
            "print-symbol show-config! dump-options! version! cflags! dot-h! config-py! "
            "build-plugin python-version! no-server! command-mode! print exit? binary-append-data "
            "clock-list! clocks-list!",
        ),
        (
            by_hand(
                "log",
                "uvicorn logs exceptions as text, and answers 500",
                "let the framework report them",
            ),
            "catch-exceptions! exception-handler",
        ),
        (
            not_needed("process", "it is about how uwsgi loads and calls a WSGI app"),
            "strict! single-interpreter! optimize no-site! wsgi-strict! wsgi-env-behaviour "
            "wsgi-env-behavior pyargv need-app? no-default-app! reuse-port! max-apps",
        ),
        (
            not_needed("process", "it is internal to uwsgi"),
            "thunder-lock! skip-atexit! skip-atexit-teardown! ignore-sigpipe! "
            "ignore-write-errors! write-errors-tolerance write-errors-exception-only! "
            "disable-write-exception! enable-threads! no-threads-wait! auto-procname! "
            "procname-prefix procname-prefix-spaced procname-append procname procname-master "
            "master! honour-stdin! exit-on-reload! force-gateway! reaper! no-fd-passing! safe-fd "
            "fd-safe flock flock-wait flock2 flock-wait2 pcre-jit! no-orphans! forkbomb-delay "
            "use-abort! force-cwd binsh lazy! lazy-apps! thread-stacksize threads-stacksize "
            "thread-stack-size threads-stack-size clock mode vacuum! cron-curl cron-curl-legion "
            "py-programname py-program-name wsgi-accept-buffer! wsgi-accept-buffers! "
            "py-call-osafterfork! py-call-uwsgi-fork-hooks! py-executable py-sys-executable "
            "rbthread! rb-thread!",
        ),
    ]
)

SHORT_OPTIONS = {
    "-A": "sharedarea",
    "-C": "chmod-socket",
    "-H": "home",
    "-J": "test",
    "-L": "disable-logging",
    "-M": "master",
    "-O": "optimize",
    "-Q": "spooler",
    "-R": "max-requests",
    "-S": "set",
    "-T": "enable-threads",
    "-a": "abstract-socket",
    "-b": "buffer-size",
    "-c": "cgi-mode",
    "-d": "daemonize",
    "-h": "help",
    "-i": "single-interpreter",
    "-j": "json",
    "-l": "listen",
    "-m": "memory-report",
    "-p": "processes",
    "-r": "reaper",
    "-s": "socket",
    "-t": "harakiri",
    "-v": "max-vars",
    "-w": "module",
    "-x": "xmlconfig",
    "-y": "yaml",
    "-z": "socket-timeout",
}
"""The long name of each option of one letter."""

UWSGI_VARIABLE = "UWSGI_"
"""The beginning of the variables of the environment that uwsgi reads options from."""


def uwsgi_option(variable: str) -> str:
    """``max-fd`` for ``UWSGI_MAX_FD``."""
    return variable.removeprefix(UWSGI_VARIABLE).lower().replace("_", "-")
