use std::time::SystemTime;

use strandline_types::{Instant, Now, Timestamp};

use crate::{Clock, Sleep};

/// The machine's clocks; instants count from the moment this was made.
#[derive(Debug)]
pub struct RealClock {
    origin: std::time::Instant,
}

impl Default for RealClock {
    fn default() -> Self {
        Self { origin: std::time::Instant::now() }
    }
}

impl Clock for RealClock {
    fn now(&self) -> Now {
        let nanos = u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let millis = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        Now { instant: Instant::from_nanos(nanos), timestamp: Timestamp(millis) }
    }

    fn sleep_until(&self, deadline: Instant) -> Sleep {
        let moment = self.origin.checked_add(std::time::Duration::from_nanos(deadline.as_nanos()));
        match moment {
            Some(moment) if deadline != Instant::NEVER => {
                Box::pin(tokio::time::sleep_until(moment.into()))
            }
            _ => Box::pin(std::future::pending()),
        }
    }
}
