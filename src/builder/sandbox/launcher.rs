//! The launcher: this binary as a process that limits and confines itself and becomes another
//! program.

use std::convert::Infallible;
use std::fs;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, set_parent_process_death_signal, setrlimit};

use super::order::{Confinement, LaunchOrder, VERB};
use super::{files, system_calls};
use crate::builder::limits::{MAX_OPEN_FILES, PROGRAM_BYTES, THREADS};

/// The exit code of a launcher that did not become the program.
pub const REFUSED: u8 = 125;

/// Becomes the program, if the arguments of the process ask for that. Call it before there are
/// threads.
pub fn launch() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != VERB {
        return None;
    }
    let why = match LaunchOrder::of(arguments) {
        Some(order) => match become_program(&order) {
            Ok(never) => match never {},
            Err(why) => why,
        },
        None => "it is for the binary itself".to_owned(),
    };
    // Nobody reads it where this fails.
    let _ = writeln!(io::stderr(), "{why}");
    Some(ExitCode::from(REFUSED))
}

fn become_program(order: &LaunchOrder) -> Result<Infallible, String> {
    let required = order.confinement == Confinement::Required;
    end_with(order.parent)?;
    // The kernel ends a build before it ends the operator. It is no harm where it does not.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let (directory, program) = (Path::new(&order.directory), Path::new(&order.program));
    std::env::set_current_dir(directory).map_err(|e| format!("cannot enter its directory: {e}"))?;
    let mut command = Command::new(program);
    let threads = THREADS.to_string();
    command.args(&order.arguments).env_clear().env("HOME", &order.directory);
    command.env("GOMAXPROCS", threads).env("GOTRACEBACK", "none");
    command.env("GOMEMLIMIT", (order.memory / 10 * 9).to_string());
    let filter = system_calls::filter();
    limit(order).map_err(|e| format!("cannot set the limits: {e}"))?;
    match files::restrict(directory, program) {
        Err(why) if required => return Err(format!("cannot restrict files (Landlock): {why}")),
        _ => {}
    }
    match filter.and_then(|filter| system_calls::restrict(&filter)) {
        Err(why) if required => return Err(format!("cannot restrict system calls (seccomp): {why}")),
        _ => {}
    }
    Err(format!("cannot execute {}: {}", order.program, command.exec()))
}

/// Ends this process when the parent ends.
fn end_with(parent: u32) -> Result<(), String> {
    let failed = |e: rustix::io::Errno| format!("cannot end together with the operator: {e}");
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed)?;
    match getppid().map(Pid::as_raw_nonzero).map(|pid| pid.get().cast_unsigned()) {
        Some(pid) if pid == parent => Ok(()),
        _ => Err("the process that has started it is gone".to_owned()),
    }
}

/// Limits what this process can take. The number of processes is not limited here: that limit counts
/// all processes of the user, and no system call that makes one is allowed.
fn limit(order: &LaunchOrder) -> rustix::io::Result<()> {
    let limits = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, MAX_OPEN_FILES),
        (Resource::Memlock, 0),
        // A little more than what the operator ends it at.
        (Resource::Cpu, order.cpu_seconds + 2),
        // Not the address space, of which a Go program reserves much more than it uses.
        (Resource::Data, order.memory + PROGRAM_BYTES),
    ];
    for (resource, most) in limits {
        let hard = rustix::process::getrlimit(resource).maximum;
        let most = Some(hard.map_or(most, |hard| hard.min(most)));
        setrlimit(resource, Rlimit { current: most, maximum: most })?;
    }
    Ok(())
}
