use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::progress::Silent;
use crate::rng::rng;

/// Sentences of made-up words with common beginnings and endings, some with signs and digits.
fn sentences(seed: u64, count: usize) -> Vec<String> {
    let mut rng = rng(seed, "pieces", 0);
    let (heads, tails) = (["lauf", "spiel", "schreib", "walk", "play", "writ"], ["en", "te", "ing", "ed", "er", "t"]);
    let mut sentence = || {
        let words: Vec<String> = (0..rng.random_range(1..9))
            .map(|_| format!("{}{}", heads[rng.random_range(0..heads.len())], tails[rng.random_range(0..tails.len())]))
            .collect();
        format!("{}{} {}.", words.join(" "), [",", "!", "", "?"][rng.random_range(0..4)], rng.random_range(0..120))
    };
    (0..count).map(|_| sentence()).collect()
}

fn learn(sentences: &[String], size: usize) -> LearntPieces {
    Pieces::learn(sentences.iter().cloned().map(Ok), size, &Silent).unwrap()
}

#[test]
fn special_pieces_come_first_and_words_are_parted_at_signs_and_digits() {
    let learnt = learn(&sentences(1, 400), 120);
    let pieces = &learnt.pieces;
    assert_eq!((PAD, UNK, BOS, EOS), (0, 1, 2, 3));
    let (tokens, merges) = pieces.parts().unwrap();
    assert_eq!(tokens[..4], SPECIAL);
    assert!(pieces.len() == tokens.len() && pieces.len() <= 120 && !merges.is_empty(), "{}", pieces.len());
    assert!(tokens.iter().skip(4).all(|token| {
        let odd = |c: char| c.is_ascii_digit() || c.is_ascii_punctuation();
        token.chars().count() == 1 || !token.contains(odd)
    }));
    assert!(tokens.iter().any(|token| token == "\u{2581}lauf"), "{tokens:?}");
    assert_eq!(learnt.left_out, []);
}

#[test]
fn what_is_encoded_is_decoded() {
    let pieces = learn(&sentences(1, 400), 200).pieces;
    for sentence in sentences(2, 50) {
        let spelt = pieces.encode(&sentence).unwrap();
        assert!(spelt.unknown == 0 && spelt.ids.iter().all(|&id| id > EOS));
        let whole: Vec<u32> = [&[BOS], spelt.ids.as_slice(), &[EOS, PAD, PAD]].concat();
        assert_eq!(pieces.decode(&whole).unwrap(), sentence);
    }
    assert_eq!(pieces.encode("").unwrap(), Spelt::default());
    assert_eq!(pieces.decode(&[]).unwrap(), "");
    assert!(pieces.decode(&[pieces.len() as u32]).unwrap_err().to_string().contains("not the number of a word piece"));
}

#[test]
fn no_text_spells_a_special_piece() {
    let lines: Vec<String> = (0..40).map(|_| "<s> </s> <pad> <unk> walking".to_owned()).collect();
    let pieces = learn(&lines, 100).pieces;
    let spelt = pieces.encode("</s> <pad> <s> <unk>").unwrap();
    assert!(spelt.ids.iter().all(|&id| id > EOS), "{:?}", spelt.ids);
    assert_eq!(pieces.decode(&spelt.ids).unwrap(), "</s> <pad> <s> <unk>");
}

#[test]
fn what_no_piece_spells_is_counted_and_said() {
    let pieces = learn(&sentences(1, 400), 200).pieces;
    let spelt = pieces.encode("laufen Жук β playing").unwrap();
    assert_eq!(spelt.unknown, 4);
    assert_eq!(
        pieces.decode(&spelt.ids).unwrap().split_whitespace().collect::<Vec<_>>(),
        ["laufen", "\u{2047}", "\u{2047}", "playing"]
    );
    let lines = ["laufen Жук", "walking", "ЖЖ"].map(|line| Ok(line.to_owned()));
    let unspelt = pieces.unspelt(lines, &Silent).unwrap();
    assert_eq!((unspelt.sentences, unspelt.touched, unspelt.characters), (3, 2, (5, 18)));
    assert_eq!(unspelt.remark().unwrap(), "5 of 18 characters have no piece, in 2 of 3 sentences: Ж (3), к (1), у (1)");
    assert_eq!(pieces.unspelt([Ok("walking".to_owned())], &Silent).unwrap().remark(), None);
}

#[test]
fn the_same_sentences_give_the_same_bytes_for_any_number_of_threads() {
    let lines = sentences(3, 3000);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| learn(&lines, 300).pieces.to_bytes())
    };
    let one = run(1);
    for threads in [1, 2, 3, 8] {
        assert_eq!(one, run(threads), "{threads}");
    }
    let again = Pieces::from_bytes(&one).unwrap();
    assert_eq!(again.to_bytes(), one);
    assert_eq!(again.encode("laufen, walked!").unwrap(), learn(&lines, 300).pieces.encode("laufen, walked!").unwrap());
}

/// The trainer of the crate `tokenizers` on the same words.
#[test]
fn the_merges_are_those_of_tokenizers() {
    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::{AddedToken, Trainer};
    let lines = sentences(4, 1500);
    let ours = learn(&lines, 260).pieces;
    let empty = Pieces::of(&SPECIAL.map(str::to_owned), &[]).unwrap();
    let special = SPECIAL.map(|name| AddedToken::from(name, true)).to_vec();
    let mut trainer =
        BpeTrainer::builder().vocab_size(260).min_frequency(2).show_progress(false).special_tokens(special).build();
    trainer.feed(lines.iter(), |line| Ok(empty.tokenizer.words_of(line).unwrap())).unwrap();
    let mut model = BPE::default();
    trainer.train(&mut model).unwrap();
    let theirs = serde_json::to_value(&model).unwrap();
    let (tokens, merges) = ours.parts().unwrap();
    assert_eq!(theirs["merges"], serde_json::to_value(&merges).unwrap());
    assert!(tokens.iter().enumerate().all(|(number, token)| theirs["vocab"][token] == number));
}

