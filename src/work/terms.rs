//! A model from elsewhere: what its graph takes and gives, as the configuration declares it, and the way from
//! our tensors to its own and back. Arithmetic only.

use contract::card::Task;
use contract::geometry::Size;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The declared contract of one ONNX file that carries no card.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// What pipelines call it.
    pub name: String,
    /// The file.
    pub file: PathBuf,
    /// What it does.
    pub task: Task,
    /// Output pixels per input pixel along a side, 1 to 8.
    pub scale: usize,
    /// The graph's input for the picture, or `None`: the only one that can be it.
    pub input: Option<String>,
    /// The graph's input for the mask, or `None`: the only other one.
    pub mask_input: Option<String>,
    /// The graph's output, or `None`: its first.
    pub output: Option<String>,
    /// Its black and white, going in; `None`: 0 to 1, or what bytes have.
    pub range: Option<Range>,
    /// The same, coming out; `None`: as going in, or what bytes have.
    pub output_range: Option<Range>,
    /// The order of colours, both ways.
    pub channels: Channels,
    /// The order of dimensions, both ways, or `None`: as the graph's own shapes tell.
    pub layout: Option<Layout>,
    /// What a pixel of the mask is that is to be repaired; all others are 1 minus that.
    pub mask_hole: f32,
    /// What the picture holds there.
    pub hole_fill: HoleFill,
    /// Sides of windows are multiples of this.
    pub multiple: usize,
    /// Context in input pixels that each tile is given.
    pub halo: usize,
    /// Licence of the weights, as the user has it.
    pub licence: String,
}

/// Values that stand for black and white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Black.
    pub low: f32,
    /// White.
    pub high: f32,
}

/// The order of colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Channels {
    /// Red first.
    #[default]
    Rgb,
    /// Blue first, as OpenCV has it.
    Bgr,
    /// One at a time, of a network that takes a single channel.
    Each,
}

impl Channels {
    /// How many there are at a time.
    pub fn count(self) -> usize {
        match self {
            Channels::Rgb | Channels::Bgr => 3,
            Channels::Each => 1,
        }
    }
}

/// The order of dimensions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// Planes, as PyTorch has it: N×C×H×W.
    #[default]
    Nchw,
    /// Pixels, as TensorFlow has it: N×H×W×C.
    Nhwc,
}

/// What a picture holds in its holes when the network sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum HoleFill {
    /// What is around them, carried inwards smoothly.
    #[default]
    Smooth,
    /// 0 in the network's own range.
    Zero,
}

impl Range {
    /// From 0 to 1.
    pub const UNIT: Range = Range { low: 0.0, high: 1.0 };
    /// As bytes have it.
    pub const BYTES: Range = Range { low: 0.0, high: 255.0 };

    /// Our value, in [0, 1], as the network has it.
    fn enter(self, value: f32) -> f32 {
        self.low + value * (self.high - self.low)
    }

    /// And back.
    fn leave(self, value: f32) -> f32 {
        (value - self.low) / (self.high - self.low)
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let ends = text.split_once("..").and_then(|(low, high)| {
            // One dot too many would make ".255" of 255.
            let high = high.trim().strip_prefix('.').is_none().then_some(high)?;
            let (low, high) = (low.trim().parse::<f32>().ok()?, high.trim().parse::<f32>().ok()?);
            (low.is_finite() && high.is_finite() && low < high).then_some(Range { low, high })
        });
        ends.ok_or_else(|| format!("{text:?} is no range from black to white such as \"0..1\" or \"0..255\""))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.low, self.high)
    }
}

impl Layout {
    /// Which dimension holds the channels.
    pub fn channel_axis(self) -> usize {
        match self {
            Layout::Nchw => 1,
            Layout::Nhwc => 3,
        }
    }
}

impl Terms {
    /// As text, for the ledger and marks: equal where results would be.
    pub fn to_text(&self) -> String {
        let Terms { scale, multiple, halo, .. } = self;
        let (range, output_range) = (self.range(), self.output_range());
        let plugs = [&self.input, &self.mask_input, &self.output].map(|name| name.as_deref().unwrap_or("-"));
        let order = match self.channels {
            Channels::Rgb => "rgb",
            Channels::Bgr => "bgr",
            Channels::Each => "each",
        };
        let layout = match self.layout {
            None => "",
            Some(Layout::Nchw) => " nchw",
            Some(Layout::Nhwc) => " nhwc",
        };
        let mask = match (self.task, self.hole_fill) {
            (Task::SuperResolution, _) => String::new(),
            (Task::Inpainting, HoleFill::Smooth) => format!(" hole {} filled", self.mask_hole),
            (Task::Inpainting, HoleFill::Zero) => format!(" hole {} zero", self.mask_hole),
        };
        let (task, plugs) = (self.task.word(), plugs.join(" "));
        format!(
            "{task} x{scale} {range} to {output_range} {order}{layout}{mask} multiple {multiple} halo {halo} \
             of {plugs}"
        )
    }

