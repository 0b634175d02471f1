//! Whether a log dir takes writes. One failed write or sync takes the whole dir offline, because
//! what the device did with the bytes around it is unknown; a full one only has to wait for room.

use strandline_ports::watch;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DirState {
    Online,
    /// Serves reads and deletions, refuses appends.
    Full,
    /// For good: until the process starts again.
    Offline,
}

pub(crate) struct Health(watch::Sender<DirState>);

impl Default for Health {
    fn default() -> Self {
        Self(watch::Sender::new(DirState::Online))
    }
}

impl Health {
    pub(crate) fn state(&self) -> DirState {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<DirState> {
        self.0.subscribe()
    }

    pub(crate) fn is_full(&self) {
        self.change(DirState::Online, DirState::Full);
    }

    pub(crate) fn has_room(&self) {
        self.change(DirState::Full, DirState::Online);
    }

    pub(crate) fn is_broken(&self) {
        self.0.send_if_modified(|state| {
            let changes = *state != DirState::Offline;
            *state = DirState::Offline;
            changes
        });
    }

    fn change(&self, from: DirState, to: DirState) {
        self.0.send_if_modified(|state| {
            let changes = *state == from;
            if changes {
                *state = to;
            }
            changes
        });
    }
}
