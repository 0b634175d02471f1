//! `strandline consume --until`: a batch is a stream that ends by itself.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;

use strandline_client::admin::CommittedOffset;
use strandline_client::consumer::{BoundedConfig, BoundedReader, Place};
use strandline_client::{Admin, Client};
use strandline_types::{Offset, PartitionId, TopicPartition};

use super::{
    ConsumeArgs, POLL, POLL_RECORDS_MAX, broken, json_of, listen, partitions, tell, text_of,
};
use crate::connect::{failed, refused};
use crate::failure::Failure;
use crate::meter::Meter;
use crate::output::Output;

pub(super) async fn consume(
    client: Client,
    args: &ConsumeArgs,
    from: Place,
    until: Place,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let partitions = partitions(&client, args).await?;
    let group = args.group.as_deref().map(|id| Group { id, admin: Admin::new(client.clone()) });
    let starts = match &group {
        Some(group) => group.committed(&partitions).await?,
        None => BTreeMap::new(),
    };
    let config = BoundedConfig {
        consumer: args.consumer_config(),
        partitions: Some(partitions.iter().map(|partition| partition.partition).collect()),
        from,
        starts,
        until,
        may_wait: args.wait,
    };
    let reader = BoundedReader::open(client, &args.topic, config).await;
    let mut reader = reader.map_err(|error| broken(args, &error))?;
    let mut signals = listen()?;
    let is_raw = !io::stdout().is_terminal();
    let meter = Meter::new("read", !is_raw);
    let (mut is_told, mut stop) = (false, None);
    let mut left = args.count.unwrap_or(usize::MAX);
    while left > 0 && stop.is_none() && !reader.is_done() {
        let records = tokio::select! {
            biased;
            signal = signals.next() => {
                stop = Some(signal);
                Ok(Vec::new())
            }
            records = reader.poll(POLL, left.min(POLL_RECORDS_MAX)) => records,
        };
        let records = records.map_err(|error| broken(args, &error))?;
        left -= records.len();
        output.each(&records, |record| text_of(record, args, is_raw), json_of)?;
        meter.show(reader.progress());
        is_told = tell(reader.trouble().as_ref(), is_told);
    }
    if let Some(group) = group {
        // While no broker answers that takes as long as any answer may.
        match signals.unless_signalled(group.commit(&args.topic, reader.positions())).await {
            Ok(committed) => committed?,
            Err(again) => return Ok(again.exit_code()),
        }
    }
    // Whoever goes on with the result must know that it is not all.
    Ok(stop.map_or(ExitCode::SUCCESS, |stop| stop.exit_code()))
}

/// A group whose offsets a batch goes on from. The batch is no member: it reads all partitions.
struct Group<'a> {
    id: &'a str,
    admin: Admin,
}

impl Group<'_> {
    /// What earlier batches have committed.
    async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<PartitionId, Offset>, Failure> {
        let what = format!("read for group {}", self.id);
        let ids = [self.id.to_owned()];
        let described = self.admin.describe_groups(&ids).await;
        let described = described.map_err(|error| failed(&what, &error))?;
        // A group that is not there yet has no members either.
        if described.iter().any(|(_, group)| group.as_ref().is_ok_and(|it| !it.members.is_empty()))
        {
            let failure =
                Failure::new(format!("group {} has members, who share the topic", self.id));
            return Err(failure.next("a batch reads all of it: use another group, or stop them"));
        }
        let offsets = self.admin.group_offsets(self.id, Some(partitions)).await;
        let offsets = offsets.map_err(|error| failed(&what, &error))?;
        let mut starts = BTreeMap::new();
        for (partition, committed) in offsets {
            let committed =
                committed.map_err(|refusal| refused(&what, [(partition.to_string(), &refusal)]))?;
            starts.insert(partition.partition, committed.offset);
        }
        Ok(starts)
    }

    async fn commit(
        &self,
        topic: &str,
        positions: BTreeMap<PartitionId, Offset>,
    ) -> Result<(), Failure> {
        let what = format!("commit for group {}", self.id);
        let offsets = positions.into_iter().map(|(partition, offset)| {
            let partition = TopicPartition { topic: topic.to_owned(), partition };
            (partition, CommittedOffset::new(offset))
        });
        let results = self.admin.alter_group_offsets(self.id, &offsets.collect()).await;
        let results = results.map_err(|error| failed(&what, &error))?;
        let not_done = results.iter().filter_map(|(partition, result)| {
            Some((partition.to_string(), result.as_ref().err()?))
        });
        let not_done: Vec<_> = not_done.collect();
        if not_done.is_empty() { Ok(()) } else { Err(refused(&what, not_done)) }
    }
}
