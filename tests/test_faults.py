"""Whatever happens to a run, nothing wrong is published: real kernels, real signals, a real disk.

Each test asserts the exit code, the one line on standard error, and what lies in ``reports/``.
"""

import json
import os
import shutil
import signal
import subprocess
import time

import pytest
from small_study import (
    CHECK,
    ESTIMATE,
    EVALUATE,
    TERM_PARAMETERS,
    SmallStudy,
    finish,
    is_running,
    wait_for,
)

pytestmark = pytest.mark.slow

SLEEP = """
import os, time
from pathlib import Path
Path("../data/here").write_text(str(os.getpid()))
time.sleep(300)
"""


@pytest.fixture
def study(tmp_path):
    return SmallStudy(tmp_path / "作業 folder")


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A study with one step and one report that was built."""
    study = SmallStudy(tmp_path_factory.mktemp("good") / "作業 folder")
    assert study.report("data-quality").code == 0
    return study


@pytest.fixture
def old(study, good):
    """Pages of an earlier good build, by name; the data have changed since."""
    shutil.copytree(good.root, study.root, dirs_exist_ok=True)
    (study.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    return study.pages()


def only_line(done):
    assert done.err.count("\n") == 1, done.err
    return done.err.rstrip("\n")


def in_progress(study):
    """Return the kernel's process id once the sleeping cell has been reached."""
    path = study.root / "data/here"
    return wait_for(lambda: path.exists() and path.read_text() and int(path.read_text()))


# --- the good case ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["fork", "plain"])
def test_all_reports_are_built_and_then_left_alone(study, mode):
    first = study.report(mode=mode)
    assert (first.code, first.err) == (0, "")
    pages = study.pages()
    assert sorted(pages) == [
        "data-quality.html",
        "index.html",
        "methods.html",
        "term-1.html",
        "term-2.html",
        "term-3.html",
    ]
    assert b"3 funded broad" in pages["term-3.html"]
    began = time.monotonic()
    second = study.report(mode=mode)
    assert time.monotonic() - began < 2
    assert second.out == "nothing to do: 6 reports in reports/ are up to date\n"
    assert study.pages() == pages


@pytest.mark.parametrize("mode", ["fork", "plain"])
def test_a_page_is_made_again_of_the_kept_notebook_without_a_kernel(study, mode):
    study.check_with(CHECK, "import os\nprint(os.getpid())")
    assert study.report("data-quality", mode=mode).code == 0
    pages = study.pages()
    (study.root / "reports/data-quality.html").write_text("edited by hand")
    assert study.report("data-quality", mode=mode).code == 0
    assert study.pages() == pages  # the process id too
    (study.root / "reports/data-quality.html").unlink()
    (study.root / "build/notebooks/data-quality.ipynb").unlink()
    assert study.report("data-quality", mode=mode).code == 0
    assert study.pages() != pages


def test_pages_are_the_same_bytes_whatever_the_machine_is_set_to(study, tmp_path):
    settings = """
import locale, os, time, matplotlib, numpy as np, pandas as pd, pyfixest, seaborn
print({k: str(v) for k, v in matplotlib.rcParams.items()})
print({k: pd.get_option(k) for k in ("display.max_columns", "display.width", "display.max_rows")})
print(time.tzname, locale.getlocale(), hash("x"), sorted({"b", "a", "c"}, key=hash))
print(pd.DataFrame(np.eye(30)))
print(os.getcwd().endswith("notebooks"), os.environ.get("ESTAT_APP_ID"))
"""
    study.check_with(CHECK, settings)
    assert study.report(mode="fork", TZ="UTC", LC_ALL="C", PYTHONHASHSEED="1").code == 0
    other = SmallStudy(tmp_path / "elsewhere")
    other.check_with(CHECK, settings)
    given = {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "77", "ESTAT_APP_ID": "s"}
    assert other.report("--jobs=1", mode="plain", **given).code == 0
    assert other.pages() == study.pages()
    assert b"None" in study.pages()["data-quality.html"]


def test_a_failed_step_publishes_nothing_that_needs_it(study):
    assert study.report().code == 0
    old = study.pages()
    study.notebook("2-estimate-term", TERM_PARAMETERS, "1 / (term - 2)", ESTIMATE)
    (study.root / "data/raw/figures.csv").write_text("year,value\n2001,6\n")
    done = study.report()
    assert done.code == 5
    assert only_line(done).startswith("notebooks/2-estimate-term.ipynb: cell 4 (step-1): ZeroDiv")
    assert "estimate-term-1: done in" in done.out
    assert "4 built, 1 failed, 2 skipped in" in done.out
    assert "not run, because what they need failed: term-2, index" in done.out
    assert study.pages()["term-2.html"] == old["term-2.html"]
    assert study.pages()["term-1.html"] != old["term-1.html"]


# --- a notebook that fails --------------------------------------------------------------------

