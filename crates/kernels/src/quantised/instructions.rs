//! Products of pairs of 16-bit integers, added to 32-bit sums: what each instruction set has for the micro-kernel.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{__m256, __m256i, __m512, __m512i};

#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};
use pulp::{Arch, NullaryFnOnce};

use crate::vector::arch;
#[cfg(target_arch = "x86_64")]
use crate::vector::named;

/// One instruction set. A vector holds [`Integers::LANES`] sums, or as many pairs of factors.
pub(super) trait Integers: Copy + Send + Sync {
    /// Sums of a vector.
    const LANES: usize;
    /// Rows of a block: as many as its sums stay in registers, at two vectors a row.
    const ROWS: usize;
    /// A vector of sums.
    type Sums: Copy;
    /// A vector of pairs of factors.
    type Pairs: Copy;
    /// A vector of as many floats as there are sums in one.
    type Floats: Copy;
    /// The 8-bit integers of a vector of pairs, as they are stored.
    type Packed: bytemuck::Pod;

    /// Runs `f`, which has to be inlined, with these instructions.
    fn vectorize<F: NullaryFnOnce>(self, f: F) -> F::Output;

    /// Sums of nothing.
    fn zero(self) -> Self::Sums;

    /// Extends 8-bit integers to 16 bits.
    fn widen(self, packed: Self::Packed) -> Self::Pairs;

    /// The same pair in all places: the low half of `pair` is its first integer.
    fn splat(self, pair: i32) -> Self::Pairs;

    /// `sums + a[0] b[0] + a[1] b[1]` in each place. Neither factor is -32,768.
    fn add_products(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums;

    /// The sum in each place.
    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums;

    /// The vector of floats that `from` is.
    fn load(self, from: &[f32]) -> Self::Floats;

    /// `sums (scale scales) + bias`, each step rounded: the same bits everywhere.
    fn finish(self, sums: Self::Sums, scale: f32, scales: Self::Floats, bias: Self::Floats) -> Self::Floats;

    /// Stores a vector; `to` is as long as one.
    fn store(self, values: Self::Floats, to: &mut [f32]);
}

/// Without any instructions of its own: loops, of which the compiler makes what it can.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plain;

impl Integers for Plain {
    const LANES: usize = 8;
    const ROWS: usize = 4;
    type Sums = [i32; 8];
    type Pairs = [i16; 16];
    type Floats = [f32; 8];
    type Packed = [i8; 16];

    #[inline(always)]
    fn vectorize<F: NullaryFnOnce>(self, f: F) -> F::Output {
        f.call()
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        [0; 8]
    }

    #[inline(always)]
    fn widen(self, packed: Self::Packed) -> Self::Pairs {
        packed.map(i16::from)
    }

    #[inline(always)]
    fn splat(self, pair: i32) -> Self::Pairs {
        let [first, second] = [pair as i16, (pair >> 16) as i16];
        std::array::from_fn(|i| if i % 2 == 0 { first } else { second })
    }

    #[inline(always)]
    fn add_products(self, mut sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        for i in 0..8 {
            sums[i] += i32::from(a[2 * i]) * i32::from(b[2 * i]) + i32::from(a[2 * i + 1]) * i32::from(b[2 * i + 1]);
        }
        sums
    }

    #[inline(always)]
    fn add(self, mut a: Self::Sums, b: Self::Sums) -> Self::Sums {
        for i in 0..8 {
            a[i] += b[i];
        }
        a
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::Floats {
        *from.first_chunk().expect("a vector")
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, scale: f32, scales: Self::Floats, bias: Self::Floats) -> Self::Floats {
        let mut values = bias;
        for i in 0..8 {
            values[i] += sums[i] as f32 * (scale * scales[i]);
        }
        values
    }

    #[inline(always)]
    fn store(self, values: Self::Floats, to: &mut [f32]) {
        to.copy_from_slice(&values);
    }
}

#[cfg(target_arch = "x86_64")]
impl Integers for V3 {
    const LANES: usize = 8;
    const ROWS: usize = 6;
    type Sums = __m256i;
    type Pairs = __m256i;
    type Floats = __m256;
    type Packed = [i8; 16];

    #[inline(always)]
    fn vectorize<F: NullaryFnOnce>(self, f: F) -> F::Output {
        V3::vectorize(self, f)
    }

    #[inline(always)]
    fn zero(self) -> Self::Sums {
        self.avx._mm256_setzero_si256()
    }

    #[inline(always)]
    fn widen(self, packed: Self::Packed) -> Self::Pairs {
        self.avx2._mm256_cvtepi8_epi16(bytemuck::cast(packed))
    }

    #[inline(always)]
    fn splat(self, pair: i32) -> Self::Pairs {
        self.avx._mm256_set1_epi32(pair)
    }

    #[inline(always)]
    fn add_products(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        self.avx2._mm256_add_epi32(sums, self.avx2._mm256_madd_epi16(a, b))
    }

    #[inline(always)]
    fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
        self.avx2._mm256_add_epi32(a, b)
    }

    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::Floats {
        bytemuck::cast(*from.first_chunk::<8>().expect("a vector"))
    }

    #[inline(always)]
    fn finish(self, sums: Self::Sums, scale: f32, scales: Self::Floats, bias: Self::Floats) -> Self::Floats {
        let scales = self.avx._mm256_mul_ps(self.avx._mm256_set1_ps(scale), scales);
        let values = self.avx._mm256_mul_ps(self.avx._mm256_cvtepi32_ps(sums), scales);
        self.avx._mm256_add_ps(values, bias)
    }

