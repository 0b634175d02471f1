//! `strandline txn`: which transactions are open, why, and how to end them.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value, json};
use strandline_client::admin::{OpenTransaction, TransactionDescription, TransactionFilter};
use strandline_client::{Admin, Refusal};
use strandline_types::{Offset, ProducerId, Timestamp, TopicPartition};

use crate::connect::{ConnectArgs, failed, refused};
use crate::failure::Failure;
use crate::output::{Output, table};
use crate::when;

#[derive(Subcommand, Debug)]
pub(crate) enum TxnVerb {
    /// List transactional ids and what their transactions are doing
    #[command(
        after_help = "Examples:\n  strandline txn list\n  strandline txn list --open --longer-than 5m"
    )]
    List {
        /// Only those with an open transaction
        #[arg(long)]
        open: bool,

        /// Only transactions that have been open for longer: 30s, 5m, 2h
        #[arg(long, value_name = "TIME", value_parser = duration)]
        longer_than: Option<Duration>,

        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Show who holds a transaction open, since when, and which partitions wait for it
    #[command(after_help = "Example:\n  strandline txn describe billing-1")]
    Describe {
        #[arg(required = true, value_name = "TRANSACTIONAL_ID")]
        ids: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Abort the open transaction of an id, and shut its producer out
    #[command(
        after_help = "The producer of that id fails with its next request; one that is started anew goes on.\n\nExample:\n  strandline txn abort billing-1"
    )]
    Abort {
        #[arg(required = true, value_name = "TRANSACTIONAL_ID")]
        ids: Vec<String>,
        #[command(flatten)]
        connect: ConnectArgs,
    },

    /// Find transactions that are open on partitions and unknown to every coordinator
    #[command(
        after_help = "Readers of committed records never get past such a transaction; it does not time out.\n\nExamples:\n  strandline txn hanging orders\n  strandline txn hanging orders --abort"
    )]
    Hanging {
        #[arg(required = true, value_name = "TOPIC")]
        topics: Vec<String>,

        /// End them
        #[arg(long)]
        abort: bool,

        #[command(flatten)]
        connect: ConnectArgs,
    },
}

/// `30s`, `5m`, `2h`, `1d`.
fn duration(text: &str) -> Result<Duration, String> {
    let epoch = Timestamp(i64::MAX / 2);
    let ago = when::parse_ago(text, epoch).map(|then| epoch.millis_since(then));
    let millis = ago.and_then(|ms| u64::try_from(ms).ok());
    millis.map(Duration::from_millis).ok_or_else(|| "expected 30s, 5m, 2h or 1d".to_owned())
}

pub(crate) fn run(verb: TxnVerb, output: &Output) -> Result<ExitCode, Failure> {
    match verb {
        TxnVerb::List { open, longer_than, connect } => {
            let states = if open { vec!["Ongoing".to_owned()] } else { Vec::new() };
            let filter = TransactionFilter { states, open_longer_than: longer_than };
            connect.administer(|admin| list(admin, filter, output))
        }
        TxnVerb::Describe { ids, connect } => {
            connect.administer(|admin| describe(admin, ids, output))
        }
        TxnVerb::Abort { ids, connect } => connect.administer(|admin| abort(admin, ids, output)),
        TxnVerb::Hanging { topics, abort, connect } => {
            connect.administer(|admin| hanging(admin, topics, abort, output))
        }
    }
}

async fn list(
    admin: Admin,
    filter: TransactionFilter,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let listed = admin.list_transactions(&filter).await;
    let listed = listed.map_err(|error| failed("list the transactions", &error))?;
    if listed.is_empty() {
        let text = match filter == TransactionFilter::default() {
            true => "no producer has used a transactional id yet\n",
            false => "no such transactions\n",
        };
        return output.done(text, &json!([]));
    }
    let rows = listed.iter().map(|it| {
        let (producer, coordinator) = (it.producer_id.to_string(), it.coordinator.to_string());
        [it.transactional_id.clone(), it.state.clone(), producer, coordinator]
    });
    let text = table(["transactional id", "state", "producer", "coordinator"], rows);
    let json = listed.iter().map(|it| {
        json!({
            "transactionalId": it.transactional_id,
            "state": it.state,
            "producerId": it.producer_id.get(),
            "coordinator": it.coordinator.get(),
        })
    });
    output.done(&text, &json!(json.collect::<Vec<_>>()))
}

