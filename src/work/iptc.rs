//! What news agencies write into pictures: records of IPTC's Information Interchange Model, alone in a TIFF,
//! and within Photoshop's resources in a JPEG. IIM 4.2; Adobe Photoshop File Formats, image resources.

const SIGNATURE: &[u8] = b"8BIM";
/// The resource that holds the records.
const RECORDS: u16 = 0x0404;
/// Begins each dataset.
const MARKER: u8 = 0x1C;
/// Character set of the rest; by-line, its title, credit, source, copyright.
const OWNERSHIP: [(u8, u8); 6] = [(1, 90), (2, 80), (2, 85), (2, 110), (2, 115), (2, 116)];

/// The records within Photoshop's resources; `None` where there are none.
pub fn in_resources(mut bytes: &[u8]) -> Option<&[u8]> {
    while let Some(rest) = bytes.strip_prefix(SIGNATURE) {
        let id = u16::from_be_bytes([*rest.first()?, *rest.get(1)?]);
        // A name, whose length stands before it, and both together are even.
        let name = (usize::from(*rest.get(2)?) + 1).next_multiple_of(2);
        let rest = rest.get(2 + name..)?;
        let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
        let body = rest.get(4..)?.get(..length)?;
        if id == RECORDS {
            return (!body.is_empty()).then_some(body);
        }
        bytes = rest.get(4 + length.next_multiple_of(2)..)?;
    }
    None
}

/// Records as Photoshop's only resource.
pub fn as_resources(records: &[u8]) -> Vec<u8> {
    let length = u32::try_from(records.len()).unwrap_or(0).to_be_bytes();
    let pad = &[0][..records.len() % 2];
    [SIGNATURE, &RECORDS.to_be_bytes(), &[0, 0], &length, records, pad].concat()
}

/// Records without what fills them up; `None` where there are none.
pub fn without_padding(records: &[u8]) -> Option<&[u8]> {
    let end = records.iter().rposition(|byte| *byte != 0)? + 1;
    // A last dataset may end with zeros of its own.
    let mut at = 0;
    while let Some([MARKER, _, _, high, low]) = records.get(at..at + 5) {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if high & 0x80 != 0 || records.len() < at + 5 + length {
            return Some(records);
        }
        at += 5 + length;
    }
    Some(if at >= end { &records[..at] } else { records })
}

/// Who made a picture and whose it is, and nothing else of its records; `None` where they do not say.
pub fn ownership(mut records: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut says) = (Vec::new(), false);
    while let [MARKER, record, dataset, high, low, rest @ ..] = records {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // Longer than 32,767 bytes: nobody's name is.
        let Some(body) = rest.get(..length).filter(|_| high & 0x80 == 0) else { break };
        if OWNERSHIP.contains(&(*record, *dataset)) {
            kept.extend_from_slice(&records[..5 + body.len()]);
            says |= *record == 2;
        }
        records = &rest[length..];
    }
    says.then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dataset(record: u8, number: u8, text: &[u8]) -> Vec<u8> {
        [&[MARKER, record, number][..], &(text.len() as u16).to_be_bytes(), text].concat()
    }

    #[test]
    fn records_are_found_among_other_resources() {
        let records = [dataset(2, 5, b"title"), dataset(2, 116, b"me")].concat();
        let other = [SIGNATURE, &[0x03, 0xED, 3], b"abc", &[0, 0, 0, 3, 1, 2, 3, 0]].concat();
        let all = [other, as_resources(&records)].concat();
        assert_eq!(in_resources(&all), Some(&records[..]));
        let whole = all.len() - records.len() % 2;
        assert!((0..whole).all(|length| in_resources(&all[..length]).is_none()));
        assert_eq!(in_resources(&as_resources(&[])), None);
    }

    #[test]
    fn padding_goes_and_nothing_else() {
        let records = [dataset(2, 5, b"title"), dataset(2, 0, &[0, 2, 0, 0])].concat();
        for zeros in 0..4 {
            assert_eq!(without_padding(&[&records[..], &[0; 4][..zeros]].concat()), Some(&records[..]));
        }
        assert_eq!((without_padding(&[]), without_padding(&[0; 4])), (None, None));
        assert_eq!(without_padding(&records[..9]), Some(&records[..9]), "what is torn stays as it is");
    }

    #[test]
    fn of_the_records_the_ownership_can_be_kept_alone() {
        let (title, charset) = (dataset(2, 5, b"title"), dataset(1, 90, b"\x1b%G"));
        let (by, owner) = (dataset(2, 80, b"Ann"), dataset(2, 116, b"me"));
        let all = [&charset[..], &title, &by, &owner].concat();
        assert_eq!(ownership(&all), Some([&charset[..], &by, &owner].concat()));
        assert_eq!(ownership(&[charset, title].concat()), None);
        (0..all.len()).for_each(|length| drop(ownership(&all[..length])));
    }
}
