/// Raises the soft limit of open files to the hard one and gives the limit that then holds.
pub fn raise_open_file_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let before = getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: before.maximum, maximum: before.maximum };
    // macOS reports a hard limit without bound and refuses to set it.
    let current = match setrlimit(Resource::Nofile, wanted) {
        Ok(()) => wanted.current,
        Err(_) => before.current,
    };
    // No limit at all is reported as absent.
    current.unwrap_or(u64::MAX)
}
