"""Runs a command as its unit would confine it: `python confined.py CALL,CALL,... COMMAND...`.

Only the system calls named are allowed, others fail with EPERM; no memory is both writable and executable; no new
privileges. libseccomp is on every Debian: apt needs it. The process becomes the command, so signals reach it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65  # since Linux 6.3; systemd does the same by a filter on mmap and mprotect
MDWE_REFUSE_EXEC_GAIN = 1
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM


def confine(names: list[str]) -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    for name in names:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # negative: not a call of this machine
            seccomp.seccomp_rule_add(rules, ALLOW, number, 0)
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_MDWE, MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    if seccomp.seccomp_load(rules) != 0:
        sys.exit("the filter of system calls could not be loaded")


if __name__ == "__main__":
    calls, *command = sys.argv[1:]
    confine(calls.split(","))
    os.execv(command[0], command)  # noqa: S606 - becomes the process under test
