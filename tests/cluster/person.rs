//! A person at the command line: the binary, with the admin's kubeconfig and a
//! namespace.

use std::process::Command;

use supercargo_testbed::Story;
use supercargo_testbed::bed::run;

use super::scene::BINARY;

/// Somebody who types commands.
pub struct Person {
    kubeconfig: std::path::PathBuf,
    namespace: String,
}

/// What came of a command.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Person {
    /// The admin, in the story's namespace.
    pub fn of(story: &Story<'_>) -> Person {
        Person { kubeconfig: story.bed().admin_kubeconfig_path(), namespace: story.namespace().to_owned() }
    }

    /// The command of a line, ready to be changed.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(["--namespace", &self.namespace]).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Nobody's own registries or clusters.
        command.env("HOME", "/nonexistent").env("KUBECONFIG", &self.kubeconfig);
        command
    }

    /// Types a line, and what it reads from stdin.
    pub fn run(&self, arguments: &[&str], stdin: &str) -> Answer {
        Answer::of(&mut self.command(arguments), stdin)
    }
}

impl Answer {
    /// Runs a command to its end.
    pub fn of(command: &mut Command, stdin: &str) -> Answer {
        let output = run(command, stdin);
        Answer {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
