"""Programs that try to get out of the sandbox. Each function is one program's source: it returns what it got (anything true is a break).

They run in the sandbox only, but for those in `HARMLESS`, which a test also runs without one, to see that they would get out.
"""

# ruff: noqa: F401
import ctypes
import errno
import mmap
import os
import random
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time

LIBC = ctypes.CDLL(None, use_errno=True)


def _call(number, *args):
    """A call of the kernel by number (x86_64): whether it was carried out, or at least looked at."""
    ctypes.set_errno(0)
    answer = LIBC.syscall(number, *args)
    return answer >= 0 or ctypes.get_errno() not in (errno.EPERM, errno.ENOSYS)


def _seen(path):
    try:
        return os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(10)
    except OSError:
        return None


# ---------------------------------------------------------------------------------------------- files


def reads_passwd():
    return open("/etc/passwd").read()


def reads_the_home():
    return [seen for p in ("/root", "/home", os.path.expanduser("~root")) if (seen := set(_seen(p) or ()) - {".pyenv"})]


def reads_ssh_keys():
    import glob

    return glob.glob("/root/.ssh/*") + glob.glob("/home/*/.*") + glob.glob("/root/.[a-oq-z]*")


def walks_the_disk():
    tops = {"bin", "boot", "etc", "home", "mnt", "opt", "proc", "run", "sbin", "srv", "sys", "var"}
    return tops & set(os.listdir("/"))


def climbs_out_by_dots():
    return open("../" * 40 + "etc/hostname").read()


def follows_a_symlink():
    os.symlink("/etc/passwd", "link")
    return open("link").read()


def links_hard():
    os.link("/etc/passwd", "link")
    return open("link").read()


def writes_outside():
    for folder in ("/", "/usr", "/root", "/etc", "/dev", "/home", os.path.dirname(os.__file__)):
        try:
            open(os.path.join(folder, "synthgain-was-here"), "w").close()
            return folder
        except OSError:
            pass


def changes_the_standard_library():
    with open(os.__file__, "a") as file:
        file.write("# changed")
    return True


def imports_installed_packages():
    for name in ("numpy", "pyarrow", "synthgain.api", "pip"):
        try:
            return __import__(name).__file__
        except ImportError:
            pass


def opens_devices():
    names = ("mem", "kmsg", "kvm", "fuse", "vda", "sda", "tty", "ptmx", "loop0", "shm", "mapper", "net", "console")
    return [name for name in names if _seen(f"/dev/{name}") is not None]


