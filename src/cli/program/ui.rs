//! `supercargo ui`: the page, for a person.

use std::net::SocketAddr;
use std::process::Stdio;

use clap::Args;

use crate::cli::args::ClusterArgs;
use crate::cli::interrupt::or_interrupted;
use crate::cli::reach::connect::connect;
use crate::cli::{CliError, Printer};
use crate::cluster::error::ApiError;
use crate::cluster::session::Session;
use crate::ui::{Page, loopback};

/// Show releases in a browser: what is wrong, and why.
///
/// Serves a page on an address of this machine until Ctrl-C, and prints a link that opens it once, in one browser.
/// The page shows what is wrong first, then all releases, and each with its objects, plan, revisions, signers and
/// events, and follows changes. Reads with your own rights: the releases of all namespaces, or of -n; without the right to list
/// all, those of the namespace of the context. Changes a release only when you confirm it on the page: reconcile,
/// suspend, resume, approve or rollback, and writes an event with your name.
///
/// Exit codes: 0 after Ctrl-C; 1 when the cluster cannot be read, or the address is taken.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct UiArgs {
    /// Address to serve on, only of loopback; port 0 chooses a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "HOST:PORT", value_parser = loopback)]
    addr: SocketAddr,
    /// Open the link in the default browser.
    #[arg(long)]
    open: bool,
}

const EXAMPLES: &str = "\
Examples:
  # Open the page in the browser
  supercargo ui --open

  # Only one namespace, on a port of your choice
  supercargo ui -n apps --addr 127.0.0.1:8090";

impl UiArgs {
    /// Serves the page until Ctrl-C.
    pub(in crate::cli) async fn run(
        &self,
        cluster: &ClusterArgs,
        printer: &mut Printer<'_>,
    ) -> Result<(), CliError> {
        let session = connect(cluster).await?;
        let namespace = shown(&session, cluster.namespace.as_deref(), printer).await?;
        let page = Page::bind(self.addr, session, namespace).await;
        let page = page.map_err(|error| CliError::Failed(crate::domain::message::chain(&error)))?;
        printer.line(page.link())?;
        printer.finish()?;
        printer.say("serving until Ctrl-C; the link opens the page once");
        let file = if self.open { open(page.link(), printer) } else { None };
        let serving = async {
            page.serve(std::future::pending()).await;
            Ok(())
        };
        let ended = or_interrupted(serving, || "stopped".into()).await;
        drop(file);
        match ended {
            Err(CliError::Interrupted(_)) => Ok(()),
            ended => ended,
        }
    }
}

/// The only namespace that is shown; none for all. A person without the right to list all sees that of the context.
async fn shown(
    session: &Session,
    wanted: Option<&str>,
    printer: &mut Printer<'_>,
) -> Result<Option<String>, CliError> {
    if let Some(wanted) = wanted {
        session.first_release(Some(wanted)).await?;
        return Ok(Some(wanted.to_owned()));
    }
    match session.first_release(None).await {
        Ok(()) => Ok(None),
        Err(error) if matches!(error, ApiError::Status(_)) && error.is_forbidden() => {
            let namespace = session.default_namespace().to_owned();
            session.first_release(Some(&namespace)).await?;
            printer.say(format!(
                "you cannot list the releases of all namespaces; showing namespace {namespace}"
            ));
            Ok(Some(namespace))
        }
        Err(error) => Err(error.into()),
    }
}

/// Opens a link in the default browser, by a file that only this user can read: the arguments of a process can be
/// read by others. The file has to exist until the browser has read it.
fn open(link: &str, printer: &mut Printer<'_>) -> Option<tempfile::NamedTempFile> {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let written = tempfile::Builder::new().prefix("supercargo-").suffix(".html").tempfile().and_then(|file| {
        let leads = format!("<!doctype html><meta http-equiv=\"refresh\" content=\"0;url={link}\"><title>Supercargo</title>");
        std::fs::write(file.path(), leads)?;
        let mut command = std::process::Command::new(program);
        command.arg(file.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(file)
    });
    match written {
        Ok(file) => Some(file),
        Err(error) => {
            printer.say(format!("cannot start {program} ({error}); open the link yourself"));
            None
        }
    }
}
