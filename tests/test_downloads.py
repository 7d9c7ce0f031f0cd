"""External files arrive whole and checked or not at all, from their host or from a mirror."""

import errno
import hashlib
import os
import threading
import time

import pandas as pd
import pytest
from loopback import cut_off, hang_up, serving, status, whole

from clusterpolicy import sources
from clusterpolicy.finerdata import downloads

FIRST, SECOND = b"first file\n" * 5000, b"second file\n" * 4000


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(downloads, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.delenv(downloads.MIRROR, raising=False)


@pytest.fixture
def server():
    with serving() as told:
        yield told


def registry_of(address, **contents):
    """Return a registry of files a/first.txt ... with the hashes of `contents`."""
    rows = [
        {
            "file": f"a/{name}.txt",
            "address": f"{address}/{name}",
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": str(len(content)),
            "used_for": name,
        }
        for name, content in contents.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def registry(server):
    server.answers = {"/first": [whole(FIRST)], "/second": [whole(SECOND)]}
    return registry_of(server.address, first=FIRST, second=SECOND)


def left_over(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_every_file_arrives_and_is_said_to(registry, tmp_path):
    told = []
    paths = downloads.fetch_all(registry, tmp_path, note=told.append)
    assert [path.read_bytes() for path in paths.values()] == [FIRST, SECOND]
    assert left_over(tmp_path) == ["first.txt", "second.txt"]
    assert len(told) == 2
    assert told[1].startswith("2 of 2 files, 0.1 of 0.1 MB")
    assert downloads.find_missing(registry, tmp_path) == []


def test_files_that_are_there_are_not_fetched_again(registry, server, tmp_path):
    downloads.fetch_all(registry, tmp_path)
    server.asked.clear()
    told = []
    downloads.fetch_all(registry, tmp_path, note=told.append)
    assert server.asked == []
    assert all(line.endswith("already there") for line in told)


def test_a_file_that_was_changed_on_disk_is_fetched_again(registry, tmp_path):
    downloads.fetch_all(registry, tmp_path)
    (tmp_path / "a" / "first.txt").write_bytes(b"spoilt")
    downloads.fetch_all(registry, tmp_path)
    assert (tmp_path / "a" / "first.txt").read_bytes() == FIRST


def test_files_are_fetched_side_by_side(server, tmp_path):
    meeting = threading.Barrier(3, timeout=10)

    def wait_for_the_others(handler):
        meeting.wait()  # breaks, and the request fails, unless three are under way at once
        whole(FIRST)(handler)

    names = ("one", "two", "three")
    server.answers = {f"/{name}": [wait_for_the_others] for name in names}
    downloads.fetch_all(registry_of(server.address, **dict.fromkeys(names, FIRST)), tmp_path)
    assert len(left_over(tmp_path)) == 3


def test_another_content_is_refused_with_both_hashes_and_leaves_nothing(registry, server, tmp_path):
    other = FIRST[:-1] + b"!"
    server.answers["/first"] = [whole(other)]
    with pytest.raises(sources.InputMissing) as raised:
        downloads.fetch_all(registry, tmp_path)
    line = str(raised.value)
    assert "first.txt: found SHA-256 " + hashlib.sha256(other).hexdigest() in line
    assert "expected " + hashlib.sha256(FIRST).hexdigest() in line
    assert "\n" not in line
    assert left_over(tmp_path) == ["second.txt"]


def test_a_good_file_is_not_replaced_by_a_bad_answer(registry, server, tmp_path):
    downloads.fetch_all(registry, tmp_path)
    changed = registry.assign(sha256=["0" * 64, registry["sha256"][1]])
    with pytest.raises(sources.InputMissing, match="expected 0000"):
        downloads.fetch_all(changed, tmp_path)
    assert (tmp_path / "a" / "first.txt").read_bytes() == FIRST


@pytest.mark.parametrize("fault", [hang_up, status(503), status(429), cut_off(FIRST, 2000)])
def test_a_passing_fault_is_tried_again(registry, server, tmp_path, fault):
    server.answers["/first"] = [fault, fault, whole(FIRST)]
    downloads.fetch_all(registry, tmp_path)
    assert (tmp_path / "a" / "first.txt").read_bytes() == FIRST
    assert len(server.queries("/first")) == 3


def test_a_file_cut_off_is_continued_where_it_stopped(registry, server, tmp_path):
    server.answers["/first"] = [cut_off(FIRST, 2000), whole(FIRST, ranges=True)]
    downloads.fetch_all(registry, tmp_path)
    assert (tmp_path / "a" / "first.txt").read_bytes() == FIRST
    ranges = [headers.get("Range") for path, _, headers in server.asked if path == "/first"]
    assert ranges == [None, "bytes=2000-"]


def test_a_run_continues_what_an_earlier_one_left(registry, server, tmp_path):
    server.answers["/first"] = [cut_off(FIRST, 2000)] + [hang_up] * 2 + [status(503)]
    with pytest.raises(downloads.Offline):
        downloads.fetch_all(registry, tmp_path)
    assert left_over(tmp_path) == [".first.txt.part", "second.txt"]
    server.asked.clear()
    server.answers["/first"] = [whole(FIRST, ranges=True)]
    downloads.fetch_all(registry, tmp_path)
    assert [headers.get("Range") for _, _, headers in server.asked] == ["bytes=2000-"]
    assert left_over(tmp_path) == ["first.txt", "second.txt"]


def test_parts_of_two_editions_are_never_joined(registry, server, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / ".first.txt.part").write_bytes(b"of an older edition")
    server.answers["/first"] = [whole(FIRST, ranges=True)]
    with pytest.raises(sources.InputMissing, match=r"first\.txt: found SHA-256"):
        downloads.fetch_all(registry, tmp_path)
    downloads.fetch_all(registry, tmp_path)  # the wrong part is gone, so that this one succeeds
    assert (tmp_path / "a" / "first.txt").read_bytes() == FIRST


def test_an_answer_without_end_is_given_up(registry, server, tmp_path):
    sent = []

    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(10_000):
                handler.wfile.write(b"x" * 65536)
                sent.append(65536)
        except OSError:
            pass
        handler.close_connection = True

    server.answers["/first"] = [endless]
    with pytest.raises(sources.InputMissing, match=r"first\.txt: found SHA-256"):
        downloads.fetch_all(registry, tmp_path)
    assert left_over(tmp_path) == ["second.txt"]
    assert sum(sent) < 50e6


@pytest.mark.parametrize("code", [403, 404, 410])
def test_a_refusal_is_final_and_names_file_and_answer(registry, server, tmp_path, code):
    server.answers["/first"] = [status(code)]
    with pytest.raises(sources.InputMissing, match=rf"a/first\.txt: the host answered {code} "):
        downloads.fetch_all(registry, tmp_path)
    assert len(server.queries("/first")) == 1


def test_without_a_network_one_line_says_what_is_missing_and_that_reports_build(tmp_path):
    with serving() as gone:
        address = gone.address
    registry = registry_of(address, first=FIRST, second=SECOND)
    with pytest.raises(downloads.Offline) as raised:
        downloads.fetch_all(registry, tmp_path)
    line = str(raised.value)
    assert "2 of 2 files are missing (a/first.txt, a/second.txt)" in line
    assert "the reports still build on the tables of data/raw" in line
    assert "\n" not in line


def test_a_mirror_gives_the_same_files_without_any_request(registry, server, tmp_path, monkeypatch):
    mirror = tmp_path / "mirror"
    (mirror / "a").mkdir(parents=True)
    (mirror / "a" / "first.txt").write_bytes(FIRST)
    (mirror / "a" / "second.txt").write_bytes(SECOND)
    monkeypatch.setenv(downloads.MIRROR, str(mirror))
    paths = downloads.fetch_all(registry, tmp_path / "external")
    assert [path.read_bytes() for path in paths.values()] == [FIRST, SECOND]
    assert server.asked == []


def test_a_mirror_is_checked_like_a_host(registry, tmp_path):
    mirror = tmp_path / "mirror"
    (mirror / "a").mkdir(parents=True)
    (mirror / "a" / "first.txt").write_bytes(b"other")
    with pytest.raises(sources.InputMissing) as raised:
        downloads.fetch_all(registry, tmp_path / "external", mirror)
    line = str(raised.value)
    assert f"found SHA-256 {hashlib.sha256(b'other').hexdigest()}" in line
    assert "(1 more file failed)" in line
    assert left_over(tmp_path / "external") == []


def test_a_mirror_without_a_file_or_that_is_none_is_named(registry, tmp_path):
    with pytest.raises(sources.InputMissing, match=r"^DATA_MIRROR: a/first\.txt: no such file"):
        downloads.fetch_all(registry, tmp_path / "external", tmp_path)
    with pytest.raises(sources.InputMissing, match=r"^DATA_MIRROR: no folder 'gone'"):
        downloads.fetch_all(registry, tmp_path / "external", tmp_path / "gone")


def test_a_full_disk_is_no_fault_of_the_network(registry, server, tmp_path, monkeypatch):
    def full(*_arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "first.txt")

    monkeypatch.setattr(downloads._Download, "_continue", full)
    with pytest.raises(OSError, match="No space left on device") as raised:
        downloads.fetch_all(registry, tmp_path)
    assert not isinstance(raised.value, sources.InputMissing)


def test_an_interruption_ends_at_once_and_leaves_whole_files_only(registry, server, tmp_path):
    server.answers["/second"] = [status(503)]

    def interrupt(_line):
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        downloads.fetch_all(registry, tmp_path, note=interrupt)
    assert time.monotonic() - began < 5
    assert left_over(tmp_path) in (["first.txt"], [])


def test_a_file_is_compared_with_its_hash_before_each_use(registry, tmp_path):
    downloads.fetch_all(registry, tmp_path)
    found = downloads.checked_paths(registry, "first", tmp_path)
    assert found == {"a/first.txt": tmp_path / "a" / "first.txt"}
    (tmp_path / "a" / "first.txt").write_bytes(FIRST[:-1])
    with pytest.raises(sources.InputMissing, match=r"first\.txt: found SHA-256 .*make data"):
        downloads.checked_paths(registry, "first", tmp_path)
    (tmp_path / "a" / "first.txt").unlink()
    with pytest.raises(sources.InputMissing, match=r"first\.txt: missing: run `make data`"):
        downloads.checked_paths(registry, "first", tmp_path)
    with pytest.raises(KeyError, match="used_for 'third': choose one of first, second"):
        downloads.checked_paths(registry, "third", tmp_path)


# ---- The registry ----------------------------------------------------------------------------


def test_the_registry_names_each_file_with_a_pinned_address_and_its_source():
    registry = downloads.read_registry()
    assert registry["address"].str.contains(r"/[0-9a-f]{40}/").all()
    assert registry["file"].is_unique
    assert (registry["used_for"] == "municipal census").sum() == 12
    assert registry["bytes"].astype(int).sum() < 50e6


REGISTRY_FAULTS = {
    "outside the folder": ("file", "../x.csv", "not a file below data/external"),
    "hidden file": ("file", "a/.x.csv", "not a file below data/external"),
    "absolute": ("file", "/a/x.csv", "not a file below data/external"),
    "not encrypted": ("address", "http://example.org/x", "not an address"),
    "short hash": ("sha256", "abc", "not a SHA-256"),
    "no size": ("bytes", "0", "not a size"),
    "unknown encoding": ("encoding", "latin-1", "not an allowed value"),
    "no licence": ("licence", "", "must not be empty"),
}


@pytest.mark.parametrize(
    ("column", "value", "message"), REGISTRY_FAULTS.values(), ids=REGISTRY_FAULTS
)
def test_a_spoilt_registry_is_refused_by_line(tmp_path, column, value, message):
    registry = downloads.read_registry()
    registry.loc[2, column] = value
    registry.to_csv(tmp_path / "external_files.csv", index=False, lineterminator="\n")
    with pytest.raises(sources.DataFault, match=rf":2: column {column}: found '.*': {message}"):
        downloads.read_registry(tmp_path)


def test_a_file_listed_twice_is_refused(tmp_path):
    registry = downloads.read_registry()
    pd.concat([registry, registry.head(1)]).to_csv(
        tmp_path / "external_files.csv", index=False, lineterminator="\n"
    )
    with pytest.raises(sources.DataFault, match="same file as line 2"):
        downloads.read_registry(tmp_path)


def test_the_registry_agrees_with_the_published_files(shared):
    registry = downloads.read_registry()
    for row in registry.itertuples():
        path = shared / "mirror" / row.file
        assert (sources.file_hash(path), path.stat().st_size) == (row.sha256, int(row.bytes))
    listed = pd.read_csv(shared / "mirror" / "SOURCES.csv", dtype=str).set_index("file")
    for row in registry.itertuples():
        assert listed.at[row.file, "commit"] in row.address


def test_the_published_files_arrive_through_the_mirror(shared, tmp_path):
    registry = downloads.read_registry()
    paths = downloads.fetch_all(registry, tmp_path, shared / "mirror")
    assert len(paths) == len(registry)
    assert downloads.find_missing(registry, tmp_path) == []
