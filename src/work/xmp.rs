//! XMP packets that stay true: of a picture that was turned upright and enlarged, without its place, or with
//! what is said of its ownership alone. What is not touched stays as it was written, byte for byte. XMP
//! Specification, parts 1 and 3 (ISO 16684-1). Names are told by their namespaces, whatever prefixes a writer
//! chose; entities of a document's own are never expanded.

use quick_xml::NsReader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{QName, ResolveResult};
use std::ops::Range;

const RDF: &str = "http://www.w3.org/1999/02/22-rdf-syntax-ns#";
const DC: &str = "http://purl.org/dc/elements/1.1/";
const XMP: &str = "http://ns.adobe.com/xap/1.0/";
const RIGHTS: &str = "http://ns.adobe.com/xap/1.0/rights/";
const NOTE: &str = "http://ns.adobe.com/xmp/note/";
const TIFF: &str = "http://ns.adobe.com/tiff/1.0/";
const EXIF: &str = "http://ns.adobe.com/exif/1.0/";
const PHOTOSHOP: &str = "http://ns.adobe.com/photoshop/1.0/";
const IPTC: &str = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/";
const PLUS: &str = "http://ns.useplus.org/ldf/xmp/1.0/";
/// Phones list here what they append to a picture: a film, a gain map, a depth map, itself once more. Of a
/// result nothing of that is there.
const APPENDED: [&str; 2] = ["http://ns.google.com/photos/1.0/", "http://ns.adobe.com/hdr-gain-map/1.0/"];
/// But this one is about the picture: a panorama.
const PANORAMA: &str = "http://ns.google.com/photos/1.0/panorama/";
/// The vocabulary that says how a picture came to be (IPTC NewsCodes).
const SOURCE_TYPES: &str = "http://cv.iptc.org/newscodes/digitalsourcetype/";

/// What a packet is to be true of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Whether it may say where the picture was taken.
    pub keep_place: bool,
    /// Whether it may say more than whose the picture is.
    pub keep_all: bool,
    /// How the picture came to be, where it is to say so.
    pub source_type: Option<SourceType>,
}

/// How a picture came to be (IPTC's Digital Source Type).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceType {
    /// By an algorithm from what was there: the mean alone.
    Enhanced,
    /// Partly from what a model has learned: a sample, or what was repaired.
    Composite,
}

impl SourceType {
    fn term(self) -> &'static str {
        match self {
            SourceType::Enhanced => "algorithmicallyEnhanced",
            SourceType::Composite => "compositeWithTrainedAlgorithmicMedia",
        }
    }
}

/// What becomes of a property.
enum Fate {
    Stays,
    Goes,
    Becomes(String),
}

/// A packet that is true of `outcome`, or a new one where there was none and there is something to say.
/// `None` where there is nothing to say, or the packet is not well-formed.
pub fn corrected(xmp: Option<&str>, outcome: &Outcome) -> Option<String> {
    let source_type = outcome.source_type.map(|source| {
        let term = format!("{SOURCE_TYPES}{}", source.term());
        format!(
            "<rdf:Description xmlns:rdf=\"{RDF}\" rdf:about=\"\" xmlns:Iptc4xmpExt=\"{IPTC}\">\
             <Iptc4xmpExt:DigitalSourceType>{term}</Iptc4xmpExt:DigitalSourceType></rdf:Description>"
        )
    });
    let Some(xmp) = xmp else { return source_type.map(|said| packet(&said)) };
    rewritten(xmp, source_type.as_deref().unwrap_or_default(), &|space, name| fate(space, name, outcome))
}