    /// A shape in the order of the network.
    pub fn shape(&self, tiles: usize, channels: usize, Size { width, height }: Size) -> [usize; 4] {
        match self.layout.unwrap_or_default() {
            Layout::Nchw => [tiles, channels, height, width],
            Layout::Nhwc => [tiles, height, width, channels],
        }
    }

    /// The size of what so many windows gave, in this shape: `scale` times theirs, or of a network without
    /// padding the middle of that, as far as the halo leaves it.
    ///
    /// # Errors
    /// A sentence.
    pub fn judge(&self, shape: &[i64], (tiles, window): (usize, Size)) -> Result<Size, String> {
        let (large, channels) = (window.times(self.scale), self.channels.count());
        let wanted = self.shape(tiles, channels, large);
        let sides = match (shape, self.layout.unwrap_or_default()) {
            (&[_, _, height, width], Layout::Nchw) | (&[_, height, width, _], Layout::Nhwc) => {
                (width, height)
            }
            _ => (0, 0),
        };
        let has = Size::new(sides.0.max(0) as usize, sides.1.max(0) as usize);
        let fits = self.shape(tiles, channels, has).map(|side| side as i64) == *shape;
        let room = if self.task == Task::SuperResolution { self.halo * self.scale } else { 0 };
        let is_middle = |has: usize, wanted: usize| {
            has <= wanted && (wanted - has).is_multiple_of(2) && (wanted - has) / 2 <= room
        };
        let other = (1..=8).find(|scale| *scale != self.scale && window.times(*scale) == has);
        if let (true, Some(other)) = (fits, other) {
            return Err(format!(
                "scale is {}, but a window of {window} gave {has}: it is {other}",
                self.scale
            ));
        }
        if fits && is_middle(has.width, large.width) && is_middle(has.height, large.height) {
            return Ok(has);
        }
        Err(format!(
            "a window of {window} gave the shape {shape:?}, not {wanted:?}, and not as much of its middle as \
             halo = {} leaves",
            self.halo
        ))
    }

    fn range(&self) -> Range {
        self.range.unwrap_or(Range::UNIT)
    }

    fn output_range(&self) -> Range {
        self.output_range.unwrap_or(self.range())
    }

    /// Windows as the network takes them. `image` is N×3×H×W, RGB in [0, 1]; `mask` is N×1×H×W, above 0 in
    /// holes, or empty; `area` is H·W. Where there is a `fourth` channel, it is the mask, and that its 1.
    pub fn enter(&self, image: &[f32], (mask, fourth): (&[f32], Option<f32>), area: usize) -> Vec<f32> {
        let channels = if fourth.is_some() { 4 } else { 3 };
        let mut values = vec![0.0; image.len() / 3 * channels];
        for (tile, (from, into)) in
            image.chunks_exact(3 * area).zip(values.chunks_exact_mut(channels * area)).enumerate()
        {
            let holes = mask.get(tile * area..).unwrap_or(&[]);
            for channel in 0..3 {
                let plane = &from[self.colour(channel) * area..][..area];
                for (pixel, value) in plane.iter().enumerate() {
                    let is_emptied =
                        self.hole_fill == HoleFill::Zero && holes.get(pixel).is_some_and(|hole| *hole > 0.0);
                    into[self.place((area, channels), pixel, channel)] =
                        if is_emptied { 0.0 } else { self.range().enter(*value) };
                }
            }
            for (one, (pixel, hole)) in fourth.iter().cycle().zip(holes.iter().take(area).enumerate()) {
                into[self.place((area, channels), pixel, 3)] = one * self.hole(*hole);
            }
        }
        values
    }

    /// Masks as the network takes them, where `one` stands for 1: one channel, so that the layout decides
    /// nothing but the shape.
    pub fn enter_mask(&self, mask: &[f32], one: f32) -> Vec<f32> {
        mask.iter().map(|hole| one * self.hole(*hole)).collect()
    }

    fn hole(&self, hole: f32) -> f32 {
        if hole > 0.0 { self.mask_hole } else { 1.0 - self.mask_hole }
    }

