/*
 * Stands before ptrace(2) of Debian's linux.uml, which runs its guest's processes by it, for two things:
 *
 * - The kernel takes the registers of NT_X86_XSTATE only whole (xstateregs_set in arch/x86/kernel/fpu/regset.c), and linux.uml
 *   of 6.1 knows the first 832 octets. On processors with more it cannot start a process. Here the rest is kept as it is.
 * - A traced process whose tracer is killed would go on by itself, as a process of the host. It ends with it instead.
 */
#define _GNU_SOURCE
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* More than any processor has: 11 KiB with AMX. */
static char registers[64 * 1024];

static long transfer_registers(enum __ptrace_request request, pid_t process, struct iovec *asked)
{
	struct iovec all = { registers, sizeof registers };
	void *kind = (void *)NT_X86_XSTATE;
	size_t common;

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, process, kind, &all) < 0)
		return -1;
	common = asked->iov_len < all.iov_len ? asked->iov_len : all.iov_len;
	if (request == PTRACE_GETREGSET) {
		memcpy(asked->iov_base, registers, common);
		asked->iov_len = common;
		return 0;
	}
	memcpy(registers, asked->iov_base, common);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, process, kind, &all);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list rest;
	pid_t process;
	void *address, *data;

	va_start(rest, request);
	process = va_arg(rest, pid_t);
	address = va_arg(rest, void *);
	data = va_arg(rest, void *);
	va_end(rest);

	switch (request) {
	case PTRACE_GETREGSET:
	case PTRACE_SETREGSET:
		if (address == (void *)NT_X86_XSTATE)
			return transfer_registers(request, process, data);
		break;
	case PTRACE_SETOPTIONS:
		data = (void *)((unsigned long)data | PTRACE_O_EXITKILL);
		break;
	case PTRACE_PEEKTEXT:
	case PTRACE_PEEKDATA:
	case PTRACE_PEEKUSER: {
		/* The system call stores the word; the function of the library returns it. */
		long word;
		long status = syscall(SYS_ptrace, request, process, address, &word);
		return status < 0 ? status : word;
	}
	default:
		break;
	}
	return syscall(SYS_ptrace, request, process, address, data);
}
