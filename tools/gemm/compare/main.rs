//! Times products by candle, and by the crate gemm where candle has no such numbers. Prints a line each: the case, a tab, the
//! median microseconds of a product.

use candle_core::{DType, Device, Result, Tensor};
use std::hint::black_box;
use std::time::Instant;

/// How long a case is measured, in seconds, and how many products it takes at least.
const SECONDS: f64 = 0.1;
const LEAST: usize = 5;

fn main() -> Result<()> {
    for dtype in [DType::F32, DType::F64] {
        for (m, k, n) in
            [(64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (256, 3072, 512), (256, 3072, 10), (1, 3072, 3072)]
        {
            candle(dtype, &[], (m, k, n))?;
        }
        candle(dtype, &[64], (128, 64, 128))?;
    }
    for (m, k, n) in [(64, 64, 64), (256, 256, 256), (1024, 1024, 1024), (1, 3072, 3072)] {
        candle(DType::F16, &[], (m, k, n))?;
    }
    for side in [64, 256, 1024] {
        complex("c32", gemm::c32::new(1.0, 0.5), side);
        complex("c64", gemm::c64::new(1.0, 0.5), side);
    }
    Ok(())
}

fn candle(dtype: DType, batch: &[usize], (m, k, n): (usize, usize, usize)) -> Result<()> {
    let random = |rows, cols| {
        let shape = [batch, &[rows, cols]].concat();
        Tensor::randn(0_f32, 1.0, shape, &Device::Cpu)?.to_dtype(dtype)
    };
    let (a, b) = (random(m, k)?, random(k, n)?);
    let batch: String = batch.iter().map(|extent| format!("{extent} of ")).collect();
    report(&format!("{} {batch}{m} x {k} x {n}", dtype.as_str()), || {
        black_box(a.matmul(&b).unwrap());
    });
    Ok(())
}

fn complex<T: Copy + Default + 'static>(name: &str, one: T, side: usize) {
    let (a, b) = (vec![one; side * side], vec![one; side * side]);
    let mut c = vec![T::default(); side * side];
    let parallelism = gemm::Parallelism::Rayon(0);
    let stride = side as isize;
    report(&format!("{name} {side} x {side} x {side}"), || {
        // SAFETY: each matrix is a vector of side x side elements.
        unsafe {
            gemm::gemm(
                side,
                side,
                side,
                c.as_mut_ptr(),
                1,
                stride,
                false,
                a.as_ptr(),
                1,
                stride,
                b.as_ptr(),
                1,
                stride,
                T::default(),
                one,
                false,
                false,
                false,
                parallelism,
            );
        }
        black_box(&mut c);
    });
}

fn report(name: &str, mut product: impl FnMut()) {
    product();
    let mut times = Vec::new();
    let start = Instant::now();
    while times.len() < LEAST || start.elapsed().as_secs_f64() < SECONDS {
        let before = Instant::now();
        product();
        times.push(before.elapsed().as_secs_f64());
    }
    times.sort_by(f64::total_cmp);
    println!("{name}\t{:.2}", 1e6 * times[times.len() / 2]);
}
