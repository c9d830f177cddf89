"""Which calls of the kernel a program may make: a list of those allowed; all others answer "not permitted".

The list is what CPython needs to compute, to use files in its scratch, threads, timers and pipes. What is not on it does not exist for a program:
sockets, execve, ptrace, mount, namespaces, setuid, keyrings, bpf, perf, io_uring, userfaultfd, memfd, System V memory, modules, clocks
that are set, and whatever the kernel learns next. Numbers: the kernel's headers, x86_64 and aarch64 ("-": no such call there).
"""

from __future__ import annotations

import errno
import struct

MACHINES = ("x86_64", "aarch64")
_ARCHITECTURE = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def _numbers(table: str) -> dict[str, dict[str, int]]:
    rows = [entry.split() for entry in table.replace("\n", ",").split(",") if entry]
    return {
        name: {machine: int(number) for machine, number in zip(MACHINES, numbers) if number != "-"}
        for name, *numbers in rows
    }


SETUP = _numbers(  # what the worker itself calls
    """mount 165 40, pivot_root 155 41, umount2 166 39, unshare 272 97, mount_setattr 442 442, clone 56 220, capset 126 91
prctl 157 167, sethostname 170 161"""
)
ALLOWED = _numbers(
    """read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70
preadv2 327 286, pwritev2 328 287, open 2 -, openat 257 56, openat2 437 437, creat 85 -, close 3 57
close_range 436 436, lseek 8 62
stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291, access 21 -, faccessat 269 48, faccessat2 439 439
statfs 137 43, fstatfs 138 44, getdents 78 -, getdents64 217 61, readlink 89 -, readlinkat 267 78, getcwd 79 17
chdir 80 49, fchdir 81 50
mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -, unlinkat 263 35, rename 82 -, renameat 264 38
renameat2 316 276, link 86 -, linkat 265 37, symlink 88 -, symlinkat 266 36, chmod 90 -, fchmod 91 52
fchmodat 268 53, chown 92 -, fchown 93 55, lchown 94 -, fchownat 260 54, umask 95 166, truncate 76 45
ftruncate 77 46
fallocate 285 47, fsync 74 82, fdatasync 75 83, sync_file_range 277 84, utime 132 -, utimes 235 -, utimensat 280 88
futimesat 261 -, dup 32 23, dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59, flock 73 32, sendfile 40 71
copy_file_range 326 285, fadvise64 221 223
poll 7 -, ppoll 271 73, select 23 -, pselect6 270 72, epoll_create 213 -, epoll_create1 291 20, epoll_ctl 233 21
epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19, timerfd_create 283 85
timerfd_settime 286 86, timerfd_gettime 287 87, signalfd 282 -, signalfd4 289 74
recvfrom 45 207, shutdown 48 210, getsockopt 55 209, setsockopt 54 208, getsockname 51 204, getpeername 52 205
brk 12 214, mmap 9 222, munmap 11 215, mremap 25 216, mprotect 10 226, madvise 28 233, msync 26 227, mincore 27 232
futex 202 98, futex_waitv 449 449, get_robust_list 274 100, set_robust_list 273 99, set_tid_address 218 96
rseq 334 293, membarrier 324 283, arch_prctl 158 -, gettid 186 178, getpid 39 172, getppid 110 173, getpgid 121 155
getpgrp 111 -, setpgid 109 154, getsid 124 156, setsid 112 157
getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148, getresgid 120 150
getgroups 115 158, getcpu 309 168, sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121
sched_getscheduler 145 120, sched_get_priority_max 146 125, sched_get_priority_min 147 126, getpriority 140 141
rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136, rt_sigsuspend 130 133
rt_sigtimedwait 128 137, rt_sigqueueinfo 129 138, sigaltstack 131 132, kill 62 129, tkill 200 130, tgkill 234 131
pause 34 -, alarm 37 -, setitimer 38 103, getitimer 36 102
timer_create 222 107, timer_settime 223 110, timer_gettime 224 108, timer_getoverrun 225 109, timer_delete 226 111
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169
time 201 -, times 100 153
getrusage 98 165, getrlimit 97 163, uname 63 160, sysinfo 99 179, getrandom 318 278, exit 60 93, exit_group 231 94
wait4 61 260, waitid 247 95, restart_syscall 219 128, capget 125 90"""
)
EXAMINED = _numbers(  # allowed with some arguments only
    """clone 56 220, fork 57 -, vfork 58 -, clone3 435 435, socketpair 53 199, sendto 44 206, ioctl 16 29, prctl 157 167
prlimit64 302 261, fcntl 72 25"""
)

