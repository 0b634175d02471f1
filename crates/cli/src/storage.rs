//! `strandline storage`: format a node's directories, or tell whose they are.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use strandline_broker::format::{
    self, DirState, FirstLevels, FirstVoters, FormatFailure, FormattedDir, FoundDir, Founding, Plan,
};
use strandline_config::{BrokerConfig, HostPort, Voter};
use strandline_ports::real::{RealClock, RealDisk, RealEntropy, RealNet, WriteBudget};
use strandline_ports::{Clock, Net, random_uuid};
use strandline_types::{NodeId, Uuid};

use crate::configuration::{ConfigurationArgs, warning_lines};
use crate::failure::Failure;
use crate::output::{Output, table};

#[derive(Subcommand, Debug)]
pub(crate) enum StorageVerb {
    /// Make empty directories a node's own
    ///
    /// `start` does this by itself for a node that is alone. Formatting by hand chooses the
    /// cluster id, and is how nodes are prepared that form or join a cluster of several.
    #[command(after_help = "Example:\n  strandline storage format --config server.properties")]
    Format {
        #[command(flatten)]
        configuration: ConfigurationArgs,

        /// Id of the cluster; a node that founds one alone makes one up
        #[arg(long, value_name = "ID", short = 't')]
        cluster_id: Option<Uuid>,

        #[command(flatten)]
        quorum: QuorumArgs,

        /// Level of a feature that the cluster begins with, where it is not to be the usual one
        #[arg(long = "feature", short = 'f', value_name = "NAME=LEVEL", value_parser = feature_level)]
        features: Vec<FeatureLevel>,

        /// Leave directories alone that are formatted already
        #[arg(long)]
        ignore_formatted: bool,
    },

    /// Tell whose a node's directories are; exit code 1 if one is not formatted
    #[command(after_help = "Example:\n  strandline storage info --config server.properties")]
    Info {
        #[command(flatten)]
        configuration: ConfigurationArgs,
    },

    /// Print a new id for a cluster
    #[command(after_help = "Example:\n  strandline storage random-uuid")]
    RandomUuid,
}

/// How the metadata quorum begins.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct QuorumArgs {
    /// Found a metadata quorum with this node as its only voter
    #[arg(long, short = 's')]
    standalone: bool,

    /// Join a metadata quorum that exists
    #[arg(long, short = 'N')]
    no_initial_controllers: bool,

    /// Found a metadata quorum together: the same list, with a new directory id for each, on all nodes
    #[arg(
        long,
        short = 'I',
        value_name = "ID@HOST:PORT:DIRECTORY_ID",
        value_delimiter = ',',
        value_parser = initial_controller
    )]
    initial_controllers: Vec<InitialController>,
}

/// One of several controllers that found a quorum together.
#[derive(Clone, Debug)]
struct InitialController {
    id: NodeId,
    address: HostPort,
    directory_id: Uuid,
}

fn initial_controller(text: &str) -> Result<InitialController, String> {
    let parsed = || {
        let (voter, directory_id) = text.trim().rsplit_once(':')?;
        let Voter { id, address } = Voter::parse(voter)?;
        let directory_id: Uuid = directory_id.parse().ok()?;
        let is_whole = id.get() >= 0 && !address.host.is_empty() && address.port > 0;
        (is_whole && !directory_id.is_zero()).then_some(InitialController {
            id,
            address,
            directory_id,
        })
    };
    parsed().ok_or_else(|| {
        "it must be ID@HOST:PORT:DIRECTORY_ID; `strandline storage random-uuid` prints an id".into()
    })
}

#[derive(Clone, Debug)]
pub(crate) struct FeatureLevel {
    name: String,
    level: i16,
}

fn feature_level(text: &str) -> Result<FeatureLevel, String> {
    let parsed = text.split_once('=').and_then(|(name, level)| {
        let level = level.trim().parse().ok()?;
        Some(FeatureLevel { name: name.trim().to_owned(), level })
    });
    parsed.ok_or_else(|| "it must be NAME=LEVEL, as in transaction.version=2".into())
}

pub(crate) fn run(verb: StorageVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        StorageVerb::RandomUuid => {
            let id = random_uuid(&RealEntropy);
            output.done(&format!("{id}\n"), &json!({ "uuid": id.to_string() }))
        }
        StorageVerb::Info { configuration } => info(&load(&configuration)?, output),
        StorageVerb::Format { configuration, cluster_id, quorum, features, ignore_formatted } => {
            let config = load(&configuration)?.with_controllers_at(&RealNet.host_name());
            let start = start_of(&config, &quorum)?;
            let levels = first_levels(&config, &features)?;
            let formatted = format_dirs(&config, cluster_id, (&start, &levels), ignore_formatted)?;
            report_formatted(&formatted, &configuration, output)
        }
    }
}

