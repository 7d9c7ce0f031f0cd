"""Print the published pages as PDF, with the outline and tags that a reader of PDF expects."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from clusterpolicy.run import publishing
from clusterpolicy.run.freshness import InputFault
from clusterpolicy.run.publishing import Workspace

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGE_SECONDS = 120
# Without these a headless browser looks for updates, and as root it would not start.
QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-sandbox",
)


def find_browser() -> str:
    """Return the Chromium to print with: ``CHROMIUM``, else the first one on the search path.

    Raises
    ------
    InputFault
        If there is none.
    """
    for name in (os.environ.get("CHROMIUM", ""), *BROWSERS):
        found = shutil.which(name) if name else None
        if found:
            return found
    raise InputFault("pdf: no Chromium found: install it, or name it in CHROMIUM")


def print_reports(workspace: Workspace) -> list[Path]:
    """Print every published page beside itself, ``reports/term-1.pdf`` for ``term-1.html``.

    Returns
    -------
    list of Path
        The PDF files, in the order of their names.

    Raises
    ------
    InputFault
        If there is no page, no Chromium, or the browser fails; the old PDF stays.
    CannotWrite
        If a PDF cannot be written.
    """
    browser = find_browser()
    pages = sorted(workspace.reports.rglob("*.html"))
    if not pages:
        raise InputFault("reports: no page to print: run `make report` first")
    printed = []
    for page in pages:
        target = page.with_suffix(".pdf")
        publishing.replace_file(workspace, target, print_page(browser, page))
        printed.append(target)
    return printed


def print_page(browser: str, page: Path) -> bytes:
    """Return one page as PDF.

    Raises
    ------
    InputFault
        If the browser ends without a PDF, or takes longer than it may.
    """
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "page.pdf"
        command = [
            browser,
            *QUIET,
            f"--user-data-dir={folder}/profile",
            "--no-pdf-header-footer",
            "--generate-pdf-document-outline",
            f"--print-to-pdf={target}",
            page.resolve().as_uri(),
        ]
        try:
            done = subprocess.run(command, capture_output=True, timeout=PAGE_SECONDS, check=False)
        except subprocess.TimeoutExpired as late:
            raise InputFault(
                f"pdf: {page.name}: {Path(browser).name} took longer than {PAGE_SECONDS} s: "
                "run `make pdf` again"
            ) from late
        content = target.read_bytes() if target.is_file() else b""
        if not content.startswith(b"%PDF"):
            raise InputFault(
                f"pdf: {page.name}: {Path(browser).name} ended with {done.returncode} and no PDF: "
                "open the page in a browser and print it from there"
            )
        return content
