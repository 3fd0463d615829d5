import re
import subprocess

from mer_edge.checkout import commit


def test_the_commit_is_that_of_the_checkout(tmp_path):
    (tmp_path / "code.py").write_text("")
    assert commit(tmp_path) == ""

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    git("tag", "v1")
    assert re.fullmatch(r"[0-9a-f]{40}", commit(tmp_path))
    (tmp_path / "new.py").write_text("not tracked")
    assert re.fullmatch(r"[0-9a-f]{40}", commit(tmp_path))
    (tmp_path / "code.py").write_text("changed")
    assert re.fullmatch(r"[0-9a-f]{40}-dirty", commit(tmp_path))


def test_an_installed_package_in_a_foreign_repository_has_no_commit(tmp_path):
    (tmp_path / ".git").mkdir()
    (tmp_path / "site-packages").mkdir()
    assert commit(tmp_path / "site-packages") == ""
    assert commit(tmp_path) == ""  # nor has a damaged one
