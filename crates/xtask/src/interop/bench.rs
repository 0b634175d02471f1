//! `cargo xtask bench`: Apache Kafka 4.3.1 and Strandline side by side, under the loads of bench/.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::FETCH_TIMEOUT;
use super::peer::{Against, Peer};
use super::place::Place;

/// Starts both, runs every load `rounds` times against each in turn, and prints one table.
pub(crate) fn run(rounds: usize) -> Result<()> {
    let place = Place::find()?;
    let mut command = Command::new(program(&place)?);
    command.args(["table", &rounds.to_string()]);
    side_by_side(&place, command)
}

/// The same of transactions.
pub(crate) fn transactions(rounds: usize) -> Result<()> {
    let place = Place::find()?;
    let mut command = Command::new(program(&place)?);
    command.args(["transactions", &rounds.to_string()]).arg(place.strandline()?);
    side_by_side(&place, command)
}

/// The same of compaction.
pub(crate) fn cleaner(rounds: usize) -> Result<()> {
    let place = Place::find()?;
    let mut command = Command::new(program(&place)?);
    command.args(["cleaner", &rounds.to_string()]).arg(place.strandline()?);
    side_by_side(&place, command)
}

fn side_by_side(place: &Place, mut command: Command) -> Result<()> {
    let peers = [Against::Kafka, Against::Strandline].map(|it| Peer::start(place, &it));
    let [kafka, strandline] = peers;
    let (kafka, strandline) = (kafka?, strandline?);
    let argument = |name: &str, peer: &Peer| {
        let pid = peer.pid().context("a broker that was started here has a process")?;
        let (address, dir) = (peer.bootstrap(), peer.data().display());
        anyhow::Ok(format!("{name}={address}/{pid}={dir}"))
    };
    command.arg(argument("Kafka 4.3.1", &kafka)?).arg(argument("Strandline", &strandline)?);
    run_through(&mut command)?;
    strandline.stop()?;
    kafka.stop()
}

/// Three nodes of each, what befalls them, and how long it takes; one table.
pub(crate) fn recovery() -> Result<()> {
    let place = Place::find()?;
    let mut command = measurement(&place, "recovery")?;
    run_through(command.arg(place.fetch_kafka(FETCH_TIMEOUT)?).envs(place.go()))
}

/// One broker and three with thousands of partitions; one table.
pub(crate) fn scale() -> Result<()> {
    let place = Place::find()?;
    run_through(&mut measurement(&place, "scale")?)
}

/// One that starts nodes of its own, below a folder of its own.
fn measurement(place: &Place, name: &str) -> Result<Command> {
    let mut command = Command::new(program(place)?);
    command.arg(name).arg(place.target().join(name)).arg(place.strandline()?);
    Ok(command)
}

fn run_through(command: &mut Command) -> Result<()> {
    let status = command.status().context("run strandline-bench")?;
    ensure!(status.success(), "the measurement did not run through");
    Ok(())
}

/// Of bench/, brought up to date.
fn program(place: &Place) -> Result<PathBuf> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "strandline-bench"])
        .current_dir(place.repository())
        .status()
        .context("run cargo")?;
    ensure!(status.success(), "strandline-bench does not build");
    Ok(place.target().join("release").join("strandline-bench"))
}
