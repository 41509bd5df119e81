"""Runs a command as its unit would confine it: `python confined.py CALL,CALL,... COMMAND...`.

Only the system calls named are allowed, others fail with EPERM; no memory is both writable and executable; no new
privileges. libseccomp is on every Debian: apt needs it. The process becomes the command, so signals reach it.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import sys

PR_SET_NO_NEW_PRIVS = 38
ALLOW = 0x7FFF0000
REFUSE = 0x00050000 | errno.EPERM
MASKED_EQUAL = 7
WRITE, EXECUTE = mmap.PROT_WRITE, mmap.PROT_EXEC
MEMORY = {
    "mmap": [(EXECUTE, 0), (EXECUTE | WRITE, EXECUTE)],
    "mprotect": [(EXECUTE, 0)],
    "pkey_mprotect": [(EXECUTE, 0)],
}
"""What of the third argument MemoryDenyWriteExecute= lets pass: these bits, of that value."""


class Comparison(ctypes.Structure):
    """`struct scmp_arg_cmp`."""

    _fields_ = (
        ("argument", ctypes.c_uint),
        ("how", ctypes.c_int),
        ("mask", ctypes.c_uint64),
        ("value", ctypes.c_uint64),
    )


def confine(names: list[str]) -> None:
    seccomp = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    seccomp.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(seccomp.seccomp_init(REFUSE))
    for name in names:
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # not a call of this machine
            continue
        if name in MEMORY:
            for mask, value in MEMORY[name]:
                only = Comparison(2, MASKED_EQUAL, mask, value)
                seccomp.seccomp_rule_add_array(rules, ALLOW, number, 1, ctypes.byref(only))
        else:
            seccomp.seccomp_rule_add(rules, ALLOW, number, 0)
    ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if seccomp.seccomp_load(rules) != 0:
        sys.exit("the filter of system calls could not be loaded")


if __name__ == "__main__":
    calls, *command = sys.argv[1:]
    confine(calls.split(","))
    os.execv(command[0], command)  # noqa: S606 - becomes the process under test
