//! One confined process: started, watched, bounded, and ended with the future that waits for it.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use super::limits::{MAX_MESSAGES, WATCH_INTERVAL};
use super::sandbox::LaunchOrder;

/// How a process has ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exited {
        /// Its exit status.
        status: ExitStatus,
        /// Its stdout.
        output: Vec<u8>,
        /// The beginning of its stderr.
        messages: String,
    },
    /// It has written more than the limit.
    TooMuchOutput,
    /// It has used its processor time.
    OutOfCpu,
    /// It has not ended in time.
    OutOfTime,
}

/// The limits that the parent watches over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watch {
    /// The most bytes of stdout.
    pub output: u64,
    /// The most time.
    pub time: Duration,
}

/// Runs the order to its end with the launcher. A caller that is gone ends the process.
///
/// # Errors
/// When it cannot be started or read.
pub(super) async fn run(launcher: &Path, order: &LaunchOrder, watch: Watch) -> io::Result<Ended> {
    let arguments = order.arguments().map_err(io::Error::other)?;
    let mut child = Command::new(launcher)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group(child.id().and_then(|id| Pid::from_raw(id.cast_signed())));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let whole = async { tokio::try_join!(bounded(stdout, watch.output), beginning(stderr)) };
    let cpu = Duration::from_secs(order.cpu_seconds);
    let read = tokio::select! {
        read = tokio::time::timeout(watch.time, whole) => read.unwrap_or(Err(Stop::Limit(Ended::OutOfTime))),
        () = out_of_cpu(&child, cpu) => Err(Stop::Limit(Ended::OutOfCpu)),
    };
    let (output, messages) = match read {
        Ok(read) => read,
        Err(stop) => {
            drop(group);
            child.wait().await?;
            return match stop {
                Stop::Limit(ended) => Ok(ended),
                Stop::Failed(error) => Err(error),
            };
        }
    };
    // It has closed its output; what does not end now is ended.
    match tokio::time::timeout(watch.time, child.wait()).await {
        Ok(status) => {
            group.has_ended();
            Ok(Ended::Exited { status: status?, output, messages })
        }
        Err(_) => Ok(Ended::OutOfTime),
    }
}

/// Why a process is ended.
enum Stop {
    Limit(Ended),
    Failed(io::Error),
}

/// The processes of a build, ended when this is dropped.
struct Group(Option<Pid>);

impl Group {
    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // It may have ended just now.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// The whole stream, up to the limit.
async fn bounded(stream: Option<impl AsyncRead + Unpin>, limit: u64) -> Result<Vec<u8>, Stop> {
    let mut content = Vec::new();
    if let Some(stream) = stream {
        let read = stream.take(limit.saturating_add(1)).read_to_end(&mut content).await;
        read.map_err(Stop::Failed)?;
    }
    if content.len() as u64 > limit { Err(Stop::Limit(Ended::TooMuchOutput)) } else { Ok(content) }
}

/// The beginning of a stream, which is read to its end: a full pipe would block the writer.
async fn beginning(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Stop> {
    let mut content = Vec::new();
    if let Some(mut stream) = stream {
        let read = (&mut stream).take(MAX_MESSAGES).read_to_end(&mut content).await;
        if read.is_ok() {
            // What is not shown does not matter.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    }
    Ok(String::from_utf8_lossy(&content).into_owned())
}

/// Ends once the process has used that processor time.
async fn out_of_cpu(child: &Child, most: Duration) {
    let began = Instant::now();
    loop {
        tokio::time::sleep(WATCH_INTERVAL).await;
        // It cannot have used more than all of its threads.
        if began.elapsed() < most / super::limits::THREADS {
            continue;
        }
        let stat = child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/stat")).ok());
        if stat.as_deref().and_then(cpu_time).is_some_and(|used| used >= most) {
            return;
        }
    }
}

/// The processor time in a line of `/proc/PID/stat`. The kernel counts a hundred ticks a second there,
/// on every machine that there is an image for.
fn cpu_time(stat: &str) -> Option<Duration> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_time_is_read_whatever_the_name_of_the_program() {
        let stat = "4242 (a) b (c) S 1 4242 4242 0 -1 4194304 90 0 0 0 150 25 0 0 20 0 1 0 100 0 0";
        assert_eq!(cpu_time(stat), Some(Duration::from_millis(1750)));
        assert_eq!(cpu_time(""), None);
    }
}
