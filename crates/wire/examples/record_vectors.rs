//! Writes the batches that `interop/records` lets Kafka's own classes read.

#[allow(dead_code, reason = "shared with the test that reads Kafka's batches")]
#[path = "../tests/record_vectors/cases.rs"]
mod cases;

fn main() -> std::io::Result<()> {
    let path = std::env::args_os().nth(1).expect("usage: record_vectors FILE");
    let batches: Vec<_> = cases::cases().into_iter().map(cases::Case::build).collect();
    std::fs::write(path, batches.concat())
}
