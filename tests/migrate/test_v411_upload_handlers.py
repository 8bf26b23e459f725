"""V411: custom upload handlers."""

from __future__ import annotations

from tests.migrate.helpers import check_noop, findings

CLASS = "from django.core.files.uploadhandler import FileUploadHandler\n\n\nclass Quota({}):"
SITE = {
    "manage.py": "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\n",
    "site/settings.py": "FILE_UPLOAD_HANDLERS = [\n"
    "    'django.core.files.uploadhandler.MemoryFileUploadHandler',\n    'other.Handler',\n]\n",
}


def test_a_class_of_the_project_is_found() -> None:
    code = CLASS.format("FileUploadHandler") + "\n    pass\n"

    assert [each.line for each in findings({"shop/code.py": code}, "V411")] == [4]


def test_a_class_of_a_package_is_found_in_the_settings() -> None:
    found = findings(SITE, "V411")

    assert [(str(each.path), each.line) for each in found] == [("site/settings.py", 3)]


def test_other_classes_are_ignored() -> None:
    check_noop("V411", CLASS.format("object") + "\n    pass\n")


def test_a_comment_suppresses_it() -> None:
    check_noop(
        "V411", CLASS.format("FileUploadHandler") + "  # bridge: ignore[V411] small\n    pass\n"
    )
