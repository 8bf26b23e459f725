"""Whether the places of a deployment agree on one settings module.

Input: a project. Output: nothing, or a :class:`~bridge.errors.MigrationError` that lists the
places.
"""

from __future__ import annotations

from bridge.errors import MigrationError
from bridge.migrate.project import Project

__all__ = ["check_settings"]


def check_settings(project: Project) -> None:
    """Check that the deployment names one settings module.

    :raises MigrationError: its files name several.
    """
    places = project.settings_places
    if len({place.module for place in places}) < 2:
        return
    listed = ", ".join(
        f"{place.module} ({project.shown(place.path)}:{place.line})" for place in places
    )
    raise MigrationError(
        f"the deploy files name different settings modules: {listed}. Choose the one that is "
        "served with --settings"
    )
