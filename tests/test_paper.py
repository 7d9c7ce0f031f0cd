"""Pages become PDF where there is a browser, and one clear line where there is none."""

import re

import pytest

from clusterpolicy.run import paper
from clusterpolicy.run.freshness import InputFault
from clusterpolicy.run.publishing import Workspace

PAGE = "<!doctype html><html lang='en'><title>T</title><h1>One</h1><p>Text</p><h2>Two</h2></html>"


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "reports").mkdir()
    return Workspace(tmp_path)


def script(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_without_a_browser_one_line_says_so(workspace, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CHROMIUM", raising=False)
    with pytest.raises(InputFault, match=r"^pdf: no Chromium found: install it"):
        paper.print_reports(workspace)


def test_without_a_page_one_line_says_what_to_run(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", script(tmp_path / "browser", "exit 0"))
    with pytest.raises(InputFault, match=r"^reports: no page to print: run `make report` first"):
        paper.print_reports(workspace)


def test_a_browser_that_fails_leaves_the_old_pdf(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", script(tmp_path / "browser", "exit 7"))
    (workspace.reports / "a.html").write_text(PAGE, encoding="utf-8")
    (workspace.reports / "a.pdf").write_bytes(b"%PDF old")
    with pytest.raises(InputFault, match=r"^pdf: a\.html: browser ended with 7 and no PDF"):
        paper.print_reports(workspace)
    assert (workspace.reports / "a.pdf").read_bytes() == b"%PDF old"


def test_a_browser_that_hangs_is_ended(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("CHROMIUM", script(tmp_path / "browser", "exec sleep 60"))
    monkeypatch.setattr(paper, "PAGE_SECONDS", 0.2)
    (workspace.reports / "a.html").write_text(PAGE, encoding="utf-8")
    with pytest.raises(InputFault, match=r"took longer than 0\.2 s"):
        paper.print_reports(workspace)


@pytest.mark.browser
@pytest.mark.slow
def test_every_page_is_printed_with_outline_and_tags(workspace):
    try:
        paper.find_browser()
    except InputFault as missing:
        pytest.skip(str(missing))
    (workspace.reports / "projects").mkdir()
    for name in ("a", "projects/b"):
        (workspace.reports / f"{name}.html").write_text(PAGE, encoding="utf-8")
    printed = paper.print_reports(workspace)
    assert [path.relative_to(workspace.reports).as_posix() for path in printed] == [
        "a.pdf",
        "projects/b.pdf",
    ]
    content = printed[0].read_bytes()
    assert re.search(rb"/Outlines \d+ 0 R", content)
    assert b"/StructTreeRoot" in content
