"""Static files under hashed names, imports between ES modules rewritten, so that they may be cached for ever."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from django.contrib.staticfiles.finders import FileSystemFinder
from django.core.files.storage import Storage
from whitenoise.storage import CompressedManifestStaticFilesStorage

UNSERVED = (
    "*.map",
    "*.rtl.*",
    "*.ts",
    "*.gz",
    "tabler-*",
    "tabler.css",
    "htmx.js",
    "ext",
    "browser-es-module-loader",
    "spice*.html",
)
"""What lies beside the files we use in the front-end packages, as patterns of file and folder names."""
UNSERVED_MODULES = ("htmx.esm.js", "htmx.amd.js", "htmx.cjs.js", "xterm.js", "addon-fit.js")


class ServedFilesFinder(FileSystemFinder):
    """Django's finder of STATICFILES_DIRS without what no page asks for."""

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        """Yield each file's path and storage."""
        return iter(super().list([*(ignore_patterns or ()), *UNSERVED, *UNSERVED_MODULES]))


class ModuleManifestStorage(CompressedManifestStaticFilesStorage):
    """WhiteNoise's storage that also rewrites `import` and `export ... from` in ES modules (no bundler).

    Source maps are not served, so that comments naming them are left alone (Django would refuse a missing one).
    """

    support_js_module_import_aggregation = True
    max_post_process_passes = 20
    """One for each step of the longest chain of imports: spice-html5's is long, and ours leads to it."""
    patterns = (
        (
            "*.css",
            (
                r"""(?P<matched>url\(['"]{0,1}\s*(?P<url>.*?)["']{0,1}\))""",
                (r"""(?P<matched>@import\s*["']\s*(?P<url>.*?)["'])""", """@import url("%(url)s")"""),
            ),
        ),
    )
