//! How verbs reach a cluster, and what they say when it says no.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use strandline_client::{Admin, CallError, Client, ClientConfig, ClientError, Refusal};
use strandline_types::ErrorCode;

use crate::failure::Failure;
use crate::world::{self, world};

#[derive(Args, Debug)]
pub(crate) struct ConnectArgs {
    /// Brokers to ask first, separated by commas
    #[arg(
        long,
        short,
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9092",
        help_heading = "Connection"
    )]
    bootstrap: String,

    /// How long to wait for answers, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 30, help_heading = "Connection")]
    timeout: u64,
}

impl ConnectArgs {
    /// Runs `work` with a client that has reached a broker.
    pub(crate) fn run<F>(&self, work: impl FnOnce(Client) -> F) -> Result<ExitCode, Failure>
    where
        F: Future<Output = Result<ExitCode, Failure>>,
    {
        world::run(Box::pin(async { work(self.reach().await?).await }))
    }

    /// [`ConnectArgs::run`] for verbs that administer.
    pub(crate) fn administer<F>(&self, work: impl FnOnce(Admin) -> F) -> Result<ExitCode, Failure>
    where
        F: Future<Output = Result<ExitCode, Failure>>,
    {
        self.run(|client| work(Admin::new(client)))
    }

    async fn reach(&self) -> Result<Client, Failure> {
        let mut config = ClientConfig::new(&self.bootstrap);
        config.operation_timeout = Duration::from_secs(self.timeout);
        config.connection.request_timeout = Duration::from_secs(self.timeout);
        let client = Client::new(world(None)?, config);
        // Asked once: where nobody listens, waiting does not help.
        match client.any_connection().await {
            Ok(_) => Ok(client),
            Err(error) => Err(unreachable(&error)),
        }
    }
}

fn unreachable(error: &ClientError) -> Failure {
    match error {
        ClientError::BadAddress { .. } | ClientError::NoBootstrap => {
            Failure::misuse(error.to_string()).next("give --bootstrap as HOST:PORT")
        }
        _ => Failure::new("no broker answers")
            .because(error)
            .next("`strandline start` starts one; --bootstrap HOST:PORT names another"),
    }
}

/// What failed as a whole. `what` continues "error: cannot ".
pub(crate) fn failed(what: &str, error: &ClientError) -> Failure {
    let failure = Failure::new(format!("cannot {what}")).because(error);
    let next = match error {
        ClientError::Refused { refusal, .. } => hint(refusal.code),
        ClientError::Call(CallError::TimedOut { .. }) => Some("give it longer with --timeout"),
        ClientError::Call(CallError::NoCommonVersion { .. }) => Some(
            "the verb needs that request: --bootstrap may name a controller's listener, or an old broker",
        ),
        _ => None,
    };
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// What a broker refused of several things: one reason per line.
pub(crate) fn refused<'a>(
    what: &str,
    refusals: impl IntoIterator<Item = (String, &'a Refusal)>,
) -> Failure {
    let mut failure = Failure::new(format!("cannot {what}"));
    let mut next = None;
    for (item, refusal) in refusals {
        failure = failure.reason(format!("{item}: {refusal}"));
        next = next.or_else(|| hint(refusal.code));
    }
    match next {
        Some(next) => failure.next(next),
        None => failure,
    }
}

/// What a person can do about a code.
fn hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "`strandline topic list` shows what there is",
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            "`strandline topic describe` shows it, `strandline topic alter` changes it"
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "a name has up to 249 letters, digits, dots, underscores and dashes"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            "`strandline cluster` shows which brokers there are"
        }
        ErrorCode::INVALID_PARTITIONS => "a topic has at least one partition, and can only grow",
        ErrorCode::INVALID_CONFIG => {
            "`strandline config describe --all` shows the keys and their values"
        }
        ErrorCode::GROUP_ID_NOT_FOUND => "`strandline group list` shows what there is",
        ErrorCode::TRANSACTIONAL_ID_NOT_FOUND => "`strandline txn list` shows what there is",
        ErrorCode::NON_EMPTY_GROUP | ErrorCode::UNKNOWN_MEMBER_ID => {
            "the group has members: stop them first; `strandline group describe` names them"
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => "stop the members that read the topic first",
        _ => return None,
    })
}

/// `KEY=VALUE`, as many arguments have it.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}
