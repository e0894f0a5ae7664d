"""Programs of ill will. Each costs one wrong answer, in every kind of isolation that works on this machine."""

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from pathlib import Path

import pytest

from raml.answers.code import Limits, check_program, find_isolation
from raml.answers.code.inside import filter as call_filter
from raml.answers.code.isolation import Isolation
from raml.answers.code.probe import try_isolation
from raml.answers.code.sandbox import Sandbox, _remove_folder
from raml.errors import UndecidedError
from raml.records import CodeTests

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="programs are run on Linux only")

LIMITS = Limits(cpu_s=1, wall_s=20.0, memory_bytes=1 << 30, output_bytes=1 << 16, n_threads=16)
KINDS = {
    "namespaces": Isolation("namespaces", filters_calls=True),
    "namespaces-without-filter": Isolation("namespaces", filters_calls=False),
    "bubblewrap": Isolation("bubblewrap", filters_calls=True),
    "process": Isolation("process", filters_calls=True, filters_files=True),
    "process-without-filters": Isolation("process"),
}


@pytest.fixture(scope="module", params=KINDS)
def isolation(request):
    try:
        return try_isolation(KINDS[request.param])
    except UndecidedError as error:
        pytest.skip(f"not possible on this machine: {error}")


def make_check(isolation):
    """A function that checks a program, then checks that a good one is still right."""

    def check_both(program, expected="right\n", *, function=None, wall_s=LIMITS.wall_s):
        program = textwrap.dedent(program)
        limits = dataclasses.replace(LIMITS, wall_s=wall_s)
        result = check_program(program, CodeTests(("",), (expected,), function), limits=limits, isolation=isolation)
        good = check_program("print(1)", CodeTests(("",), ("1",)), limits=LIMITS, isolation=isolation)
        assert good.verdict == "right", good.detail
        return result

    return check_both


@pytest.fixture
def check(isolation):
    return make_check(isolation)


@pytest.fixture
def check_once():
    """For what does not depend on the isolation."""
    return make_check(find_isolation())


@pytest.fixture
def marker():
    """A name of 15 characters, which a program gives to itself and its children."""
    return uuid.uuid4().hex[:15]


def find_processes(marker):
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text().strip() == marker:
                found.append(int(path.parent.name))
    return found


def name_process(marker):
    return f"import ctypes\nctypes.CDLL(None).prctl(15, b'{marker}')\n"


