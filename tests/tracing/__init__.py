"""OpenTelemetry and Sentry with their real packages: what is reported of a request."""
