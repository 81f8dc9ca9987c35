//! What only the shared library has: entry points, the memory functions that compilers call, and the proof that no
//! panic is reachable.

use core::arch::global_asm;
use core::panic::PanicInfo;

unsafe extern "C" {
    // Defined nowhere: the linker stops with this name if the optimiser left a way into a panic.
    safe fn ddtrace_preload_has_a_reachable_panic() -> !;
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    ddtrace_preload_has_a_reachable_panic()
}

// Hidden: a global memcpy would be interposed on the host as well.
global_asm!(
    ".macro hidden_function name",
    ".globl \\name",
    ".hidden \\name",
    ".type \\name, @function",
    "\\name:",
    ".endm",
    ".text",
    // Most copies are short, for which `rep` takes longer to begin than to copy. What lies at the end is copied last and may
    // be copied twice.
    "hidden_function memcpy",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 21f",
    "cmp rdx, 128",
    "ja 24f",
    "movups xmm0, xmmword ptr [rsi + rdx - 16]",
    "lea rcx, [rdi + rdx - 16]",
    "20:",
    "movups xmm1, xmmword ptr [rsi]",
    "movups xmmword ptr [rdi], xmm1",
    "add rsi, 16",
    "add rdi, 16",
    "cmp rdi, rcx",
    "jb 20b",
    "movups xmmword ptr [rcx], xmm0",
    "ret",
    "21:",
    "cmp rdx, 8",
    "jb 22f",
    "mov rcx, qword ptr [rsi]",
    "mov r8, qword ptr [rsi + rdx - 8]",
    "mov qword ptr [rdi], rcx",
    "mov qword ptr [rdi + rdx - 8], r8",
    "ret",
    "22:",
    "cmp rdx, 4",
    "jb 23f",
    "mov ecx, dword ptr [rsi]",
    "mov r8d, dword ptr [rsi + rdx - 4]",
    "mov dword ptr [rdi], ecx",
    "mov dword ptr [rdi + rdx - 4], r8d",
    "ret",
    "23:",
    "test rdx, rdx",
    "je 25f",
    // The first, the middle and the last byte, which of one or two bytes are the same.
    "mov r9, rdx",
    "shr r9, 1",
    "movzx ecx, byte ptr [rsi]",
    "movzx r10d, byte ptr [rsi + r9]",
    "movzx r8d, byte ptr [rsi + rdx - 1]",
    "mov byte ptr [rdi], cl",
    "mov byte ptr [rdi + r9], r10b",
    "mov byte ptr [rdi + rdx - 1], r8b",
    "25:",
    "ret",
    "24:",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "hidden_function memmove",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    "jb 1f",
    "rep movsb",
    "ret",
    "1:",
    "lea rdi, [rdi + rcx - 1]",
    "lea rsi, [rsi + rcx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "hidden_function memset",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
    "hidden_function bcmp",
    "hidden_function memcmp",
    "26:",
    "cmp rdx, 8",
    "jb 28f",
    "mov rax, qword ptr [rdi]",
    "mov rcx, qword ptr [rsi]",
    "cmp rax, rcx",
    "jne 27f",
    "add rdi, 8",
    "add rsi, 8",
    "sub rdx, 8",
    "jmp 26b",
    "27:",
    // The first byte that differs decides.
    "bswap rax",
    "bswap rcx",
    "cmp rax, rcx",
    "sbb eax, eax",
    "or eax, 1",
    "ret",
    "28:",
    "xor ecx, ecx",
    "2:",
    "cmp rcx, rdx",
    "je 3f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "je 2b",
    "ret",
    "3:",
    "xor eax, eax",
    "ret",
    "hidden_function strlen",
    "xor eax, eax",
    "4:",
    "cmp byte ptr [rdi + rax], 0",
    "je 5f",
    "inc rax",
    "jmp 4b",
    "5:",
    "ret",
);

#[used]
#[unsafe(link_section = ".init_array")]
static CONSTRUCTOR: unsafe extern "C" fn(usize, *const *const u8, *const *const u8) = crate::start::constructor;

#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = crate::hooks::exit::destructor;
