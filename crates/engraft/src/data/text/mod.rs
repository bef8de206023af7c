//! Texts: questions about paragraphs ([`squad`]), tagged words ([`conll`]).

pub mod conll;
pub mod parts;
pub mod squad;