fn fate(space: &str, name: &str, outcome: &Outcome) -> Fate {
    let is_ownership = match space {
        DC => matches!(name, "creator" | "rights"),
        PHOTOSHOP => matches!(name, "Credit" | "Source" | "AuthorsPosition"),
        _ => matches!(space, RDF | RIGHTS | PLUS),
    };
    if !outcome.keep_all && !is_ownership {
        return Fate::Goes;
    }
    let lower = name.to_ascii_lowercase();
    let is_place = ["gps", "latitude", "longitude", "longtitude"].iter().any(|word| lower.contains(word))
        || space == IPTC && matches!(name, "LocationCreated" | "LocationShown");
    match (space, name) {
        _ if is_place && !outcome.keep_place => Fate::Goes,
        (TIFF, "Orientation") => Fate::Becomes("1".into()),
        (TIFF, "ImageWidth") | (EXIF, "PixelXDimension") => Fate::Becomes(outcome.width.to_string()),
        (TIFF, "ImageLength") | (EXIF, "PixelYDimension") => Fate::Becomes(outcome.height.to_string()),
        _ if space != PANORAMA && APPENDED.iter().any(|known| space.starts_with(known)) => Fate::Goes,
        // Of the small picture; and of a second packet that has joined the first.
        (XMP, "Thumbnails") | (NOTE, "HasExtendedXMP") => Fate::Goes,
        (IPTC, "DigitalSourceType") if outcome.source_type.is_some() => Fate::Goes,
        _ => Fate::Stays,
    }
}

/// A packet around descriptions.
fn packet(descriptions: &str) -> String {
    format!(
        "<?xpacket begin=\"\u{FEFF}\" id=\"W5M0MpCehiHzreSzNTczkc9d\"?><x:xmpmeta xmlns:x=\"adobe:ns:meta/\">\
         <rdf:RDF xmlns:rdf=\"{RDF}\">{descriptions}</rdf:RDF></x:xmpmeta><?xpacket end=\"w\"?>"
    )
}

/// The packet that a JPEG needs where the true one is larger than a segment and lies in others, which are
/// known by this name.
pub fn pointer(name: &str) -> String {
    packet(&format!(
        "<rdf:Description rdf:about=\"\" xmlns:xmpNote=\"{NOTE}\" xmpNote:HasExtendedXMP=\"{name}\"/>"
    ))
}

/// Both packets of a JPEG as one. `None` where they do not go together.
pub fn joined(xmp: &str, extended: &str) -> Option<String> {
    let inside = descriptions(extended)?;
    rewritten(xmp, &extended[inside], &|_, _| Fate::Stays)
}

