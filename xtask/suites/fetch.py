"""Gets what the suites are made of, each by the package client that it is published for, once."""

import os
import pathlib
import shutil
import subprocess
import tarfile


def from_pip(folder, package, needs):
    """A source release of PyPI, with its tests, and an environment that has what they need."""
    tree = folder / package.replace("==", "-")
    python = folder / "venv" / "bin" / "python"

    def fetch():
        _run(["python3", "-m", "venv", folder / "venv"])
        pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        _run([*pip, "install", *needs])
        _run([*pip, "download", "--no-deps", "--no-binary", ":all:", "--dest", folder, package])
        _unpack(tree.with_name(tree.name + ".tar.gz"), folder)

    _once(tree, fetch)
    return tree, python


def from_npm(folder, package):
    """A package of npm whose archive has its tests, with what they need installed in it."""
    tree = folder / "package"

    def fetch():
        npm = ["npm", "--silent", "--no-audit", "--no-fund"]
        _run([*npm, "pack", package], cwd=folder)
        _unpack(folder / (package.replace("@", "-") + ".tgz"), folder)
        _run([*npm, "install", "--ignore-scripts"], cwd=tree)

    _once(tree, fetch)
    return tree


def from_debian(folder, package, upstream, version):
    """What upstream has released, as Debian's source packages hold it. Archives of sources need not be set up."""
    tree = folder / f"{upstream}-{version}"

    def fetch():
        apt = ["apt-get", "--quiet=2", "-o", "APT::Sandbox::User=root"]
        for setting, place in (("Dir::State::Lists", "lists"), ("Dir::Cache", "cache"), ("Dir::Etc::SourceParts", "from")):
            (folder / place / "partial").mkdir(parents=True)
            apt += ["-o", f"{setting}={folder / place}"]
        apt += ["-o", "Dir::Etc::SourceList=/dev/null"]
        _write_sources(folder / "from")
        # One of several archives may have no sources; then the others have what is asked for, or the next line fails.
        subprocess.run([*apt, "update"], check=False, stderr=subprocess.DEVNULL)
        _run([*apt, "source", "--download-only", package], cwd=folder)
        (archive,) = folder.glob(f"*_{version}*.orig.tar.*")
        _unpack(archive, folder)

    _once(tree, fetch)
    return tree


def _write_sources(folder):
    """The archives that this machine has its packages from, as archives of sources."""
    etc = pathlib.Path("/etc/apt")
    for path in [etc / "sources.list", *(etc / "sources.list.d").glob("*")]:
        if path.is_file():
            lines = path.read_text().splitlines()
            sources = (line.replace("deb ", "deb-src ", 1) if line.startswith("deb ") else line for line in lines)
            sources = ("Types: deb-src" if line.startswith("Types:") else line for line in sources)
            (folder / path.name).write_text("\n".join(sources) + "\n")


def _once(tree, fetch):
    """What was fetched halfway is not there: the folder comes by its name when it is whole."""
    if tree.exists():
        return
    shutil.rmtree(tree.parent, ignore_errors=True)
    tree.parent.mkdir(parents=True)
    try:
        fetch()
    except BaseException:
        shutil.rmtree(tree.parent, ignore_errors=True)
        raise


def _unpack(archive, folder):
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")


def _run(command, cwd=None):
    subprocess.run([os.fspath(word) for word in command], cwd=cwd, check=True, stdout=subprocess.DEVNULL)
