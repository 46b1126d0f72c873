"""Give up rights for good: what a process does to itself before it runs a stranger's code.

    confine_calls()            # no other process, no other namespace
    confine_resources(2 << 30)  # bytes beyond what is in use now

Both last: a hard limit can't be raised again by a process without privileges, and a seccomp filter can't be
removed by anybody. A limit on the number of processes (`RLIMIT_NPROC`) would be the usual means against a fork
bomb, but it doesn't bind root and counts the user's other processes; refusing to fork does both. Threads are
allowed (torch has them); each takes address space, which is limited.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct
import sys

# Numbers of Linux' system calls, from asm/unistd.h. Refused are those that make processes or namespaces, and
# those that take memory which no limit counts (memfd_create, shmget) or open the kernel wider than needed.
_ARCHITECTURES = {
    "x86_64": (0xC000003E, 56, {"clone3": 435}, {
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "unshare": 272, "setns": 308, "mount": 165,
        "ptrace": 101, "bpf": 321, "userfaultfd": 323, "keyctl": 250, "add_key": 248, "memfd_create": 319,
        "shmget": 29, "io_uring_setup": 425,
    }),
    "aarch64": (0xC00000B7, 220, {"clone3": 435}, {
        "execve": 221, "execveat": 281, "unshare": 97, "setns": 268, "mount": 40, "ptrace": 117, "bpf": 280,
        "userfaultfd": 282, "keyctl": 219, "add_key": 217, "memfd_create": 279, "shmget": 194,
        "io_uring_setup": 425,
    }),
}  # fmt: skip
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # of linux/bpf_common.h
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_CLONE_THREAD, _X32 = 0x10000, 0x40000000
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER = 22, 38, 2

FILE_BYTES = 8 << 20  # the largest file that may be written
OPEN_FILES = 64


def can_confine_calls() -> bool:
    """Whether this is a system that `confine_calls` knows: Linux on x86-64 or ARM."""
    return sys.platform == "linux" and platform.machine() in _ARCHITECTURES


def confine_calls() -> None:
    """Refuse new processes and namespaces from here on, with EPERM. Raises `OSError` if the kernel won't."""
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program()
    code = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))  # struct sock_fprog
    for call in ((_PR_SET_NO_NEW_PRIVS, 1, 0), (_PR_SET_SECCOMP, _FILTER, ctypes.create_string_buffer(pointer))):
        if libc.prctl(*call, 0, 0):
            raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")


def _program() -> bytes:
    """The filter in the kernel's byte code: (operation, jump if true, jump if false, operand)."""
    architecture, clone, missing, refused = _ARCHITECTURES[platform.machine()]
    steps = [(_LOAD, 0, 0, 4), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, 0)]
    steps += [(_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    for number in missing.values():  # "not there", so that libc takes clone instead, whose flags can be read
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for number in refused.values():
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno.EPERM)]
    steps += [(_EQUAL, 0, 3, clone), (_LOAD, 0, 0, 16), (_ANY_BIT, 1, 0, _CLONE_THREAD)]
    steps += [(_RETURN, 0, 0, _ERRNO | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def confine_resources(memory: int) -> None:
    """At most `memory` more bytes of address space than now, small files, few of them, no core dumps."""
    limits = {resource.RLIMIT_FSIZE: FILE_BYTES, resource.RLIMIT_NOFILE: OPEN_FILES, resource.RLIMIT_CORE: 0}
    if sys.platform == "linux":  # elsewhere the system doesn't say how much is in use
        with open("/proc/self/statm", encoding="ascii") as file:
            limits[resource.RLIMIT_AS] = int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE") + memory
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
