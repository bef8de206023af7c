//! The state of a training after an epoch, in one file that is replaced as a whole.

use std::io::{BufReader, Read, Write};
use std::path::Path;

use super::parameters::Parameters;
use crate::error::{Error, Problem, Result};
use crate::files::{Aside, fault, open_regular};

const NAME: &str = "state.bin";
const OTHERS: &str = "the settings or the data were others";
const MARK: [u8; 8] = *b"ENGGLV01";
/// Numbers that are written at once.
const PART: usize = 64 << 10;

/// Writes the state after as many epochs as there are costs.
pub(super) fn save(folder: &Path, made_of: &str, costs: &[f64], parameters: &Parameters) -> Result<()> {
    let path = folder.join(NAME);
    let fail = |source: std::io::Error| Error::write(&path, &source);
    let mut file = Aside::create(&path, true)?;
    let mut checksum = 0;
    let mut write = |bytes: &[u8]| {
        checksum = crc32c::crc32c_append(checksum, bytes);
        file.write_all(bytes).map_err(fail)
    };
    write(&MARK)?;
    for number in [made_of.len() as u64, costs.len() as u64] {
        write(&number.to_le_bytes())?;
    }
    write(made_of.as_bytes())?;
    for cost in costs {
        write(&cost.to_le_bytes())?;
    }
    let mut bytes = Vec::new();
    for part in parameters.sides.iter().flatten().flat_map(|block| block.chunks(PART)) {
        bytes.clear();
        bytes.extend(part.iter().flat_map(|number| number.to_le_bytes()));
        write(&bytes)?;
    }
    file.write_all(&checksum.to_le_bytes()).map_err(fail)?;
    fault("glove-checkpoint-written");
    file.commit()
}

/// Whether there is a state, and of what.
///
/// # Errors
/// [`Error::Output`] for one of other settings or data.
pub(super) fn look(folder: &Path, made_of: &str) -> Result<bool> {
    let path = folder.join(NAME);
    let Ok(file) = open_regular(&path) else { return Ok(false) };
    let mut head = Vec::new();
    file.take(24 + made_of.len() as u64).read_to_end(&mut head).map_err(|source| Error::read(&path, &source))?;
    if head.len() < 24
        || !head.starts_with(&MARK)
        || head[8..16] != (made_of.len() as u64).to_le_bytes()
        || &head[24..] != made_of.as_bytes()
    {
        return Err(refuse(&path, OTHERS));
    }
    Ok(true)
}

/// The costs of the epochs before a state, whatever it is of. Nothing where there is none that can be read.
pub(super) fn costs(folder: &Path) -> Option<Vec<f64>> {
    let mut file = BufReader::new(open_regular(&folder.join(NAME)).ok()?);
    let mut eight = || {
        let mut eight = [0; 8];
        file.read_exact(&mut eight).ok().map(|()| eight)
    };
    let mark = eight()?;
    let (length, count) = (u64::from_le_bytes(eight()?), u64::from_le_bytes(eight()?));
    if mark != MARK || length > 1 << 20 || count > 1 << 32 {
        return None;
    }
    let skipped = std::io::copy(&mut file.by_ref().take(length), &mut std::io::sink()).ok()?;
    let mut costs = Vec::new();
    for _ in 0..count {
        let mut eight = [0; 8];
        file.read_exact(&mut eight).ok()?;
        costs.push(f64::from_le_bytes(eight));
    }
    (skipped == length).then_some(costs)
}

/// Whether there is a state.
pub(super) fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

/// The refusal of a state that is of other settings or data.
pub(super) fn of_others(folder: &Path) -> Error {
    refuse(&folder.join(NAME), OTHERS)
}

fn refuse(path: &Path, what: &str) -> Error {
    let problem = Problem::new("the checkpoint cannot be gone on from").found(what).at(path);
    Error::Output(problem.hint("remove the folder of the unfinished work to begin anew"))
}

/// Reads a state into `parameters`, which have its shape, and returns the costs. Nothing where there is none.
///
/// # Errors
/// [`Error::Output`] for one that is damaged or of other settings or data.
pub(super) fn load(folder: &Path, made_of: &str, parameters: &mut Parameters) -> Result<Option<Vec<f64>>> {
    let path = folder.join(NAME);
    let file = match open_regular(&path) {
        Ok(file) => file,
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::read(&path, &source)),
    };
    let refuse = |what: &str| refuse(&path, what);
    let mut file = BufReader::new(file);
    let mut checksum = 0;
    let mut read = |bytes: &mut [u8]| {
        file.read_exact(bytes).map_err(|_| refuse("it is cut off"))?;
        checksum = crc32c::crc32c_append(checksum, bytes);
        Ok(())
    };
    let mut eight = [0; 8];
    read(&mut eight)?;
    if eight != MARK {
        return Err(refuse("another kind of file"));
    }
    let mut number = || {
        read(&mut eight)?;
        Ok::<_, Error>(u64::from_le_bytes(eight))
    };
    let (length, count) = (number()?, number()?);
    if length != made_of.len() as u64 || count > 1 << 32 {
        return Err(refuse(OTHERS));
    }
    let mut found = vec![0; made_of.len()];
    read(&mut found)?;
    if found != made_of.as_bytes() {
        return Err(refuse(OTHERS));
    }
    let mut costs = Vec::new();
    for _ in 0..count {
        read(&mut eight)?;
        costs.push(f64::from_le_bytes(eight));
    }
    let mut bytes = Vec::new();
    for part in parameters.sides.iter_mut().flatten().flat_map(|block| block.chunks_mut(PART)) {
        bytes.resize(part.len() * 4, 0);
        read(&mut bytes)?;
        for (number, bytes) in part.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *number = f32::from_le_bytes(*bytes);
        }
    }
    let sum = checksum;
    let mut four = [0; 4];
    file.read_exact(&mut four).map_err(|_| refuse("it is cut off"))?;
    if u32::from_le_bytes(four) != sum || file.read(&mut [0]).unwrap_or(1) != 0 {
        return Err(refuse("its checksum is wrong"));
    }
    Ok(Some(costs))
}
