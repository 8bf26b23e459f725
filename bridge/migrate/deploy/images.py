"""Images of other programs: a service that runs one is no part of the project's process. Pure."""

from __future__ import annotations

import re

__all__ = ["is_other_image"]

_OTHER = frozenset(
    {
        *("postgres", "postgresql", "postgis", "timescaledb", "pgbouncer", "mysql", "mariadb"),
        *("mongo", "mongodb", "redis", "valkey", "keydb", "memcached", "cassandra", "clickhouse"),
        *("clickhouse-server", "elasticsearch", "opensearch", "solr", "meilisearch", "typesense"),
        *("rabbitmq", "kafka", "zookeeper", "nats", "minio", "localstack", "azurite"),
        *("nginx", "httpd", "caddy", "traefik", "haproxy", "envoy", "certbot", "varnish"),
        *("mailhog", "maildev", "mailpit", "mailcatcher", "exim4", "postfix", "exim-relay"),
        *("alpine", "busybox", "debian", "ubuntu", "adminer", "pgadmin4", "phpmyadmin"),
        *("prometheus", "grafana", "jaeger", "statsd", "loki", "promtail", "sentry-relay"),
        *("gce-proxy", "cloud-sql-proxy", "selenium", "browserless", "chrome", "gotenberg", "tika"),
        *("authelia", "keycloak", "vault", "consul", "etcd", "watchtower", "autoheal"),
    }
)


def is_other_image(image: str | None) -> bool:
    """Whether an image, as ``docker.io/library/postgres:16``, is that of another program."""
    name = re.sub(r"[@:][^/]*$", "", image or "").rpartition("/")[2]
    return name.lower() in _OTHER