/// Where the descriptions of a packet are.
fn descriptions(xmp: &str) -> Option<Range<usize>> {
    let mut reader = NsReader::from_str(xmp);
    let mut begin = None;
    loop {
        let before = position(&reader);
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(start) if is(&reader, start.name(), "RDF") => begin = Some(position(&reader)),
            Event::End(end) if is(&reader, end.name(), "RDF") => return Some(begin?..before),
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn position(reader: &NsReader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// Whether an element is this one of RDF.
fn is(reader: &NsReader<&[u8]>, name: QName<'_>, local: &str) -> bool {
    let (space, found) = reader.resolver().resolve_element(name);
    matches!(space, ResolveResult::Bound(space) if space.as_ref() == RDF) && found.as_ref() == local
}

/// Where the reader is in the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Rdf,
    Description,
    Other,
}

/// The packet with each property as its fate has it, and `added` behind its descriptions. `None` where it is
/// not well-formed, has no place for what is added, or uses a prefix that nobody declared.
fn rewritten(xmp: &str, added: &str, fate: &dyn Fn(&str, &str) -> Fate) -> Option<String> {
    let mut reader = NsReader::from_str(xmp);
    let (mut out, mut inside) = (String::with_capacity(xmp.len() + added.len()), Vec::new());
    let mut has_rdf = false;
    loop {
        let before = position(&reader);
        let event = reader.read_event().ok()?;
        let as_it_was = |reader: &NsReader<&[u8]>| xmp.get(before..position(reader));
        match event {
            Event::Eof => break,
            Event::Start(start) | Event::Empty(start) => {
                let is_empty = as_it_was(&reader)?.ends_with("/>");
                let around = inside.last().copied();
                let is_property = around == Some(Inside::Description);
                let becomes = match is_property {
                    true => of_element(&reader, start.name(), fate)?,
                    false => Fate::Stays,
                };
                let kind = match around {
                    None | Some(Inside::Other) if is(&reader, start.name(), "RDF") => Inside::Rdf,
                    Some(Inside::Rdf) if is(&reader, start.name(), "Description") => Inside::Description,
                    _ => Inside::Other,
                };
                has_rdf |= kind == Inside::Rdf && !is_empty;
                match becomes {
                    Fate::Goes | Fate::Becomes(_) if is_empty => {}
                    Fate::Goes => {
                        reader.read_to_end(start.name()).ok()?;
                    }
                    Fate::Becomes(value) => {
                        out.push_str(as_it_was(&reader)?);
                        reader.read_to_end(start.name()).ok()?;
                        out.push_str(&format!("{value}</{}>", start.name().as_ref()));
                    }
                    Fate::Stays => {
                        if kind == Inside::Description {
                            out.push_str(&described(&reader, &start, is_empty, fate)?);
                        } else {
                            out.push_str(as_it_was(&reader)?);
                        }
                        if !is_empty {
                            inside.push(kind);
                        }
                    }
                }
            }
            Event::End(_) => {
                if inside.pop()? == Inside::Rdf {
                    out.push_str(added);
                }
                out.push_str(as_it_was(&reader)?);
            }
            _ => out.push_str(as_it_was(&reader)?),
        }
    }
    (inside.is_empty() && has_rdf).then_some(out)
}

fn of_element(reader: &NsReader<&[u8]>, name: QName<'_>, fate: &dyn Fn(&str, &str) -> Fate) -> Option<Fate> {
    match reader.resolver().resolve_element(name) {
        (ResolveResult::Bound(space), local) => Some(fate(space.as_ref(), local.as_ref())),
        (ResolveResult::Unbound, local) => Some(fate("", local.as_ref())),
        (ResolveResult::Unknown(_), _) => None,
    }
}

/// The tag of a description, whose attributes may be properties.
fn described(
    reader: &NsReader<&[u8]>,
    start: &BytesStart<'_>,
    is_empty: bool,
    fate: &dyn Fn(&str, &str) -> Fate,
) -> Option<String> {
    let mut tag = format!("<{}", start.name().as_ref());
    for attribute in start.attributes() {
        let Attribute { key, value } = attribute.ok()?;
        let is_binding = key.as_namespace_binding().is_some();
        let fate = match reader.resolver().resolve_attribute(key) {
            _ if is_binding => Fate::Stays,
            (ResolveResult::Bound(space), local) => fate(space.as_ref(), local.as_ref()),
            (ResolveResult::Unbound, _) => Fate::Stays,
            (ResolveResult::Unknown(_), _) => return None,
        };
        let value = match fate {
            Fate::Goes => continue,
            // As it stands in the file: quotes within it are only those of the other kind.
            Fate::Stays => value.to_string(),
            Fate::Becomes(value) => value,
        };
        let quote = if value.contains('"') { '\'' } else { '"' };
        tag.push_str(&format!(" {}={quote}{value}{quote}", key.as_ref()));
    }
    tag.push_str(if is_empty { "/>" } else { ">" });
    Some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Outcome =
        Outcome { width: 80, height: 60, keep_place: true, keep_all: true, source_type: None };
    const PACKET: &str = "<?xpacket begin='' id='W5M0MpCehiHzreSzNTczkc9d'?>\n<x:xmpmeta \
        xmlns:x='adobe:ns:meta/'><r:RDF xmlns:r='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>\
        <r:Description r:about='' xmlns:t='http://ns.adobe.com/tiff/1.0/' \
        xmlns:e='http://ns.adobe.com/exif/1.0/' t:Orientation='6' e:GPSLatitude='48,0N' t:Make='A \"B\"'>\
        <e:PixelXDimension>40</e:PixelXDimension><e:GPSLongitude>9,0E</e:GPSLongitude>\
        <dc:rights xmlns:dc='http://purl.org/dc/elements/1.1/'><r:Alt><r:li xml:lang='x-default'>© \
        &amp; me</r:li></r:Alt></dc:rights><xmp:Thumbnails xmlns:xmp='http://ns.adobe.com/xap/1.0/'>\
        <r:Alt/></xmp:Thumbnails></r:Description></r:RDF></x:xmpmeta>  \n<?xpacket end='w'?>";

    #[test]
    fn what_was_enlarged_and_turned_is_put_right_and_the_rest_stays_as_it_was() {
        let now = corrected(Some(PACKET), &ALL).expect("well-formed");
        let expected = PACKET
            .replace("t:Orientation='6'", "t:Orientation=\"1\"")
            .replace(">40<", ">80<")
            .replace("r:about=''", "r:about=\"\"")
            .replace("e:GPSLatitude='48,0N'", "e:GPSLatitude=\"48,0N\"")
            .replace("xmlns:t='http://ns.adobe.com/tiff/1.0/'", "xmlns:t=\"http://ns.adobe.com/tiff/1.0/\"")
            .replace("xmlns:e='http://ns.adobe.com/exif/1.0/'", "xmlns:e=\"http://ns.adobe.com/exif/1.0/\"")
            .replace(
                "<xmp:Thumbnails xmlns:xmp='http://ns.adobe.com/xap/1.0/'><r:Alt/></xmp:Thumbnails>",
                "",
            );
        assert_eq!(now, expected);
        assert_eq!(corrected(Some(&now), &ALL), Some(now.clone()), "nothing is left to do");
    }

    #[test]
    fn the_place_goes_or_all_but_the_ownership() {
        let no_place = corrected(Some(PACKET), &Outcome { keep_place: false, ..ALL }).expect("well-formed");
        assert!(!no_place.contains("GPS") && no_place.contains("t:Make='A \"B\"'"), "{no_place}");
        let owner = corrected(Some(PACKET), &Outcome { keep_all: false, ..ALL }).expect("well-formed");
        assert!(owner.contains("© &amp; me") && owner.contains("r:about"), "{owner}");
        assert!(!owner.contains("Make") && !owner.contains("GPS") && !owner.contains("Dimension"), "{owner}");
    }

    #[test]
    fn how_it_came_to_be_is_said_once() {
        let said = |source| Outcome { source_type: Some(source), ..ALL };
        let new = corrected(None, &said(SourceType::Enhanced)).expect("something to say");
        assert!(new.contains("digitalsourcetype/algorithmicallyEnhanced<"), "{new}");
        let then = corrected(Some(&new), &said(SourceType::Composite)).expect("well-formed");
        assert_eq!(then.matches("digitalsourcetype/").count(), 1, "{then}");
        assert!(then.contains("compositeWithTrainedAlgorithmicMedia"), "{then}");
        assert_eq!(corrected(None, &ALL), None);
    }

    #[test]
    fn what_is_no_longer_appended_is_no_longer_listed() {
        let google = "http://ns.google.com/photos/1.0/";
        let gain = "http://ns.adobe.com/hdr-gain-map/1.0/";
        let phone = format!(
            "xmlns:c='{google}camera/' xmlns:g='{gain}' xmlns:p='{google}panorama/' c:MotionPhoto='1' \
             g:Version='1.0' p:UsePano='1'"
        );
        let phone = PACKET.replace("t:Orientation='6'", &phone);
        let now = corrected(Some(&phone), &ALL).expect("well-formed");
        assert!(
            !now.contains("MotionPhoto=") && !now.contains("g:Version") && now.contains("p:UsePano"),
            "{now}"
        );
    }

    #[test]
    fn two_packets_become_one_that_no_longer_names_the_other() {
        let extended = packet(
            "<rdf:Description rdf:about=\"\" xmlns:p=\"http://ns.adobe.com/photoshop/1.0/\">\
             <p:History>long</p:History></rdf:Description>",
        );
        let both = joined(&pointer("00FF"), &extended).expect("they go together");
        let both = corrected(Some(&both), &ALL).expect("well-formed");
        assert!(both.contains("<p:History>long</p:History>") && !both.contains("00FF"), "{both}");
        let stranger = extended.replace("<rdf:Description", "<q:Description");
        assert_eq!(joined(&pointer("00FF"), &stranger).and_then(|xmp| corrected(Some(&xmp), &ALL)), None);
    }

    #[test]
    fn what_is_not_well_formed_is_nothing_and_nothing_panics() {
        for length in 0..PACKET.len() {
            if let Some(part) = PACKET.get(..length) {
                let whole = PACKET[length..].trim_start().starts_with("<?xpacket");
                assert!(
                    whole || part.ends_with("?>") || corrected(Some(part), &ALL).is_none() || {
                        // Within the closing instruction the tree is whole already.
                        length > PACKET.find("<?xpacket end").unwrap_or(0)
                    }
                );
            }
        }
        for bad in
            ["", "text", "<a/>", "<r:RDF/>", "<a><b></a></b>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"]
        {
            assert_eq!(corrected(Some(bad), &ALL), None, "{bad}");
        }
    }
}
