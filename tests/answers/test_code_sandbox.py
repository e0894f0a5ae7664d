"""The process that runs programs: what it keeps from test to test, whom it becomes, and what it leaves behind."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

import pytest

from raml.answers import code
from raml.answers.code import Limits, check_program, isolation
from raml.answers.code.isolation import User
from raml.answers.code.probe import try_isolation
from raml.answers.code.processes import list_processes
from raml.answers.code.sandbox import Outcome, Sandbox
from raml.errors import UndecidedError
from raml.records import CodeTests

from .test_code_hostile import KINDS, LIMITS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(scope="module", params=KINDS)
def kind(request):
    try:
        return try_isolation(KINDS[request.param])
    except UndecidedError as error:
        pytest.skip(f"not possible on this machine: {error}")


def write_request(program):
    return {"program": textwrap.dedent(program), "function": None, "input": ""}


@needs_root
@pytest.mark.parametrize("taken", [0, 1 << 2])
def test_of_the_privileges_to_keep_those_that_a_container_lacks_are_left_out(taken):
    program = f"""
        import sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(code.__file__).parent)!r})
        from inside import kernel

        def read_permitted():
            return int(Path("/proc/self/status").read_text().split("CapPrm:")[1].split()[0], 16) & 0xFFFFFFFF

        kernel.drop_privileges(None, keep=read_permitted() & ~{taken})
        left = read_permitted()
        kernel.drop_privileges(2_100_000_000, keep=1 << 2)
        print("right" if read_permitted() == left & 1 << 2 else read_permitted())
    """
    command = [sys.executable, "-I", "-S", "-c", textwrap.dedent(program)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "right\n"


def test_a_user_is_given_to_one_sandbox_only_among_all_processes_until_it_is_released(monkeypatch):
    first = 2_100_000_000 + os.getpid()
    monkeypatch.setattr(isolation, "_find_users", lambda: range(first, first + 2))
    users = [User(), User()]
    try:
        assert {user.uid for user in users} == {first, first + 1}
        with pytest.raises(OSError, match="no user is free among 2"):
            User()
        program = f"""
            from raml.answers.code import isolation
            isolation._find_users = lambda: range({first}, {first + 2})
            try:
                isolation.User()
            except OSError:
                print("held")
        """
        command = [sys.executable, "-c", textwrap.dedent(program)]
        assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "held\n"
        users.pop().release()
        users.append(User())
        assert len({user.uid for user in users}) == 2
    finally:
        for user in users:
            user.release()


@needs_root
def test_the_end_of_one_program_does_not_end_another_that_runs(kind, monkeypatch):
    first = 2_100_000_000 + os.getpid()
    monkeypatch.setattr(isolation, "_find_users", lambda: range(first, first + 2))
    outcomes = []
    with Sandbox(kind, LIMITS) as sandbox:
        slow = write_request("import time\ntime.sleep(0.6)\nprint('right')")
        thread = threading.Thread(target=lambda: outcomes.append(sandbox.run(slow)))
        thread.start()
        for _ in range(2):
            result = check_program("print(1)", CodeTests(("",), ("1",)), limits=LIMITS, isolation=kind)
            assert result.verdict == "right"
        thread.join()
    assert [outcome.output for outcome in outcomes] == [b"right\n"]


def test_nothing_that_a_test_writes_anywhere_is_there_in_the_next_one(kind):
    program = """
        import os

        top, own = os.environ["HOME"], os.getcwd()
        found = []
        for name in ("file", "blind", "blind/file", "closed", "link", "7"):
            if os.path.lexists(f"{top}/{name}"):
                found.append(name)
        left = [name for name in os.listdir(top) if len(name) == 32 and name not in own]
        open(top + "/file", "w").close()
        os.mkdir(top + "/blind", 0o300)
        open(top + "/blind/file", "w").close()
        os.mkdir(top + "/closed", 0)
        os.symlink("/usr", top + "/link")
        for number in range(20):
            os.mkdir(f"{top}/{number}")
        os.mkdir("shut")
        os.chdir("shut")
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        print(*found, *left)
    """
    tests = CodeTests(("",) * 3, ("",) * 3)
    result = check_program(textwrap.dedent(program), tests, limits=LIMITS, isolation=kind)
    assert (result.verdict, result.detail) == ("right", None)


def test_shared_memory_of_a_test_is_not_there_in_the_next_one(kind):
    if kind.name == "process":
        pytest.skip("without a namespace it would be the machine's")
    program = """
        import ctypes

        libc = ctypes.CDLL(None)
        print("found" if libc.shmget(7, 1, 0) >= 0 else "right")
        libc.shmget(7, 1, 0o1600)
    """
    tests = CodeTests(("",) * 2, ("right",) * 2)
    assert check_program(textwrap.dedent(program), tests, limits=LIMITS, isolation=kind).verdict == "right"


def test_packages_below_the_folder_that_programs_write_to_stay_when_it_is_emptied(kind, monkeypatch):
    if kind.name == "process":
        pytest.skip("programs have a folder of their own here")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        packages = Path(folder, "packages")
        packages.mkdir()
        (packages / "module.txt").write_text("seven")
        shown = [*isolation.find_shown_paths(), str(packages)]
        monkeypatch.setattr("raml.answers.code.sandbox.find_shown_paths", lambda: shown)
        monkeypatch.setattr("raml.answers.code.isolation.find_shown_paths", lambda: shown)
        program = f"""
            import os
            print(os.listdir({folder!r}), open({str(packages)!r} + "/module.txt").read())
            try:
                open({folder!r} + "/kept", "w").close()
            except OSError:
                pass
        """
        with Sandbox(kind, LIMITS) as sandbox:
            started = sandbox._process
            for _ in range(3):
                assert sandbox.run(write_request(program)).output == b"['packages'] seven\n"
            assert sandbox._process is started or not kind.filters_calls


def test_a_process_that_has_gone_between_two_tests_is_started_anew(kind):
    with Sandbox(kind, LIMITS) as sandbox:
        assert sandbox.run(write_request("print(1)")).output == b"1\n"
        if sandbox._process is not None:
            sandbox._process.kill()
            sandbox._process.wait()
        assert sandbox.run(write_request("print(2)")).output == b"2\n"


@pytest.fixture
def no_process(monkeypatch):
    """Sandboxes that start nothing; what each try comes to is up to the test."""

    def open_nothing(sandbox):
        sandbox._channel = io.BytesIO()

    monkeypatch.setattr(Sandbox, "_open", open_nothing)


GOOD, LOST = Outcome(timed_out=False, output=b"1"), Outcome(timed_out=False, lost=True)


@pytest.mark.parametrize(
    ("tries", "expected"),
    [
        ([GOOD], GOOD),
        ([None, GOOD], GOOD),
        ([LOST, GOOD], GOOD),
        ([LOST, LOST], LOST),
        ([None, LOST, GOOD], GOOD),
        ([LOST, None, LOST], LOST),
    ],
)
def test_a_test_counts_as_lost_only_if_it_was_so_twice_while_it_ran(monkeypatch, no_process, tries, expected):
    left = iter(tries)
    monkeypatch.setattr(Sandbox, "_try", lambda self, message: next(left))
    with Sandbox(KINDS["process"], LIMITS) as sandbox:
        assert sandbox.run({}) == expected


def test_a_process_that_ends_twice_before_a_test_has_begun_is_not_the_programs_fault(monkeypatch, no_process):
    monkeypatch.setattr(Sandbox, "_try", lambda self, message: None)
    with Sandbox(KINDS["process"], LIMITS) as sandbox, pytest.raises(UndecidedError, match="twice before the test"):
        sandbox.run({})


def test_what_cannot_be_sent_is_not_the_programs_fault(kind):
    nested = []
    for _ in range(5000):
        nested = [nested]
    with Sandbox(kind, LIMITS) as sandbox:
        with pytest.raises(UndecidedError, match="can't be sent"):
            sandbox.run({"entry": nested})
        assert sandbox.run(write_request("print(1)")).output == b"1\n"


def test_no_file_or_socket_sends_signals_or_messages_to_others_and_streams_work(kind):
    if not kind.filters_calls:
        pytest.skip("needs the filter of system calls")
    program = """
        import asyncio, errno, fcntl, os, socket, struct

        stream, other = socket.socketpair()
        pid = struct.pack("i", os.getpid())
        actions = {
            "F_SETOWN": lambda: fcntl.fcntl(stream, fcntl.F_SETOWN, os.getpid()),
            "F_SETSIG": lambda: fcntl.fcntl(stream, fcntl.F_SETSIG, 9),
            "F_SETOWN_EX": lambda: fcntl.fcntl(stream, 15, struct.pack("i", 1) + pid),
            "FIOSETOWN": lambda: fcntl.ioctl(stream, 0x8901, pid),
            "SIOCSPGRP": lambda: fcntl.ioctl(stream, 0x8902, pid),
            "datagrams": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
            "packets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET),
        }
        for name, action in actions.items():
            try:
                action()
                print(name)
            except OSError as error:
                if error.errno != errno.EPERM:
                    print(name, error)
        fcntl.fcntl(stream, fcntl.F_SETFL, fcntl.fcntl(stream, fcntl.F_GETFL) | os.O_NONBLOCK)
        stream.send(b"right")
        print(other.recv(5).decode(), asyncio.run(asyncio.sleep(0, "right")))
    """
    tests = CodeTests(("",), ("right right",))
    result = check_program(textwrap.dedent(program), tests, limits=LIMITS, isolation=kind)
    assert (result.verdict, result.detail) == ("right", None)


@needs_root
def test_whatever_a_sandboxs_user_still_runs_ends_with_it():
    try:
        sandbox = Sandbox(KINDS["process"], LIMITS)
    except UndecidedError as error:
        pytest.skip(f"not possible on this machine: {error}")
    users = [sandbox._user.uid, sandbox._user.uid - 1]
    with contextlib.ExitStack() as stack:
        sleepers = [
            stack.enter_context(subprocess.Popen(["/bin/sleep", "60"], user=user, start_new_session=True))
            for user in users
        ]
        sandbox.close()
        sleepers[0].wait(5.0)
        assert sleepers[1].poll() is None
        sleepers[1].kill()


def test_all_processes_of_a_sandbox_are_reaped_by_their_parents(kind):
    """A subreaper, like the first process of a container, gets the children of processes that did not reap them."""
    program = f"""
        import ctypes, os, sys
        ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
        from raml.answers.code import Limits, isolation
        from raml.answers.code.inside.frames import send_json
        from raml.answers.code.sandbox import Sandbox
        kind = isolation.Isolation({kind.name!r}, {kind.filters_calls}, {kind.filters_files})
        def request(program):
            return dict(program=program, function=None, input="")
        for _ in range(2):
            sandbox = Sandbox(kind, Limits(wall_s=0.2))
            sandbox.run(request("print(1)"))
            sandbox.run(request("import time; time.sleep(60)"))
            sandbox.close()
        sandbox = Sandbox(kind, Limits())
        send_json(sandbox._channel, request("import time; time.sleep(60)"))  # and nobody waits for it
        sandbox.close()
        try:
            print(os.waitpid(-1, os.WNOHANG))
        except ChildProcessError:
            print("none")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "none\n"


