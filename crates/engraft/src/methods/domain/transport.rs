//! Linear optimal transport: of the maps that give the source's rows the target's moments, the one that moves them least.

use crate::error::Result;
use crate::features::Features;
use crate::similarity::moments::{Affine, check_columns, ledoit_wolf};
use crate::similarity::symmetric::{Spectrum, product};

/// The optimal transport between two normal distributions (Knott and Smith, 1984, "On the optimal mapping of
/// distributions"; the Bures-Wasserstein map): `x' = (x - mu_s) A + mu_t` for the symmetric
/// `A = C_s^-1/2 (C_s^1/2 C_t C_s^1/2)^1/2 C_s^-1/2`, so that `A C_s A = C_t`.
///
/// `C_s` and `C_t` are Ledoit and Wolf's shrunk covariances.
///
/// # Errors
/// [`crate::error::Error::Data`] where the tables do not fit each other, have fewer than two rows, or rows that do not vary.
pub(crate) fn transport(source: &Features, target: &Features) -> Result<Affine> {
    check_columns(target, source.columns)?;
    let (from, to) = (ledoit_wolf(source)?, ledoit_wolf(target)?);
    let spectrum = Spectrum::of(&from.covariance)?;
    let (root, inverse) = (spectrum.power(0.5)?, spectrum.power(-0.5)?);
    let half = product(to.covariance.as_ref(), root.as_ref());
    let inner = Spectrum::of(&product(root.as_ref(), half.as_ref()))?.power(0.5)?;
    let half = product(inner.as_ref(), inverse.as_ref());
    Ok(Affine { matrix: product(inverse.as_ref(), half.as_ref()), from: from.mean, to: to.mean })
}

#[cfg(test)]
mod tests {
    use faer::Mat;

    use super::*;
    use crate::similarity::moments::tests::normal;
    use crate::similarity::symmetric::tests::difference;

    #[test]
    fn the_map_is_symmetric_and_carries_one_covariance_to_the_other() {
        for (rows, columns) in [(200, 6), (9, 30)] {
            let (source, target) = (normal(1, rows, columns, 0.0), normal(2, rows, columns, 3.0));
            let a = transport(&source, &target).unwrap().matrix;
            let (from, to) = (ledoit_wolf(&source).unwrap(), ledoit_wolf(&target).unwrap());
            let half = product(from.covariance.as_ref(), a.as_ref());
            assert!(difference(&product(a.as_ref(), half.as_ref()), &to.covariance) < 1e-8, "{rows}x{columns}");
            assert!(difference(&a.transpose().to_owned(), &a) < 1e-10);
        }
    }

    #[test]
    fn a_domain_is_moved_to_itself_by_the_identity() {
        let features = normal(1, 100, 5, 2.0);
        let map = transport(&features, &features).unwrap();
        assert!(difference(&map.matrix, &Mat::identity(5, 5)) < 1e-10);
        assert!(transport(&features, &normal(1, 100, 4, 0.0)).is_err());
    }
}
