//! CORAL: the source's rows take the target's mean and covariance.

use crate::error::Result;
use crate::features::Features;
use crate::similarity::moments::{Affine, check_columns, ledoit_wolf};
use crate::similarity::symmetric::{Spectrum, product};

/// Correlation alignment (Sun, Feng and Saenko, 2016, "Return of frustratingly easy domain adaptation", AAAI): a map of
/// source rows, `x' = (x - mu_s) C_s^-1/2 C_t^1/2 + mu_t`, after which their covariance is `C_t`.
///
/// `C_s` and `C_t` are Ledoit and Wolf's shrunk covariances where the paper adds the identity, so that the map does not
/// depend on the scale of the features; the paper leaves the means as they are.
///
/// # Errors
/// [`crate::error::Error::Data`] where the tables do not fit each other, have fewer than two rows, or rows that do not vary.
pub(crate) fn coral(source: &Features, target: &Features) -> Result<Affine> {
    check_columns(target, source.columns)?;
    let (from, to) = (ledoit_wolf(source)?, ledoit_wolf(target)?);
    let whiten = Spectrum::of(&from.covariance)?.power(-0.5)?;
    let colour = Spectrum::of(&to.covariance)?.power(0.5)?;
    Ok(Affine { matrix: product(whiten.as_ref(), colour.as_ref()), from: from.mean, to: to.mean })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::similarity::moments::mean;
    use crate::similarity::moments::tests::normal;
    use crate::similarity::symmetric::tests::difference;

    #[test]
    fn the_mapped_covariance_is_the_targets() {
        for (rows, columns) in [(200, 6), (9, 30)] {
            let (source, target) = (normal(1, rows, columns, 0.0), normal(2, rows, columns, 3.0));
            let map = coral(&source, &target).unwrap();
            let (from, to) = (ledoit_wolf(&source).unwrap(), ledoit_wolf(&target).unwrap());
            let half = product(from.covariance.as_ref(), map.matrix.as_ref());
            let mapped = product(map.matrix.transpose(), half.as_ref());
            assert!(difference(&mapped, &to.covariance) < 1e-8, "{rows}x{columns}");
            let means = mean(&map.apply(&source).unwrap());
            assert!(means.iter().zip(&to.mean).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }

    #[test]
    fn fewer_rows_than_columns_do_not_explode() {
        let (source, target) = (normal(1, 6, 80, 0.0), normal(2, 6, 80, 0.0));
        let mapped = coral(&source, &target).unwrap().apply(&normal(3, 50, 80, 0.0)).unwrap();
        let largest = mapped.values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        assert!(largest < 20.0, "{largest}");
    }

    #[test]
    fn tables_that_cannot_be_aligned_are_refused() {
        let source = normal(1, 20, 4, 0.0);
        assert!(coral(&source, &normal(2, 20, 5, 0.0)).is_err());
        let flat = Features::new(5, 4, vec![1.0; 20]).unwrap();
        assert!(coral(&flat, &source).is_err());
    }
}
