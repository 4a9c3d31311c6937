//! Last words: a signal that programs get for mistakes of their own is written down before it ends the
//! process, so that the next start can tell a crash from a kill. The only file that names `libc`.

use std::fs::File;
use std::io;
use std::os::fd::IntoRawFd;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

const SIGNALS: [(libc::c_int, &str); 5] = [
    (libc::SIGSEGV, "SIGSEGV"),
    (libc::SIGBUS, "SIGBUS"),
    (libc::SIGILL, "SIGILL"),
    (libc::SIGFPE, "SIGFPE"),
    (libc::SIGABRT, "SIGABRT"),
];

/// Where they go: open as long as the process lives, since a handler can open nothing.
static NOTE: AtomicI32 = AtomicI32::new(-1);

/// The last words of the run before, if it had any.
pub fn last_words(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// From now on, last words go to `path`, which is emptied.
///
/// # Errors
/// What the system says.
pub fn listen(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.sync_all()?;
    let note = file.into_raw_fd();
    if NOTE.swap(note, Ordering::SeqCst) >= 0 {
        // A second run in one process is a test's: the handlers are in place.
        return Ok(());
    }
    for (signal, _) in SIGNALS {
        install(signal)?;
    }
    Ok(())
}

/// Says last words before their time: a thread stands still, and the supervisor will end us for it.
#[expect(unsafe_code, reason = "the descriptor is open as long as the process lives")]
pub fn note(words: &str) {
    // SAFETY: pointer and length are of a text that lives; a descriptor of -1 is an error that changes
    // nothing.
    unsafe {
        libc::pwrite(NOTE.load(Ordering::SeqCst), words.as_ptr().cast(), words.len(), 0);
    }
}

/// Takes the last words back: what stood still moves again.
#[expect(unsafe_code, reason = "the descriptor is open as long as the process lives")]
pub fn unsay() {
    // SAFETY: a descriptor of -1 is an error that changes nothing.
    unsafe {
        libc::ftruncate(NOTE.load(Ordering::SeqCst), 0);
    }
}

#[expect(unsafe_code, reason = "a handler that only stores, writes and restores, as signal-safety(7) allows")]
fn install(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: both structs are plain data for which zero is a value; the handler has the type that SA_SIGINFO
    // asks for; SA_ONSTACK keeps it working where the stack has overflowed.
    let installed = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as libc::sighandler_t;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(signal, &raw const action, &raw mut PREVIOUS[index_of(signal)])
    };
    if installed == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What was there before: for SIGSEGV, the standard library's own that tells of a stack overflow.
#[expect(unsafe_code, reason = "zero is a value of this plain struct")]
// SAFETY: see the reason.
static mut PREVIOUS: [libc::sigaction; SIGNALS.len()] = unsafe { std::mem::zeroed() };

fn index_of(signal: libc::c_int) -> usize {
    SIGNALS.iter().position(|(known, _)| *known == signal).unwrap_or(0)
}

/// Writes the signal's name and lets the signal do what it would have done.
#[expect(
    unsafe_code,
    reason = "write, fsync, sigaction and raise are async-signal-safe; the rest is arithmetic"
)]
extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    let (_, name) = SIGNALS[index_of(signal)];
    let note = NOTE.load(Ordering::SeqCst);
    // SAFETY: the pointer and length are of a static text; the kernel hands over a whole `info`; PREVIOUS is
    // written before any signal comes here; zero is a value of `sigaction` and means the default.
    unsafe {
        // An abort that somebody else sent is his: the supervisor's watchdog, mostly. What stood still then
        // has its note already.
        let is_foreign = signal == libc::SIGABRT && (*info).si_code == libc::SI_USER;
        if !is_foreign {
            libc::pwrite(note, name.as_ptr().cast(), name.len(), 0);
            libc::fsync(note);
        }
        if (*info).si_code > 0 {
            // A fault: what was there before hears of it too, when the same instruction fails again.
            libc::sigaction(signal, &raw const PREVIOUS[index_of(signal)], ptr::null_mut());
        } else {
            // Sent, by abort() or by a watchdog: it must be sent again.
            let default: libc::sigaction = std::mem::zeroed();
            libc::sigaction(signal, &raw const default, ptr::null_mut());
            libc::raise(signal);
        }
    }
}
