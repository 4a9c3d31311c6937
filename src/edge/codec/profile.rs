//! ICC profiles for results whose format has no other way to say how colours are meant, or none for grey.

use moxcms::{
    Chromaticity, CicpProfile, ColorPrimaries, ColorProfile, DataColorSpace, ToneReprCurve, curve_from_gamma,
};

/// gAMA of pictures that mean sRGB: 1 ÷ 2.2 (PNG 3, 11.3.2.5).
const USUAL_GAMMA: u32 = 45_455;
/// cHRM likewise: white, red, green, blue, x and y of each.
const USUAL_PRIMARIES: [u32; 8] = [31_270, 32_900, 64_000, 33_000, 30_000, 60_000, 15_000, 6_000];
/// How far writers round.
const NEAR: u32 = 150;

/// A profile of RGB whose channels have the curve of a grey profile; `None` where that has none.
pub(super) fn of_grey(icc: &[u8]) -> Option<Vec<u8>> {
    let grey = ColorProfile::new_from_slice(icc).ok()?;
    let curve = (grey.color_space == DataColorSpace::Gray).then_some(grey.gray_trc)??;
    with_curve(ColorProfile::new_srgb(), curve)
}

/// What a PNG says by cICP, or gAMA and cHRM; `None` where it says nothing, or what everybody takes for
/// granted.
pub(super) fn of_png(info: &png::Info<'_>, is_grey: bool) -> Option<Vec<u8>> {
    if let Some(points) = info.coding_independent_code_points.filter(|_| !is_grey) {
        let told = CicpProfile {
            color_primaries: points.color_primaries.try_into().ok()?,
            transfer_characteristics: points.transfer_function.try_into().ok()?,
            matrix_coefficients: points.matrix_coefficients.try_into().ok()?,
            full_range: points.is_video_full_range_image,
        };
        let mut profile = ColorProfile::new_srgb();
        // Its answer is always "no"; what came of it is in the profile.
        profile.cicp = None;
        profile.update_rgb_colorimetry_from_cicp(told);
        let has_curve = ToneReprCurve::try_from(told.transfer_characteristics).is_ok();
        return (profile.cicp.is_some() && has_curve).then(|| profile.encode().ok())?;
    }
    if info.srgb.is_some() {
        return None;
    }
    let gamma = info.gama_chunk.map(png::ScaledFloat::into_scaled).filter(|gamma| *gamma > 0);
    let primaries = info.chrm_chunk.map(|told| {
        let [white, red, green, blue] =
            [told.white, told.red, told.green, told.blue].map(|(x, y)| [x.into_scaled(), y.into_scaled()]);
        [white, red, green, blue]
    });
    let is_usual = |told: u32, usual: u32| told.abs_diff(usual) <= NEAR;
    let usual_gamma = gamma.is_none_or(|gamma| is_usual(gamma, USUAL_GAMMA));
    let usual_primaries = primaries.is_none_or(|told| {
        told.as_flattened().iter().zip(USUAL_PRIMARIES).all(|(told, usual)| is_usual(*told, usual))
    });
    if usual_gamma && (usual_primaries || is_grey) {
        return None;
    }
    let exponent = 100_000.0 / gamma.unwrap_or(USUAL_GAMMA) as f32;
    if is_grey {
        return ColorProfile::new_gray_with_gamma(exponent).encode().ok();
    }
    let mut profile = ColorProfile::new_srgb();
    if let Some([white, red, green, blue]) = primaries.filter(|_| !usual_primaries) {
        let point = |[x, y]: [u32; 2]| Chromaticity::new(x as f32 / 1e5, y as f32 / 1e5);
        let primaries = ColorPrimaries { red: point(red), green: point(green), blue: point(blue) };
        profile.update_rgb_colorimetry(point(white).to_xyyb(), primaries);
    }
    if usual_gamma { profile.encode().ok() } else { with_curve(profile, curve_from_gamma(exponent)) }
}

fn with_curve(mut profile: ColorProfile, curve: ToneReprCurve) -> Option<Vec<u8>> {
    // It says sRGB besides, which it is no longer.
    profile.cicp = None;
    profile.red_trc = Some(curve.clone());
    profile.green_trc = Some(curve.clone());
    profile.blue_trc = Some(curve);
    profile.encode().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use moxcms::{Layout, TransformOptions};

    /// What sRGB makes of a colour by a profile.
    fn seen(icc: &[u8], colour: [u8; 3]) -> [u8; 3] {
        let (profile, srgb) = (ColorProfile::new_from_slice(icc).expect("ours"), ColorProfile::new_srgb());
        let options = TransformOptions::default();
        let transform = profile.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options);
        let mut out = [0; 3];
        transform.expect("RGB").transform(&colour, &mut out).expect("a pixel");
        out
    }

    fn near(found: [u8; 3], wanted: [u8; 3]) {
        assert!(found.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 2), "{found:?} is not {wanted:?}");
    }

    #[test]
    fn what_a_png_says_of_its_colours_becomes_a_profile() {
        let mut info = png::Info::default();
        assert_eq!(of_png(&info, false), None);
        // Display P3, whose green is outside of sRGB, and whose dull colours are brighter ones there.
        info.coding_independent_code_points = Some(png::CodingIndependentCodePoints {
            color_primaries: 12,
            transfer_function: 13,
            matrix_coefficients: 0,
            is_video_full_range_image: true,
        });
        let p3 = of_png(&info, false).expect("it says so");
        near(seen(&p3, [255; 3]), [255; 3]);
        near(seen(&p3, [180, 100, 60]), [193, 95, 49]); // as LittleCMS has it
        info.coding_independent_code_points = None;
        info.gama_chunk = Some(png::ScaledFloat::new(1.0));
        let linear = of_png(&info, false).expect("it says so");
        near(seen(&linear, [55; 3]), [128; 3]);
        assert!(of_png(&info, true).is_some_and(|icc| &icc[16..20] == b"GRAY"));
        info.gama_chunk = Some(png::ScaledFloat::new(0.454_55));
        info.chrm_chunk =
            Some(png::SourceChromaticities::new((0.3127, 0.329), (0.64, 0.33), (0.3, 0.6), (0.15, 0.06)));
        assert_eq!(of_png(&info, false), None, "what everybody takes for granted");
        info.chrm_chunk =
            Some(png::SourceChromaticities::new((0.3127, 0.329), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)));
        near(seen(&of_png(&info, false).expect("it says so"), [180, 100, 60]), [193, 95, 49]);
    }

    #[test]
    fn a_grey_curve_becomes_that_of_rgb() {
        let grey = ColorProfile::new_gray_with_gamma(1.0).encode().expect("a profile");
        near(seen(&of_grey(&grey).expect("it has a curve"), [55; 3]), [128; 3]);
        assert_eq!(of_grey(b"no profile"), None);
    }
}
