//! The records that flow while something happens: `bench/traffic`, a program on franz-go.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};

pub(super) struct Traffic {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What was measured since the last [`Traffic::begin`].
pub(super) struct Window {
    pub(super) longest_produce_ms: f64,
    pub(super) p50_ms: f64,
    pub(super) p99_ms: f64,
    pub(super) longest_ms: f64,
}

/// What became of all records.
pub(super) struct Outcome {
    pub(super) sent: f64,
    pub(super) failed: f64,
    pub(super) lost: f64,
    pub(super) twice: f64,
}

impl Traffic {
    pub(super) fn start(
        program: &Path,
        bootstrap: &str,
        topic: &str,
        partitions: i32,
        records_per_second: u32,
    ) -> Result<Self> {
        let mut process = Command::new(program)
            .args([bootstrap, topic, &partitions.to_string(), &records_per_second.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", program.display()))?;
        let commands = process.stdin.take().context("its input is piped")?;
        let answers = BufReader::new(process.stdout.take().context("its output is piped")?);
        Ok(Self { process, commands, answers })
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        Ok(writeln!(self.commands, "begin")?)
    }

    /// Waits until all that was sent so far has arrived.
    pub(super) fn settle(&mut self) -> Result<()> {
        let line = self.ask("settle")?;
        ensure!(line.trim_end() == "settled=true", "records are still on their way: {line}");
        Ok(())
    }

    pub(super) fn report(&mut self) -> Result<Window> {
        let line = self.ask("report")?;
        ensure!(figure(&line, "received")? > 0.0, "the traffic has come to a halt");
        Ok(Window {
            longest_produce_ms: figure(&line, "produce_max_ms")?,
            p50_ms: figure(&line, "p50_ms")?,
            p99_ms: figure(&line, "p99_ms")?,
            longest_ms: figure(&line, "max_ms")?,
        })
    }

    pub(super) fn end(mut self) -> Result<Outcome> {
        let line = self.ask("end")?;
        Ok(Outcome {
            sent: figure(&line, "sent")?,
            failed: figure(&line, "failed")?,
            lost: figure(&line, "lost")?,
            twice: figure(&line, "twice")?,
        })
    }

    fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.commands, "{command}")?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        ensure!(!line.is_empty(), "the traffic has ended");
        Ok(line)
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        // One that has ended already is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One of the `name=number` of a line.
fn figure(line: &str, name: &str) -> Result<f64> {
    let mut words = line.split_whitespace().filter_map(|word| word.split_once('='));
    let (_, number) = words.find(|(key, _)| *key == name).with_context(|| name.to_owned())?;
    Ok(number.parse()?)
}