def makes_a_device():
    import stat

    os.mknod("zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    return open("zero", "rb").read(1)


def mounts_proc():
    os.mkdir("proc")
    return LIBC.mount(b"proc", b"proc", b"proc", 0, None) == 0 and os.listdir("proc")


def mounts_a_folder():
    os.mkdir("m")
    return LIBC.mount(b"/", b"m", None, 4096, None) == 0


def remounts_the_root_to_write():
    return LIBC.mount(None, b"/", None, 32 | 4096, None) == 0


def unmounts():
    return LIBC.umount2(b"/scratch", 2) == 0 or LIBC.umount2(b"/dev/null", 2) == 0


def changes_the_root():
    return LIBC.chroot(b"/scratch") == 0


def sets_the_user_of_a_file_to_root_and_runs_it():
    import shutil

    shutil.copy("/dev/null", "file")
    os.chmod("file", 0o4755)
    os.chown("file", 0, 0)
    return True


def runs_a_file_of_its_own():
    with open("file", "w") as file:
        file.write("#!/bin/sh\n")
    os.chmod("file", 0o755)
    os.execv("/scratch/file", ["file"])


def opens_by_handle():
    return _call(303, -100, b"/", ctypes.create_string_buffer(128), ctypes.create_string_buffer(8), 0) or _call(
        304, 0, 0, 0
    )


# ---------------------------------------------------------------------------------------------- other processes


def looks_at_processes():
    return _seen("/proc") or _seen("/proc/1/cmdline") or _seen("/proc/self/environ")


def sees_a_process():
    found = []
    for number in (*range(2, 3000), *range(3000, 70_000, 7)):
        try:
            os.kill(number, 0)
            found.append(number)
        except ProcessLookupError:
            pass
        except PermissionError:
            found.append(number)
    return found


def has_a_parent():
    return os.getppid()


def kills_all():
    os.kill(-1, signal.SIGKILL)
    return False


def kills_its_parent():
    os.kill(os.getppid() or 999_999, signal.SIGKILL)
    return True


def traces():
    return _call(101, 16, 1, 0, 0) or _call(101, 0, 0, 0, 0)


def reads_memory_of_others():
    return _call(310, 1, 0, 0, 0, 0, 0) or _call(311, 1, 0, 0, 0, 0, 0)


def takes_files_of_others():
    return _call(434, 1, 0) or _call(438, 3, 0, 0)


def compares_processes():
    return _call(312, 1, 2, 0, 0, 0)


def limits_others():
    return _call(302, 2, 7, 0, ctypes.create_string_buffer(16))


def forks():
    return os.fork() >= 0


def forks_without_the_library():
    return _call(57) or _call(58) or _call(56, 17, 0, 0, 0, 0)


def asks_clone3():
    return _call(435, ctypes.create_string_buffer(88), 88)


def runs_the_shell():
    return os.system("true") == 0


def starts_a_process():
    return subprocess.run([sys.executable, "-c", "pass"]).returncode == 0


def replaces_itself():
    os.execv("/bin/sh", ["sh"])


def spawns():
    return os.posix_spawn("/bin/true", ["true"], {})


# ---------------------------------------------------------------------------------------------- who it is


def has_keys():
    return [name for name in os.environ if "KEY" in name or "TOKEN" in name or "SECRET" in name or name == "USER"]


def has_files_open():
    found = []
    for number in range(3, 4096):
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            pass
    return found


def has_rights():
    caps = (ctypes.c_uint32 * 6)()
    LIBC.capget((ctypes.c_uint32 * 2)(0x20080522, 0), caps)
    return os.getuid() == 0 or os.getgid() == 0 or any(caps)


def becomes_root():
    return LIBC.setuid(0) == 0 or LIBC.setresuid(0, 0, 0) == 0 or LIBC.setgid(0) == 0


def makes_a_user_namespace():
    return LIBC.unshare(0x10000000) == 0 or _call(56, 0x10000000 | 17, 0, 0, 0, 0)


def makes_namespaces():
    return [
        flag
        for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000, 0x80)
        if LIBC.unshare(flag) == 0
    ]


def enters_a_namespace():
    return _call(308, 0, 0)


