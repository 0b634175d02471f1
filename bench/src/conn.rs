//! One blocking connection: requests go out as they are, answers come back in order.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use strandline_wire::messages::Request;
use strandline_wire::{Chunk, frame};

/// A broker that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Conn(TcpStream);

impl Conn {
    pub(crate) fn open(address: &str) -> Result<Self> {
        Self::open_within(address, PATIENCE)
    }

    /// For a broker that may not be there, or may have stopped to answer.
    pub(crate) fn open_within(address: &str, patience: Duration) -> Result<Self> {
        let to: SocketAddr = address.parse().with_context(|| format!("HOST:PORT: {address}"))?;
        let stream = TcpStream::connect_timeout(&to, patience);
        let stream = stream.with_context(|| format!("connect {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(stream))
    }

    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self(self.0.try_clone()?))
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> Result<()> {
        self.0.write_all(frame).context("send")
    }

    /// The next answer, without its size.
    pub(crate) fn receive(&mut self) -> Result<Bytes> {
        let mut size = [0; 4];
        self.0.read_exact(&mut size).context("receive")?;
        let mut answer = vec![0; u32::from_be_bytes(size) as usize];
        self.0.read_exact(&mut answer).context("receive")?;
        Ok(answer.into())
    }

    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.send(&encoded(request, version)?)?;
        Ok(frame::decode_response::<R>(&self.receive()?, version)?)
    }
}

/// A request as one run of bytes, with its size.
pub(crate) fn encoded<R: Request>(request: &R, version: i16) -> Result<Vec<u8>> {
    let gathered = frame::request(request, version, 1, Some("bench"))?;
    let mut bytes = Vec::new();
    for chunk in gathered.chunks {
        match chunk {
            Chunk::Bytes(chunk) => bytes.extend_from_slice(&chunk),
            Chunk::External { .. } => unreachable!("a request carries no file"),
        }
    }
    Ok(bytes)
}
