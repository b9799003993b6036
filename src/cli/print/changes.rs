//! A plan, as a person reads a diff.

use super::printer::Printer;
use super::text::Line;
use crate::api::plan::PlanField;
use crate::cli::CliError;
use crate::domain::gate::counted;
use crate::domain::message::and_more;
use crate::reconcile::frontend::published::PlanView;

impl PlanView {
    /// Prints it for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(in crate::cli) fn print(&self, printer: &mut Printer<'_>) -> Result<(), CliError> {
        for entry in &self.changes {
            let detail = entry.detail.as_ref().map(|detail| format!(" ({detail})")).unwrap_or_default();
            let action = if entry.action == "handedOver" { "handed over" } else { entry.action.as_str() };
            printer.line(Line::of_diff(&format!("► {} {action}{detail}", entry.object)))?;
            entry.fields.iter().try_for_each(|field| print_field(field, printer))?;
            let more = entry.more_fields.and_then(|more| usize::try_from(more).ok()).unwrap_or_default();
            and_more(more).map_or(Ok(()), |more| printer.line(more))?;
        }
        and_more(self.more_changes.unwrap_or_default()).map_or(Ok(()), |more| printer.line(more))?;
        printer.line(format!("Plan {}: {}", self.hash, counted(&self.counts)))?;
        if let Some(outdated) = &self.changed_since {
            printer.line(format!("It differs from the approved plan {}:", outdated.hash))?;
            outdated.differences.iter().try_for_each(|difference| printer.line(format!("  {difference}")))?;
        }
        Ok(())
    }
}

fn print_field(field: &PlanField, printer: &mut Printer<'_>) -> Result<(), CliError> {
    let note = if field.unstable { " (differs between two dry runs; not part of the hash)" } else { "" };
    printer.line(Line::of_diff(&format!("@@ {}{note}", field.path)))?;
    let mut side = |sign: char, value: &Option<String>| {
        let lines = value.iter().flat_map(|value| value.split('\n'));
        lines.map(|line| format!("{sign}{line}")).try_for_each(|line| printer.line(Line::of_diff(&line)))
    };
    side('-', &field.before)?;
    side('+', &field.after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::plan::{PlanCounts, PlanEntry};

    #[test]
    fn a_plan_reads_like_a_diff() {
        let field = |path: &str, before: Option<&str>, after: Option<&str>, unstable| PlanField {
            path: path.to_owned(),
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            unstable,
        };
        let entry = |object: &str, action: &str, fields: Vec<PlanField>| PlanEntry {
            object: object.to_owned(),
            action: action.to_owned(),
            fields,
            ..PlanEntry::default()
        };
        let view = PlanView {
            hash: "abc".to_owned(),
            counts: PlanCounts { configured: 1, created: 1, handed_over: 1, ..PlanCounts::default() },
            changes: vec![
                entry("A/a", "configured", vec![field("/x", Some("1\n2"), Some("3"), false)]),
                entry("B/b", "created", vec![field("/ip", None, Some("10.0.0.1"), true)]),
                PlanEntry { detail: Some("team/other".to_owned()), ..entry("C/c", "handedOver", Vec::new()) },
            ],
            more_changes: Some(2),
            ..PlanView::default()
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut printer = Printer::new(&mut out, &mut err);
        view.print(&mut printer).unwrap();
        printer.finish().unwrap();
        let expected = "► A/a configured
@@ /x
-1
-2
+3
► B/b created
@@ /ip (differs between two dry runs; not part of the hash)
+10.0.0.1
► C/c handed over (team/other)
";
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(expected), "{text}");
        assert!(text.ends_with("Plan abc: 1 created, 1 configured, 1 handed over\n"), "{text}");
    }
}