def raises_its_limits():
    for name in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
        try:
            resource.setrlimit(name, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            return name
        except (ValueError, OSError):
            pass


def hurries():
    os.nice(-20)
    return True


def is_named_after_the_machine():
    return os.uname().nodename != "sandbox"


# ---------------------------------------------------------------------------------------------- network


def opens_sockets():
    found = []
    families = ("INET", "INET6", "UNIX", "NETLINK", "PACKET", "VSOCK", "ALG", "CAN", "BLUETOOTH", "TIPC", "QIPCRTR")
    for family in families:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                socket.socket(getattr(socket, f"AF_{family}", 1), kind)
                found.append(family)
            except OSError:
                pass
    return found


def connects_to_this_machine():
    return socket.create_connection(("127.0.0.1", PORT), timeout=2)  # noqa: F821


def fetches():
    from urllib.request import urlopen

    return urlopen(f"http://127.0.0.1:{PORT}/", timeout=2)  # noqa: F821


def connects_to_an_abstract_name():
    one = socket.socket(socket.AF_UNIX)
    one.connect("\0" + NAME)  # noqa: F821
    return True


def bends_a_pair_of_sockets():
    one, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    there = "\0" + NAME + "-d"  # noqa: F821
    for what in (lambda: one.connect(there), lambda: one.sendto(b"x", there), lambda: one.bind("\0mine")):
        try:
            what()
            return True
        except PermissionError:
            pass


def sends_files():
    one, _ = socket.socketpair()
    socket.send_fds(one, [b"x"], [0])
    return True


def makes_a_pair_for_the_network():
    return _call(53, 2, 1, 0, (ctypes.c_int * 2)())


# ---------------------------------------------------------------------------------------------- the kernel's back doors


def asks_bpf():
    return _call(321, 0, ctypes.create_string_buffer(128), 128)


def asks_perf():
    return _call(298, ctypes.create_string_buffer(128), 0, -1, -1, 0)


def asks_userfaultfd():
    return _call(323, 0)


def asks_io_uring():
    return _call(425, 8, ctypes.create_string_buffer(256)) or _call(426, 0, 0, 0, 0, 0) or _call(427, 0, 0, 0, 0)


def asks_keyrings():
    return _call(248, b"user", b"x", b"y", 1, -3) or _call(249, b"user", b"x", 0, -3) or _call(250, 0, -3, 1)


def loads_a_module():
    return _call(175, 0, 0, 0) or _call(313, 0, 0, 0) or _call(246, 0, 0, 0, 0) or _call(320, 0, 0, 0, 0, 0)


def stops_the_machine():
    return _call(169, 0xFEE1DEAD, 672274793, 0) or _call(167, b"/dev/null", 0) or _call(163, b"file")


def sets_the_clock():
    found = _call(227, 0, (ctypes.c_long * 2)(0, 0)) or _call(164, (ctypes.c_long * 2)(0, 0), 0)
    try:
        time.clock_settime(time.CLOCK_REALTIME, 0)
        return True
    except PermissionError:
        return found or _call(159, ctypes.create_string_buffer(256))


def names_the_machine():
    return LIBC.sethostname(b"mine", 4) == 0


def talks_to_the_hardware():
    return _call(172, 3) or _call(173, 0, 1, 1) or _call(154, 0, 0, 0)


def changes_its_personality():
    return _call(135, 0x0040000)


def makes_memory_that_is_a_file():
    return _call(319, b"x", 0) or _call(447, 0)


def shares_system_v_memory():
    return _call(29, 4711, 4096, 0o1600) or _call(68, 4711, 0o1600) or _call(64, 4711, 1, 0o1600)


def opens_a_message_queue():
    return _call(240, b"queue", os.O_CREAT | os.O_RDWR, 0o600, 0)


def shares_posix_memory():
    from multiprocessing import shared_memory

    return shared_memory.SharedMemory("mine", create=True, size=4096)


def watches_files():
    return _call(300, 0, 0) or _call(253) or _call(294, 0)


def reads_the_kernels_log():
    return _call(103, 3, ctypes.create_string_buffer(100), 100)


def asks_in_another_language():
    """int 0x80: the calls of 32-bit programs, which have other numbers."""
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes.fromhex("b814000000cd80c3"))  # mov eax, 20 (getpid); int 0x80; ret
    here = ctypes.addressof(ctypes.c_char.from_buffer(code))
    return ctypes.CFUNCTYPE(ctypes.c_int)(here)() > 0


def asks_x32():
    return _call(0x40000000 + 41, 2, 1, 0)


def writes_on_the_terminal():
    import fcntl

    return [fcntl.ioctl(number, 0x5412, b"x") for number in (0, 1, 2)]


HARMLESS = (  # would get out of no sandbox, and may run without one
    *(reads_passwd, walks_the_disk, climbs_out_by_dots, follows_a_symlink, looks_at_processes, sees_a_process),
    *(has_a_parent, forks_without_the_library, runs_the_shell, starts_a_process, spawns, is_named_after_the_machine),
    *(
        opens_sockets,
        connects_to_this_machine,
        fetches,
        connects_to_an_abstract_name,
        bends_a_pair_of_sockets,
        sends_files,
    ),
    *(
        asks_userfaultfd,
        asks_io_uring,
        makes_memory_that_is_a_file,
        watches_files,
        shares_posix_memory,
        opens_a_message_queue,
    ),
)
ALL = [
    thing for name, thing in list(globals().items()) if getattr(thing, "__module__", "") == __name__ and name[0] != "_"
]
