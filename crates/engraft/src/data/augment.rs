//! Random changes to training images.
//!
//! [`Augment`] moves, mirrors, turns and scales a prepared image a little: for small characters, and for nets that
//! start from nothing. A [`Recipe`] is for fine-tuning on photos: it cuts a part out of the whole image and changes
//! its colours.
//!
//! Images are bytes of shape `[height, width, channels]`, red first. Of four channels the last is alpha, which
//! geometry moves with the others and colours leave alone.

mod colour;
mod crop;
mod geometry;
mod rand_augment;
mod recipe;
mod small;

pub use recipe::{Changes, Recipe};
pub use small::Augment;

#[cfg(test)]
mod reference_tests;
