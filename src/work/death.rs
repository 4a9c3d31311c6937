//! How the run before ended, and whether the pictures that were in flight then had a part in it. Facts are
//! arguments: whoever gathers them asks the system.

/// What is known of a run that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// What it said about its end, if it came to that.
    pub last_entry: Option<String>,
    /// Its last words: the signal that ended it, or what stood still.
    pub last_words: Option<String>,
    /// Boot of the machine in which it ran.
    pub boot: String,
    /// Processes that the kernel had killed for want of memory when it was last asked.
    pub oom_kills: u64,
}

/// What is known of the machine now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Boot of the machine.
    pub boot: String,
    /// Processes that the kernel has killed for want of memory since then.
    pub oom_kills: u64,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// By itself.
    Clean,
    /// By its own fault: a signal that programs get for mistakes, a panic, a standstill, a lost device, or
    /// for want of memory. Then what was in flight is suspected.
    Crash(String),
    /// From outside: nothing that the pictures could have caused.
    Cut(&'static str),
}

/// Written as the end of a run in which a thread panicked.
pub const PANICKED: &str = "panicked";
/// Written as the end of a run that lost its device.
pub const DEVICE_LOST: &str = "device lost";

impl Death {
    /// Decides what it was.
    pub fn of(past: &Past, present: &Present) -> Death {
        match (&past.last_entry, &past.last_words) {
            (Some(entry), _) if entry == PANICKED => Death::Crash("a thread panicked".into()),
            (Some(entry), _) if entry == DEVICE_LOST => Death::Crash("the device was lost".into()),
            (Some(_), _) => Death::Clean,
            (None, Some(signal)) => Death::Crash(signal.clone()),
            (None, None) if past.boot != present.boot => Death::Cut("the machine went down"),
            (None, None) if past.oom_kills < present.oom_kills => {
                Death::Crash("the system ran out of memory".into())
            }
            (None, None) => Death::Cut("it was killed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn past(last_entry: Option<&str>, last_words: Option<&str>) -> Past {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Past { last_entry: text(last_entry), last_words: text(last_words), boot: "one".into(), oom_kills: 3 }
    }

    fn now(boot: &str, oom_kills: u64) -> Present {
        Present { boot: boot.into(), oom_kills }
    }

    #[test]
    fn only_what_a_picture_may_have_caused_is_a_crash() {
        assert_eq!(Death::of(&past(Some("ended"), None), &now("two", 9)), Death::Clean);
        assert_eq!(Death::of(&past(None, None), &now("one", 3)), Death::Cut("it was killed"));
        assert_eq!(Death::of(&past(None, None), &now("two", 0)), Death::Cut("the machine went down"));
        for (past, present) in [
            (past(Some(PANICKED), None), now("one", 3)),
            (past(Some(DEVICE_LOST), None), now("one", 3)),
            (past(None, Some("SIGSEGV")), now("two", 0)),
            (past(None, None), now("one", 4)),
        ] {
            assert!(matches!(Death::of(&past, &present), Death::Crash(_)), "{past:?}");
        }
    }
}