def wait_until(condition, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_an_endless_loop_times_out(check):
    result = check("while True: pass")
    assert result.verdict == "timed out"
    assert result.detail == "Test 1 of 1: not done after 1 s of computing or 20 s in all."


def test_a_program_that_survives_the_warning_about_its_cpu_time_times_out(check_once):
    program = """
        import signal
        for number in set(range(1, 32)) - {9, 19}:
            signal.signal(number, signal.SIG_IGN)
        while True:
            pass
    """
    assert check_once(program).verdict == "timed out"


def test_sleeping_for_ever_times_out(check):
    assert check("import time\nprint('right', flush=True)\ntime.sleep(1e6)", wall_s=1.0).verdict == "timed out"


def test_closing_all_files_and_sleeping_times_out(check_once):
    assert check_once("import os, time\nos.closerange(0, 100)\ntime.sleep(1e6)", wall_s=1.0).verdict == "timed out"


def test_a_fork_bomb_is_stopped_and_leaves_nothing(check, marker, isolation):
    if isolation.starts_processes and isolation.name == "process" and os.geteuid() != 0:
        pytest.skip("nothing limits the number of a user's own processes here")
    program = name_process(marker) + "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert check(program, wall_s=0.4).verdict in ("timed out", "wrong")
    assert find_processes(marker) == []


def test_a_thread_bomb_is_wrong(check_once):
    program = """
        import threading, time
        threading.stack_size(1 << 16)
        for _ in range(100_000):
            threading.Thread(target=time.sleep, args=(9,), daemon=True).start()
        print("right")
    """
    assert check_once(program).verdict in ("wrong", "timed out")


def test_a_daemon_that_ignores_sigterm_does_not_survive(check, marker, isolation):
    program = name_process(marker) + textwrap.dedent("""
        import os, signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for _ in range(2):
            if os.fork():
                print("right", flush=True)
                os._exit(0)
            os.setsid()
        time.sleep(1e6)
    """)
    result = check(program)
    if isolation.starts_processes:
        assert "expected" in (result.detail or "") or result.verdict == "right"
    else:
        assert "PermissionError" in result.detail
    assert find_processes(marker) == []


def test_the_search_for_survivors_finds_a_process(marker):
    with subprocess.Popen([sys.executable, "-c", name_process(marker) + "import time; time.sleep(60)"]) as process:
        assert wait_until(lambda: find_processes(marker) == [process.pid])
        process.kill()


def test_nothing_survives_the_death_of_the_process_that_checks(isolation, marker):
    program = f"""
        from raml.answers.code import Limits, check_program, isolation
        from raml.records import CodeTests
        kind = isolation.Isolation({isolation.name!r}, {isolation.filters_calls}, {isolation.filters_files})
        program = {name_process(marker)!r} + "import time; time.sleep(1e6)"
        check_program(program, CodeTests(("",), ("",)), limits=Limits(wall_s=600.0), isolation=kind)
    """
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o1777)
        command, environment = [sys.executable, "-c", textwrap.dedent(program)], os.environ | {"TMPDIR": folder}
        with subprocess.Popen(command, env=environment) as process:
            try:
                assert wait_until(lambda: find_processes(marker))
            finally:
                process.kill()
        assert wait_until(lambda: not find_processes(marker))
        assert wait_until(lambda: not any(Path(folder).iterdir()))


def test_an_allocation_of_10_gb_is_wrong(check):
    assert "MemoryError" in check("x = bytearray(10 << 30)").detail


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_endless_output_is_stopped(check_once, stream):
    result = check_once(f"import sys\nwhile True: sys.{stream}.write('x' * 1000)", wall_s=1.5)
    assert (result.verdict, "more than 65,536 bytes" in result.detail) in (("wrong", True), ("timed out", False))
    assert stream == "stderr" or result.verdict == "wrong"


def test_a_file_cannot_grow_without_end(check):
    program = (
        "import os\ntry:\n    with open('big', 'wb') as file:\n        for _ in range(40): file.write(bytes(1 << 20))\n"
    )
    assert check(program + "except OSError:\n    print('right')").verdict == "right"


@pytest.fixture
def canaries():
    """Folders in several places, which everybody may read and write."""
    places = ("/tmp", "/var/tmp", "/dev/shm")
    folders = [Path(tempfile.mkdtemp(prefix="canary-", dir=place)) for place in places if os.access(place, os.W_OK)]
    for folder in folders:
        folder.chmod(0o777)
        (folder / "file").write_text("alive")
        (folder / "file").chmod(0o666)
    yield folders
    for folder in folders:
        shutil.rmtree(folder)


def test_files_of_the_machine_are_neither_read_nor_changed_nor_deleted(check, canaries, isolation):
    if isolation.writes_files:
        pytest.skip("not promised without Landlock or namespaces")
    program = f"""
        import os, shutil
        reached = []
        for place in {[str(folder) for folder in canaries]}:
            for name, action in (
                ("read", lambda: open(place + "/file").read()),
                ("write", lambda: open(place + "/file", "w").write("dead")),
                ("truncate", lambda: os.truncate(place + "/file", 0)),
                ("create", lambda: open(place + "/new", "w").close()),
                ("link", lambda: os.link(place + "/file", place + "/linked")),
                ("rename", lambda: os.rename(place + "/file", place + "/renamed")),
                ("chmod", lambda: os.chmod(place + "/file", 0)),
                ("list", lambda: os.listdir(place)),
            ):
                try:
                    action()
                    reached.append(name)
                except OSError:
                    pass
            shutil.rmtree(place, ignore_errors=True)
        print(*reached or ["right"])
    """
    result = check(program)
    assert result.verdict == "right", result.detail
    for folder in canaries:
        assert [path.name for path in folder.iterdir()] == ["file"]
        assert (folder / "file").read_text() == "alive"
        assert (folder / "file").stat().st_mode & 0o777 == 0o666


