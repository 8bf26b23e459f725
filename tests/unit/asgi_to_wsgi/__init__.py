"""`AsgiToWsgi` in this process: the test is the WSGI server."""
