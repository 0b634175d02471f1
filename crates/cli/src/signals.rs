//! SIGTERM and SIGINT: the first asks for a clean stop, the second for one at once.

use std::io;
use std::process::ExitCode;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What asked the process to stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    Terminate,
    Interrupt,
}

impl Stop {
    /// What shells report for a process that such a signal ended.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Terminate => ExitCode::from(128 + 15),
            Self::Interrupt => ExitCode::from(128 + 2),
        }
    }
}

/// The process's signals. They no longer end it by themselves once this is made.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Must run inside a tokio runtime.
    ///
    /// # Errors
    /// When the system refuses the handlers.
    pub fn listen() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next signal.
    pub async fn next(&mut self) -> Stop {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Stop::Terminate,
            _ = self.interrupt.recv() => Stop::Interrupt,
        }
    }

    /// Waits for work to finish, unless a signal comes first: then that one.
    pub async fn unless_signalled<T>(
        &mut self,
        working: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        tokio::select! {
            biased;
            done = working => Ok(done),
            signal = self.next() => Err(signal),
        }
    }
}
