import subprocess
import sys

import pytest


@pytest.mark.parametrize("command", ["evaluate", "ablate"])
def test_help_loads_nothing_heavy(command):
    code = (
        "import sys, contextlib\n"
        "from mer_edge.cli.main import main\n"
        f"with contextlib.suppress(SystemExit): main(['{command}', '--help'])\n"
        "heavy = {'torch', 'av', 'cv2', 'rich', 'sklearn', 'scipy', 'matplotlib', 'pyarrow'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--vary" in ran.stdout or "--against" in ran.stdout
