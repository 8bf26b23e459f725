"""The folders here are test suites of their own: `test_plugins.py` runs them."""

collect_ignore = ["session_loop", "anyio_plugin", "django_database"]