fn load(configuration: &ConfigurationArgs) -> Result<BrokerConfig, Failure> {
    let resolved = configuration.load()?;
    let mut err = std::io::stderr().lock();
    for line in warning_lines(&resolved.warnings) {
        // A closed standard error leaves nobody to warn.
        let _ = writeln!(err, "warning: {line}");
    }
    Ok(resolved.config)
}

fn inspect(disk: &RealDisk, config: &BrokerConfig) -> Result<Vec<FoundDir>, Failure> {
    format::inspect(disk, format::directories(config))
        .map_err(|failure| Failure::new("cannot tell whose the directories are").because(&failure))
}

fn info(config: &BrokerConfig, output: &Output) -> Result<ExitCode, Failure> {
    let disk = RealDisk::new(WriteBudget::default());
    let found = inspect(&disk, config)?;
    let cells = |FoundDir { path, state }: &FoundDir| {
        let path = path.display().to_string();
        match state {
            DirState::Unformatted => {
                let none = String::new;
                [path, "not formatted".to_owned(), none(), none(), none()]
            }
            DirState::Formatted(identity) => {
                let id = identity.directory_id.map(|id| id.to_string()).unwrap_or_default();
                let node = identity.node_id.to_string();
                [path, "formatted".to_owned(), identity.cluster_id.clone(), node, id]
            }
        }
    };
    let text =
        table(["directory", "state", "cluster", "node", "directory id"], found.iter().map(cells));
    let json: Vec<_> = found
        .iter()
        .map(|FoundDir { path, state }| match state {
            DirState::Unformatted => json!({ "directory": path, "formatted": false }),
            DirState::Formatted(identity) => json!({
                "directory": path,
                "formatted": true,
                "clusterId": identity.cluster_id,
                "nodeId": identity.node_id.get(),
                "directoryId": identity.directory_id.map(|id| id.to_string()),
            }),
        })
        .collect();
    output.print(&text, &json!(json))?;
    let is_formatted = |dir: &FoundDir| dir.state != DirState::Unformatted;
    Ok(if found.iter().all(is_formatted) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// How this node's metadata quorum begins.
enum Start {
    /// With these voters.
    With(FirstVoters),
    /// With the fixed voters of the configuration, of which this is the only one.
    OnlyFixedVoter,
    /// Elsewhere.
    Joins,
}

impl Start {
    /// Whether nobody else has to know the cluster's id.
    fn is_alone(&self) -> bool {
        match self {
            Self::With(voters) => voters.is_one(),
            Self::OnlyFixedVoter => true,
            Self::Joins => false,
        }
    }
}

fn start_of(config: &BrokerConfig, asked: &QuorumArgs) -> Result<Start, Failure> {
    let quorum = &config.quorum;
    if asked.no_initial_controllers {
        return Ok(Start::Joins);
    }
    if asked.standalone || !asked.initial_controllers.is_empty() {
        return founds(config, asked).map(Start::With);
    }
    if let [voter] = &quorum.voters[..]
        && voter.id == config.node_id
    {
        return Ok(Start::OnlyFixedVoter);
    }
    if !quorum.voters.is_empty() || !config.roles.controller {
        return Ok(Start::Joins);
    }
    match &quorum.bootstrap_servers[..] {
        [server] if config.is_own_controller(server) => alone(config).map(Start::With),
        _ => Err(Failure::misuse("`controller.quorum.bootstrap.servers` names other nodes too").next(
            "say --standalone to found a quorum with this node, --initial-controllers to found one together, or --no-initial-controllers to join theirs",
        )),
    }
}

/// Dynamic voters, as asked for.
fn founds(config: &BrokerConfig, asked: &QuorumArgs) -> Result<FirstVoters, Failure> {
    let option = if asked.standalone { "--standalone" } else { "--initial-controllers" };
    if !config.quorum.voters.is_empty() {
        let what = format!(
            "{option} founds a quorum of dynamic voters, but `controller.quorum.voters` fixes them"
        );
        let next = format!("remove `controller.quorum.voters`, or {option}");
        return Err(Failure::misuse(what).next(next));
    }
    if !asked.standalone {
        return together(config, &asked.initial_controllers);
    }
    if !config.roles.controller {
        let what = "--standalone needs the controller role in `process.roles`";
        return Err(Failure::misuse(what));
    }
    alone(config)
}

fn alone(config: &BrokerConfig) -> Result<FirstVoters, Failure> {
    FirstVoters::alone(config, &RealEntropy).map_err(|failure| cannot_format(&failure))
}

fn together(
    config: &BrokerConfig,
    controllers: &[InitialController],
) -> Result<FirstVoters, Failure> {
    let parts = |it: &InitialController| (it.id, it.address.clone(), it.directory_id);
    FirstVoters::together(config, controllers.iter().map(parts))
        .ok_or_else(|| Failure::misuse("--initial-controllers names a node twice"))
}

fn first_levels(config: &BrokerConfig, asked: &[FeatureLevel]) -> Result<FirstLevels, Failure> {
    let kraft_version = i16::from(config.quorum.voters.is_empty());
    let asked = asked.iter().map(|FeatureLevel { name, level }| (name.as_str(), *level));
    FirstLevels::choose(asked, kraft_version)
        .map_err(|error| Failure::misuse("the cluster cannot begin like that").because(&error))
}

fn format_dirs(
    config: &BrokerConfig,
    cluster_id: Option<Uuid>,
    (start, levels): (&Start, &FirstLevels),
    keep_formatted: bool,
) -> Result<Vec<FormattedDir>, Failure> {
    let disk = RealDisk::new(WriteBudget::default());
    let cluster_id = match (cluster_id, cluster_already_there(&disk, config)?) {
        (Some(id), _) => id.to_string(),
        (None, Some(id)) => id,
        (None, None) if start.is_alone() => random_uuid(&RealEntropy).to_string(),
        (None, None) => {
            return Err(Failure::misuse("a node that is not alone needs the id of its cluster")
                .next("add --cluster-id; `strandline storage info` on another node prints it"));
        }
    };
    let founding = match start {
        Start::With(voters) => Founding::Voters(voters),
        Start::OnlyFixedVoter | Start::Joins => Founding::ByOthers,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .map_err(|error| Failure::new("cannot start").because(&error))?;
    let now = RealClock::default().now().timestamp;
    let node = (config, format::directories(config));
    let plan = Plan { cluster_id: &cluster_id, founding, levels, keep_formatted };
    let work = format::format(&disk, &RealEntropy, now, node, plan);
    runtime.block_on(work).map_err(|failure| cannot_format(&failure))
}

fn cannot_format(failure: &FormatFailure) -> Failure {
    let told = Failure::new("cannot format the directories").because(failure);
    match failure {
        FormatFailure::AlreadyFormatted { .. } => {
            told.next("add --ignore-formatted to format only the others")
        }
        FormatFailure::Foreign { .. } => {
            told.next("give this node other directories, or the same --cluster-id and node.id")
        }
        FormatFailure::NotEmpty { .. } => told.next("choose an empty directory"),
        FormatFailure::NoPort(_) => told.next("give the controller listener a fixed port"),
        _ => told,
    }
}

/// The cluster of a directory of this node that was formatted before.
fn cluster_already_there(
    disk: &RealDisk,
    config: &BrokerConfig,
) -> Result<Option<String>, Failure> {
    let found = inspect(disk, config)?;
    Ok(found.into_iter().find_map(|dir| match dir.state {
        DirState::Formatted(identity) if identity.node_id == config.node_id => {
            Some(identity.cluster_id)
        }
        _ => None,
    }))
}

fn report_formatted(
    formatted: &[FormattedDir],
    configuration: &ConfigurationArgs,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let Some(first) = formatted.first() else {
        return output.done("Every directory is formatted already.\n", &json!({ "formatted": [] }));
    };
    let show = |path: &Path| path.display().to_string();
    let rows = formatted.iter().map(|dir| {
        let id = dir.identity.directory_id.map(|id| id.to_string()).unwrap_or_default();
        [show(&dir.path), id, if dir.has_metadata_log { "yes" } else { "" }.to_owned()]
    });
    let (cluster_id, node_id) = (&first.identity.cluster_id, first.identity.node_id);
    let text = format!(
        "{}\nThe directories belong to node {node_id} of cluster {cluster_id} now. Next: strandline start{}\n",
        table(["directory", "directory id", "metadata log"], rows),
        configuration.as_typed(),
    );
    let dirs = formatted.iter().map(|dir| {
        json!({
            "directory": dir.path,
            "directoryId": dir.identity.directory_id.map(|id| id.to_string()),
            "metadataLog": dir.has_metadata_log,
        })
    });
    let json = json!({
        "clusterId": cluster_id,
        "nodeId": node_id.get(),
        "formatted": dirs.collect::<Vec<_>>(),
    });
    output.done(&text, &json)
}
