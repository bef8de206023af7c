//! What the user knows of the shares of the classes in the target.

use crate::error::{Error, Problem, Result};

/// How far from 1 shares that are told may sum.
const TOLERANCE: f64 = 0.02;

/// What is known of the target's shares.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KnownShares {
    /// Nothing: they are estimated, and nothing is built on the estimate alone.
    Nothing,
    /// They are those of the source.
    Same,
    /// They are to be estimated, and the estimate trusted.
    Estimate,
    /// They are these, in the order of the classes.
    Given(Vec<f64>),
}

impl KnownShares {
    /// As `--shares` tells it: `ask`, `same`, `estimate`, or a share for every class, as `pos=0.3,neg=0.7`. One class may be left
    /// out: it has what is left.
    ///
    /// # Errors
    /// [`Error::Usage`] for anything else, a class that there is not, or shares that do not sum to 1.
    pub(crate) fn parse(text: &str, classes: &[String]) -> Result<Self> {
        let invalid = |what: String| {
            let expected = "ask, same, estimate, or a share for every class, as pos=0.3,neg=0.7";
            Problem::new(what).expected(expected).at("--shares")
        };
        match text {
            "ask" => return Ok(Self::Nothing),
            "same" => return Ok(Self::Same),
            "estimate" => return Ok(Self::Estimate),
            _ => {}
        }
        let mut shares: Vec<Option<f64>> = vec![None; classes.len()];
        for part in text.split(',') {
            let Some((name, number)) = part.rsplit_once('=') else {
                let problem = invalid("invalid shares of classes".into()).found(text);
                return Err(Error::Usage(problem.suggest(text, ["ask", "same", "estimate"])));
            };
            let name = name.trim();
            let Some(class) = classes.iter().position(|class| class == name) else {
                let problem = Problem::new("a share of a class that the source does not have").found(name);
                let told: Vec<&str> = classes.iter().take(8).map(String::as_str).collect();
                let problem = problem.expected(told.join(", ")).at("--shares");
                return Err(Error::Usage(problem.suggest(name, classes.iter().map(String::as_str))));
            };
            let share = number.trim().parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
            let Some(share) = share else {
                return Err(Error::Usage(invalid(format!("the share of `{name}` is no share")).found(number.trim())));
            };
            if shares[class].replace(share).is_some() {
                return Err(Error::Usage(invalid(format!("the share of `{name}` is told twice")).found(text)));
            }
        }
        let told: f64 = shares.iter().flatten().sum();
        let open: Vec<usize> = (0..classes.len()).filter(|&class| shares[class].is_none()).collect();
        match open[..] {
            [] if (told - 1.0).abs() <= TOLERANCE => {}
            [last] if told <= 1.0 => shares[last] = Some(1.0 - told),
            [] | [_] => {
                let problem = Problem::new("the shares of the classes do not sum to 1").found(told).at("--shares");
                return Err(Error::Usage(problem.expected("a sum of 1")));
            }
            _ => {
                let lacking: Vec<&str> = open.iter().map(|&class| classes[class].as_str()).collect();
                let problem = invalid("shares of classes are missing".into());
                return Err(Error::Usage(problem.found(format!("nothing for {}", lacking.join(", ")))));
            }
        }
        let shares: Vec<f64> = shares.into_iter().flatten().collect();
        let sum: f64 = shares.iter().sum();
        Ok(Self::Given(shares.into_iter().map(|share| share / sum).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_and_refused() {
        let classes = ["neg", "pos", "a=b"].map(str::to_owned);
        let parse = |text: &str| KnownShares::parse(text, &classes[..]);
        assert_eq!(parse("same").unwrap(), KnownShares::Same);
        assert_eq!(parse("neg=.2, pos=.3,a=b=.5").unwrap(), KnownShares::Given(vec![0.2, 0.3, 0.5]));
        let KnownShares::Given(rest) = parse("neg=0.25,pos=0.25").unwrap() else { panic!("shares") };
        assert_eq!(rest, [0.25, 0.25, 0.5]);
        for wrong in [
            "sam",
            "neg=1",
            "neg=.5,pos=.6",
            "neg=.1,pos=.1,a=b=.1",
            "neg=-1,pos=1",
            "neg=NaN,pos=1",
            "po=1",
            "neg=.1,neg=.2",
            "",
        ] {
            assert!(matches!(parse(wrong), Err(Error::Usage(_))), "{wrong}");
        }
        assert!(parse("poss=.5").unwrap_err().to_string().contains("pos"));
    }
}
