//! `engraft glove`: word vectors from a corpus, and what is done with them.

use std::path::{Path, PathBuf};

use engraft::bases::text::WordVectors;
use engraft::error::{Error, Problem, shown};
use engraft::files;
use engraft::glove::{
    AnalogyTotal, Converted, Corpus, Near, Reduced, Summary, VectorEvaluation, Vocabulary, adapt, convert, count_pairs,
    evaluate, near, reduce, run as run_all, shuffle, train_files,
};
use engraft::progress::Observer;
use engraft::run::{is_page, render_word_vectors};
use engraft::settings::{ConvertVectors, EvaluateVectors, Glove, NearWords, ReduceVectors, laid_over};
use engraft::suggestion::suggestions;
use serde::Serialize;
use serde_json::json;

use crate::commands::fit::quoted;
use crate::exit::Outcome;
use crate::glove_args::{
    AdaptVectorsArgs, AllArgs, CooccurArgs, EvaluateArgs, FileArgs, FolderArgs, GloveArgs, GloveCommand, ShuffleArgs,
    TrainArgs, VocabArgs,
};
use crate::output;
use crate::terminal::Terminal;

/// The names of the stages.
const STAGES: [&str; 9] = ["vocab", "cooccur", "shuffle", "train", "adapt", "reduce", "evaluate", "near", "convert"];
/// The largest page that is replaced.
const LARGEST_PAGE: u64 = 64 << 20;
/// Axes whose share is told.
const AXES: usize = 5;

/// Runs the command.
pub fn run(args: &GloveArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.command.is_some() {
        refuse_before_stage(&args.all)?;
    }
    match &args.command {
        None => all(&args.all, json, terminal),
        Some(GloveCommand::Vocab(args)) => vocab(args, json, terminal),
        Some(GloveCommand::Cooccur(args)) => cooccur(args, json, terminal),
        Some(GloveCommand::Shuffle(args)) => shuffled(args, json, terminal),
        Some(GloveCommand::Train(args)) => train(args, json, terminal),
        Some(GloveCommand::Adapt(args)) => adapted(args, json, terminal),
        Some(GloveCommand::Reduce(args)) => {
            let settings: ReduceVectors = laid_over(&ReduceVectors::default(), args)?;
            tell(&reduce(&settings, terminal)?, json, told_reduced)
        }
        Some(GloveCommand::Evaluate(args)) => evaluated(args, json, terminal),
        Some(GloveCommand::Near(args)) => {
            let settings: NearWords = laid_over(&NearWords::default(), args)?;
            tell(&near(&settings, terminal)?, json, told_near)
        }
        Some(GloveCommand::Convert(args)) => {
            let settings: ConvertVectors = laid_over(&ConvertVectors::default(), args)?;
            tell(&convert(&settings, terminal)?, json, told_converted)
        }
    }
}

/// Refuses flags between `glove` and the name of a stage: they would be ignored.
fn refuse_before_stage(all: &AllArgs) -> Result<(), Error> {
    let given = serde_json::to_value(all).unwrap_or_default();
    let given = given.as_object().into_iter().flatten();
    let first =
        given.filter(|(_, value)| !value.is_null() && **value != json!([])).map(|(flag, _)| flag.as_str()).next();
    let output = all.output.out.as_ref().map(|_| "out").or(all.output.force.then_some("force"));
    match first.or(output) {
        None => Ok(()),
        Some("corpus") => {
            let problem =
                Problem::new("a corpus stands before the name of a stage").expected("the stage, then its corpus");
            Err(Error::Usage(problem.hint("engraft glove vocab corpus/ --out vocab.txt")))
        }
        Some(flag) => {
            let problem =
                Problem::new(format_args!("--{flag} stands before the name of a stage")).expected("flags behind it");
            Err(Error::Usage(problem.at(format!("--{flag}"))))
        }
    }
}

