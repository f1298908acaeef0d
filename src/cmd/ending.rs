//! The end of a run: printed once, in one place, which also picks the exit code.
//!
//! - A verb returns its result or its failure and prints neither; only `check` prints findings as it goes.
//! - Two threads may want to end the run: the main thread with what the verb returned, and the signal
//!   thread with what is certain when a signal arrives.
//! - The first one locks the output, prints, and exits the process. The other waits for that exit. Only
//!   a second signal, a second or more later, does not wait: it exits at once.

#![allow(clippy::disallowed_methods, reason = "the one place that ends a run")]

use std::io::{self, Write};
use std::process::exit;
use std::sync::Arc;

use crate::cmd::signals;
use crate::say::failure::{Kind, Known, Report};
use crate::ui::progress::{Lines, Verbosity, say, warn};
use crate::ui::text;

/// What a successful command prints.
#[derive(Default)]
pub struct Success {
    /// For stdout.
    pub output: Vec<u8>,
    /// For stderr, before the output.
    pub warnings: Vec<String>,
    /// For stderr, after the output.
    pub hint: Option<String>,
    /// The VM that exists even if the output cannot be written, in words and for scripts.
    pub vm: Option<(String, Known)>,
    /// The kind of the worst failure that `check` found, if any.
    pub failed_check: Option<Kind>,
}

impl Success {
    /// What `write` writes goes to stdout at the end.
    pub fn written_by(
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<Success, Report> {
        let mut output = Vec::new();
        write(&mut output).map_err(|error| unwritten(&error))?;
        Ok(Success {
            output,
            ..Success::default()
        })
    }
}

/// Ends the run of one command.
#[derive(Clone)]
pub struct Ending {
    /// `create VM`, for the beginning of a failure's message.
    failed_to: Option<&'static str>,
    json: bool,
    lines: Arc<Lines>,
}

impl Ending {
    /// For a command whose failures begin with their message.
    pub fn new(json: bool, verbosity: Verbosity) -> Ending {
        Ending {
            failed_to: None,
            json,
            lines: Arc::new(Lines::new(verbosity)),
        }
    }

    /// For a command whose failures begin with `Failed to {failed_to}: `.
    pub fn of(failed_to: &'static str, json: bool, verbosity: Verbosity) -> Ending {
        Ending {
            failed_to: Some(failed_to),
            ..Ending::new(json, verbosity)
        }
    }

    /// Where the command reports its progress.
    pub fn lines(&self) -> &Arc<Lines> {
        &self.lines
    }

    /// Prints the result or the failure and exits.
    pub fn end(&self, done: Result<Success, Report>) -> ! {
        let _owner = self.lines.lock_for_the_end();
        let code = done.and_then(print_success).unwrap_or_else(|report| {
            self.print_failure(&self.message(&report), &report);
            code_of(report.kind)
        });
        exit(code)
    }

    /// Exits because the command line is wrong; `lines` say so on stderr, `report` in JSON.
    pub fn end_with_wrong_usage(&self, lines: &[String], report: &Report) -> ! {
        self.print_failure(lines, report);
        exit(code_of(report.kind))
    }

    /// From now on the first SIGINT or SIGTERM ends the run with what is certain at that moment.
    pub fn answer_signals(&self) {
        let ending = self.clone();
        let answer = move |code| {
            // Held until the exit, so that what is printed stays true.
            let stage = ending.lines.stage();
            let _owner = ending.lines.lock_for_the_end();
            let report = stage.interrupted();
            ending.print_failure(&ending.message(&report), &report);
            exit(code)
        };
        if let Err(error) = signals::on_first_signal(answer) {
            warn(&format!(
                "signals will end this run without a word: {error}"
            ));
        }
    }

    fn message(&self, report: &Report) -> Vec<String> {
        let message = match self.failed_to {
            Some(verb) if !report.made => format!("Failed to {verb}: {}", report.message),
            _ => report.message.clone(),
        };
        let log = report.log.iter().map(|line| format!("  {line}"));
        [message].into_iter().chain(log).collect()
    }

    /// Prints a failure on stderr, and on stdout as JSON if that was asked for.
    fn print_failure(&self, lines: &[String], report: &Report) {
        for line in lines {
            say(line);
        }
        if let Some(hint) = &report.hint {
            say(&format!("Hint: {hint}"));
        }
        if self.json {
            // The exit code says it as well, so a closed stdout changes nothing.
            let _ = text::json(&mut io::stdout(), &report.document());
        }
    }
}

/// Prints a success and returns the exit code; fails if the output cannot be written.
fn print_success(success: Success) -> Result<i32, Report> {
    for warning in &success.warnings {
        warn(warning);
    }
    let written = print(|out| out.write_all(&success.output));
    written.map_err(|report| match success.vm {
        None => report,
        Some((vm, known)) => Report {
            message: format!("{vm}, but {}", report.message),
            known,
            made: true,
            ..report
        },
    })?;
    if let Some(hint) = &success.hint {
        say(&format!("Hint: {hint}"));
    }
    Ok(success.failed_check.map_or(0, code_of))
}

/// Writes to stdout at once. A reader that closes the pipe early (`| head`) is no failure.
pub fn print(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Report> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    match write(&mut out).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(unwritten(&error)),
        _ => Ok(()),
    }
}

fn unwritten(error: &io::Error) -> Report {
    let message = format!("the result cannot be written: {error}");
    Report::new(Kind::Failed, message)
}

fn code_of(kind: Kind) -> i32 {
    match kind {
        Kind::Usage | Kind::Config => 2,
        _ => 1,
    }
}
