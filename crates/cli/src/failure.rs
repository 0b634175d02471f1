//! Errors as a person reads them: what happened, why, and what to do next.

use std::error::Error;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// A command that did not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    what: String,
    why: Vec<String>,
    next: Option<String>,
    code: u8,
}

/// What went wrong lies in the world.
const FAILED: u8 = 1;
/// What went wrong lies in the command line or the configuration, as clap has it.
const MISUSED: u8 = 2;

impl Failure {
    /// `what` continues "error: ".
    pub fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), why: Vec::new(), next: None, code: FAILED }
    }

    /// The command line or the configuration cannot be followed.
    pub fn misuse(what: impl Into<String>) -> Self {
        Self { code: MISUSED, ..Self::new(what) }
    }

    /// Adds an error and all that it came from, one reason per line.
    #[must_use]
    pub fn because(mut self, cause: &dyn Error) -> Self {
        let mut cause = Some(cause);
        while let Some(error) = cause {
            let text = error.to_string();
            // Many errors quote their source; once is enough.
            let is_told = self.why.last().is_some_and(|last| last.contains(&text));
            if !is_told {
                self.why.extend(text.lines().map(str::to_owned));
            }
            cause = error.source();
        }
        self
    }

    /// Adds a reason, which is one line.
    #[must_use]
    pub fn reason(mut self, why: impl Into<String>) -> Self {
        self.why.push(why.into());
        self
    }

    /// What the person can do about it.
    #[must_use]
    pub fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }

    /// Writes it to standard error, and gives the exit code: 1 for what went wrong in the world,
    /// 2 for what is wrong with the command line or the configuration.
    pub fn report(&self) -> ExitCode {
        // A closed standard error leaves nothing to tell it to.
        let _ = writeln!(std::io::stderr().lock(), "{self}");
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for why in &self.why {
            write!(f, "\n  {why}")?;
        }
        match &self.next {
            Some(next) => write!(f, "\nnext: {next}"),
            None => Ok(()),
        }
    }
}
