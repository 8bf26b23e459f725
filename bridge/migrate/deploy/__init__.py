"""How a project is started: the command lines and configuration in its deploy files.

::

    records    StartCommand, ServerConfig, NginxConfig, Deploy: the types
    shell      splits a shell command line, and finds the server that it starts
    commands   command lines in a Procfile, Dockerfile, compose file, systemd unit, ...
    configs    gunicorn.conf.py, uwsgi.ini and nginx configuration
    read       all of the above, for the files of a project
    server     the options of one gunicorn or uwsgi: command line and configuration merged
"""
