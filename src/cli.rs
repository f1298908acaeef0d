//! The command line: each command with its options, help, the manual, usage errors, shell completion.

mod arguments;
mod changes;
mod commands;
pub mod completion;
mod help;
mod manual;
mod queries;
mod templates;
mod usage;
mod values;

use argh::{EarlyExit, FromArgs};

pub use self::changes::*;
pub use self::commands::*;
pub use self::queries::*;
pub use self::templates::*;
pub use self::usage::WrongUsage;
pub use self::values::Seconds;

use self::arguments::Arguments;
use self::commands::{HELP, description};

/// What a command line asks for.
pub enum Parsed {
    /// A command for a server.
    Run(Box<Proxmox>),
    /// Text to print.
    Print(String),
}

/// Parses a command line. Wraps texts to `columns`.
pub fn parse(typed: &[&str], columns: usize) -> Result<Parsed, WrongUsage> {
    let root = description();
    let arguments = Arguments::read(&root, typed.iter().copied());
    if arguments.asks_for_help {
        return Ok(Parsed::Print(help::page(&arguments, columns)));
    }
    let version = format!("homelab {}\n", env!("CARGO_PKG_VERSION"));
    if arguments.has_option("--version") {
        return Ok(Parsed::Print(version));
    }
    if let Some(wrong) = usage::wrong_usage(&arguments, typed) {
        return Err(wrong);
    }
    let args = arguments.in_argh_order();
    let invalid = |exit: EarlyExit| usage::invalid_value(&exit.output, &arguments);
    if args.first() == Some(&HELP) {
        let help_args = Help::from_args(&[HELP], &args[1..]).map_err(invalid)?;
        return help::help(&help_args, &root, columns).map(Parsed::Print);
    }
    let parsed = Cli::from_args(&[root.name], &args).map_err(invalid)?;
    match parsed.command {
        Some(TopCommand::Proxmox(command)) => Ok(Parsed::Run(Box::new(command))),
        Some(TopCommand::Completions(Completions { shell })) => {
            Ok(Parsed::Print(completion::script(shell).to_owned()))
        }
        Some(TopCommand::Version(_)) | None => Ok(Parsed::Print(version)),
    }
}
