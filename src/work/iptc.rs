//! What news agencies write into pictures: records of IPTC's Information Interchange Model, alone in a TIFF,
//! and within Photoshop's resources in a JPEG. IIM 4.2; Adobe Photoshop File Formats, image resources.

const SIGNATURE: &[u8] = b"8BIM";
/// The resource that holds the records.
const RECORDS: u16 = 0x0404;
/// Begins each dataset.
const MARKER: u8 = 0x1C;
/// Of the second record: where what is seen is, by its code and its name; city, part of it, state; country,
/// by its code and its name.
const PLACE: [u8; 7] = [26, 27, 90, 92, 95, 100, 101];
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

/// Records as ImageMagick and exiftool write them into a PNG's text: as Photoshop's only resource, in
/// hexadecimal.
pub fn as_text(records: &[u8]) -> String {
    let resources = as_resources(records);
    let hex = resources.chunks(36).flat_map(|line| {
        line.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect::<Vec<_>>()
    });
    format!("\niptc\n{:8}\n{}", resources.len(), hex.collect::<String>())
}

/// Records out of such a text, whether or not they are within resources; `None` where there are none.
pub fn of_text(text: &str) -> Option<Vec<u8>> {
    let mut lines = text.trim_start().lines().skip(1);
    let length: usize = lines.next()?.trim().parse().ok()?;
    let digits: Vec<u8> = lines.flat_map(|line| line.trim().bytes()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Vec<u8> = digits.chunks_exact(2).map(byte).collect::<Option<_>>()?;
    let told = bytes.get(..length)?;
    let records = in_resources(told).or_else(|| without_padding(told).filter(|_| told[0] == MARKER));
    records.map(<[u8]>::to_vec)
}

/// The first dataset of records: its record, its number, and how long it is as a whole. `None` where there is
/// none, or not all of it.
fn first(records: &[u8]) -> Option<(u8, u8, usize)> {
    let [MARKER, record, number, high, low, rest @ ..] = records else { return None };
    let told = usize::from(u16::from_be_bytes([high & 0x7F, *low]));
    // Longer than 32,767 bytes: so many bytes say how long.
    let (head, length) = if high & 0x80 == 0 {
        (5, told)
    } else {
        let digits = rest.get(..told).filter(|digits| digits.len() <= 4)?;
        (5 + told, digits.iter().fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit)))
    };
    let whole = head + length;
    (whole <= records.len()).then_some((*record, *number, whole))
}

/// Records without the place where the picture was taken; `None` where nothing else is said. What is torn, or
/// stands behind the last dataset, goes.
pub fn without_place(mut records: &[u8]) -> Option<Vec<u8>> {
    let (mut kept, mut says) = (Vec::new(), false);
    while let Some((record, number, length)) = first(records) {
        let (dataset, rest) = records.split_at(length);
        if record != 2 || !PLACE.contains(&number) {
            kept.extend_from_slice(dataset);
            // The first record says how the others are written.
            says |= record > 1;
        }
        records = rest;
    }
    says.then_some(kept)
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
    fn records_go_into_a_text_and_come_out_of_it() {
        let records = [dataset(2, 5, b"title"), dataset(2, 116, &[b'm'; 90])].concat();
        let text = as_text(&records);
        assert_eq!(of_text(&text).as_deref(), Some(&records[..]));
        assert_eq!(
            of_text("\n8bim\n       8\n1c02050003616263\n").as_deref(),
            Some(&b"\x1c\x02\x05\0\x03abc"[..])
        );
        for bad in
            ["", "\niptc\n", "\niptc\n 9\n1c02", "\niptc\n 2\n1g02", "\niptc\n 2\n0102", "\niptc\n 0\n"]
        {
            assert_eq!(of_text(bad), None, "{bad:?}");
        }
        (0..text.len()).for_each(|length| drop(of_text(&text[..length])));
    }

    #[test]
    fn the_place_can_be_left_out() {
        let places: Vec<u8> = PLACE.iter().flat_map(|number| dataset(2, *number, b"Ulm")).collect();
        let (charset, title) = (dataset(1, 90, b"\x1b%G"), dataset(2, 5, b"title"));
        // A length of two bytes, behind how many they are.
        let long = [&[MARKER, 2, 120, 0x80, 2, 0, 4][..], b"text"].concat();
        let long_place = [&[MARKER, 2, 90, 0x80, 2, 0, 3][..], b"Ulm"].concat();
        let all = [&charset[..], &places, &title, &long_place, &long, &[0; 3]].concat();
        assert_eq!(without_place(&all), Some([&charset[..], &title, &long].concat()));
        assert_eq!(without_place(&[charset, places].concat()), None);
        let torn = [&title[..], &long_place[..9]].concat();
        assert_eq!(without_place(&torn).as_deref(), Some(&title[..]), "what cannot be read may be a place");
        assert_eq!(without_place(&[MARKER, 2, 5, 0xFF, 0xFF, 0, 0]), None);
        (0..all.len()).for_each(|length| drop(without_place(&all[..length])));
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
