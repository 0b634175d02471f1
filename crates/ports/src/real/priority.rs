//! Which threads the processor goes to, as far as the system lets an ordinary process choose.

/// From now on this thread runs while no other wants the processor. Linux hardly lets a thread take it
/// from one that has just got it, however nice that one is, and a request would wait some milliseconds;
/// from a thread of this kind it takes it at once. Elsewhere, and where it is forbidden, nothing changes.
pub(super) fn give_way() {
    imp::give_way();
}

#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "a system call without a safe wrapper, on the thread that makes it")]
mod imp {
    pub(super) fn give_way() {
        let none = libc::sched_param { sched_priority: 0 };
        // SAFETY: `none` outlives the call, and 0 is the calling thread.
        // Refused, the thread goes on as it was.
        let _ = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) };
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    pub(super) fn give_way() {}
}
