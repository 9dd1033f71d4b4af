/* file_information.dll: answers for Wine what its SetFileInformationByHandle does not know.

   Wine 8 and 10 refuse FileAllocationInfo, with which Qdrant Edge reserves room for its log; Windows
   does it. They half know FileRenameInfoEx and FileDispositionInfoEx; here these are refused as
   Windows before 10.1607 does, and Rust's library takes the older calls.

   The call is replaced in the import table of every DLL that is loaded after this one. */

#include <windows.h>
#include <winternl.h>

typedef BOOL(WINAPI *set_information_t)(HANDLE, FILE_INFO_BY_HANDLE_CLASS, LPVOID, DWORD);

static set_information_t original;

static BOOL WINAPI set_information(HANDLE file, FILE_INFO_BY_HANDLE_CLASS class, LPVOID data, DWORD size)
{
    if (class == FileAllocationInfo) {
        /* A length that is smaller than the file's cuts the file; a larger one is a wish. */
        LARGE_INTEGER wanted = *(LARGE_INTEGER *)data, length;
        if (GetFileSizeEx(file, &length) && wanted.QuadPart < length.QuadPart)
            return original(file, FileEndOfFileInfo, data, size);
        return TRUE;
    }
    if ((int)class == 21 /* FileDispositionInfoEx */ || (int)class == 22 /* FileRenameInfoEx */) {
        SetLastError(ERROR_INVALID_PARAMETER);
        return FALSE;
    }
    return original(file, class, data, size);
}

static void replace_import(BYTE *image)
{
    IMAGE_DOS_HEADER *dos = (IMAGE_DOS_HEADER *)image;
    if (dos->e_magic != IMAGE_DOS_SIGNATURE)
        return;
    IMAGE_NT_HEADERS *headers = (IMAGE_NT_HEADERS *)(image + dos->e_lfanew);
    DWORD imports =
        headers->OptionalHeader.DataDirectory[IMAGE_DIRECTORY_ENTRY_IMPORT].VirtualAddress;
    if (imports == 0)
        return;
    IMAGE_IMPORT_DESCRIPTOR *dll = (IMAGE_IMPORT_DESCRIPTOR *)(image + imports);
    for (; dll->Name != 0; dll++) {
        if (dll->OriginalFirstThunk == 0)
            continue;
        IMAGE_THUNK_DATA *names = (IMAGE_THUNK_DATA *)(image + dll->OriginalFirstThunk);
        IMAGE_THUNK_DATA *addresses = (IMAGE_THUNK_DATA *)(image + dll->FirstThunk);
        for (; names->u1.AddressOfData != 0; names++, addresses++) {
            if (IMAGE_SNAP_BY_ORDINAL(names->u1.Ordinal))
                continue;
            IMAGE_IMPORT_BY_NAME *name = (IMAGE_IMPORT_BY_NAME *)(image + names->u1.AddressOfData);
            if (strcmp((char *)name->Name, "SetFileInformationByHandle") != 0)
                continue;
            DWORD protection;
            void *place = &addresses->u1.Function;
            VirtualProtect(place, sizeof(void *), PAGE_READWRITE, &protection);
            addresses->u1.Function = (ULONGLONG)set_information;
            VirtualProtect(place, sizeof(void *), protection, &protection);
        }
    }
}

/* LDR_DLL_NOTIFICATION_DATA of "LdrRegisterDllNotification" (Microsoft). */
struct loaded {
    ULONG flags;
    const UNICODE_STRING *path, *name;
    void *image;
    ULONG size;
};

static VOID CALLBACK on_load(ULONG reason, const struct loaded *dll, PVOID context)
{
    if (reason == 1 /* LDR_DLL_NOTIFICATION_REASON_LOADED */)
        replace_import(dll->image);
}

BOOL WINAPI DllMain(HINSTANCE self, DWORD reason, LPVOID reserved)
{
    typedef NTSTATUS(NTAPI * register_t)(ULONG, void *, PVOID, PVOID *);
    static PVOID cookie;
    if (reason != DLL_PROCESS_ATTACH)
        return TRUE;
    original = (set_information_t)GetProcAddress(
        GetModuleHandleA("kernelbase.dll"), "SetFileInformationByHandle");
    register_t register_notification = (register_t)GetProcAddress(
        GetModuleHandleA("ntdll.dll"), "LdrRegisterDllNotification");
    return original && register_notification
        && register_notification(0, on_load, NULL, &cookie) == 0;
}