async fn describe(admin: Admin, ids: Vec<String>, output: &Output) -> Result<ExitCode, Failure> {
    let what = "describe the transactions";
    let results = admin.describe_transactions(&ids).await.map_err(|error| failed(what, &error))?;
    let now = admin.client().clock().now().timestamp;
    let (mut text, mut json, mut refusals) = (String::new(), Vec::new(), Vec::new());
    for (id, result) in results {
        match result {
            Ok(transaction) => {
                let open = open_on(&admin, &transaction.partitions).await?;
                if !text.is_empty() {
                    text.push('\n');
                }
                text += &described(&transaction, &open, now);
                json.push(described_json(&transaction, &open));
            }
            Err(refusal) => refusals.push((id, refusal)),
        }
    }
    output.print(&text, &json!(json))?;
    match refusals.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(refused(what, refusals.iter().map(told))),
    }
}

fn told((item, refusal): &(String, Refusal)) -> (String, &Refusal) {
    (item.clone(), refusal)
}

fn described(
    transaction: &TransactionDescription,
    open: &[OpenTransaction],
    now: Timestamp,
) -> String {
    let producer = (transaction.producer_id, transaction.producer_epoch);
    let mut text = format!(
        "{}  {}  producer {} epoch {}  coordinator {}\n",
        transaction.transactional_id,
        transaction.state,
        producer.0,
        producer.1,
        transaction.coordinator,
    );
    if let Some(started_at) = transaction.started_at.filter(|_| transaction.is_open()) {
        let open_for = now.millis_since(started_at).max(0) / 1000;
        text += &format!(
            "open since {} ({open_for} s); aborted after {} s unless its producer ends it\n",
            when::show(started_at),
            transaction.timeout.as_secs(),
        );
    }
    if transaction.partitions.is_empty() {
        return text;
    }
    let rows = transaction.partitions.iter().map(|partition| {
        let first = first_offset(open, partition, transaction.producer_id);
        let first = first.map_or("-".to_owned(), |offset| offset.to_string());
        [partition.topic.clone(), partition.partition.to_string(), first]
    });
    text += &table(["topic", "partition", "readers wait at"], rows);
    text
}

fn described_json(transaction: &TransactionDescription, open: &[OpenTransaction]) -> Value {
    let partitions = transaction.partitions.iter().map(|partition| {
        let first = first_offset(open, partition, transaction.producer_id);
        json!({
            "topic": partition.topic,
            "partition": partition.partition.get(),
            "firstOffset": first.map(Offset::get),
        })
    });
    json!({
        "transactionalId": transaction.transactional_id,
        "state": transaction.state,
        "producerId": transaction.producer_id.get(),
        "producerEpoch": transaction.producer_epoch.get(),
        "coordinator": transaction.coordinator.get(),
        "timeoutMs": transaction.timeout.as_millis() as u64,
        "startedAt": transaction.started_at.map(Timestamp::as_millis),
        "partitions": partitions.collect::<Vec<_>>(),
    })
}

/// Where the producer's transaction begins on a partition, as its leader knows.
fn first_offset(
    open: &[OpenTransaction],
    partition: &TopicPartition,
    producer: ProducerId,
) -> Option<Offset> {
    let is_it = |it: &&OpenTransaction| it.partition == *partition && it.producer_id == producer;
    open.iter().find(is_it).map(|it| it.first_offset)
}

async fn open_on(
    admin: &Admin,
    partitions: &[TopicPartition],
) -> Result<Vec<OpenTransaction>, Failure> {
    let what = "ask the partitions for their producers";
    let open = admin.open_transactions(partitions).await.map_err(|error| failed(what, &error))?;
    let (mut found, mut refusals) = (Vec::new(), Vec::new());
    for (partition, result) in open {
        match result {
            Ok(open) => found.extend(open),
            Err(refusal) => refusals.push((partition.to_string(), refusal)),
        }
    }
    match refusals.is_empty() {
        true => Ok(found),
        false => Err(refused(what, refusals.iter().map(told))),
    }
}

