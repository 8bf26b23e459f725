"""The options of each server and supervisor, as data: what becomes of each in a move.

::

    rows           Group, Row, Table: the types, and how a table is written
    uwsgi          all options of uwsgi 2.0
    gunicorn       all settings of gunicorn
    mod_wsgi       Apache's directives, and mod_wsgi-express
    waitress       waitress-serve
    passenger      Passengerfile.json, and Apache's and nginx's directives
    supervisors    systemd's and supervisor's directives
    containers     Dockerfile, compose, Kubernetes, Procfile and shell scripts
    lookup         the table of a source
"""
