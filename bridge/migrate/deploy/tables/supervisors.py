"""The directives of systemd and supervisor: most stay in their file, around the new command."""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import SIGNAL, Table, by_hand, not_needed, stays

__all__ = ["SUPERVISOR", "SYSTEMD"]


SYSTEMD = Table.of(
    [
        (stays("process", "only its command is replaced"), "ExecStart"),
        (
            by_hand(
                "process",
                "uvicorn does not notify systemd when it is ready",
                "write Type=exec; the fix of X501 does",
            ),
            "Type",
        ),
        (
            by_hand(
                "process",
                "uvicorn does not notify systemd",
                "remove it; restart on failure stays",
                stops=True,
            ),
            "WatchdogSec WatchdogSignal",
        ),
        (
            by_hand(
                "process",
                "uvicorn reloads no configuration on a signal; SIGHUP ends one without --workers",
                "remove it, and restart the unit",
            ),
            "ExecReload ExecReloadPost ReloadSignal",
        ),
        (SIGNAL, "KillSignal RestartKillSignal"),
        (not_needed("process", "uvicorn writes no PID file"), "PIDFile NotifyAccess GuessMainPID"),
        (
            stays("timeout", "longer than uvicorn's --timeout-graceful-shutdown, it is enough"),
            "TimeoutStopSec TimeoutSec TimeoutStartSec TimeoutAbortSec TimeoutStartFailureMode "
            "TimeoutStopFailureMode RuntimeMaxSec RuntimeRandomizedExtraSec",
        ),
        (
            stays("hook"),
            "ExecStartPre ExecStartPost ExecStop ExecStopPost ExecCondition ExecReloadPre",
        ),
        (
            stays("user"),
            "User Group SupplementaryGroups DynamicUser UMask PAMName SocketUser SocketGroup "
            "SocketMode DirectoryMode SetLoginEnvironment",
        ),
        (
            stays("directory"),
            "WorkingDirectory RootDirectory RootImage* RuntimeDirectory* StateDirectory* "
            "CacheDirectory* LogsDirectory* ConfigurationDirectory* ReadWrite* ReadOnly* "
            "Inaccessible* Exec* NoExec* Bind* TemporaryFileSystem* MountImages ExtensionImages "
            "ExtensionDirectories MountAPIVFS MountFlags Root*",
        ),
        (
            stays("environment"),
            "Environment EnvironmentFile PassEnvironment UnsetEnvironment LoadCredential* "
            "SetCredential* ImportCredential",
        ),
        (
            stays("limit"),
            "Limit* Memory* CPU* IO* Tasks* Block* OOM* Nice Startup* AllowedCPUs "
            "AllowedMemoryNodes Device* IP* NUMA* Delegate* Slice ManagedOOM* StartLimit* "
            "CoredumpFilter DisableControllers NFTSet BPFProgram SocketBind* "
            "RestrictNetworkInterfaces",
        ),
        (
            stays("sandbox"),
            "Protect* Private* Restrict* NoNewPrivileges SystemCall* Lock* Capability* Ambient* "
            "Secure* AppArmorProfile SELinuxContext SmackProcessLabel RemoveIPC KeyringMode "
            "ProcSubset Personality IgnoreSIGPIPE UtmpIdentifier UtmpMode Timer* ReadWritePaths",
        ),
        (
            stays("bind", "systemd keeps the socket, and the new server takes it: --fd 3"),
            "Listen* Accept BindIPv6Only Backlog NoDelay ReusePort FreeBind Transparent "
            "KeepAlive* ReceiveBuffer SendBuffer Symlinks FileDescriptorName RemoveOnStop Service "
            "Sockets MaxConnections* PassCredentials PassSecurity TriggerLimit* Mark Broadcast "
            "DeferAcceptSec IPTOS IPTTL Priority PipeSize MessageQueue* SELinuxContextFromNet "
            "TCPCongestion FileDescriptorStore* Poll* PassFileDescriptorsToExec FlushPending "
            "OpenFile USBFunction*",
        ),
        (
            stays("log"),
            "Standard* Syslog* Log* TTY* Journal*",
        ),
        (
            stays("process"),
            "Restart* SuccessExitStatus KillMode SendSIGKILL SendSIGHUP FinalKillSignal "
            "RemainAfterExit OnFailure* OnSuccess* BusName NonBlocking PermissionsStartOnly "
            "RootDirectoryStartOnly ExitType Description Documentation After Before Requires "
            "Requisite Wants BindsTo PartOf Upholds Conflicts PropagatesReloadTo "
            "ReloadPropagatedFrom PropagatesStopTo StopPropagatedFrom JoinsNamespaceOf "
            "RequiresMountsFor WantsMountsFor Condition* Assert* DefaultDependencies "
            "StopWhenUnneeded RefuseManualStart RefuseManualStop AllowIsolate CollectMode "
            "FailureAction* SuccessAction* JobTimeout* JobRunningTimeout* RebootArgument "
            "SourcePath IgnoreOnIsolate SurviveFinalKillSignal StartLimitInterval StartLimitBurst "
            "WantedBy RequiredBy UpheldBy Also Alias DefaultInstance",
        ),
    ]
).with_why("it stays in the unit")

SUPERVISOR = Table.of(
    [
        (stays("process", "only the server in it is replaced"), "command"),
        (SIGNAL, "stopsignal"),
        (stays("user"), "user umask"),
        (stays("directory"), "directory chroot"),
        (stays("environment"), "environment"),
        (stays("limit"), "minfds minprocs"),
        (stays("timeout"), "stopwaitsecs startsecs"),
        (stays("bind"), "socket socket_backlog socket_owner socket_mode"),
        (
            stays("log"),
            "stdout_* stderr_* redirect_stderr logfile logfile_maxbytes logfile_backups loglevel "
            "strip_ansi",
        ),
        (
            stays("workers", "each is a server of its own, and needs an address of its own"),
            "numprocs numprocs_start",
        ),
        (
            stays("process"),
            "process_name priority autostart autorestart startretries exitcodes stopasgroup "
            "killasgroup serverurl events buffer_size result_handler pidfile nodaemon nocleanup "
            "childlogdir identifier",
        ),
    ]
).with_why("it stays in the program's section")
