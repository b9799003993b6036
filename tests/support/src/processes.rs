//! Child processes that cannot survive the process that started them.
//!
//! All children of one test process run in one process group. A shell in another
//! group, the reaper, waits on a pipe whose other end only the test process
//! holds. However that process ends (its own exit, Ctrl-C, `kill -9`), the kernel
//! closes the pipe; the reaper then kills the group and removes the one directory
//! that everything writes into. A parent-death signal would need `unsafe`, and
//! would not reach the children of children.

use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions};

// $1: the process group; $2: the directory. The processes are killed and not
// asked: nothing they hold is wanted, and an API server whose etcd has gone would
// take minutes to end by itself. Removing is tried until it has worked: one that
// is just dying may still write. (Waiting for the group to be gone would not do:
// it holds dead processes too, until somebody who has inherited them looks.)
const REAPER: &str = r#"
trap '' HUP INT TERM
read -r _
kill -s KILL -- "-$1" 2>/dev/null
n=0
while [ -e "$2" ] && [ "$n" -lt 100 ]; do n=$((n + 1)); rm -rf -- "$2" || sleep 0.05; done
"#;

// Gives the group its number and keeps it taken. Outlives the pipe by a moment,
// so that the number cannot belong to anybody else when the reaper kills it.
const ANCHOR: &str = "trap '' HUP INT; read -r _; sleep 5";

// A PATH for these two shells that does not depend on the one under test.
const SHELL_PATH: &str = "/usr/bin:/bin";

struct Guard {
    group: i32,
    directory: PathBuf,
    // Held open, never written. Closing them is the signal.
    reaper: Mutex<Option<(Child, ChildStdin)>>,
    anchor: Mutex<Option<(Child, ChildStdin)>>,
}

impl Guard {
    fn get() -> &'static Guard {
        static GUARD: OnceLock<Guard> = OnceLock::new();
        GUARD.get_or_init(Guard::start)
    }

    fn start() -> Guard {
        let anchor = shell(ANCHOR, &[]);
        let group = i32::try_from(anchor.0.id()).expect("a process id fits");
        let random = tempfile::Builder::new().prefix("supercargo-testbed-").tempdir().expect("a directory");
        let directory = random.path().to_path_buf();
        let reaper = shell(REAPER, &[group.to_string().as_ref(), directory.as_os_str()]);
        let directory = random.keep(); // from here on it is the reaper's to remove
        Guard { group, directory, reaper: Mutex::new(Some(reaper)), anchor: Mutex::new(Some(anchor)) }
    }
}

fn shell(script: &str, arguments: &[&std::ffi::OsStr]) -> (Child, ChildStdin) {
    let mut child = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .args(arguments)
        .env("PATH", SHELL_PATH)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start /bin/sh");
    let stdin = child.stdin.take().expect("stdin is a pipe");
    (child, stdin)
}

/// A command that dies with this process. Its standard input is empty.
pub fn command(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    command.process_group(Guard::get().group).stdin(Stdio::null());
    command
}

/// A new directory that is removed when this process ends, whatever ends it.
pub fn directory(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = Guard::get().directory.join(format!("{name}-{number}"));
    std::fs::create_dir_all(&path).expect("create a directory");
    path
}

/// Ends every process and removes every directory now, and returns when that is
/// done. For a program that wants to be sure before it says goodbye; nothing can
/// be started afterwards.
pub fn end_all() {
    let guard = Guard::get();
    if let Some((mut child, pipe)) = guard.reaper.lock().expect("lock").take() {
        drop(pipe);
        drop(guard.anchor.lock().expect("lock").take());
        child.wait().expect("wait for the reaper");
    }
}

/// A server started with [`command`], with all it prints in one file.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it; its output is appended to `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Server {
        let file: File = OpenOptions::new().create(true).append(true).open(log).expect("open a log file");
        let child = command
            .stdout(file.try_clone().expect("clone a file handle"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        Server { name: name.to_owned(), child, log: log.to_path_buf() }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends a signal by its name without `SIG`: `TERM`, `HUP`. To stop it for a while, see
    /// [`Server::freeze`].
    pub fn signal(&self, signal: &str) {
        // It may have ended by itself in the meantime: a failure is no error here.
        Command::new("/bin/sh")
            .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal, &self.id().to_string()])
            .stderr(Stdio::null())
            .status()
            .expect("run kill");
    }

    /// Stops it as it is, and returns when none of its threads runs. The signal alone is no end of
    /// the work: one thread has to take it before the others stop, and on a busy machine they
    /// answer requests meanwhile.
    pub fn freeze(&self) {
        self.signal("STOP");
        let pid = Pid::from_raw(i32::try_from(self.id()).expect("a process id fits")).expect("it is not 0");
        let stopped = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        // One that has ended and was waited for does not run either.
        let _ = rustix::process::waitid(WaitId::Pid(pid), stopped);
    }

    /// Ends [`Server::freeze`].
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks it to end and waits for it; returns its exit code (none when it died
    /// of a signal). Panics when it has not ended after `limit`.
    pub fn stop(&mut self, limit: Duration) -> Option<i32> {
        self.signal("TERM");
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("wait for a child") {
                return status.code();
            }
            assert!(start.elapsed() < limit, "{} did not end within {limit:?}\n{}", self.name, self.tail());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// All it has printed.
    pub fn log(&self) -> String {
        std::fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The last lines it has printed, for the message of a failure.
    pub fn tail(&self) -> String {
        const LINES: usize = 30;
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LINES)..].join("\n");
        format!("--- the end of {}'s log ({})\n{last}\n---", self.name, self.log.display())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
