"""Autobahn|Testsuite's fuzzing client against WebSockets of ``to_wsgi``, and against uvicorn's."""
