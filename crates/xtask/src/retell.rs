//! What a step printed: shown as it comes, kept in a file, and told again when the step failed.
//!
//! A whole run prints megabytes and a place that shows only the end of them would show nothing of
//! a step that failed half an hour before, so the last words of a run are what failed and why.
#![expect(clippy::disallowed_methods, reason = "a house task has threads of its own")]

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, Write, pipe};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// What is still in the pipe when a command has ended is shown by then.
const REST: Duration = Duration::from_secs(5);

/// Runs `command` with both its outputs shown here and written to `file`.
pub(crate) fn run(command: &mut Command, file: &Path) -> Result<ExitStatus> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let kept = File::create(file)?;
    let (output, input) = pipe()?;
    let program = command.get_program().display().to_string();
    command.stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().with_context(|| format!("run {program}"))?;
    // The command still holds the pipe's other end, which would keep the output from ending.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let (end, ended) = mpsc::channel();
    thread::spawn(move || end.send(pass_on(output, kept)));
    let status = child.wait()?;
    // A process that the command has left behind may hold the pipe for as long as it lives.
    ended.recv_timeout(REST).unwrap_or(Ok(()))?;
    Ok(status)
}

fn pass_on(output: PipeReader, mut kept: File) -> std::io::Result<()> {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while output.read_until(b'\n', &mut line)? > 0 {
        std::io::stdout().write_all(&line)?;
        kept.write_all(&line)?;
        line.clear();
    }
    Ok(())
}

/// Lines that say what went wrong, up to this many of the first, and as many of the last lines.
const TOLD: usize = 20;

/// What `file` has to say about a failure: lines that name one, each with the line after it, and
/// the end.
pub(crate) fn failure(file: &Path) -> Result<String> {
    let (mut causes, mut last) = (Vec::new(), VecDeque::new());
    let mut follows = false;
    for line in BufReader::new(File::open(file)?).split(b'\n') {
        let line: String = String::from_utf8_lossy(&line?).chars().take(160).collect();
        let names_one =
            ["panicked at", "FAILED", "error:", "error["].iter().any(|word| line.contains(word));
        if (names_one || follows) && causes.len() < TOLD {
            causes.push(line.clone());
        }
        follows = names_one;
        last.push_back(line);
        if last.len() > TOLD {
            last.pop_front();
        }
    }
    causes.push("...".to_owned());
    causes.extend(last);
    Ok(causes.join("\n"))
}
