//! How good a model is: figures of pictures and of samples, the public sets, and the strips one looks at.

mod estimate;
mod figures;
mod generated;
mod holes;
mod quiet;
mod report;
mod sample_figures;
mod sets;
mod spectrum;
mod strength;
mod strip;
mod uncertainty;

pub use estimate::{Drawn, Estimate, SECOND_STEPS, estimate};
pub use figures::{psnr_y, ssim_y};
pub use generated::{Gallery, GeneratedFigures, frechet, generated_figures};
pub use holes::{HOLES_HEAD, HoleRow, evaluate_holes};
pub use report::{Damaged, Judged, Report, Samples};
pub use sample_figures::{SPECTRUM_STRENGTHS, SampleFigures, sample_figures};
pub use sets::{Row, SETS_SEED, STRENGTHS, TABLE_HEAD, Trial, evaluate, evaluate_uncertainty, has_sets};
pub use spectrum::spectrum_error;
pub use strength::{CURVE, StrengthCurve, StrengthPoint, at_strength};
pub use strip::{squares, strip};
pub use uncertainty::{Foretold, foretold, spearman};
