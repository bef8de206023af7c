//! Word vectors written in the formats that other programs read.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::bases::text::vectors::{WordVectors, shown};
use crate::bases::text::{vector_arrays, vector_finalfusion};
use crate::error::{Error, Problem, Result, first_of};
use crate::files::{Aside, write_output};
use crate::settings::VectorFormat;

/// The files of a format: the one that is named, and the list of words beside it where there is one.
pub(crate) fn files_of(path: &Path, format: VectorFormat) -> Vec<PathBuf> {
    let ending = match format {
        VectorFormat::Npy => Some("words.txt"),
        VectorFormat::Safetensors => Some("words"),
        _ => None,
    };
    std::iter::once(path.to_owned()).chain(ending.map(|ending| path.with_extension(ending))).collect()
}

/// Whether a word can stand in a file of this format.
fn fits(word: &str, format: VectorFormat) -> bool {
    match format {
        VectorFormat::Finalfusion => true,
        // A line each.
        VectorFormat::Npy | VectorFormat::Safetensors => !word.contains(['\n', '\r']),
        // Fields between blanks.
        _ => !word.contains(char::is_whitespace),
    }
}

impl WordVectors {
    /// Writes the vectors to `path`, complete or not at all, and their words beside it where the format has them apart. What is
    /// lost on the way, in words. Numbers in text are the shortest that are read as the same f32.
    ///
    /// Words that the format cannot hold (with a blank in them, in formats whose fields are told by blanks) are left out, and told.
    ///
    /// # Errors
    /// [`Error::Output`] where a file cannot be written, or is there and is not to be replaced; [`Error::Data`] where no word can be
    /// written.
    pub(crate) fn write(&self, path: &Path, format: VectorFormat, replace: bool) -> Result<Vec<String>> {
        let mut lost = Vec::new();
        let odd: Vec<usize> = (0..self.len()).filter(|&row| !fits(self.word(row), format)).collect();
        let kept;
        let vectors = if odd.is_empty() {
            self
        } else {
            let names = first_of(odd.iter().map(|&row| format!("`{}`", shown(self.word(row)))), 3);
            lost.push(format!("{} words with a blank or the end of a line in them are left out: {names}", odd.len()));
            let rows: Vec<usize> = (0..self.len()).filter(|row| odd.binary_search(row).is_err()).collect();
            if rows.is_empty() {
                let problem = Problem::new("no word can be written in this format").found(names).at(path);
                return Err(Error::Data(problem.hint("--to finalfusion takes any word")));
            }
            let values = rows.iter().flat_map(|&row| self.at(row)).copied().collect();
            let words = rows.iter().map(|&row| self.word(row).to_owned()).collect();
            kept = Self::new(words, self.columns(), values)?;
            &kept
        };
        let fail = |source: io::Error| Error::write(path, &source);
        let files = files_of(path, format);
        if format == VectorFormat::Safetensors {
            let (tensors, words) = vectors.to_parts();
            write_output(&files[1], &words, replace)?;
            write_output(path, &tensors, replace)?;
        } else {
            if let Some(beside) = files.get(1) {
                let words: String = vectors.words().flat_map(|word| [word, "\n"]).collect();
                write_output(beside, words.as_bytes(), replace)?;
            }
            let mut file = Aside::create(path, replace)?;
            vectors.write_to(&mut file, format).map_err(fail)?;
            file.commit()?;
        }
        if format == VectorFormat::Finalfusion {
            lost.push("length and direction stand apart: numbers come back to about 1e-7 of a vector's length".into());
        }
        if self.has_subwords() {
            lost.push("character n-grams are left out: unknown words have no vector there".into());
        }
        Ok(lost)
    }

    fn write_to(&self, file: &mut impl Write, format: VectorFormat) -> io::Result<()> {
        let (count, columns) = (self.len(), self.columns());
        // GloVe's own programs do not count the last row.
        let counted = match self.word(count - 1) {
            "<unk>" if format == VectorFormat::GloveHeader => count - 1,
            _ => count,
        };
        match format {
            VectorFormat::Glove | VectorFormat::Safetensors => {}
            VectorFormat::Finalfusion => return vector_finalfusion::write(self, file),
            VectorFormat::Npy => return vector_arrays::write_npy(self, file),
            _ => writeln!(file, "{counted} {columns}")?,
        }
        let mut line = Vec::new();
        for row in 0..count {
            line.clear();
            line.extend_from_slice(self.word(row).as_bytes());
            match format {
                VectorFormat::Word2vecBinary => {
                    line.push(b' ');
                    line.extend(self.at(row).iter().flat_map(|x| x.to_le_bytes()));
                }
                _ => {
                    for x in self.at(row) {
                        // Display writes all zeros of a very small number.
                        match x.abs() {
                            size if size != 0.0 && !(1e-5..1e15).contains(&size) => write!(line, " {x:e}")?,
                            _ => write!(line, " {x}")?,
                        }
                    }
                }
            }
            line.push(b'\n');
            file.write_all(&line)?;
        }
        Ok(())
    }
}
