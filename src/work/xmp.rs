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
const IPTC_CORE: &str = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/";
const PLUS: &str = "http://ns.useplus.org/ldf/xmp/1.0/";
/// Phones list here what they append to a picture: a film, a gain map, a depth map, itself once more. Of a
/// result nothing of that is there.
const APPENDED: [&str; 2] = ["http://ns.google.com/photos/1.0/", "http://ns.adobe.com/hdr-gain-map/1.0/"];
/// But this one is about the picture: a panorama.
const PANORAMA: &str = "http://ns.google.com/photos/1.0/panorama/";
/// Where in the picture somebody or something is, in shares of its sides, and the sides that are meant (MWG
/// Guidelines 2.0, 5.9).
const REGIONS: &str = "http://www.metadataworkinggroup.com/schemas/regions/";
const DIMENSIONS: &str = "http://ns.adobe.com/xap/1.0/sType/Dimensions#";
/// The same by Microsoft, which names no sides.
const MICROSOFT: &str = "http://ns.microsoft.com/photo/1.2/";
/// Some writers begin with it. Readers skip it, and then do not count it.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
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
    match (space, name) {
        _ if !outcome.keep_place && is_place(space, name) => Fate::Goes,
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

/// Whether a property says where the picture was taken, or where what it shows is.
fn is_place(space: &str, name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let words = ["gps", "latitude", "longitude", "longtitude", "location"];
    match (space, name) {
        // Where in the picture.
        (EXIF, "SubjectLocation") => false,
        (PHOTOSHOP, "City" | "State" | "Country") => true,
        (IPTC_CORE | IPTC, "CountryCode") => true,
        (IPTC, "City" | "CountryName" | "ProvinceState" | "WorldRegion") => true,
        _ => words.iter().any(|word| lower.contains(word)),
    }
}

/// A packet that says nothing wrong of where in the picture something is: of one that was enlarged to these
/// sides, or else of one that was turned. `None` where it is not well-formed.
pub fn moved(xmp: &str, enlarged: Option<(u32, u32)>) -> Option<String> {
    rewritten(xmp, "", &|space, name| match (space, name, enlarged) {
        // In pixels, or maybe so.
        (EXIF, "SubjectArea" | "SubjectLocation", _) | (IPTC, "ImageRegion", _) => Fate::Goes,
        (REGIONS, "Regions", None) | (MICROSOFT, "RegionInfo", None) => Fate::Goes,
        (DIMENSIONS, "w", Some((width, _))) => Fate::Becomes(width.to_string()),
        (DIMENSIONS, "h", Some((_, height))) => Fate::Becomes(height.to_string()),
        _ => Fate::Stays,
    })
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
    let extended = extended.trim_start_matches(BYTE_ORDER_MARK);
    let inside = descriptions(extended)?;
    rewritten(xmp, &extended[inside], &|_, _| Fate::Stays)
}

/// Where the descriptions of a packet are, which begins with no byte order mark.
fn descriptions(xmp: &str) -> Option<Range<usize>> {
    let mut reader = NsReader::from_str(xmp);
    let mut begin = None;
    loop {
        let before = position(&reader);
        let event = reader.read_event().ok()?;
        match &event {
            Event::Start(start) if is(&reader, start.name(), RDF, "RDF") => begin = Some(position(&reader)),
            Event::End(end) if is(&reader, end.name(), RDF, "RDF") => return Some(begin?..before),
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn position(reader: &NsReader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// Whether an element is this one of a namespace.
fn is(reader: &NsReader<&[u8]>, name: QName<'_>, wanted: &str, local: &str) -> bool {
    let (space, found) = reader.resolver().resolve_element(name);
    matches!(space, ResolveResult::Bound(space) if space.as_ref() == wanted) && found.as_ref() == local
}

/// Where the reader is in the tree.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Rdf,
    Description,
    /// The sides that regions are shares of.
    Dimensions,
    Other,
}

impl Inside {
    /// Whether what is directly within are properties whose fate is asked for, as attributes too.
    fn has_properties(self) -> bool {
        matches!(self, Inside::Description | Inside::Dimensions)
    }
}

/// The packet with each property as its fate has it, and `added` behind its descriptions. `None` where it is
/// not well-formed, has no place for what is added, or uses a prefix that nobody declared.
fn rewritten(xmp: &str, added: &str, fate: &dyn Fn(&str, &str) -> Fate) -> Option<String> {
    let xmp = xmp.trim_start_matches(BYTE_ORDER_MARK);
    let mut reader = NsReader::from_str(xmp);
    let (mut out, mut inside) = (String::with_capacity(xmp.len() + added.len()), Vec::<Inside>::new());
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
                let becomes = match around.is_some_and(Inside::has_properties) {
                    true => of_element(&reader, start.name(), fate)?,
                    false => Fate::Stays,
                };
                let is = |space, local| is(&reader, start.name(), space, local);
                let kind = match around {
                    None | Some(Inside::Other) if is(RDF, "RDF") => Inside::Rdf,
                    Some(Inside::Rdf) if is(RDF, "Description") => Inside::Description,
                    Some(Inside::Dimensions) => Inside::Dimensions,
                    Some(_) if is(REGIONS, "AppliedToDimensions") => Inside::Dimensions,
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
                        if kind.has_properties() {
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

/// The tag of an element whose attributes may be properties.
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

    /// A packet of one description, with these properties in it.
    fn said(properties: &str) -> String {
        packet(&format!(
            "<rdf:Description xmlns:p=\"{PHOTOSHOP}\" xmlns:c=\"{IPTC_CORE}\" xmlns:i=\"{IPTC}\" \
             xmlns:e=\"{EXIF}\" xmlns:m=\"{REGIONS}\" xmlns:d=\"{DIMENSIONS}\" xmlns:n=\"{MICROSOFT}\">\
             {properties}</rdf:Description>"
        ))
    }

    #[test]
    fn places_go_by_their_names_too() {
        let rest = "<p:Headline>Fair</p:Headline><e:SubjectLocation/>";
        let places = [
            "<p:City>Ulm</p:City><p:State>Ulm</p:State><p:Country>Ulm</p:Country>",
            "<c:Location>Ulm</c:Location><c:CountryCode>Ulm</c:CountryCode>",
            "<i:LocationShown><rdf:Bag><rdf:li><i:City>Ulm</i:City></rdf:li></rdf:Bag></i:LocationShown>",
            "<i:LocationCreated>Ulm</i:LocationCreated><i:Sublocation>Ulm</i:Sublocation>",
        ];
        let all = said(&format!("{}{rest}", places.concat()));
        let no_place = corrected(Some(&all), &Outcome { keep_place: false, ..ALL });
        assert_eq!(no_place, Some(said(rest)));
        assert_eq!(corrected(Some(&all), &ALL), Some(all));
    }

    #[test]
    fn what_is_said_of_parts_of_the_picture_stays_true_or_goes() {
        let subject =
            "<e:SubjectArea><rdf:Seq><rdf:li>4</rdf:li></rdf:Seq></e:SubjectArea><e:SubjectLocation/>";
        let faces = "<n:RegionInfo/>";
        // As attributes, as exiftool writes it, and with a description in between.
        let sides = [
            ("<m:AppliedToDimensions d:w=\"40\" d:h=\"30\" d:unit=\"pixel\"/>", "\"40\"", "\"80\""),
            (
                "<m:AppliedToDimensions rdf:parseType=\"Resource\"><d:h>30</d:h><d:w>40</d:w>\
                 </m:AppliedToDimensions>",
                ">40<",
                ">80<",
            ),
            (
                "<m:AppliedToDimensions><rdf:Description d:w=\"40\" d:h=\"30\"/></m:AppliedToDimensions>",
                "\"40\"",
                "\"80\"",
            ),
        ];
        for (sides, small, large) in sides {
            let area = "<m:RegionList><rdf:Bag><rdf:li d:w='40'/></rdf:Bag></m:RegionList>";
            let regions = format!("<m:Regions rdf:parseType=\"Resource\">{sides}{area}</m:Regions>");
            let all = said(&format!("{subject}{regions}{faces}"));
            let enlarged = moved(&all, Some((80, 60))).expect("well-formed");
            let high = small.replace("40", "30");
            let expected = sides.replace(small, large).replace(&high, &large.replace("80", "60"));
            assert_eq!(enlarged, said(&format!("{}{faces}", regions.replace(sides, &expected))));
            assert_eq!(moved(&all, None), Some(said("")), "turned");
            assert_eq!(corrected(Some(&all), &ALL), Some(all), "neither");
        }
    }

    #[test]
    fn a_byte_order_mark_goes_and_nothing_else_with_it() {
        let marked = format!("\u{FEFF}{PACKET}");
        assert_eq!(corrected(Some(&marked), &ALL), corrected(Some(PACKET), &ALL));
        assert_eq!(moved(&marked, None), moved(PACKET, None));
        let extended = said("<p:History>long</p:History>");
        let both = joined(&marked, &format!("\u{FEFF}{extended}"));
        assert!(both.is_some() && both == joined(PACKET, &extended));
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
