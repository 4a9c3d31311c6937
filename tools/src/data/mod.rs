//! Pictures in: which files may be used, the pairs they become, and batches of patches. Knows no tensors'
//! devices and no networks.

mod batches;
mod cifar;
mod corpus;
mod degrade;
mod hole_batches;
mod holes;
mod pictures;
mod random;

pub use batches::{Batch, BatchPlan, make_batch, with_batches};
pub use cifar::{SIDE, SmallPictures, Split, to_tensor as cifar_tensor};
pub use corpus::{Corpus, CorpusFacts, CorpusOptions, DataError, Pair, hex, spread};
pub use degrade::{Mix, degrade};
pub use hole_batches::{HoleBatch, HolePlan, Holed, make_hole_batch};
pub use holes::draw_holes;
pub use pictures::{crop, is_picture, read_rgb};
pub use random::Random;