    #[inline(always)]
    fn store(self, values: Self::Floats, to: &mut [f32]) {
        to.copy_from_slice(&bytemuck::cast::<_, [f32; 8]>(values));
    }
}

#[cfg(target_arch = "x86_64")]
pulp::simd_type! {
    /// AVX-512 with VNNI.
    #[allow(missing_docs)]
    pub(super) struct Vnni {
        pub sse: "sse",
        pub sse2: "sse2",
        pub fxsr: "fxsr",
        pub sse3: "sse3",
        pub ssse3: "ssse3",
        pub sse4_1: "sse4.1",
        pub sse4_2: "sse4.2",
        pub popcnt: "popcnt",
        pub avx: "avx",
        pub avx2: "avx2",
        pub bmi1: "bmi1",
        pub bmi2: "bmi2",
        pub fma: "fma",
        pub lzcnt: "lzcnt",
        pub avx512f: "avx512f",
        pub avx512bw: "avx512bw",
        pub avx512cd: "avx512cd",
        pub avx512dq: "avx512dq",
        pub avx512vl: "avx512vl",
        pub avx512vnni: "avx512vnni",
    }
}

/// AVX-512 with and without VNNI differ in what the compiler makes of a product and a sum: one instruction (`vpdpwssd`)
/// or two. pulp has no function for the one.
#[cfg(target_arch = "x86_64")]
macro_rules! of_512_bits {
    ($name:ident) => {
        impl Integers for $name {
            const LANES: usize = 16;
            const ROWS: usize = 12;
            type Sums = __m512i;
            type Pairs = __m512i;
            type Floats = __m512;
            type Packed = [i8; 32];

            #[inline(always)]
            fn vectorize<F: NullaryFnOnce>(self, f: F) -> F::Output {
                $name::vectorize(self, f)
            }

            #[inline(always)]
            fn zero(self) -> Self::Sums {
                self.avx512f._mm512_setzero_si512()
            }

            #[inline(always)]
            fn widen(self, packed: Self::Packed) -> Self::Pairs {
                self.avx512bw._mm512_cvtepi8_epi16(bytemuck::cast(packed))
            }

            #[inline(always)]
            fn splat(self, pair: i32) -> Self::Pairs {
                self.avx512f._mm512_set1_epi32(pair)
            }

            #[inline(always)]
            fn add_products(self, sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
                self.avx512f._mm512_add_epi32(sums, self.avx512bw._mm512_madd_epi16(a, b))
            }

            #[inline(always)]
            fn add(self, a: Self::Sums, b: Self::Sums) -> Self::Sums {
                self.avx512f._mm512_add_epi32(a, b)
            }

            #[inline(always)]
            fn load(self, from: &[f32]) -> Self::Floats {
                bytemuck::cast(*from.first_chunk::<16>().expect("a vector"))
            }

            #[inline(always)]
            fn finish(self, sums: Self::Sums, scale: f32, scales: Self::Floats, bias: Self::Floats) -> Self::Floats {
                let scales = self.avx512f._mm512_mul_ps(self.avx512f._mm512_set1_ps(scale), scales);
                let values = self.avx512f._mm512_mul_ps(self.avx512f._mm512_cvtepi32_ps(sums), scales);
                self.avx512f._mm512_add_ps(values, bias)
            }

            #[inline(always)]
            fn store(self, values: Self::Floats, to: &mut [f32]) {
                to.copy_from_slice(&bytemuck::cast::<_, [f32; 16]>(values));
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
of_512_bits!(V4);
#[cfg(target_arch = "x86_64")]
of_512_bits!(Vnni);

/// The instruction sets that there are kernels for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Set {
    Plain(Plain),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    #[cfg(target_arch = "x86_64")]
    Vnni(Vnni),
}

impl Set {
    /// What [`arch`] comes to here; VNNI only where `ENGRAFT_SIMD` names nothing.
    pub(super) fn chosen() -> Self {
        match arch() {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(avx2) => Set::Avx2(avx2),
            #[cfg(target_arch = "x86_64")]
            Arch::V4(avx512) => match Vnni::try_new() {
                Some(vnni) if named().is_none() => Set::Vnni(vnni),
                _ => Set::Avx512(avx512),
            },
            _ => Set::Plain(Plain),
        }
    }

    /// As messages have it.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Set::Plain(_) => "plain code",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2(_) => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Set::Vnni(_) => "AVX-512 VNNI",
        }
    }

    /// Every one that this machine has.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut all = vec![Set::Plain(Plain)];
        #[cfg(target_arch = "x86_64")]
        {
            all.extend(V3::try_new().map(Set::Avx2));
            all.extend(V4::try_new().map(Set::Avx512));
            all.extend(Vnni::try_new().map(Set::Vnni));
        }
        all
    }
}

/// `$body` for the instruction set `$set`, known as `$name` there.
macro_rules! with_set {
    ($set:expr, $name:ident => $body:expr) => {
        match $set {
            Set::Plain($name) => $body,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2($name) => $body,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512($name) => $body,
            #[cfg(target_arch = "x86_64")]
            Set::Vnni($name) => $body,
        }
    };
}
pub(super) use with_set;
