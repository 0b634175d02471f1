//! `.kafka_cleanshutdown`: the last stop was clean, and under which broker epoch (KIP-966).

use serde::{Deserialize, Serialize};
use strandline_types::BrokerEpoch;

pub const FILE_NAME: &str = ".kafka_cleanshutdown";

#[derive(Serialize, Deserialize)]
struct Content {
    version: i64,
    #[serde(rename = "brokerEpoch")]
    broker_epoch: i64,
}

/// That the file exists is what counts. Without a readable epoch, as Kafka before 4.0 left it, the
/// controller is told of none.
pub fn decode(bytes: &[u8]) -> BrokerEpoch {
    match serde_json::from_slice::<Content>(bytes) {
        Ok(Content { version: 0, broker_epoch }) => BrokerEpoch(broker_epoch),
        _ => BrokerEpoch::NONE,
    }
}

pub fn encode(broker_epoch: BrokerEpoch) -> Vec<u8> {
    format!(r#"{{"version":0,"brokerEpoch":{broker_epoch}}}"#).into_bytes()
}