# ---------------------------------------------------------------------------------------------- the filter

_THREAD = 0x10000  # CLONE_THREAD
_NAMESPACES = 0x7E020000 | 0x80  # CLONE_NEW…, with NEWTIME
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
_SET_NAME, _GET_NAME, _UNIX, _SET_PIPE_SIZE = 15, 16, 1, 1031
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN, _JUMP = 0x20, 0x15, 0x35, 0x45, 0x06, 0x05
_ALLOW, _KILL, _ERROR = 0x7FFF0000, 0x80000000, 0x00050000
_REFUSE, _ABSENT = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16
Step = tuple[int, int, int, int]  # code, steps to skip if true, if false, value


def _argument(index: int, *, high: bool = False) -> Step:
    """Load the low (or high) 32 bits of an argument; both machines are little-endian."""
    return _LOAD, 0, 0, _ARGUMENTS_AT + 8 * index + 4 * high


def _one_of(index: int, values: tuple[int, ...]) -> list[Step]:
    """Allow where the argument's low half is one of the values."""
    tests: list[Step] = [(_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_argument(index), *tests, (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)]


def _rules(forks: bool) -> dict[str, list[Step]]:
    """What is looked at in the calls of `EXAMINED`. A list ends with an answer."""
    refuse, allow = (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW)
    fork = [allow if forks else refuse]
    thread: list[Step] = [(_ANY_BIT, 1, 0, _THREAD), refuse]
    return {
        "clone": [_argument(0), (_ANY_BIT, 0, 1, _NAMESPACES), refuse, *([] if forks else thread), allow],
        "fork": fork,
        "vfork": fork,
        "clone3": [(_RETURN, 0, 0, _ABSENT)],  # its arguments cannot be seen here; the C library then calls clone
        "socketpair": _one_of(0, (_UNIX,)),  # both ends are the program's own: event loops need one
        "sendto": [_argument(4), (_EQUAL, 1, 0, 0), refuse, _argument(4, high=True), (_EQUAL, 1, 0, 0), refuse, allow],
        "ioctl": _one_of(1, _IOCTLS),
        "prctl": _one_of(0, (_SET_NAME, _GET_NAME)),
        "prlimit64": _one_of(0, (0,)),  # of this process only
        "fcntl": [_argument(1), (_EQUAL, 0, 1, _SET_PIPE_SIZE), refuse, allow],
    }


def _searched(listed: list[int]) -> list[Step]:
    """Allow the listed numbers, found by halving: the kernel runs the filter over all numbers when it is put up."""
    if not listed:
        return [(_RETURN, 0, 0, _REFUSE)]
    if listed[-1] - listed[0] == len(listed) - 1:  # a run without gaps
        return [
            (_AT_LEAST, 0, 2, listed[0]),
            (_AT_LEAST, 1, 0, listed[-1] + 1),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _REFUSE),
        ]
    half = len(listed) // 2
    below, above = _searched(listed[:half]), _searched(listed[half:])
    return [(_AT_LEAST, 0, 1, listed[half]), (_JUMP, 0, 0, len(below)), *below, *above]  # jumps of tests are short


def filter_of(machine: str, *, forks: bool) -> bytes:
    """The filter (classic BPF, as seccomp takes it). `forks`: whether a program may make processes, and not just threads."""
    steps: list[Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE_AT),
        (_EQUAL, 1, 0, _ARCHITECTURE[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, 0x40000000),  # x32's calls
        (_RETURN, 0, 0, _KILL),
    ]
    for name, rule in _rules(forks).items():
        if machine in EXAMINED[name]:
            steps += [(_EQUAL, 0, len(rule), EXAMINED[name][machine]), *rule]
    listed = sorted(numbers[machine] for numbers in ALLOWED.values() if machine in numbers)
    steps += _searched(listed)
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
