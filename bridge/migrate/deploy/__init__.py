"""How a project is started: the command lines and configuration in its deploy files.

::

    kinds      what kind of deploy file a file is
    records    StartCommand, ServerConfig, NginxConfig, Part, Deploy: the types
    shell      splits a shell command line, and finds the server that it starts
    commands   command lines in a Procfile, Dockerfile, compose file, systemd unit, ...
    dockerfile, units, yaml_parts, env_files
               what surrounds them: stages, units, containers, variables
    gunicorn_file, uwsgi_file, apache, configs
               the configuration files of gunicorn, uwsgi, mod_wsgi, Passenger and nginx
    read       all of the above, for the files of a project
    server     the options of one WSGI server: command line and configuration merged
    tables     what becomes of each option
"""