#[test]
fn extending_keeps_the_parents_numbers_and_spells_the_childs_letters() {
    let parent = learn(&sentences(1, 400), 150).pieces;
    let child: Vec<String> = (0..60).map(|at| format!("åka skridskor på sjön {at} är roligt")).collect();
    let before = parent.unspelt(child.iter().cloned().map(Ok), &Silent).unwrap();
    assert!(before.characters.0 > 0);
    let extended = parent.extended(child.iter().cloned().map(Ok), 40, &Silent).unwrap().pieces;
    let ((old, old_merges), (new, new_merges)) = (parent.parts().unwrap(), extended.parts().unwrap());
    assert_eq!(new[..old.len()], old);
    assert_eq!(new_merges[..old_merges.len()], old_merges);
    assert!(new.len() > old.len() && new.len() <= old.len() + 40);
    let after = extended.unspelt(child.iter().cloned().map(Ok), &Silent).unwrap();
    assert_eq!(after.characters.0, 0);
    assert!(after.pieces < before.pieces, "{} {}", after.pieces, before.pieces);
    for sentence in &child {
        assert_eq!(extended.decode(&extended.encode(sentence).unwrap().ids).unwrap(), *sentence);
    }
    // Nothing to add is nothing added.
    let same = parent.extended(sentences(1, 400).into_iter().map(Ok), 0, &Silent).unwrap().pieces;
    assert_eq!(same.to_bytes(), parent.to_bytes());
}

#[test]
fn rare_characters_of_a_large_alphabet_are_left_out_and_given() {
    // 100 different ideographs, of which the first come more often than the last.
    let line = |at: u32| char::from_u32(0x4E00 + at).unwrap().to_string().repeat(200 - at as usize);
    let lines: Vec<String> = (0..100).map(line).collect();
    let learnt = learn(&lines, 64);
    assert_eq!(learnt.pieces.len(), 64);
    assert_eq!(learnt.left_out.len(), 100 - 31);
    assert_eq!(learnt.left_out[0], (char::from_u32(0x4E00 + 31).unwrap(), 169));
}

#[test]
fn what_makes_no_pieces_is_refused() {
    let none: [Result<String>; 0] = [];
    let told = Pieces::learn(none, 100, &Silent).unwrap_err().to_string();
    assert!(told.contains("cannot be learnt of nothing"), "{told}");
    for size in [0, 63, 1 << 20] {
        assert!(matches!(Pieces::learn([Ok("a".to_owned())], size, &Silent), Err(Error::Usage(_))));
    }
    let broken = [Ok("a".to_owned()), Err(Error::Interrupted)];
    assert!(matches!(Pieces::learn(broken, 100, &Silent), Err(Error::Interrupted)));
    for json in [
        r"{}",
        r#"{"version":"1.0","added_tokens":[],"model":{"type":"WordPiece","unk_token":"a","continuing_subword_prefix":"","max_input_chars_per_word":9,"vocab":{"a":0}}}"#,
        r#"{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"b":1},"merges":[]}}"#,
        r#"{"version":"1.0","added_tokens":[],"model":{"type":"BPE","vocab":{"a":0,"b":7},"merges":[]}}"#,
    ] {
        assert!(matches!(Pieces::from_bytes(json.as_bytes()), Err(Error::Weights(_))), "{json}");
    }
}

#[test]
fn learning_can_be_interrupted() {
    struct Stopped;
    impl Observer for Stopped {
        fn begin(&self, _: &str, _: u64, _: &str) {}
        fn advance(&self, _: u64) {}
        fn end(&self) {}
        fn say(&self, _: &str) {}
        fn interrupted(&self) -> bool {
            true
        }
    }
    let lines = sentences(1, 10).into_iter().map(Ok);
    assert!(matches!(Pieces::learn(lines, 100, &Stopped), Err(Error::Interrupted)));
}

/// German and English of Tatoeba.
#[test]
#[allow(clippy::print_stderr, reason = "numbers for the documentation")]
fn real_sentences_have_the_same_pieces_whatever_the_threads() {
    let Some((_temp, path)) = crate::data::pairs::real_data::tatoeba("deu-eng.zip", "deu.txt") else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().step_by(4).flat_map(|line| line.split('\t')).map(str::to_owned).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| learn(&lines, 8000))
    };
    let begun = std::time::Instant::now();
    let (one, two) = (run(1), run(2));
    eprintln!("twice: {} s, {} words, left out {:?}", begun.elapsed().as_secs_f32(), one.words, one.left_out);
    assert!(one.pieces.to_bytes() == two.pieces.to_bytes() && one.pieces.len() == 8000);
    let unspelt = one.pieces.unspelt(lines.iter().cloned().map(Ok), &Silent).unwrap();
    eprintln!("{:?} {:?}", (unspelt.sentences, unspelt.pieces), unspelt.remark());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn any_text_is_spelt_or_counted(text in "\\PC{0,40}") {
        let pieces = learn(&sentences(1, 100), 100).pieces;
        let spelt = pieces.encode(&text).unwrap();
        prop_assert!(spelt.ids.iter().all(|&id| id == UNK || id > EOS));
        prop_assert_eq!(spelt.ids.contains(&UNK), spelt.unknown > 0);
        pieces.decode(&spelt.ids).unwrap();
    }
}
