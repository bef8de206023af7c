use super::*;

struct Shift<'a>(&'a [f32], &'a mut [f32]);

impl pulp::WithSimd for Shift<'_> {
    type Output = ();
    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        store(simd, self.1, simd.add_f32s(load(simd, self.0), simd.splat_f32s(1.0)));
    }
}

#[test]
fn slices_of_any_length_are_loaded_and_stored() {
    for from in 0..2 * lanes() + 2 {
        for to in 0..2 * lanes() + 2 {
            let (values, mut stored) = (vec![2.0; from], vec![9.0; to]);
            arch().dispatch(Shift(&values, &mut stored));
            let expected: Vec<f32> = (0..to)
                .map(|at| {
                    if at >= lanes() {
                        9.0
                    } else if at >= from {
                        1.0
                    } else {
                        3.0
                    }
                })
                .collect();
            assert_eq!(stored, expected, "{from} numbers into {to}");
        }
    }
}

#[test]
fn a_vector_is_no_longer_than_winograd_asks_of_a_pixel() {
    assert!(lanes().is_power_of_two() && 16 % lanes() == 0, "{} lanes", lanes());
}

#[test]
fn the_environment_chooses_the_instructions() {
    match std::env::var("ENGRAFT_SIMD").as_deref() {
        Ok("scalar") => assert_eq!(lanes(), 1),
        Ok("avx2") if cfg!(target_arch = "x86_64") => assert!(lanes() >= 1 && lanes() <= 8),
        _ => assert_eq!(format!("{:?}", arch()), format!("{:?}", Arch::new())),
    }
}

/// The tests of this crate once more, in a process of their own for each instruction set that is not the widest.
#[test]
fn every_instruction_set_passes_the_tests() {
    if std::env::var_os("ENGRAFT_SIMD").is_some() {
        return;
    }
    for simd in ["scalar", "avx2", "avx512"] {
        let tests = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "gemm",
                "convolution",
                "winograd",
                "depthwise",
                "norm",
                "activation",
                "lstm",
                "attention",
                "quantised",
            ])
            .env("ENGRAFT_SIMD", simd)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&tests.stdout).into_owned();
        assert!(tests.status.success(), "{simd}: {said}");
        assert!(!said.contains("running 0 tests"), "{said}");
    }
}
