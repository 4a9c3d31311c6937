//! Groups by name. The only file that names `nix`.

use nix::unistd::Group;

/// The number of a group, given by name or number.
///
/// # Errors
/// A sentence, where there is no such group.
pub fn group_id(group: &str) -> Result<u32, String> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(found.gid.as_raw()),
        Ok(None) => Err(format!("there is no group {group:?}")),
        Err(error) => Err(format!("group {group:?} cannot be looked up: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_number() {
        assert_eq!((group_id("root"), group_id("1234")), (Ok(0), Ok(1234)));
        assert_eq!(group_id("no-such-group"), Err("there is no group \"no-such-group\"".into()));
    }
}