    /// What came out, appended as N×3×H×W, RGB in [0, 1], not clipped. Where it is smaller than `wanted`, as
    /// of convolutions without padding, it lies in the middle, and nothing around it.
    pub fn leave(&self, output: &[f32], (has, wanted): (Size, Size), into: &mut Vec<f32>) {
        let (left, top) = ((wanted.width - has.width) / 2, (wanted.height - has.height) / 2);
        for tile in output.chunks_exact(3 * has.area()) {
            for colour in 0..3 {
                let (channel, begin) = (self.colour(colour), into.len());
                into.resize(begin + wanted.area(), 0.0);
                for pixel in 0..has.area() {
                    let (x, y) = (left + pixel % has.width, top + pixel / has.width);
                    into[begin + y * wanted.width + x] =
                        self.output_range().leave(tile[self.place((has.area(), 3), pixel, channel)]);
                }
            }
        }
    }

    /// Where a value lies, of pixels counted in rows.
    fn place(&self, (area, channels): (usize, usize), pixel: usize, channel: usize) -> usize {
        match self.layout {
            Some(Layout::Nhwc) if self.channels != Channels::Each => channels * pixel + channel,
            _ => channel * area + pixel,
        }
    }

    /// Which colour a channel is; and the other way round, which is the same.
    fn colour(&self, channel: usize) -> usize {
        match self.channels {
            Channels::Rgb | Channels::Each => channel,
            Channels::Bgr => 2 - channel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The terms of a network that is like ours.
    fn terms() -> Terms {
        Terms {
            name: "other".into(),
            file: "other.onnx".into(),
            task: Task::SuperResolution,
            scale: 4,
            input: None,
            mask_input: None,
            output: None,
            range: None,
            output_range: None,
            channels: Channels::Rgb,
            layout: None,
            mask_hole: 1.0,
            hole_fill: HoleFill::Smooth,
            multiple: 1,
            halo: 8,
            licence: "unknown".into(),
        }
    }

    #[test]
    fn ranges_are_read_and_nonsense_is_refused() {
        for text in ["0..1", "0..255", "-1..1", "-0.5..0.5"] {
            assert_eq!(text.parse::<Range>().map(|range| range.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "1", "1..0", "0..inf", "0-255", "NaN..1", "0..0", "0...255"] {
            let refusal = text.parse::<Range>().expect_err(text);
            assert!(refusal.contains("is no range from black to white"), "{refusal}");
        }
    }

    /// Two tiles of two pixels, each value told apart by its digits: tile, colour, pixel.
    #[test]
    fn colours_and_dimensions_are_put_in_order() {
        let value = |tile: usize, colour: usize, pixel: usize| (100 * tile + 10 * colour + pixel) as f32;
        let ours: Vec<f32> = (0..2)
            .flat_map(|tile| (0..3).flat_map(move |c| (0..2).map(move |pixel| value(tile, c, pixel))))
            .collect();
        let enter = |channels, layout| {
            Terms { channels, layout: Some(layout), ..terms() }.enter(&ours, (&[], None), 2)
        };
        assert_eq!(enter(Channels::Rgb, Layout::Nchw), ours);
        assert_eq!(enter(Channels::Bgr, Layout::Nchw)[..6], [20.0, 21.0, 10.0, 11.0, 0.0, 1.0]);
        assert_eq!(enter(Channels::Rgb, Layout::Nhwc)[6..], [100.0, 110.0, 120.0, 101.0, 111.0, 121.0]);
        assert_eq!(enter(Channels::Bgr, Layout::Nhwc)[..6], [20.0, 10.0, 0.0, 21.0, 11.0, 1.0]);
        assert_eq!(enter(Channels::Each, Layout::Nhwc), ours);
    }

    #[test]
    fn what_comes_out_is_the_way_back() {
        let ours: Vec<f32> = (0..24).map(|i| i as f32 / 24.0).collect();
        for (channels, layout) in [(Channels::Bgr, Layout::Nhwc), (Channels::Rgb, Layout::Nchw)] {
            for range in ["0..255", "-1..1"].map(|text| text.parse().expect("a range")) {
                let layout = Some(layout);
                let terms = Terms { channels, layout, range: Some(range), ..terms() };
                let (mut back, size) = (Vec::new(), Size::new(2, 2));
                terms.leave(&terms.enter(&ours, (&[], None), 4), (size, size), &mut back);
                assert!(back.iter().zip(&ours).all(|(a, b)| (a - b).abs() < 1e-6), "{terms:?}");
            }
        }
    }

    #[test]
    fn a_network_gives_all_or_the_middle_and_its_scale() {
        let (terms, window) = (Terms { halo: 4, scale: 2, ..terms() }, Size::new(20, 30));
        let judge = |shape: [i64; 4]| terms.judge(&shape, (1, window));
        assert_eq!(judge([1, 3, 60, 40]), Ok(Size::new(40, 60)));
        assert_eq!(judge([1, 3, 44, 24]), Ok(Size::new(24, 44)), "8 on each side, twice the halo");
        for shape in [[1, 3, 42, 22], [1, 3, 60, 39], [2, 3, 60, 40], [1, 1, 60, 40], [1, 3, 62, 42], [-1; 4]]
        {
            let refusal = judge(shape).expect_err("refused");
            assert!(refusal.contains("not [1, 3, 60, 40], and not as much of its middle"), "{refusal}");
        }
        assert!(terms.judge(&[3], (1, window)).is_err());
        assert_eq!(
            judge([1, 3, 30, 20]),
            Err("scale is 2, but a window of 20×30 gave 20×30: it is 1".to_owned())
        );
        let last = Terms { layout: Some(Layout::Nhwc), ..terms.clone() };
        assert_eq!(last.judge(&[1, 60, 40, 3], (1, window)), Ok(Size::new(40, 60)));
        let repairs = Terms { task: Task::Inpainting, scale: 1, ..terms };
        assert!(repairs.judge(&[1, 3, 28, 18], (1, window)).is_err(), "holes may lie at the border");
    }

    #[test]
    fn what_is_smaller_than_wanted_lies_in_the_middle() {
        let mut back = Vec::new();
        terms().leave(&[0.1, 0.2, 0.3, 0.4, 0.5, 0.6], (Size::new(2, 1), Size::new(4, 3)), &mut back);
        assert_eq!(back[..12], [0.0, 0.0, 0.0, 0.0, 0.0, 0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!((back.len(), back[29..31].to_vec()), (36, vec![0.5, 0.6]));
    }

    #[test]
    fn holes_are_marked_and_emptied_as_the_network_has_it() {
        let mask = [0.0, 1.0, 0.5];
        let (task, hole_fill) = (Task::Inpainting, HoleFill::Zero);
        let range = Some(Range { low: -1.0, high: 1.0 });
        let terms = Terms { task, hole_fill, range, scale: 1, mask_hole: 0.0, ..terms() };
        assert_eq!(terms.enter_mask(&mask, 1.0), [1.0, 0.0, 0.0]);
        assert_eq!(terms.enter_mask(&mask, 255.0), [255.0, 0.0, 0.0]);
        assert_eq!(terms.enter(&[1.0; 9], (&mask, None), 3)[..3], [1.0, 0.0, 0.0]);
        let joined = terms.enter(&[1.0; 9], (&mask, Some(1.0)), 3);
        assert_eq!(joined[6..], [1.0, 0.0, 0.0, 1.0, 0.0, 0.0], "blue, then the mask");
        let last = Terms { layout: Some(Layout::Nhwc), ..terms.clone() };
        assert_eq!(
            last.enter(&[1.0; 9], (&mask, Some(1.0)), 3)[..8],
            [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
        );
        let terms = Terms { mask_hole: 1.0, hole_fill: HoleFill::Smooth, ..terms };
        assert_eq!(terms.enter_mask(&mask, 1.0), [0.0, 1.0, 1.0]);
        assert_eq!(terms.enter(&[1.0; 9], (&mask, None), 3), [1.0; 9]);
    }

    #[test]
    fn terms_that_decide_results_are_told_apart() {
        let others = [
            Terms { scale: 2, ..terms() },
            Terms { range: Some(Range::BYTES), ..terms() },
            Terms { output_range: Some(Range::BYTES), ..terms() },
            Terms { channels: Channels::Bgr, ..terms() },
            Terms { layout: Some(Layout::Nhwc), ..terms() },
            Terms { channels: Channels::Each, ..terms() },
            Terms { halo: 9, ..terms() },
            Terms { multiple: 2, ..terms() },
            Terms { output: Some("b".into()), ..terms() },
            Terms { task: Task::Inpainting, ..terms() },
        ];
        for other in others {
            assert_ne!(other.to_text(), terms().to_text(), "{other:?}");
        }
        // What it is called and where it lies decides nothing.
        let elsewhere = Terms { name: "b".into(), file: "b".into(), licence: "MIT".into(), ..terms() };
        assert_eq!(elsewhere.to_text(), terms().to_text());
    }
}
