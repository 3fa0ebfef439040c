//! Matrix products of Lanegrad beside those of other libraries, interleaved in one process.
//!
//! | module | what it holds |
//! |---|---|
//! | [`options`] | the command line |
//! | [`product`] | shapes, and operands of a shape |
//! | [`number`] | `f32` and `f64`, as every contestant knows them |
//! | [`contestant`] | who takes part: one file each |
//! | [`rounds`] | timing: calibration, interleaving, medians |
//! | [`compare`] | everybody on a list of shapes |
//! | [`sweep`] | ours alone over many sizes, on one thread and on all |
//! | [`record`] | what a run writes: CSV |
//! | [`standing`] | ours against the best rival |
//! | [`table`] | a record as Markdown |

pub mod compare;
pub mod contestant;
pub mod number;
pub mod options;
pub mod product;
pub mod record;
pub mod rounds;
pub mod standing;
pub mod sweep;
pub mod table;
