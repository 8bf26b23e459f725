"""What Dockerfiles, compose files, manifests and scripts set around the start command."""

from __future__ import annotations

from bridge.migrate.deploy.tables.rows import SIGNAL, Table, stays

__all__ = ["COMPOSE", "DOCKERFILE", "ENVIRONMENT", "KUBERNETES", "PROCFILE", "SHELL"]


DOCKERFILE = Table.of(
    [
        (stays("process", "only the server in it is replaced"), "ENTRYPOINT CMD"),
        (stays("user"), "USER"),
        (stays("directory"), "WORKDIR VOLUME"),
        (stays("bind", "it documents the port"), "EXPOSE"),
        (stays("process"), "HEALTHCHECK"),
        (SIGNAL, "STOPSIGNAL"),
    ]
).with_why("it stays in the Dockerfile")

COMPOSE = Table.of(
    [
        (stays("process", "only the server in it is replaced"), "command entrypoint"),
        (stays("user"), "user group_add userns_mode privileged cap_add cap_drop security_opt"),
        (stays("directory"), "working_dir volumes volumes_from tmpfs read_only secrets configs"),
        (stays("environment"), "env_file environment secrets.* configs.*"),
        (
            stays("bind"),
            "ports expose networks.* networks network_mode hostname links "
            "extra_hosts dns* domainname external_links mac_address aliases",
        ),
        (stays("workers"), "scale deploy.replicas deploy.mode"),
        (
            stays("limit"),
            "deploy.* mem_* cpu* cpus ulimits* pids_limit shm_size oom_* memswap_limit "
            "blkio_config* cgroup* device* devices sysctls* storage_opt*",
        ),
        (SIGNAL, "stop_signal"),
        (stays("timeout"), "stop_grace_period"),
        (stays("log"), "logging*"),
        (
            stays("process"),
            "restart depends_on* healthcheck* init profiles extends* container_name platform "
            "pull_policy tty stdin_open labels.* annotations* develop* pid ipc uts runtime "
            "isolation credential_spec* post_start* pre_stop* attach x-* gpus* models* "
            "use_api_socket provider* label_file",
        ),
    ]
).with_why("it stays in the compose file")

KUBERNETES = Table.of(
    [
        (stays("process", "only the server in it is replaced"), "command args"),
        (
            stays("user"),
            "securityContext.* pod.securityContext.* ",
        ),
        (stays("directory"), "workingDir volumeMounts volumeDevices"),
        (stays("environment"), "envFrom env"),
        (stays("bind"), "ports pod.hostNetwork"),
        (stays("workers"), "replicas"),
        (stays("limit"), "resources.* resizePolicy resources"),
        (
            stays("timeout", "longer than uvicorn's --timeout-graceful-shutdown, it is enough"),
            "pod.terminationGracePeriodSeconds",
        ),
        (stays("hook"), "lifecycle.* lifecycle"),
        (stays("log"), "terminationMessagePath terminationMessagePolicy"),
        (
            stays("process"),
            "livenessProbe* readinessProbe* startupProbe* imagePullPolicy restartPolicy stdin "
            "stdinOnce tty securityContext",
        ),
    ]
).with_why("it stays in the manifest")

PROCFILE = Table.of([(stays("process", "it stays in the Procfile"), "command")])

SHELL = Table.of(
    [
        (stays("hook", "it stays in the script"), "command"),
        (stays("daemon", "it stays in the script"), "background"),
    ]
)

ENVIRONMENT = Table.of([(stays("environment", "it stays where it is set"), "*")])
