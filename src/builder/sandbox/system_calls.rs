//! Which system calls a program may make (seccomp).
//!
//! The list says what is allowed. What a build needs is little, and the program is pinned. A list of
//! what is forbidden would have to grow with the kernel. All other calls fail as if the kernel did
//! not have them, for which programs have another way.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, apply_filter,
};

/// What a static Go program needs that reads files and writes to its output.
const ALLOWED: &[i64] = &[
    // Files that are open, and those that Landlock lets it open.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_openat,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_lseek,
    libc::SYS_getdents64,
    libc::SYS_readlinkat,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_pipe2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_ppoll,
    // Its memory.
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_mincore,
    // Its threads and signals.
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // What it may ask.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_uname,
    // The launcher becomes the program by it. Landlock allows no other program.
    libc::SYS_execve,
];

#[cfg(target_arch = "x86_64")]
const OF_THE_MACHINE: &[i64] = &[libc::SYS_arch_prctl, libc::SYS_epoll_wait];
#[cfg(not(target_arch = "x86_64"))]
const OF_THE_MACHINE: &[i64] = &[];

/// The filter for this process, which keeps its id when it becomes the program.
///
/// # Errors
/// On a machine for which there is no such filter.
pub(super) fn filter() -> Result<BpfProgram, String> {
    let failed = |error: seccompiler::BackendError| error.to_string();
    let machine: TargetArch = std::env::consts::ARCH.try_into().map_err(failed)?;
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    rules.extend(ALLOWED.iter().chain(OF_THE_MACHINE).map(|call| (*call, Vec::new())));
    let only = |argument: u8, mask: i32, value: i32| {
        let operator = SeccompCmpOp::MaskedEq(u64::from(mask.cast_unsigned()));
        let value = u64::from(value.cast_unsigned());
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition]).map(|rule| vec![rule])
    };
    let own = std::process::id().cast_signed();
    let mut limited = |call: i64, argument: u8, mask: i32, value: i32| {
        rules.insert(call, only(argument, mask, value).map_err(failed)?);
        Ok::<(), String>(())
    };
    // Threads, but no processes.
    limited(libc::SYS_clone, 0, libc::CLONE_THREAD, libc::CLONE_THREAD)?;
    // No memory that it could write code into.
    limited(libc::SYS_mmap, 2, libc::PROT_EXEC, 0)?;
    limited(libc::SYS_mprotect, 2, libc::PROT_EXEC, 0)?;
    // Signals and limits of its own threads.
    limited(libc::SYS_tgkill, 0, -1, own)?;
    limited(libc::SYS_prlimit64, 0, -1, 0)?;
    // Not who gets a signal about a file: it could be another process of this user.
    let commands = [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC];
    let commands = commands.into_iter().map(|command| only(1, -1, command).map_err(failed));
    let commands: Result<Vec<Vec<SeccompRule>>, String> = commands.collect();
    rules.insert(libc::SYS_fcntl, commands?.into_iter().flatten().collect());
    let denied = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, machine).map_err(failed)?;
    filter.try_into().map_err(failed)
}

/// Restricts this process to these calls, for ever.
///
/// # Errors
/// When the kernel cannot.
pub(super) fn restrict(filter: &BpfProgram) -> Result<(), String> {
    apply_filter(filter).map_err(|error| error.to_string())
}