/// One JSON document, or text for a reader.
fn tell<T: Serialize>(found: &T, json: bool, told: impl FnOnce(&T) -> String) -> anyhow::Result<Outcome> {
    if json {
        output::json(found)?;
    } else {
        output::text(&told(found))?;
    }
    Ok(Outcome::Done)
}

fn folder_of(output: &FolderArgs) -> Result<&Path, Error> {
    output.out.as_deref().ok_or_else(|| {
        let problem = Problem::new("no folder is named for the vectors").expected("--out DIR");
        Error::Usage(problem.hint("engraft glove corpus/ --out vectors/"))
    })
}

fn all(args: &AllArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    if let [first, ..] = &args.corpus.corpus[..]
        && first.symlink_metadata().is_err()
        && let Some(alike) = suggestions(&first.to_string_lossy(), STAGES).first()
    {
        let problem = Problem::new("there is no such corpus").found(shown(first));
        return Err(Error::Usage(problem.hint(format_args!("did you mean `engraft glove {alike}`?"))).into());
    }
    let out = folder_of(&args.output)?;
    let summary = run_all(out, args.output.force, &settings, terminal)?;
    tell(&summary, json, |summary| told_summary(summary, out))
}

fn adapted(args: &AdaptVectorsArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    let out = folder_of(&args.all.output)?;
    let base = WordVectors::open(&args.base)?;
    if args.all.training.learning.vector_size.is_some_and(|size| size != base.columns()) {
        let problem = Problem::new("vectors that are adapted are as long as those of the base");
        let problem = problem.expected(base.columns()).found(settings.vector_size).at("--vector-size");
        return Err(Error::Usage(problem.hint("leave the flag out, or reduce the base first")).into());
    }
    let summary = adapt(&base, out, args.all.output.force, &settings, terminal)?;
    tell(&summary, json, |summary| told_summary(summary, out))
}

fn train(args: &TrainArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    let out = folder_of(&args.output)?;
    let summary = train_files(&args.records, &args.vocab, out, args.output.force, &settings, terminal)?;
    tell(&summary, json, |summary| told_summary(summary, out))
}

/// Refuses an output that would replace an input, or what this command cannot have written.
fn claim(output: &FileArgs, inputs: &[PathBuf], is_ours: impl FnOnce(&Path) -> bool) -> Result<(), Error> {
    let inputs: Vec<(&str, &Path)> = inputs.iter().map(|path| ("an input", path.as_path())).collect();
    files::claim_file(&output.out, output.force, &inputs, is_ours)
}

/// Refuses an output in a folder of the corpus: the next command would read it as text.
fn refuse_in_corpus(out: &Path, corpus: &[PathBuf]) -> Result<(), Error> {
    let parent = std::path::absolute(out).ok().and_then(|out| out.parent()?.canonicalize().ok());
    let Some(parent) = parent else { return Ok(()) };
    let is_over = |path: &&PathBuf| path.is_dir() && path.canonicalize().is_ok_and(|path| parent.starts_with(path));
    match corpus.iter().find(is_over) {
        None => Ok(()),
        Some(folder) => {
            let problem = Problem::new("the output lies in the corpus, and would be read as a part of it");
            Err(Error::Output(problem.found(shown(folder)).at(out).hint("choose an output outside of the corpus")))
        }
    }
}

fn vocab(args: &VocabArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    let out = &args.output.out;
    claim(&args.output, &args.corpus.corpus, |path| Vocabulary::read(path).is_ok())?;
    refuse_in_corpus(out, &args.corpus.corpus)?;
    let corpus = Corpus::find(&settings.corpus, terminal)?;
    let counted = Vocabulary::count(&corpus, &settings, terminal)?;
    files::write_output(out, &counted.vocabulary.to_text(), args.output.force)?;
    let kept: u64 = counted.vocabulary.counts().iter().sum();
    let found = json!({
        "tokens": counted.tokens,
        "different": counted.different,
        "words": counted.vocabulary.len(),
        "tokens_of_words": kept,
        "too_long": counted.too_long,
        "out": shown(out),
    });
    tell(&found, json, |_| {
        let covered = 100.0 * kept as f64 / counted.tokens.max(1) as f64;
        let words = counted.vocabulary.len();
        let mut text = format!("words        {words} of {} different ones\n", counted.different);
        text.push_str(&format!("tokens       {} ({covered:.1} % of them known words)\n", counted.tokens));
        text.push_str(&format!("vocabulary   {}\n", shown(out)));
        text
    })
}

