//! `strandline start`: a node, until a signal or a fault ends it.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use strandline_broker::{Broker, Ready};
use strandline_config::Resolved;

use crate::configuration::{ConfigurationArgs, warning_lines};
use crate::failure::Failure;
use crate::logging;
use crate::output::Output;
use crate::signals::Signals;
use crate::world::{self, world};

#[derive(Args, Debug)]
pub(crate) struct StartArgs {
    #[command(flatten)]
    configuration: ConfigurationArgs,
}

pub(crate) fn run(args: StartArgs, output: &Output) -> Result<ExitCode, Failure> {
    let resolved = args.configuration.load()?;
    logging::start(&resolved.config.own)?;
    for line in warning_lines(&resolved.warnings) {
        tracing::warn!("{line}");
    }
    world::run(Box::pin(serve(resolved, output)))
}

async fn serve(resolved: Resolved, output: &Output) -> Result<ExitCode, Failure> {
    let mut signals = Signals::listen()
        .map_err(|error| Failure::new("cannot listen for signals").because(&error))?;
    let world = world(Some(&resolved.config.own))?;
    // Others may be waited for, for as long as they are not there. What is half done then is as after
    // a crash.
    let starting = Broker::start(world, resolved.config);
    let mut broker = match signals.unless_signalled(starting).await {
        Ok(started) => started.map_err(|error| Failure::new(format!("cannot start: {error}")))?,
        Err(stop) => return Ok(stop.exit_code()),
    };
    tell(broker.ready(), output)?;
    let stop = tokio::select! {
        biased;
        stop = signals.next() => stop,
        fatal = broker.failed() => {
            return Err(Failure::new(format!("the node has stopped: {fatal}")));
        }
    };
    tracing::info!(signal = ?stop, "stopping; once more to stop at once");
    match signals.unless_signalled(broker.stop()).await {
        Ok(Ok(())) => Ok(ExitCode::SUCCESS),
        Ok(Err(fault)) => Err(Failure::new("this was no clean stop")
            .because(&fault)
            .next("the next start recovers what was written")),
        Err(stop) => Ok(stop.exit_code()),
    }
}

/// The one line that says clients, or brokers, can connect now.
fn tell(ready: &Ready, output: &Output) -> Result<(), Failure> {
    let address = |is_kafka: bool| {
        let wanted = ready.listeners.iter().filter(|it| it.is_controller != is_kafka);
        wanted.map(|it| it.address.to_string()).collect::<Vec<_>>()
    };
    let (kafka, controller) = (address(true).join(","), address(false).join(","));
    let (node, data, cluster) = (ready.node_id, ready.log_dirs.join(","), &ready.cluster_id);
    let millis = ready.took.as_secs_f64() * 1e3;
    let (serves, besides) = match (&*kafka, &*controller) {
        ("", controller) => (format!("controller {controller}"), String::new()),
        (kafka, "") => (format!("kafka://{kafka}"), String::new()),
        (kafka, controller) => (format!("kafka://{kafka}"), format!("controller {controller}, ")),
    };
    let text = format!(
        "strandline is ready: {serves} node {node} data {data} in {millis:.0} ms \
         ({besides}cluster {cluster})\n"
    );
    let document = json!({
        "kafka": address(true),
        "controller": address(false),
        "node_id": node.get(),
        "cluster_id": ready.cluster_id,
        "log_dirs": ready.log_dirs,
        "took_ms": millis,
    });
    output.line(&text, &json!(document))
}
