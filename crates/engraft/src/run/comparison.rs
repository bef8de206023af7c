//! Writing a comparison's folder.

use std::path::Path;

use super::html::{Thumbnail, render_comparison};
use super::save::{json, thumbnail};
use crate::compare::Compared;
use crate::error::Result;
use crate::files::{Made, Staging};

/// Writes `compare.json` and `compare.html`, both or neither. `command_line` is what gives them again.
///
/// # Errors
/// [`crate::error::Error::Output`] where the folder cannot be written, or is there and is not replaced.
pub fn save_comparison(compared: &Compared, out: &Path, replace: bool, command_line: &str) -> Result<()> {
    let images = [0, 1].map(|side: usize| -> Vec<Thumbnail> {
        let of = &compared.sides.both[side];
        let each = compared.named[side].iter();
        each.filter_map(|&at| {
            let (mime, bytes) = match of.image(at) {
                Some(image) => thumbnail(image, compared.sides.bit_depth)?,
                None => ("text/plain", of.shown(at).into_bytes()),
            };
            Some(Thumbnail { file: of.names[at].clone(), mime, bytes })
        })
        .collect()
    });
    let page = render_comparison(&compared.comparison, &images, command_line);
    let staging = Staging::create(out, Made::Comparison, replace)?;
    staging.write("compare.json", &json(&compared.comparison))?;
    staging.write("compare.html", page.as_bytes())?;
    staging.commit()
}
