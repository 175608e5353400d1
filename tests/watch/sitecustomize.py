"""Writes down what a process and its children do to files and sockets, from their first moment.

Python imports this by itself where its folder is on ``PYTHONPATH``. The record is opened before
anything is watched, and written to by its number, so that it is not in it.
"""

import os
import sys

WRITES = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink",
          "os.truncate", "os.chmod", "os.chown", "os.utime", "shutil.rmtree")  # fmt: skip
OTHERS = ("os.chdir", "os.fchdir", "socket.connect", "socket.bind", "socket.sendto",
          "socket.getaddrinfo", "socket.gethostbyname")  # fmt: skip
IN_A_FOLDER = ("os.mkdir", "os.remove", "os.rmdir")  # that an open folder may be given for
RECORD = os.open(os.environ["WATCH_RECORD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)


def watch(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        writes = (flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        if not writes and not set(mode or "") & set("wax+"):
            return
        arguments = (path,)
    elif event not in WRITES and event not in OTHERS:
        return
    paths = arguments[:2] if event == "os.rename" else arguments[:1]
    if event not in OTHERS:
        if isinstance(paths[0], int):  # was opened by its name
            return
        folder = arguments[-1] if event in IN_A_FOLDER else -1
        base = os.readlink(f"/proc/self/fd/{folder}") if folder >= 0 else os.getcwd()  # noqa: PTH109, PTH115
        paths = [os.path.join(base, os.fsdecode(path)) for path in paths]  # noqa: PTH118
    for path in paths:
        os.write(RECORD, f"{event}\t{path}\n".encode())


sys.addaudithook(watch)
