//! `supercargo list artifacts`.

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use serde::Serialize;

use super::evidence::signers;
use super::signers::optional;
use crate::cli::args::{Output, OutputArgs, RegistryArgs, VerifyArgs};
use crate::cli::print::color::Tone;
use crate::cli::print::output;
use crate::cli::print::table::{Cell, Table};
use crate::cli::reach::login;
use crate::cli::{CliError, Printer};
use crate::domain::tags::newest_first;
use crate::domain::verify::policy::Policy;
use crate::domain::version::Range;
use crate::oci::{Access, OciError, Registry, Repository, Tag, Wanted};
use crate::reconcile::trust::evidence::{VerifyTarget, verify_artifact};

/// Artifacts whose details are read at once.
const PARALLEL: usize = 8;

/// List the tags of a repository, newest version first.
///
/// Reads the tags of a repository; writes nothing. Tags of signatures are omitted. With -o wide, json, yaml or
/// jsonpath, each artifact is read, too: its digest, when it was created, and its signatures. Without a flag of
/// the signatures, these are only counted. With --key or --certificate-identity, they are verified, and SIGNER
/// is who has signed; an artifact that has no such signature is listed without.
///
/// Exit codes: 0 success; 1 when the registry cannot be read; 2 invalid URL or range.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub struct ListArtifacts {
    /// Repository: oci://host/repository.
    url: String,
    /// List only versions in this range, such as 1.x or '>=1.0.0 <2.0.0'.
    #[arg(long, value_name = "RANGE")]
    semver: Option<String>,
    /// List only the first of them, at most this many.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Options of the output.
    #[command(flatten)]
    output: OutputArgs,
    /// Signers that are shown.
    #[command(flatten)]
    verify: VerifyArgs,
    /// How to reach the registry.
    #[command(flatten)]
    registry: RegistryArgs,
}

const EXAMPLES: &str = "\
Examples:
  supercargo list artifacts oci://ghcr.io/acme/app-config

  # Only the versions in a range
  supercargo list artifacts oci://ghcr.io/acme/app-config --semver '>=1.0.0 <2.0.0'

  # Digest, date and signer of the newest five
  supercargo list artifacts oci://ghcr.io/acme/app-config -o wide --limit 5 --key cosign.pub";

/// A tag, for programs.
#[derive(Serialize)]
struct Listed {
    version: String,
    url: String,
    #[serde(flatten)]
    details: Option<Details>,
}

/// What is read of its artifact.
#[derive(Serialize)]
struct Details {
    digest: String,
    /// From its annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    /// How many signatures the registry has for it.
    signatures: usize,
    /// Who has signed, if that was verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
}

/// Where the artifacts are, and whose signatures count.
struct Reading<'a> {
    registry: &'a Registry,
    repository: &'a Repository,
    access: &'a Access,
    policy: Option<&'a Policy>,
}

impl ListArtifacts {
    /// Prints the tags of a repository, newest version first.
    pub(in crate::cli) async fn run(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        let Self { url, semver, limit, output, verify, registry: reach } = self;
        let range = semver.as_deref().map(Range::parse).transpose();
        let range = range.map_err(|e| CliError::Usage(format!("--semver: {e}")))?;
        let repository = Repository::parse(url).map_err(|e| match e {
            _ if url.starts_with("oci://")
                && url.rsplit('/').next().is_some_and(|n| n.contains([':', '@'])) =>
            {
                CliError::Usage(format!("{url} names one artifact; pass a repository to list its tags"))
            }
            other => other.into(),
        })?;
        let policy = optional(verify, printer)?;
        let is_short = matches!(output.output, Output::Table | Output::Name);
        if is_short && policy.is_some() {
            return Err(CliError::Usage(
                "signers are shown only with -o wide, json, yaml or jsonpath".into(),
            ));
        }
        let registry = login::registry(reach, printer);
        let access = login::access(reach, &repository).await?;
        let tags = registry.tags(&repository, &access).await?;
        let listed = newest_first(tags.iter().map(Tag::as_str), range.as_ref());
        let listed = listed.into_iter().take(limit.unwrap_or(usize::MAX)).map(|tag| Listed {
            version: tag.to_owned(),
            url: format!("oci://{repository}:{tag}"),
            details: None,
        });
        let listed: Vec<Listed> = match is_short {
            true => listed.collect(),
            false => {
                let reading = &Reading {
                    registry: &registry,
                    repository: &repository,
                    access: &access,
                    policy: policy.as_ref(),
                };
                let reads: Vec<_> = listed.map(|one| reading.detailed(one)).collect();
                let found = futures::stream::iter(reads).buffered(PARALLEL);
                found.try_filter_map(async |one| Ok(one)).try_collect().await?
            }
        };
        if let Some(format) = output.output.format() {
            return output::data(printer, format, &listed);
        }
        if matches!(output.output, Output::Name) {
            return listed.iter().try_for_each(|listed| printer.line(listed.url.as_str()));
        }
        table(listed, policy.is_some()).print(printer, !output.no_headers)
    }
}

impl Reading<'_> {
    /// The same with its details; `None` for a tag that was deleted since the list.
    async fn detailed(&self, listed: Listed) -> Result<Option<Listed>, CliError> {
        match self.details(&listed.version).await {
            Ok(details) => Ok(Some(Listed { details: Some(details), ..listed })),
            Err(CliError::Oci(OciError::NotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn details(&self, tag: &str) -> Result<Details, CliError> {
        let Self { registry, repository, access, policy } = self;
        let resolved = registry.resolve(repository, &Wanted::Tag(Tag::parse(tag)?), access).await?;
        let digest = &resolved.digest;
        // What is no artifact has no date, and is in the repository nevertheless.
        let created = registry.created(repository, digest, access).await.unwrap_or_default();
        let evidence = registry.evidence(repository, digest, access).await?;
        let signer = match policy {
            None => None,
            Some(policy) => {
                let target = VerifyTarget { repository, digest, access };
                let proofs = verify_artifact(registry, target, std::slice::from_ref(*policy)).await;
                proofs.ok().and_then(|proofs| proofs.first().map(signers))
            }
        };
        let signatures = evidence.found.len();
        Ok(Details { digest: digest.to_string(), created, signatures, signer })
    }
}

fn table(listed: Vec<Listed>, verified: bool) -> Table {
    let is_wide = listed.iter().any(|listed| listed.details.is_some());
    let mut headers = vec!["VERSION"];
    if is_wide {
        headers.extend(["DIGEST", "CREATED", if verified { "SIGNER" } else { "SIGNATURES" }]);
    }
    headers.push("URL");
    let mut table = Table::new(headers);
    for Listed { version, url, details } in listed {
        let mut row = vec![Cell::from(version)];
        if let Some(Details { digest, created, signatures, signer }) = details {
            let signed = match (verified, signer) {
                (true, Some(signer)) => Cell::toned(signer, Tone::Good),
                (true, None) => Cell::toned("none trusted", Tone::Bad),
                (false, _) => counted(signatures).into(),
            };
            row.extend([digest.into(), created.unwrap_or_default().into(), signed]);
        }
        row.push(url.into());
        table.row(row);
    }
    table
}

/// A number that says that nothing has verified it.
fn counted(signatures: usize) -> String {
    if signatures == 0 { "none".into() } else { format!("{signatures} (not verified)") }
}
