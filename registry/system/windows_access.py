"""Access lists of files and folders on Windows, by the calls of advapi32.

Written and read in Microsoft's text form of them (SDDL), in which accounts have the same names in
every language of Windows.
"""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

assert sys.platform == "win32"

_OWNER_ONLY = "D:P(A;OICI;FA;;;OW)(A;OICI;FA;;;BA)(A;OICI;FA;;;SY)"
"""Full access for owner, administrators and system, inherited by all that is in the folder, and
nothing inherited from above: the list that os.mkdir makes of the mode 0700 (CPython 3.12.4)."""
_FILE_OBJECT, _OWNER, _LIST, _PROTECTED, _REVISION = 1, 1, 4, 0x80000000, 1
"""SE_FILE_OBJECT, OWNER_/DACL_/PROTECTED_DACL_SECURITY_INFORMATION, SDDL_REVISION_1."""


def restrict_to_owner(path: Path) -> None:
    """Replace the access list of a file or folder; what inherits from it is changed too.

    Raises `OSError`.
    """
    advapi = _advapi()
    descriptor = ctypes.c_void_p()
    _check(
        advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW(
            _OWNER_ONLY, _REVISION, ctypes.byref(descriptor), None
        )
    )
    try:
        present, defaulted, entries = ctypes.c_int(), ctypes.c_int(), ctypes.c_void_p()
        _check(
            advapi.GetSecurityDescriptorDacl(
                descriptor, ctypes.byref(present), ctypes.byref(entries), ctypes.byref(defaulted)
            )
        )
        error = advapi.SetNamedSecurityInfoW(
            str(path), _FILE_OBJECT, _LIST | _PROTECTED, None, None, entries, None
        )
        if error:
            raise ctypes.WinError(error)
    finally:
        _free(descriptor)


def describe_access(path: Path) -> str:
    """Return owner and access list of a file or folder as text (SDDL). Raises `OSError`."""
    advapi = _advapi()
    descriptor = ctypes.c_void_p()
    error = advapi.GetNamedSecurityInfoW(
        str(path), _FILE_OBJECT, _OWNER | _LIST, None, None, None, None, ctypes.byref(descriptor)
    )
    if error:
        raise ctypes.WinError(error)
    text = ctypes.c_void_p()
    try:
        _check(
            advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor, _REVISION, _OWNER | _LIST, ctypes.byref(text), None
            )
        )
        return ctypes.wstring_at(text.value or 0)
    finally:
        _free(text)
        _free(descriptor)


def _advapi() -> ctypes.WinDLL:
    advapi = ctypes.WinDLL("advapi32", use_last_error=True)
    for name in ("GetNamedSecurityInfoW", "SetNamedSecurityInfoW"):
        getattr(advapi, name).restype = ctypes.c_ulong
    pointer, text, number = ctypes.c_void_p, ctypes.c_wchar_p, ctypes.c_ulong
    advapi.GetNamedSecurityInfoW.argtypes = [text, ctypes.c_int, number, *[pointer] * 5]
    advapi.SetNamedSecurityInfoW.argtypes = [text, ctypes.c_int, number, *[pointer] * 4]
    advapi.GetSecurityDescriptorDacl.argtypes = [pointer] * 4
    advapi.ConvertStringSecurityDescriptorToSecurityDescriptorW.argtypes = [
        text, number, pointer, pointer,
    ]  # fmt: skip
    advapi.ConvertSecurityDescriptorToStringSecurityDescriptorW.argtypes = [
        pointer, number, number, pointer, pointer,
    ]  # fmt: skip
    return advapi


def _check(done: int) -> None:
    if not done:
        raise ctypes.WinError(ctypes.get_last_error())


def _free(memory: ctypes.c_void_p) -> None:
    kernel = ctypes.WinDLL("kernel32")
    kernel.LocalFree.argtypes = [ctypes.c_void_p]
    kernel.LocalFree.restype = ctypes.c_void_p
    kernel.LocalFree(memory)
