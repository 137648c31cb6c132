"""Becomes another program that ends when its parent ends, as another user where one is given.

Run as a file: ``python -I -S guard.py PARENT_PID DEATH_SIGNAL USER_ID PROGRAM [ARGUMENT ...]``. It imports
the standard library only, and the program takes its place: the process id stays, nothing stays in memory.
"""

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1  # prctl(2); Linux only. Elsewhere the next start ends what a crash left behind.
KEEP_USER = -1
EXIT_ORPHANED = 125


def main(arguments: list[str]) -> None:
    """Drop privileges, tie this process to its parent and become the program."""
    parent, death_signal, user = (int(text) for text in arguments[:3])
    program = arguments[3:]
    if user != KEEP_USER:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
    # After the change of user, because that clears the death signal.
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent:  # it ended before it could be watched
        sys.exit(EXIT_ORPHANED)
    os.execv(program[0], program)  # noqa: S606 - the command is payhub's own


if __name__ == "__main__":
    main(sys.argv[1:])