FAILING = {
    "exception": ("1 / 0", 5, "cell 5 (step-2): ZeroDivisionError: division by zero: see the log"),
    "data fault": (
        "class DataFault(ValueError): pass\nraise DataFault('data/raw/x.csv:3: no: mend it')",
        3,
        "data/raw/x.csv:3: no: mend it",
    ),
    "input missing": (
        "class InputMissing(Exception): pass\nraise InputMissing('data/raw/x.csv: missing')",
        4,
        "data/raw/x.csv: missing",
    ),
    "disk full": ("raise OSError(28, 'No space left on device')", 6, "[Errno 28]"),
    "memory error": ("raise MemoryError", 5, "MemoryError"),
    "exit": ("raise SystemExit(0)", 5, "the run stopped here, before the last cell"),
    "interrupt": ("raise KeyboardInterrupt", 5, "KeyboardInterrupt"),
    "kernel killed": (
        "import os\nos.kill(os.getpid(), 9)",
        5,
        "cell 5 (step-2): the kernel was killed (SIGKILL), as the system does when memory runs out",
    ),
    "kernel crash": ("import os\nos.abort()", 5, "the kernel crashed (SIGABRT)"),
    "kernel exit": ("import os\nos._exit(0)", 5, "the kernel ended by itself (status 0)"),
    "page not accepted": ("print('FAULTY')", 7, "not accepted: the page has a fault (and 1 more)"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_a_failed_run_is_never_published_now_or_later(study, old, kind):
    source, code, line = FAILING[kind]
    study.check_with(CHECK, source, "print('the last cell')")
    for _ in range(2):
        done = study.report("data-quality")
        assert done.code == code
        assert line in only_line(done)
        assert "Traceback" not in done.out
        assert study.pages() == old
    failed = study.root / "build/notebooks/data-quality.failed.ipynb"
    assert json.loads(failed.read_bytes())["cells"]


def test_once_mended_it_is_published(study, old):
    study.check_with("1 / 0")
    assert study.report("data-quality").code == 5
    study.check_with(CHECK)
    assert study.report("data-quality").code == 0
    assert study.pages() != old
    assert not (study.root / "build/notebooks/data-quality.failed.ipynb").exists()


def test_the_traceback_is_in_the_log_and_shown_on_request(study):
    study.check_with("print('x')\n1 / 0")
    done = study.report("data-quality", "-v")
    assert done.code == 5
    assert "ZeroDivisionError" in done.err
    assert done.err.count("\n") > 3
    assert "division by zero" in (study.root / "build/logs/data-quality.log").read_text()


def test_a_plain_kernel_that_is_killed_is_named_too(study, old):
    study.check_with("import os\nos.kill(os.getpid(), 9)")
    done = study.report("data-quality", mode="plain")
    assert done.code == 5
    assert "cell 4 (step-1): the kernel was killed" in only_line(done)
    assert study.pages() == old


def test_one_that_dies_takes_no_other_along(study):
    assert study.report("data-quality").code == 0
    study.notebook(
        "7-evaluate-term",
        TERM_PARAMETERS,
        "import os, time\nif term == 2: os.kill(os.getppid(), 9)\ntime.sleep(2)",
        EVALUATE,
    )
    done = study.report("term-1", "term-2", "term-3")
    assert done.code == 5
    assert "cell 4 (step-1): the process that runs it was killed" in only_line(done)
    assert sorted(study.pages()) == ["data-quality.html", "term-1.html", "term-3.html"]
    assert "2 built, 1 failed" in done.out


def test_a_cell_has_a_time_limit(study, old):
    study.check_with(CHECK, "import time\ntime.sleep(60)")
    began = time.monotonic()
    done = study.report("data-quality", "--cell-seconds=2")
    assert done.code == 5
    assert "cell 5 (step-2): took longer than 2 s" in only_line(done)
    assert time.monotonic() - began < 20
    assert study.pages() == old


def test_a_run_has_a_time_limit_even_where_python_never_answers(study, old):
    study.check_with("import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)", SLEEP)
    process = study.start("report", "data-quality", "--run-seconds=8")
    kernel = in_progress(study)
    done = finish(process)
    assert done.code == 5
    assert "cell 5 (step-2): the run took longer than 8 s" in only_line(done)
    assert study.pages() == old
    wait_for(lambda: not is_running(kernel), seconds=5)


def test_an_unknown_kernel_name_is_of_no_consequence(study):
    study.notebook("6-check-data", 'indicator = "shipments"', CHECK, kernel="conda-env-x")
    assert study.report("data-quality").code == 0


def test_a_cut_off_notebook_is_an_input_fault(study, old):
    path = study.root / "notebooks/6-check-data.ipynb"
    path.write_bytes(path.read_bytes()[:-20])
    done = study.report("data-quality")
    assert done.code == 4
    assert only_line(done).startswith("notebooks/6-check-data.ipynb: damaged")
    assert study.pages() == old


def test_a_notebook_cannot_rename_code_into_a_parameter(study):
    """A name that is code would be executed by papermill; it does not get that far."""
    study.notebook("6-check-data", "indicator = __import__('os').getpid()", CHECK)
    done = study.report("data-quality")
    assert done.code == 2
    assert "is not 'name = literal'" in only_line(done)


# --- signals ----------------------------------------------------------------------------------

CHILDREN = """
import os, subprocess, sys
from pathlib import Path
sleeping = [sys.executable, "-c", "import signal, time; "
            "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"]
pids = [subprocess.Popen(sleeping).pid, subprocess.Popen(sleeping, start_new_session=True).pid]
Path("../data/children").write_text(" ".join(map(str, pids)))
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)],
    ids=["SIGINT", "SIGTERM", "SIGKILL"],
)
def test_a_signal_ends_the_kernel_and_its_children_and_publishes_nothing(study, old, number, code):
    study.check_with(CHILDREN, SLEEP)
    process = study.start("report", "data-quality")
    kernel = in_progress(study)
    children = [int(pid) for pid in (study.root / "data/children").read_text().split()]
    assert all(is_running(pid) for pid in [kernel, *children])
    process.send_signal(number)
    began = time.monotonic()
    done = finish(process)
    wait_for(lambda: not any(is_running(pid) for pid in [kernel, *children]), seconds=5)
    assert time.monotonic() - began < 5
    assert done.code == code
    if code > 0:
        assert only_line(done).startswith(f"stopped by {signal.Signals(number).name}")
    assert study.pages() == old
    (study.root / "data/here").unlink()
    study.check_with(CHECK)
    assert study.report("data-quality").code == 0


def test_a_signal_at_any_moment_leaves_whole_pages(study, old):
    assert study.report().code == 0
    versions = [study.pages()]
    (study.root / "data/raw/figures.csv").write_text("year,value\n2001,7\n")
    for tenth in (1, 3, 12, 30, 40, 45, 50):
        process = study.start("report")
        time.sleep(tenth / 10)
        process.send_signal(signal.SIGTERM)
        done = finish(process)
        assert done.code in (0, 143, -15)  # the last: before Python had come to our code
        versions.append(study.pages())
    assert study.report().code == 0
    versions.append(study.pages())
    first, last = versions[0], versions[-1]
    for pages in versions:
        assert all(pages[name] in (first[name], last[name]) for name in pages)
        assert set(pages) == set(last)


def test_an_early_signal_does_not_wait_for_the_libraries(study):
    process = study.start("report", "data-quality")
    wait_for(lambda: (study.root / "build/logs/processes.log").exists())
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert finish(process).code == 143
    assert time.monotonic() - began < 2


# --- two builds at once, full and read-only disks ---------------------------------------------


def test_eight_builds_at_once_are_one_build(study):
    processes = [study.start("report", "data-quality") for _ in range(8)]
    done = [finish(process) for process in processes]
    codes = sorted(each.code for each in done)
    assert codes == [0] + [6] * 7
    for each in done:
        if each.code == 6:
            assert "another build is running (process" in only_line(each)
    assert list(study.pages()) == ["data-quality.html"]


def test_a_build_can_wait_for_the_other(study):
    processes = [study.start("report", "data-quality", "--wait=60") for _ in range(2)]
    done = [finish(process) for process in processes]
    assert [each.code for each in done] == [0, 0]
    assert sorted("nothing" in each.out or "1 unchanged" in each.out for each in done) == [
        False,
        True,
    ]


@pytest.fixture
def small_volume(tmp_path):
    """A volume of one megabyte."""
    folder = tmp_path / "volume"
    folder.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if os.geteuid() != 0 or subprocess.run(mounted, capture_output=True).returncode:
        pytest.skip("mounting a small volume needs root")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_pages(small_volume, study):
    assert study.report().code == 0
    old = study.pages()
    for name in ("reports", "build"):
        (small_volume / name).mkdir()
        subprocess.run(["cp", "-r", f"{study.root / name}/.", small_volume / name], check=True)
        subprocess.run(["rm", "-r", study.root / name], check=True)
        (study.root / name).symlink_to(small_volume / name)
    assert "nothing to do" in study.report().out
    (small_volume / "ballast").write_bytes(b"x" * (small_free(small_volume) - 20_000))
    study.check_with(CHECK, "print('x' * 60_000)")
    done = study.report("data-quality")
    assert done.code == 6
    assert "(no space left on device): free some space" in only_line(done)
    assert study.pages() == old
    (small_volume / "ballast").unlink()
    assert study.report("data-quality").code == 0


def small_free(folder):
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


def test_a_read_only_volume_is_noticed_before_anything_runs(small_volume, study):
    assert study.report("data-quality").code == 0
    subprocess.run(["cp", "-r", f"{study.root}/.", small_volume], check=True)
    study.root = small_volume
    study.check_with(CHECK, "print(1)")
    old = study.pages()
    subprocess.run(["mount", "-o", "remount,ro", small_volume], check=True)
    began = time.monotonic()
    done = study.report("data-quality")
    assert done.code == 6
    assert "(read-only file system): make the folder writable" in only_line(done)
    assert time.monotonic() - began < 1.5
    assert study.pages() == old


def test_an_up_to_date_study_can_be_asked_on_a_read_only_volume(small_volume, study):
    subprocess.run(["cp", "-r", f"{study.root}/.", small_volume], check=True)
    study.root = small_volume
    assert study.report("data-quality").code == 0
    subprocess.run(["mount", "-o", "remount,ro", small_volume], check=True)
    assert "nothing to do" in study.report("data-quality").out