fn cooccur(args: &CooccurArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    let out = &args.output.out;
    let vocabulary = Vocabulary::read(&args.vocab)?;
    let inputs: Vec<PathBuf> = args.corpus.corpus.iter().chain([&args.vocab]).cloned().collect();
    claim(&args.output, &inputs, is_of_records)?;
    let corpus = Corpus::find(&settings.corpus, terminal)?;
    let counted = count_pairs(&corpus, &vocabulary, out, args.output.force, &settings, terminal)?;
    let found = json!({ "records": counted.records, "words": vocabulary.len(), "out": shown(out) });
    tell(&found, json, |_| format!("records      {}\nfile         {}\n", counted.records, shown(out)))
}

fn shuffled(args: &ShuffleArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: Glove = laid_over(&Glove::default(), args)?;
    let out = &args.output.out;
    let vocabulary = args.vocab.as_deref().map(Vocabulary::read).transpose()?;
    let inputs: Vec<PathBuf> = [&args.records].into_iter().chain(&args.vocab).cloned().collect();
    claim(&args.output, &inputs, is_of_records)?;
    let records = shuffle(&args.records, vocabulary.as_ref(), out, args.output.force, &settings, terminal)?;
    let found = json!({ "records": records, "out": shown(out) });
    tell(&found, json, |_| format!("records      {records}\nfile         {}\n", shown(out)))
}

/// Whether a file may be one of co-occurrences: it has whole records, the first of which is one.
fn is_of_records(path: &Path) -> bool {
    let first = engraft::glove::Records::open(path).ok();
    first.is_some_and(|records| records.of_words(i32::MAX as usize).next().is_some_and(|record| record.is_ok()))
}

fn evaluated(args: &EvaluateArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let settings: EvaluateVectors = laid_over(&EvaluateVectors::default(), args)?;
    if let Some(out) = &args.out {
        let inputs = [Some(&args.vectors), args.analogies.as_ref(), args.similarity.as_ref()];
        let inputs: Vec<(&str, &Path)> =
            inputs.into_iter().flatten().map(|path| ("an input", path.as_path())).collect();
        files::claim_file(out, args.force, &inputs, |path| {
            files::read_limited(path, LARGEST_PAGE).is_ok_and(|bytes| is_page(&bytes))
        })?;
    }
    let found = evaluate(&settings, terminal)?;
    if let Some(out) = &args.out {
        let mut line = format!("engraft glove evaluate {}", quoted(&args.vectors));
        for (flag, path) in [("analogies", &args.analogies), ("similarity", &args.similarity)] {
            if let Some(path) = path {
                line.push_str(&format!(" --{flag} {}", quoted(path)));
            }
        }
        if let Some(words) = args.most_frequent {
            line.push_str(&format!(" --most-frequent {words}"));
        }
        files::write_output(out, render_word_vectors(&found, &line).as_bytes(), args.force)?;
        terminal.say(&format!("page: {}", shown(out)));
    }
    tell(&found, json, told_evaluation)
}

fn told_summary(summary: &Summary, out: &Path) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<16} {value}\n"));
    if summary.tokens > 0 {
        line("tokens", &format!("{}, {} different", summary.tokens, summary.different));
    }
    line("words", &summary.words.to_string());
    line("co-occurrences", &summary.records.to_string());
    if let (Some(first), Some(last)) = (summary.costs.first(), summary.costs.last()) {
        line("cost", &format!("{first:.6} -> {last:.6} in {} epochs", summary.costs.len()));
    }
    let seconds: Vec<String> =
        summary.seconds.iter().map(|(stage, seconds)| format!("{stage} {seconds:.1} s")).collect();
    line("time", &seconds.join(", "));
    line("vectors", &shown(out.join("vectors.txt")));
    text
}

