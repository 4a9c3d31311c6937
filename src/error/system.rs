//! What the operating system says, and whether it may say something else a little later.

use std::io;

/// What the operating system said, and whether it may say something else a little later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct SystemError {
    /// Its words.
    pub text: String,
    /// Whether trying again may help.
    pub transient: bool,
}

impl From<io::Error> for SystemError {
    fn from(error: io::Error) -> SystemError {
        SystemError { transient: is_transient(&error), text: error.to_string() }
    }
}

/// Busy, full, out of memory, or a device or share that does not answer: another time it may.
fn is_transient(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ExecutableFileBusy, HostUnreachable, Interrupted, NetworkDown, NetworkUnreachable, NotConnected,
        OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StaleNetworkFileHandle, StorageFull,
        TimedOut, WouldBlock,
    };
    // Those without a kind of their own, mostly of a device or a server that went away: EIO, ENXIO, ENODEV,
    // ENFILE, EMFILE, ECONNABORTED, ECONNRESET, ESHUTDOWN, EHOSTDOWN, EREMOTEIO, ENOMEDIUM.
    const NUMBERS: [i32; 11] = [5, 6, 19, 23, 24, 103, 104, 108, 112, 121, 123];
    matches!(
        error.kind(),
        ExecutableFileBusy
            | HostUnreachable
            | Interrupted
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | OutOfMemory
            | QuotaExceeded
            | ReadOnlyFilesystem
            | ResourceBusy
            | StaleNetworkFileHandle
            | StorageFull
            | TimedOut
            | WouldBlock
    ) || error.raw_os_error().is_some_and(|number| NUMBERS.contains(&number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_by_itself_is_transient() {
        let said = |number| SystemError::from(io::Error::from_raw_os_error(number)).transient;
        // EIO, ENOMEM, EBUSY, ENODEV, ENFILE, EMFILE, ENOSPC, EROFS, EHOSTDOWN, ESTALE, EDQUOT
        assert!([5, 12, 16, 19, 23, 24, 28, 30, 112, 116, 122].into_iter().all(said));
        // EPERM, ENOENT, EACCES, ENOTDIR, EISDIR, EINVAL, ENAMETOOLONG
        assert!(![1, 2, 13, 20, 21, 22, 36].into_iter().any(said));
    }
}
