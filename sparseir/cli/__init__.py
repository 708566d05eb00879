"""The command line: parses, calls, prints. Nothing else of the package prints or exits."""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
import threading
from types import FrameType


def main() -> None:
    """Entry point of `sparseir`. Exit codes: 0 done, 1 the input or the state is at fault, 2 wrong usage."""
    # When the interpreter ends all is done or refused, and an interruption would only replace the exit code.
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)
    sys.unraisablehook = _unraisable
    gc.disable()  # until a command runs: reading what it was given leaves no garbage
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; returns its exit code. Refusals are one message on stderr, without a traceback."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        pass
    except Exception:
        if not _interrupts:  # what an import makes of an interruption is any exception
            raise
    print("interrupted; what was committed before is intact", file=sys.stderr)
    return 1


def _run(arguments: list[str]) -> int:
    # A polite kill is answered like Ctrl-C, so that writers clean up behind themselves.
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupt)
    for argument in arguments:
        if any("\udc80" <= character <= "\udcff" for character in argument):  # how Python keeps bytes it cannot decode
            print(f"error: {os.fsencode(argument)!r} is not UTF-8", file=sys.stderr)
            return 2
    from sparseir.cli.app import run_command
    from sparseir.errors import SparseIRError, missing_extra

    try:
        return run_command(arguments)
    except SparseIRError as error:
        print(f"error: {error}", file=sys.stderr)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, f"sparseir {arguments[0]}")
        if missing is None:
            raise
        print(f"error: {missing}", file=sys.stderr)
    except BrokenPipeError:  # `sparseir … | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", file=sys.stderr)
    except MemoryError as error:
        print(f"error: out of memory{f' ({error})' if str(error) else ''}", file=sys.stderr)
    return 1


_interrupts: list[int] = []
"""Signals to stop that have come."""


def _interrupt(signum: int, frame: FrameType | None) -> None:
    _interrupts.append(signum)
    raise KeyboardInterrupt


def _unraisable(ignored: sys.UnraisableHookArgs) -> None:
    """Send the signal again where Python drops what is raised: in __del__ and in callbacks of weak references.

    The import system has such a callback for every module. A moment later the program is out of it.
    """
    if not (_interrupts and issubclass(ignored.exc_type, KeyboardInterrupt)):
        sys.__unraisablehook__(ignored)
        return
    again = threading.Timer(0.02, os.kill, (os.getpid(), _interrupts[-1]))
    again.daemon = True
    again.start()
