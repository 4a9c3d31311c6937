//! Which of the pictures that wait comes first.

use crate::work::mark::Stamp;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::path::Path;

/// Which of the pictures that wait comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By the order in which they were whole, and by name where that was at once.
    #[default]
    Arrival,
    /// By their place in the tree.
    Name,
    /// The one that changed last comes last.
    Oldest,
    /// The one that changed last comes first.
    Newest,
    /// The one of the fewest bytes.
    Smallest,
}

/// Puts what waits in order; what is equal stays as it is.
pub fn sort<T>(order: Order, waiting: &mut VecDeque<(Stamp, T)>, path: impl Fn(&T) -> &Path) {
    let waiting = waiting.make_contiguous();
    match order {
        Order::Arrival => {}
        Order::Name => waiting.sort_by(|(_, a), (_, b)| path(a).cmp(path(b))),
        Order::Oldest => waiting.sort_by_key(|(stamp, _)| stamp.modified_ns),
        Order::Newest => waiting.sort_by_key(|(stamp, _)| Reverse(stamp.modified_ns)),
        Order::Smallest => waiting.sort_by_key(|(stamp, _)| stamp.bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn each_order_puts_its_own_first() {
        let file = |name: &str, bytes, modified_ns| {
            (Stamp { bytes, modified_ns, changed_ns: 0 }, PathBuf::from(name))
        };
        let all = [file("b", 1, 30), file("a", 3, 20), file("c", 2, 10)];
        for (order, expected) in [
            (Order::Arrival, "bac"),
            (Order::Name, "abc"),
            (Order::Oldest, "cab"),
            (Order::Newest, "bac"),
            (Order::Smallest, "bca"),
        ] {
            let mut waiting = VecDeque::from(all.clone());
            sort(order, &mut waiting, |path| path);
            let found: String = waiting.iter().map(|(_, path)| path.to_str().expect("text")).collect();
            assert_eq!(found, expected, "{order:?}");
        }
    }
}