async fn abort(admin: Admin, ids: Vec<String>, output: &Output) -> Result<ExitCode, Failure> {
    for id in &ids {
        // Fencing would make up an id that nobody uses.
        let what = format!("abort the transaction of {id}");
        let described = admin.describe_transactions(std::slice::from_ref(id)).await;
        for (_, result) in described.map_err(|error| failed(&what, &error))? {
            result.map_err(|refusal| refused(&what, [(id.clone(), &refusal)]))?;
        }
        admin.fence_producer(id).await.map_err(|error| failed(&what, &error))?;
    }
    let told = |id| format!("{id}: nothing is open any more, and its producer is shut out\n");
    let text: String = ids.iter().map(told).collect();
    output.done(&text, &json!(ids))
}

async fn hanging(
    admin: Admin,
    topics: Vec<String>,
    aborts: bool,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let mut partitions = Vec::new();
    for topic in &topics {
        let known = admin.client().existing_topic(topic, false).await;
        let known = known.map_err(|error| failed(&format!("look at topic {topic}"), &error))?;
        partitions.extend(
            known
                .partitions
                .iter()
                .map(|it| TopicPartition { topic: topic.clone(), partition: it.index }),
        );
    }
    let open = open_on(&admin, &partitions).await?;
    let known = known(&admin, &open).await?;
    // One that has ended since does not hang.
    let still_open = open_on(&admin, &partitions).await?;
    let hangs = |it: &OpenTransaction| {
        !known.contains(&(it.producer_id, it.partition.clone())) && still_open.contains(it)
    };
    let hanging: Vec<_> = open.into_iter().filter(hangs).collect();
    if aborts {
        for it in &hanging {
            let what = format!("abort the transaction of producer {}", it.producer_id);
            admin.abort_transaction(it).await.map_err(|error| failed(&what, &error))?;
        }
    }
    let json = hanging.iter().map(|it| {
        json!({
            "topic": it.partition.topic,
            "partition": it.partition.partition.get(),
            "producerId": it.producer_id.get(),
            "producerEpoch": it.producer_epoch.get(),
            "firstOffset": it.first_offset.get(),
            "aborted": aborts,
        })
    });
    let json = json!(json.collect::<Vec<_>>());
    if hanging.is_empty() {
        return output.done("no transaction hangs\n", &json);
    }
    let rows = hanging.iter().map(|it| {
        [
            it.partition.topic.clone(),
            it.partition.partition.to_string(),
            it.producer_id.to_string(),
            it.first_offset.to_string(),
        ]
    });
    let mut text = table(["topic", "partition", "producer", "readers wait at"], rows);
    text += match aborts {
        true => "aborted\n",
        false => "`strandline txn hanging TOPIC --abort` ends them\n",
    };
    output.done(&text, &json)
}

/// What coordinators know to be open, or about to end, of these producers.
async fn known(
    admin: &Admin,
    open: &[OpenTransaction],
) -> Result<BTreeSet<(ProducerId, TopicPartition)>, Failure> {
    let what = "ask the coordinators for their transactions";
    let listed = admin.list_transactions(&TransactionFilter::default()).await;
    let listed = listed.map_err(|error| failed(what, &error))?;
    let producers: BTreeSet<ProducerId> = open.iter().map(|it| it.producer_id).collect();
    let ids = listed.into_iter().filter(|it| producers.contains(&it.producer_id));
    let ids: Vec<String> = ids.map(|it| it.transactional_id).collect();
    let described = admin.describe_transactions(&ids).await;
    let described = described.map_err(|error| failed(what, &error))?;
    let mut known = BTreeSet::new();
    for (_, transaction) in described {
        let Ok(transaction) = transaction else { continue };
        let producer = transaction.producer_id;
        known.extend(transaction.partitions.into_iter().map(|it| (producer, it)));
    }
    Ok(known)
}
