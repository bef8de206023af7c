//! A worker of `peers/embed_texts.py`: embeds a corpus when told to, and says how long it took.
//!
//!     embed --model FOLDER --texts FILE [--threads 2]
//!
//! FILE has a text in each line. On `go` the texts are turned into vectors, from the tokens on, sorted by length in batches
//! of 32, and `seconds X` is printed; on `write PATH` the vectors are written, f32 one after the other.

use std::io::{BufRead, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use engraft::bases::Device;
use engraft::bases::text::{FrozenEncoder, SentenceEncoder};
use engraft::data::text::Text;

type Failure = Box<dyn std::error::Error>;

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the lines are what this program is for")]
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.is_empty() {
        eprintln!("a worker of benches/peers/embed_texts.py: nothing to embed without --model and --texts");
        return ExitCode::SUCCESS;
    }
    match serve(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("error {failure}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the lines are what this program is for")]
#[expect(clippy::disallowed_methods, reason = "a worker writes where it is told to")]
fn serve(arguments: &[String]) -> Result<(), Failure> {
    let option = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).map(String::as_str)
    };
    let threads: usize = option("--threads").unwrap_or("2").parse()?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let (encoder, _) = SentenceEncoder::open(Path::new(option("--model").ok_or("no --model")?), &Device::flex())?;
    let corpus = std::fs::read_to_string(option("--texts").ok_or("no --texts")?)?;
    let texts: Vec<Text> = corpus.lines().map(|line| Text { first: line.to_owned(), second: None }).collect();
    let texts: Vec<&Text> = texts.iter().collect();
    let frozen = FrozenEncoder::new(&encoder.encoder);
    let mut vectors = encoder.embed(&frozen, &texts[..texts.len().min(128)])?;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        match line?.trim().split_once(' ') {
            None => {
                let start = Instant::now();
                vectors = encoder.embed(&frozen, &texts)?;
                println!("seconds {:.6}", start.elapsed().as_secs_f64());
            }
            Some(("write", path)) => {
                let bytes: Vec<u8> = vectors.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
                std::fs::File::create(path)?.write_all(&bytes)?;
                println!("written");
            }
            Some((other, _)) => return Err(format!("no request `{other}`").into()),
        }
    }
    Ok(())
}
