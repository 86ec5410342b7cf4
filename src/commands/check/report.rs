//! Prints what `check` found: one line per problem, or the annotations of GitHub Actions.

use std::io::{self, Write};

use super::{CheckError, Report};
use crate::util::text::plain;

/// One line per problem.
pub(crate) fn lines(reports: &[Report], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let Report {
            file,
            document,
            judged,
            kind,
            name,
            errors,
            warnings,
            tolerance,
        } = report;
        let place = format!("{file}: document {document}: {kind} {name}");
        let mut say = |text: &str| writeln!(out, "{}", plain(&format!("{place}: {text}")));
        if !judged {
            say("not checked: there are no rules for it")?;
        } else if errors.is_empty() && warnings.is_empty() {
            say("fine")?;
        }
        for error in errors {
            say(&format!("error: {error}"))?;
        }
        for warning in warnings {
            say(&format!("warning: {warning}"))?;
        }
        if let Some(tolerance) = tolerance {
            say(&tolerance.to_string())?;
        }
    }
    Ok(())
}

/// One workflow command per problem (GitHub docs, "Workflow commands for GitHub Actions").
pub(crate) fn annotations(reports: &[Report], unreadable: &[CheckError], out: &mut dyn Write) -> io::Result<()> {
    for report in reports {
        let place = format!(
            "file={},title={}",
            property(&report.file),
            property(&format!("{} {}", report.kind, report.name))
        );
        for error in &report.errors {
            writeln!(out, "::error {place}::{}", message(&error.to_string()))?;
        }
        for warning in &report.warnings {
            writeln!(out, "::warning {place}::{}", message(warning))?;
        }
    }
    for error in unreadable {
        writeln!(out, "::error::{}", message(&error.to_string()))?;
    }
    Ok(())
}

fn message(text: &str) -> String {
    plain(text).replace('%', "%25")
}

fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}
