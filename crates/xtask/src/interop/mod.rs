//! `cargo xtask interop`: run real clients against a real broker.
//!
//! One row per client in [`clients`], one peer per run in [`peer`]: Apache Kafka 4.3.1 itself,
//! which proves that the tests are right, or Strandline, which they judge. A client learns where
//! the broker is from the environment and nothing else, so the same program runs against both.
#![expect(clippy::disallowed_methods, reason = "a house task runs on the wall clock")]

pub(crate) mod bench;
mod clients;
mod cluster;
mod exactly_once;
mod files;
mod home;
mod mixed;
mod own_client;
mod peer;
mod place;
mod shell;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use clients::{Brokers, CLIENTS, Client};
use peer::{Against, Peer};
use place::Place;

const USAGE: &str = "\
usage: cargo xtask interop [--against kafka|strandline|HOST:PORT] [--jobs N] [--list] [NAME…]

Runs the clients of interop/ (all, or those named) against a broker that it starts itself, or
against one that already runs at HOST:PORT. A client whose toolchain is missing is skipped on a
person's machine and fails when CI=true. Downloads and builds stay in target/interop/.";

/// No client needs as long as this; one that does hangs.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(900);
const FETCH_TIMEOUT: Duration = Duration::from_secs(900);

struct Arguments {
    against: Against,
    jobs: usize,
    names: Vec<String>,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

/// The jars of Apache Kafka 4.3.1 and its tools, fetched from Maven Central if they are not there.
pub(crate) fn kafka_libs() -> Result<PathBuf> {
    Place::find()?.fetch_kafka(FETCH_TIMEOUT)
}

/// Runs the task with the arguments that follow `interop` on the command line.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<()> {
    let Some(arguments) = parse(arguments)? else { return Ok(()) };
    let place = Place::find()?;
    let chosen: Vec<&Client> = if arguments.names.is_empty() {
        CLIENTS.iter().collect()
    } else {
        arguments.names.iter().map(|name| find(name)).collect::<Result<_>>()?
    };

    let (several, alone): (Vec<_>, Vec<_>) =
        chosen.into_iter().partition(|client| !matches!(client.brokers, Brokers::Cluster(_)));
    let started = Instant::now();
    let mut outcomes = Vec::new();
    let shares = |client: &&Client| matches!(client.brokers, Brokers::Shared);
    let peer = match several.iter().any(shares) {
        true => Some(Peer::start(&place, &arguments.against)?),
        false => None,
    };
    let bootstrap = peer.as_ref().map_or(String::new(), |peer| peer.bootstrap().to_owned());
    if let Some(peer) = &peer {
        println!("against {} at {bootstrap}", peer.name());
    }
    let run = Run { place: &place, against: &arguments.against, bootstrap: &bootstrap };
    outcomes.extend(run.at_once(&several, arguments.jobs));
    if let Some(Err(error)) = peer.map(Peer::stop) {
        println!("{error:#}");
        outcomes.push(Outcome::Failed("the broker did not survive its clients".into()));
    }
    outcomes.extend(run.at_once(&alone, 1));
    summarize(&outcomes, started.elapsed())
}

fn parse(arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>> {
    let mut parsed = Arguments { against: Against::Strandline, jobs: 2, names: Vec::new() };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(None);
            }
            "--list" => {
                for client in CLIENTS {
                    println!("{:<20} interop/{}", client.name, client.folder);
                }
                return Ok(None);
            }
            "--against" => {
                parsed.against = Against::parse(&arguments.next().context(USAGE)?)?;
            }
            "--jobs" => parsed.jobs = arguments.next().context(USAGE)?.parse().context(USAGE)?,
            flag if flag.starts_with('-') => bail!("unknown flag {flag}\n{USAGE}"),
            _ => parsed.names.push(argument),
        }
    }
    Ok(Some(parsed))
}

fn find(name: &str) -> Result<&'static Client> {
    CLIENTS.iter().find(|client| client.name == name).with_context(|| {
        let known: Vec<_> = CLIENTS.iter().map(|client| client.name).collect();
        format!("no client is called {name}; there are: {}", known.join(", "))
    })
}

/// What the clients of one run have in common.
struct Run<'a> {
    place: &'a Place,
    against: &'a Against,
    /// Of the broker that is shared.
    bootstrap: &'a str,
}

impl Run<'_> {
    /// Dependencies are fetched one client after another (their caches are shared); the tests, which
    /// mostly wait for rebalances, run `jobs` at a time.
    fn at_once(&self, clients: &[&Client], jobs: usize) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let outcomes = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..jobs.max(1) {
                scope.spawn(|| {
                    while let Some(client) = clients.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let outcome = report(client, Instant::now(), || self.one(client));
                        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                    }
                });
            }
        });
        outcomes.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn one(&self, client: &Client) -> Result<Outcome> {
        let drive = match (client.brokers, self.against) {
            (Brokers::Shared, _) => None,
            (_, Against::Address(_)) => {
                return Ok(Outcome::Skipped("needs a broker it may restart".into()));
            }
            (Brokers::Own(drive) | Brokers::Cluster(drive), _) => Some(drive),
        };
        if let Some(outcome) = missing(client) {
            return Ok(outcome);
        }
        self.place.fetch(client, FETCH_TIMEOUT)?;
        match drive {
            Some(drive) => drive(self.place, client, self.against)?,
            None => self.place.run(client, client.run, self.bootstrap, CLIENT_TIMEOUT)?,
        }
        Ok(Outcome::Passed)
    }
}

/// What a missing toolchain means here: nothing, a skip, or (in CI, which installs all) a failure.
fn missing(client: &Client) -> Option<Outcome> {
    let absent = client.needs.iter().find(|probe| !shell::succeeds(probe))?;
    let message = format!("`{absent}` does not work here; .ci/install installs what is missing");
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    Some(if in_ci { Outcome::Failed(message) } else { Outcome::Skipped(message) })
}

fn report(client: &Client, started: Instant, work: impl FnOnce() -> Result<Outcome>) -> Outcome {
    let outcome = work().unwrap_or_else(|error| Outcome::Failed(format!("{error:#}")));
    let seconds = started.elapsed().as_secs_f64();
    match &outcome {
        Outcome::Passed => println!("{:<20} passed   {seconds:>6.1} s", client.name),
        Outcome::Failed(why) => println!("{:<20} FAILED   {seconds:>6.1} s\n{why}", client.name),
        Outcome::Skipped(why) => println!("{:<20} SKIPPED  {why}", client.name),
    }
    outcome
}

fn summarize(outcomes: &[Outcome], elapsed: Duration) -> Result<()> {
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|o| wanted(o)).count();
    let failed = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let summary = format!(
        "{} passed, {failed} failed, {} skipped in {:.0} s",
        count(|outcome| matches!(outcome, Outcome::Passed)),
        count(|outcome| matches!(outcome, Outcome::Skipped(_))),
        elapsed.as_secs_f64(),
    );
    println!("{summary}");
    if failed > 0 {
        bail!("not every client passed");
    }
    Ok(())
}
