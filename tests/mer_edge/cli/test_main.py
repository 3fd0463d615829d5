import subprocess
import sys

import pytest

import mer_edge.cli.main as cli
from mer_edge import __version__
from mer_edge.errors import NO_MEMORY, MerEdgeError


def mer_edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mer_edge", *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_help_names_every_command_and_loads_no_stage():
    code = (
        "import sys, contextlib\n"
        "from mer_edge.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "heavy = {'numpy', 'torch', 'av', 'cv2', 'rich', 'train', 'export', 'runtime'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in cli.COMMANDS:
        assert name in ran.stdout


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_help_of_each_command_loads_nothing_heavy(name):
    code = (
        "import sys, contextlib\n"
        "from mer_edge.cli.main import main\n"
        f"with contextlib.suppress(SystemExit): main([{name!r}, '--help'])\n"
        "heavy = {'torch', 'transformers', 'av', 'cv2', 'onnxruntime', 'onnx', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert f"mer-edge {name}" in ran.stdout


def test_version_and_usage_errors():
    assert mer_edge("--version").stdout == f"mer-edge {__version__}\n"
    for arguments in ((), ("frobnicate",), ("infer",)):
        ran = mer_edge(*arguments)
        assert ran.returncode == 2
        assert "Traceback" not in ran.stderr
    assert "invalid choice: 'frobnicate'" in mer_edge("frobnicate").stderr


def test_closed_streams_are_no_traceback():
    code = (
        "import sys\n"
        "sys.stdout = None\n"  # what Python makes of a closed one
        "from mer_edge.cli.main import main\n"
        "print(main(['infer', 'nowhere', 'clip.mp4', '--json']), file=sys.stdout)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr.count("\n")) == (0, 1), ran.stderr
    assert ran.stderr.startswith("error: nowhere: nothing is there; expected a bundle")


class Failing:
    def __init__(self, error: BaseException) -> None:
        self.error = error

    @staticmethod
    def configure(parser):
        pass

    def run(self, args):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            MerEdgeError("a.mp4: broken;\n copy it again"),
            2,
            "error: a.mp4: broken; copy it again\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (MemoryError(), 2, f"error: mer-edge: {NO_MEMORY}\n"),
        (RuntimeError("can't start new thread"), 2, f"error: mer-edge: {NO_MEMORY}\n"),
    ],
)
def test_errors_become_one_line_and_an_exit_code(monkeypatch, capsys, error, code, message):
    monkeypatch.setattr(cli, "load_command", lambda command: Failing(error))
    assert cli.main(["doctor"]) == code
    assert capsys.readouterr().err == message
