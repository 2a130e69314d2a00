"""Images of Debian packages, made of this machine's own installed ones: where tests run, nothing can be pulled."""

import os
import pathlib
import re
import subprocess
import tarfile

SKIPPED = ("/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/lintian/")
# What every package expects to be there without saying so, as far as servers need it.
ESSENTIAL = ["bash", "coreutils", "dash", "findutils", "grep", "sed"]
# Large, and for what servers here are not asked: compiling queries, and scripts of the package's own.
LEFT_OUT = re.compile(r"libllvm\d|(lib)?perl|python3|debconf|adduser|systemd")
USERS = "root:x:0:0:root:/root:/bin/bash\npostgres:x:70:0:postgres:/:/bin/bash\n"
FIELDS = "${Package}\t${Depends}, ${Pre-Depends}\t${Provides}\n"


def installed():
    """What each installed package needs, by its name and by the names that it provides."""
    needs = {}
    for line in subprocess.check_output(["dpkg-query", "-W", "-f", FIELDS], text=True).splitlines():
        package, depends, provides = line.split("\t")
        for name in [package, *re.findall(r"[a-z0-9][a-z0-9.+-]+(?=\s*(?:,|\(|$))", provides)]:
            needs.setdefault(name, (package, depends))
    return needs


def with_all_they_need(packages):
    """The packages and everything below them; of alternatives the first that is installed."""
    needs, found, waiting = installed(), set(), list(packages)
    for package in packages:
        if package not in needs:
            raise SystemExit(f"the Debian package {package} is not installed; `make tools-deploy` installs it")
    while waiting:
        package, depends = needs[waiting.pop()]
        if package in found or LEFT_OUT.match(package):
            continue
        found.add(package)
        for wanted in depends.split(","):
            names = [re.split(r"[\s:(]", one.strip())[0] for one in wanted.split("|")]
            waiting += [name for name in names if name in needs][:1]
    return sorted(found)


def files_of(packages):
    """Their files, each by the one path that leads to it: /bin is /usr/bin here."""
    listed = subprocess.check_output(["dpkg-query", "-L", *packages], text=True).splitlines()
    paths = set()
    for path in listed:
        if path.startswith("/") and path != "/." and os.path.lexists(path) and not path.startswith(SKIPPED):
            folder, name = os.path.split(path)
            paths.add(os.path.join(os.path.realpath(folder), name))
    return sorted(paths | {"/bin", "/sbin", "/lib", "/lib64", "/etc/alternatives"})


def write_root(packages, archive):
    """Writes the root file system of these packages as a tar archive."""
    with tarfile.open(archive, "w") as tar:
        for path in files_of(with_all_they_need([*ESSENTIAL, *packages])):
            if os.path.lexists(path):
                tar.add(path, recursive=path == "/etc/alternatives")


def containerfile(folder, packages, lines, files=()):
    """Writes a build context of these packages, files of one's own ((path, text) each), and more lines."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    write_root(packages, folder / "root.tar")
    copies = []
    for number, (path, text) in enumerate([("/etc/passwd", USERS), *files]):
        (folder / f"file{number}").write_text(text)
        (folder / f"file{number}").chmod(0o755)
        copies.append(f"COPY file{number} {path}")
    text = "\n".join(["FROM scratch", "ADD root.tar /", *copies, *lines])
    (folder / "Containerfile").write_text(text + "\n")
    return folder
