//! Vectors of whatever width the machine has, loaded from and stored to slices of any length.
//!
//! Kernels are written once, generic over [`pulp::Simd`], and compiled for each instruction set; [`arch`] chooses among
//! them at run time.

use std::sync::OnceLock;

use pulp::{Arch, Simd};

/// The instruction set that kernels run in: the widest that the machine has (AVX-512, AVX2 with FMA, NEON, or plain
/// code), or the one that the environment variable `ENGRAFT_SIMD` names (`scalar`, `avx2`, `avx512`), for tests and for
/// finding out whether a difference between two machines is one of their instructions. One that the machine does not have
/// is not taken. Kernels that can use more than the widest set has (products of integers) do so where none is named.
pub(crate) fn arch() -> Arch {
    static CHOSEN: OnceLock<Arch> = OnceLock::new();
    *CHOSEN.get_or_init(|| {
        let widest = Arch::new();
        match named().as_deref() {
            Some("scalar") => Arch::Scalar,
            #[cfg(target_arch = "x86_64")]
            Some("avx2") => pulp::x86::V3::try_new().map_or(widest, Arch::V3),
            _ => widest,
        }
    })
}

/// What `ENGRAFT_SIMD` says.
pub(crate) fn named() -> Option<String> {
    std::env::var("ENGRAFT_SIMD").ok()
}

/// The first vector of `from`; what lies beyond its end reads as zero.
#[inline(always)]
pub(crate) fn load<S: Simd>(simd: S, from: &[f32]) -> S::f32s {
    match S::as_simd_f32s(from).0.first() {
        Some(whole) => *whole,
        None => simd.partial_load_f32s(from),
    }
}

/// Stores `value` at the beginning of `to`; what lies beyond its end is dropped.
#[inline(always)]
pub(crate) fn store<S: Simd>(simd: S, to: &mut [f32], value: S::f32s) {
    match S::as_mut_simd_f32s(to).0.first_mut() {
        Some(whole) => *whole = value,
        None => simd.partial_store_f32s(to, value),
    }
}

/// Where the mask is set `a`, elsewhere `b`. pulp's own is a call to a function that knows nothing of the instruction set,
/// unless the compiler thinks otherwise; this one is always part of its caller. The same goes for what follows.
#[inline(always)]
pub(crate) fn select<S: Simd>(simd: S, mask: S::m32s, a: S::f32s, b: S::f32s) -> S::f32s {
    bytemuck::cast(simd.select_u32s(mask, to_bits::<S>(a), to_bits::<S>(b)))
}

/// The bits of each number.
#[inline(always)]
pub(crate) fn to_bits<S: Simd>(x: S::f32s) -> S::u32s {
    bytemuck::cast(x)
}

/// The numbers of some bits.
#[inline(always)]
pub(crate) fn from_bits<S: Simd>(bits: S::u32s) -> S::f32s {
    bytemuck::cast(bits)
}

/// Lanes of a vector on this machine.
pub(crate) fn lanes() -> usize {
    struct Lanes;
    impl pulp::WithSimd for Lanes {
        type Output = usize;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch().dispatch(Lanes)
}

#[cfg(test)]
mod tests;
