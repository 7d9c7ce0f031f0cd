"""Make does what it says from any folder, sets up .venv safely, and runs nothing it is given."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv

import pytest

# Every program that the recipes use. A path with these alone has no Python and no uv.
TOOLS = ["awk", "cat", "cmp", "cp", "ln", "mv", "readlink", "rm", "sh", "sleep"]

# Stands for the study in these tests: says what it was asked for and what it was told.
ECHO = """
import json, os, sys
print(json.dumps({"asked": sys.argv[1:], "python": sys.executable, "env": dict(os.environ)}))
"""

# Stands for uv: writes down what it was asked for, makes a bare environment, installs nothing.
UV = """#!/bin/sh
echo "$1" >> "$CALLS"
if test "$1" = venv; then
    for folder; do :; done
    sleep "${UV_TAKES:-0}"
    python3 -m venv --without-pip "$folder"
else
    exit "${UV_FAILS:-0}"
fi
"""


def script(path, text):
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


def environment(path=None, **changes):
    """Environment of a fresh terminal: what this very `make test` passed down is left out."""
    ours = ("MAKE", "MFLAGS", "CHOSEN_", "SET_UP", "PYTHONPATH", "TERM")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "TERM": "xterm", **({"PATH": str(path)} if path else {}), **changes}


def make(folder, *arguments, path=None, **changes):
    return subprocess.run(
        [shutil.which("make"), *arguments],
        cwd=folder,
        env=environment(path, **changes),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def clone(root, tmp_path):
    """Clone without what takes time: its package only echoes, its lock is empty."""
    folder = tmp_path / "産業 クラスター's"
    package = folder / "src" / "clusterpolicy"
    package.mkdir(parents=True)
    shutil.copy(root / "Makefile", folder)
    (folder / "requirements.lock").write_text("# nothing to install\n", encoding="utf-8")
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "__main__.py").write_text(ECHO, encoding="utf-8")
    return folder


@pytest.fixture
def ready(clone):
    """Clone whose .venv is there and holds its lock."""
    venv.create(clone / ".venv", symlinks=True)
    [packages] = (clone / ".venv" / "lib").glob("python3.*/site-packages")
    (packages / "clusterpolicy.pth").write_text("../../../../src\n", encoding="utf-8")
    shutil.copy(clone / "requirements.lock", clone / ".venv")
    return clone


@pytest.fixture
def bare_path(tmp_path):
    """Search path of a machine with the usual small programs, and neither Python nor uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool))
    return folder


@pytest.fixture
def with_uv(bare_path, tmp_path, monkeypatch):
    """The same machine with Python and a stand-in for uv, whose calls `calls` gives back."""
    (bare_path / "python3").symlink_to(os.path.realpath(sys.executable))
    script(bare_path / "uv", UV)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    return bare_path


@pytest.fixture
def calls(tmp_path):
    return lambda: (tmp_path / "calls").read_text(encoding="utf-8").split()


def echoed(done):
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# ---- The list of targets -----------------------------------------------------------------------


def test_bare_make_lists_the_targets_one_line_each(root):
    done = make(root)
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert set(listed) >= {"report", "data", "lab", "test", "check", "clean", "help"}
    assert len(listed) == len(set(listed)) == len(done.stdout.splitlines())
    assert all(len(line.split()) > 3 for line in done.stdout.splitlines())
    assert done.stderr == ""


def test_bare_make_needs_no_python(clone, bare_path):
    assert "make report" in make(clone, path=bare_path).stdout


# ---- What is chosen on the command line --------------------------------------------------------


def test_report_asks_for_every_report(ready):
    assert echoed(make(ready, "report"))["asked"] == ["report"]


def test_the_type_of_the_terminal_is_not_a_policy_term(ready):
    assert echoed(make(ready, "report", TERM="2", CLOCK="planned"))["asked"] == ["report"]


def test_choices_reach_the_runner(ready):
    done = make(ready, "report", "TERM=2", "CLOCK=planned", "FIELDS_MAP=narrow")
    chosen = ["--term=2", "--clock=planned", "--fields-map=narrow"]
    assert echoed(done)["asked"] == ["report", *chosen]
    assert echoed(done)["env"].get("TERM") != "2"


@pytest.mark.parametrize("name", ["TERM", "CLOCK", "FIELDS_MAP", "INDICATOR"])
@pytest.mark.parametrize(
    "value",
    [
        "2; touch hit",
        "$(touch hit)",
        "$$(touch hit)",
        "$(shell touch hit)",
        "`touch hit`",
        "'; touch hit; '",
        '"; touch hit; "',
        "2\ntouch hit #",
        "2 --force",
        "第 2 期",
    ],
)
def test_a_value_is_passed_on_and_never_run(ready, name, value):
    option = f"--{name.lower().replace('_', '-')}="
    done = make(ready, "report", f"{name}={value}")
    assert not (ready / "hit").exists()
    assert echoed(done)["asked"] == ["report", option + value]