fn told_reduced(found: &Reduced) -> String {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let first: Vec<String> = found.explained.iter().take(AXES).map(|share| percent(*share)).collect();
    let mut text = format!("words        {}, of {} columns {}\n", found.words, found.from, found.to);
    text.push_str(&format!("kept         {} ({}, ...)\n", percent(found.explained_total), first.join(", ")));
    text + &told_files(&found.files, &found.notes)
}

fn told_converted(found: &Converted) -> String {
    let notes: Vec<String> = found.notes.iter().chain(&found.lost).cloned().collect();
    format!("words        {}, of {} columns\n", found.words, found.columns) + &told_files(&found.files, &notes)
}

fn told_files(files: &[String], notes: &[String]) -> String {
    let files = files.iter().enumerate().map(|(at, file)| (if at == 0 { "files" } else { "" }, file));
    let notes = notes.iter().map(|note| ("note", note));
    files.chain(notes).map(|(name, value)| format!("{name:<12} {value}\n")).collect()
}

fn told_near(found: &Near) -> String {
    let width = found.near.iter().map(|near| near.word.chars().count()).max().unwrap_or(0);
    let mut text: String =
        found.near.iter().map(|near| format!("{:width$}  {:.4}\n", near.word, near.cosine)).collect();
    if !found.composed.is_empty() {
        text.push_str(&format!("made of their character n-grams: {}\n", found.composed.join(", ")));
    }
    text
}

fn told_evaluation(found: &VectorEvaluation) -> String {
    let percent = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share));
    let mut text = format!("vectors      {}: {} words, {} columns\n", found.vectors, found.words, found.columns);
    if let Some(analogies) = &found.analogies {
        text.push_str(&format!(
            "\n{:32} {:>9} {:>9} {:>9} {:>9}\n",
            "analogies", "questions", "asked", "3CosAdd", "3CosMul"
        ));
        let mut row = |name: &str, total: &AnalogyTotal| {
            let (add, mul) = (percent(total.add_share()), percent(total.mul_share()));
            text.push_str(&format!("{name:32} {:>9} {:>9} {add:>9} {mul:>9}\n", total.questions, total.asked));
        };
        analogies.kinds.iter().for_each(|kind| row(&kind.kind, &kind.total));
        let totals = [("semantic", &analogies.semantic), ("syntactic", &analogies.syntactic), ("all", &analogies.all)];
        totals.into_iter().filter(|(_, total)| total.questions > 0).for_each(|(name, total)| row(name, total));
    }
    if !found.similarity.is_empty() {
        text.push_str(&format!("\n{:32} {:>9} {:>9}  Spearman\n", "word similarity", "pairs", "rated"));
        for list in &found.similarity {
            let spearman = list
                .spearman
                .as_ref()
                .map_or_else(|| "-".to_owned(), |rho| format!("{:.3} ({:.3} to {:.3})", rho.mean, rho.low, rho.high));
            text.push_str(&format!("{:32} {:>9} {:>9}  {spearman}\n", list.list, list.pairs, list.rated));
        }
    }
    if !found.substructure.is_empty() {
        text.push_str(&format!(
            "\n{:32} {:>9} {:>12} {:>9} {:>7}\n",
            "relation", "pairs", "consistency", "random", "p"
        ));
        for of in &found.substructure {
            let numbers = format!("{:>12.3} {:>9.3} {:>7.3}", of.consistency, of.floor, of.p);
            text.push_str(&format!("{:32} {:>9} {numbers}\n", of.kind, of.pairs));
        }
    }
    if !found.neighbours.is_empty() {
        text.push('\n');
        for of in &found.neighbours {
            let near: Vec<&str> = of.near.iter().map(|near| near.word.as_str()).collect();
            text.push_str(&format!("{:16} {}\n", of.word, near.join(", ")));
        }
    }
    found.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
    text
}
