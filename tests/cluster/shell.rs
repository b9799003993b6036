//! A shell of somebody: runs the program with a kubeconfig of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use supercargo_testbed::tools::Tools;
use supercargo_testbed::{Story, bed, processes};

use crate::scene::BINARY;

/// A shell with a home directory.
pub struct Shell {
    home: PathBuf,
    kubeconfig: PathBuf,
}

/// What a command has said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: text(&output.stdout),
            err: text(&output.stderr),
        }
    }

    /// The output, of a command that has done what it was told.
    #[track_caller]
    pub fn done(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }
}

impl Shell {
    /// Somebody whose kubeconfig's context is in `namespace`.
    pub fn with(kubeconfig: &str, namespace: &str) -> Shell {
        let home = processes::directory("person");
        let path = home.join("kubeconfig");
        std::fs::write(&path, in_namespace(kubeconfig, namespace)).expect("write a file");
        Shell { home, kubeconfig: path }
    }

    /// The admin, in the namespace of a story.
    pub fn admin(story: &Story<'_>) -> Shell {
        Shell::with(&story.bed().admin_kubeconfig(), story.namespace())
    }

    /// A user without any right but those of a Role `rules` (YAML flow list) in the
    /// story's namespace.
    pub fn with_rights(story: &Story<'_>, user: &str, rules: &str) -> Shell {
        let name = format!("{user}-rights");
        story.apply(&format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {name}}}\nrules: {rules}\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {name}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {name}}}\n\
             subjects: [{{apiGroup: rbac.authorization.k8s.io, kind: User, name: {user}}}]\n"
        ));
        Shell::with(&story.bed().kubeconfig_for_user(user, None), story.namespace())
    }

    /// Their files.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The program, to be run in their shell.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.program(Path::new(BINARY), arguments)
    }

    /// Any program, to be run in their shell.
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Command {
        let mut command = processes::command(program);
        command.args(arguments).env("HOME", &self.home).env("KUBECONFIG", &self.kubeconfig);
        for variable in ["CI", "NO_COLOR", "CLICOLOR_FORCE", "SUPERCARGO_CREDS", "DOCKER_CONFIG"] {
            command.env_remove(variable);
        }
        command
    }

    /// Runs the program.
    pub fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, "")
    }

    /// Runs the program with `stdin`.
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Said {
        Said::of(&bed::run(&mut self.command(arguments), stdin))
    }

    /// Runs kubectl.
    pub fn kubectl(&self, arguments: &[&str]) -> Said {
        Said::of(&bed::run(&mut self.program(Tools::get().path("kubectl"), arguments), ""))
    }

    /// Runs a command that was made here.
    pub fn finish(command: &mut Command) -> Said {
        Said::of(&bed::run(command, ""))
    }
}

/// A kubeconfig whose context is in a namespace.
pub fn in_namespace(kubeconfig: &str, namespace: &str) -> String {
    let mut parsed: Value = serde_json::from_str(kubeconfig).expect("the kubeconfigs here are JSON");
    parsed["contexts"][0]["context"]["namespace"] = namespace.into();
    parsed.to_string()
}