def test_a_misspelt_name_stops_make_and_names_those_there_are(ready):
    done = make(ready, "report", "TREM=2")
    assert done.returncode == 2
    assert "TREM: not a name that can be chosen: use one of TERM PROJECT CLOCK" in done.stderr


def test_a_value_may_hold_an_equals_sign(ready):
    done = make(ready, "report", "LAB_ARGS=--no-browser --port=8888 --IdentityProvider.token=x")
    assert echoed(done)["asked"] == ["report"]


def test_one_report_is_built_by_the_name_of_its_file(ready):
    for name in ("term-2", "index", "projects/tama"):
        assert echoed(make(ready, f"reports/{name}.html"))["asked"] == ["report", name]


def test_the_runner_is_asked_although_the_file_is_there(ready):
    (ready / "reports").mkdir()
    (ready / "reports" / "index.html").write_text("old", encoding="utf-8")
    assert echoed(make(ready, "reports/index.html"))["asked"] == ["report", "index"]


def test_make_b_writes_every_report_anew_but_keeps_the_environment(ready, bare_path):
    assert echoed(make(ready, "-B", "report", path=bare_path))["asked"] == ["report", "--force"]


@pytest.mark.parametrize("arguments", [["CLOCK=B"], ["--no-print-directory"], ["-j2"], ["-k"]])
def test_nothing_else_forces_a_report(ready, arguments):
    assert "--force" not in echoed(make(ready, "report", *arguments))["asked"]


def test_data_is_told_of_the_mirror(ready):
    heard = echoed(make(ready, "data", "DATA_MIRROR=../a copy"))
    assert heard["asked"] == ["data"]
    assert heard["env"]["DATA_MIRROR"] == "../a copy"


def test_a_failed_run_fails_make(ready):
    (ready / "src" / "clusterpolicy" / "__main__.py").write_text("raise SystemExit(3)")
    done = make(ready, "report")
    assert done.returncode != 0
    assert "Error 3" in done.stderr


# ---- The environment that the study runs in ----------------------------------------------------


def test_the_study_runs_in_the_environment_of_the_folder(ready):
    heard = echoed(make(ready, "report", PYTHONDONTWRITEBYTECODE="1", PYTHONPATH="/elsewhere"))
    assert heard["python"] == str(ready / ".venv" / "bin" / "python")
    assert {"PYTHONDONTWRITEBYTECODE", "PYTHONPATH"} & heard["env"].keys() == set()


def test_a_moved_folder_runs_on_without_a_new_set_up(clone, with_uv, calls):
    make(clone, "report", path=with_uv)
    moved = clone.rename(clone.with_name("移した ところ"))
    heard = echoed(make(moved, "report", path=with_uv, LC_ALL="C", LANG="C"))
    assert heard["python"] == str(moved / ".venv" / "bin" / "python")
    assert calls() == ["venv", "pip"]


def test_another_environment_can_be_named(clone, bare_path):
    heard = echoed(make(clone, "report", f"PYTHON={sys.executable}", path=bare_path))
    assert heard["python"] == sys.executable
    assert not (clone / ".venv").exists()


def test_a_named_environment_without_the_packages_is_refused_in_one_line(clone, bare_path):
    bare = os.path.realpath(sys.executable)
    done = make(clone, "report", f"PYTHON={bare}", path=bare_path, PYTHONNOUSERSITE="1")
    found = subprocess.run([bare, "-s", "-c", "import papermill"], capture_output=True, check=False)
    if found.returncode == 0:
        assert done.returncode == 0  # tests run without an environment of their own
    else:
        said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        assert len(said) == 1
        assert "environment.yml" in said[0]


def test_python_in_the_environment_variables_changes_nothing(ready):
    assert ".venv" in echoed(make(ready, "report", PYTHON="/usr/bin/python"))["python"]


# ---- Setting up .venv --------------------------------------------------------------------------


def test_the_first_make_sets_up_and_the_second_does_not(clone, with_uv, calls):
    first = make(clone, "report", path=with_uv)
    assert echoed(first)["python"] == str(clone / ".venv" / "bin" / "python")
    assert "once" in first.stderr
    assert make(clone, "report", path=with_uv).stderr == ""
    assert calls() == ["venv", "pip"]


def test_the_content_of_the_lock_decides_not_its_date(clone, with_uv, calls):
    make(clone, "report", path=with_uv)
    os.utime(clone / "requirements.lock", (2e9, 2e9))
    make(clone, "report", path=with_uv)
    assert calls() == ["venv", "pip"]
    (clone / "requirements.lock").write_text("# other\n", encoding="utf-8")
    make(clone, "report", path=with_uv)
    assert calls() == ["venv", "pip"] * 2