@pytest.fixture
def busy_cpu():
    """One CPU, on which this thread and all that it starts compete with four others."""
    if Path("/proc/self/schedstat").read_text().split()[2] == "0":
        pytest.skip("the kernel does not measure how long processes wait")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    with contextlib.ExitStack() as stack:
        command = [sys.executable, "-I", "-S", "-c", "while True: pass"]
        # Sessions of their own: the kernel may share a CPU out by session.
        competitors = [stack.enter_context(subprocess.Popen(command, start_new_session=True)) for _ in range(4)]
        yield
        os.sched_setaffinity(0, before)
        for competitor in competitors:
            competitor.kill()


def test_seconds_in_which_a_program_waits_for_a_cpu_do_not_count(kind, busy_cpu):
    limits = Limits(cpu_s=5, wall_s=0.3)
    program = "import time\nwhile time.process_time() < 0.2: pass\nprint('right')"
    result = check_program(program, CodeTests(("",), ("right",)), limits=limits, isolation=kind)
    assert (result.verdict, result.detail) == ("right", None)


def test_a_program_gets_no_more_than_five_times_its_seconds_back(kind, monkeypatch):
    monkeypatch.setattr("raml.answers.code.sandbox.measure_delay", lambda *ids: 1e6)
    with Sandbox(kind, Limits(wall_s=0.1)) as sandbox:
        outcome = sandbox.run(write_request("import time\ntime.sleep(60)"))
    assert outcome.timed_out
    assert 0.5 <= outcome.wall_s < 10


def test_the_list_of_processes_holds_this_one_and_tells_those_that_have_ended():
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        processes = {found.id: found for found in list_processes()}
        assert processes[process.pid].has_ended
        assert processes[process.pid].parent_id == os.getpid()
    own = processes[os.getpid()]
    assert (own.parent_id, own.uid, own.has_ended) == (os.getppid(), os.getuid(), False)