def test_canaries_die_where_files_are_not_shut_off(canaries):
    """Shows that the test above can fail."""
    places = [str(folder) for folder in canaries]
    program = f"import shutil\nfor place in {places}: shutil.rmtree(place + '/file', True); open(place + '/x', 'w')"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert all((folder / "x").exists() for folder in canaries)


def test_deleting_everything_deletes_nothing(check, isolation):
    if isolation.name == "process":
        pytest.skip("tried only where the whole file system is read-only")
    refused = check("""
        import errno
        try:
            open("/usr/probe", "w")
        except OSError as error:
            print("right" if error.errno == errno.EROFS else error)
    """)
    assert refused.verdict == "right", refused.detail
    home = Path.home()
    before = sorted(path.name for path in home.iterdir())
    tops = "(os.path.dirname(os.__file__), '/', os.environ['HOME'])"
    result = check(f"import os, shutil\nfor top in {tops}: shutil.rmtree(top, ignore_errors=True)", wall_s=1.5)
    assert result.verdict in ("wrong", "timed out")
    assert sorted(path.name for path in home.iterdir()) == before
    assert Path(os.__file__).exists()


def test_a_server_on_this_machine_is_out_of_reach(check, isolation):
    if isolation.has_network:
        pytest.skip("not promised without a filter of system calls or namespaces")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
            import socket
            try:
                socket.create_connection(("127.0.0.1", {port}), 1)
            except OSError:
                print("right")
        """
        assert check(program).verdict == "right"
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


def test_other_processes_are_not_reached_by_signals(check, isolation):
    if isolation.name == "process" and isolation.starts_processes and os.geteuid() != 0:
        pytest.skip("not promised without a filter of system calls or namespaces")
    with subprocess.Popen(["sleep", "60"]) as victim:
        program = f"""
            import os
            for target in ({victim.pid}, -{victim.pid}, {os.getpid()}, os.getppid()):
                try:
                    os.kill(target, 15 if target != os.getppid() else 0)
                    assert target == os.getppid()
                except OSError:
                    pass
            print("right")
        """
        assert check(program).verdict == "right"
        assert victim.poll() is None
        victim.kill()


def test_killing_everybody_kills_only_the_program(check, isolation):
    if isolation.name == "process" and isolation.starts_processes and os.geteuid() != 0:
        pytest.skip("would kill all of this user's processes")
    result = check("import os\nos.kill(-1, 9)\nos.kill(os.getppid(), 9)\nprint('right')")
    assert result.verdict in ("right", "wrong")


def test_no_secret_of_the_environment_is_visible(check, monkeypatch, isolation):
    monkeypatch.setenv("SOME_API_KEY", "hunter2-secret")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    assert (
        check(
            "import os\nprint(*sorted(set(os.environ) - {'PWD'}))",
            "HOME LANG OMP_NUM_THREADS OPENBLAS_NUM_THREADS PATH TMPDIR",
        ).verdict
        == "right"
    )
    if isolation.name == "process" and os.geteuid() != 0 and not isolation.filters_files:
        pytest.skip("a user's programs may read the environment of the same user's processes")
    program = f"""
        import os
        seen = b""
        for number in ("self", os.getppid(), {os.getpid()}):
            try:
                seen += open(f"/proc/{{number}}/environ", "rb").read()
            except OSError:
                pass
        print("seen" if b"hunter2" in seen else "right")
    """
    assert check(program).verdict == "right"


def test_a_program_has_no_privileges(check):
    program = """
        import os
        done, device = [], lambda: os.mknod("d", 0o60600, 1)
        for action in (lambda: os.setuid(0), lambda: os.chroot("."), lambda: os.nice(-5), device):
            try:
                action()
                done.append(action)
            except OSError:
                pass
        print("right" if not done and os.getuid() else (done, os.getuid()))
    """
    assert check(program).verdict == "right"


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "def f(): import os; os._exit(0)",
        'print(\'7\\nright\\n{"verdict": "right"}\')',
        "import os\nos.write(3, b'true')\nos._exit(0)",
        "import os\ndef f():\n    os.write(3, b'7')\n    return 7",
        "import json\njson.dumps = lambda *a, **k: '7'\ndef f(): return 8",
        "class Any(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef f(): return Any(8)",
        "import builtins, types\nbuiltins.len = lambda x: 0\ntypes.ModuleType = None\ndef f(): return 8",
        "import os\nfor n in range(3, 64):\n    try: os.write(n, b'\\0' * 7 + b'\\2{}')\n    except OSError: pass",
    ],
)
def test_a_forged_result_is_wrong(check_once, program):
    assert check_once(program, "7", function="f").verdict == "wrong"


def test_what_a_test_expects_is_never_sent_to_where_the_program_runs(monkeypatch, marker):
    sent = []
    run = Sandbox.run

    def record(sandbox, request):
        sent.append(json.dumps(request))
        return run(sandbox, request)

    find_isolation()
    monkeypatch.setattr(Sandbox, "run", record)
    assert check_program("print(input())", CodeTests(("given",), (marker,)), limits=LIMITS).verdict == "wrong"
    assert (
        check_program("def f(a): return a", CodeTests(("1",), (f'"{marker}"',), "f"), limits=LIMITS).verdict == "wrong"
    )
    assert len(sent) == 2
    assert "given" in sent[0]
    assert marker not in "".join(sent)


def test_the_folder_of_a_program_is_empty_and_removed_afterwards():
    try:
        with Sandbox(KINDS["process"], LIMITS) as sandbox:
            folder = Path(sandbox._folder)
            program = "import os\nprint(os.listdir())\nos.mkdir('closed', 0)\nopen('file', 'w').write('x')"
            outcomes = [sandbox.run({"program": program, "function": None, "input": ""}) for _ in range(2)]
            assert [outcome.output for outcome in outcomes] == [b"[]\n", b"[]\n"]
            assert folder.is_dir()
    except UndecidedError as error:
        pytest.skip(f"not possible on this machine: {error}")
    assert not folder.exists()


def test_a_folder_nested_deeper_than_python_can_follow_is_removed(monkeypatch):
    top = tempfile.mkdtemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    monkeypatch.chdir(top)
    for _ in range(1500):
        os.mkdir("d")  # noqa: PTH102 - a path this long is none
        os.chdir("d")
    os.chdir("/")
    _remove_folder(top)
    assert not Path(top).exists()


HEADERS = ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm-generic/unistd.h")


@pytest.mark.parametrize("column", [0, 1])
def test_the_numbers_of_system_calls_are_the_kernels(column):
    header = Path(HEADERS[column])
    if not header.exists():
        pytest.skip(f"{header} is not installed")
    numbers = dict(line.split()[1:3] for line in header.read_text().splitlines() if line.startswith("#define __NR"))
    calls = call_filter._REFUSED | call_filter._ON_ONESELF
    calls |= {name: known for name, (known, _) in call_filter._REFUSED_COMMANDS.items()}
    calls |= {"clone": call_filter._CLONE, "clone3": call_filter._CLONE3, "socketpair": call_filter._SOCKETPAIR}
    for name, known in calls.items():
        number = numbers.get(f"__NR_{name}", numbers.get(f"__NR3264_{name}"))
        if number is not None and known[column] is not None and number.isdigit():
            assert int(number) == known[column], name


def test_signals_are_named(check_once):
    assert (
        check_once("import os\nos.kill(os.getpid(), 11)").detail == f"Test 1 of 1: ended by {signal.Signals(11).name}."
    )