def test_a_failed_set_up_leaves_nothing_that_looks_ready(clone, with_uv):
    done = make(clone, "report", path=with_uv, UV_FAILS="2")
    assert done.returncode != 0
    assert "asked" not in done.stdout
    assert not list(clone.glob(".venv*"))
    assert echoed(make(clone, "report", path=with_uv))["asked"] == ["report"]


def test_nothing_of_a_half_made_environment_is_kept(clone, with_uv):
    (clone / ".venv" / "lib").mkdir(parents=True)
    (clone / ".venv" / "lib" / "half").touch()
    assert echoed(make(clone, "report", path=with_uv))["asked"] == ["report"]
    assert not (clone / ".venv" / "lib" / "half").exists()


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_set_up_is_begun_again(clone, with_uv, calls, sign):
    running = subprocess.Popen(
        [shutil.which("make"), "report"],
        cwd=clone,
        env=environment(with_uv, UV_TAKES="30"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        # Tests that run in the background are deaf to Ctrl-C, and so would make be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    wait_until(lambda: os.path.exists(os.environ["CALLS"]))  # uv has begun
    os.killpg(running.pid, sign)
    assert running.wait(timeout=60) != 0
    if sign != signal.SIGKILL:
        wait_until(lambda: not list(clone.glob(".venv*")))
    assert echoed(make(clone, "report", path=with_uv))["asked"] == ["report"]
    assert calls()[-2:] == ["venv", "pip"]


def test_two_makes_at_once_set_up_one_environment(clone, with_uv, calls):
    both = [
        subprocess.Popen(
            [shutil.which("make"), "report"],
            cwd=clone,
            env=environment(with_uv, UV_TAKES="1"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(2)
    ]
    said = b""
    for running in both:
        out, err = running.communicate(timeout=60)
        assert running.returncode == 0
        assert json.loads(out)["asked"] == ["report"]
        said += err
    assert calls() == ["venv", "pip"]
    assert said.count(b"Waiting") == said.count(b"Setting up") == 1


@pytest.mark.parametrize(
    ("python", "found"),
    [
        (None, "not found"),
        ("#!/bin/sh\ntest $1 = --version && echo Python 3.9.2\n", "Python 3.9.2"),
        ("#!/bin/sh\ncase $2 in *ensurepip*) exit 1; esac\n", "no venv module"),
    ],
)
def test_what_is_missing_is_said_in_one_line(clone, bare_path, python, found):
    if python:
        script(bare_path / "python3", python)
    done = make(clone, "report", path=bare_path)
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(said) == 1
    assert found in said[0]
    assert "install" in said[0]
    assert not list(clone.glob(".venv*"))


@pytest.mark.slow
def test_without_uv_the_environment_is_made_by_pip(clone, bare_path):
    (bare_path / "python3").symlink_to(os.path.realpath(sys.executable))
    assert echoed(make(clone, "report", path=bare_path))["asked"] == ["report"]
    assert (clone / ".venv" / "bin" / "pip").exists()
    # A version that nobody has: the set-up fails, and leaves no half of an environment.
    (clone / "requirements.lock").write_text(
        f"clusterpolicy==99 --hash=sha256:{'0' * 64}\n", encoding="utf-8"
    )
    done = make(clone, "report", path=bare_path, PIP_NO_INDEX="1", PIP_NO_INPUT="1")
    assert "asked" not in done.stdout
    assert not list(clone.glob(".venv*"))


# ---- With the real study -----------------------------------------------------------------------


def test_a_term_that_is_not_one_stops_at_once_and_names_the_three(root):
    done = make(root, "report", "TERM=4", f"PYTHON={sys.executable}")
    said = [line for line in done.stderr.splitlines() if not line.startswith("make")]
    assert done.returncode != 0
    assert len(said) == 1
    assert all(allowed in said[0] for allowed in ("1", "2", "3", "4", "term"))


@pytest.mark.slow
def test_lab_opens_on_the_notebooks_with_the_plain_kernel(root, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lab = subprocess.Popen(
        [
            shutil.which("make"),
            "lab",
            f"PYTHON={sys.executable}",
            f"LAB_ARGS=--no-browser --allow-root --port={port} --IdentityProvider.token=test",
        ],
        cwd=root,
        env=environment(JUPYTER_RUNTIME_DIR=str(tmp_path), JUPYTER_CONFIG_DIR=str(tmp_path)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        wait_until(lambda: answer(port, "api/kernelspecs"), seconds=60)
        assert answer(port, "api/kernelspecs")["default"] == "python3"
        listed = {entry["name"] for entry in answer(port, "api/contents")["content"]}
        assert {path.name for path in (root / "notebooks").glob("*.ipynb")} <= listed
        assert listed
    finally:
        os.killpg(lab.pid, signal.SIGKILL)
        lab.wait(timeout=60)


def answer(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}?token=test") as reply:
            return json.load(reply)
    except urllib.error.URLError:
        return None


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
