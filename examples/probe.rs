use lanegrad::{data::*, linear::*, optim::*, train::*, *};
use std::time::*;
fn main() {
    let d = cifar10::read(std::path::Path::new("/tmp/cifar/cifar-10-batches-bin")).unwrap();
    let norm = Normalisation::standardize(&d.train);
    let args: Vec<String> = std::env::args().collect();
    let threads: usize = args[1].parse().unwrap();
    let lr: f64 = args.get(2).map_or(0.01, |s| s.parse().unwrap());
    let reg: f64 = args.get(3).map_or(0.001, |s| s.parse().unwrap());
    let loss = if args.get(4).is_some_and(|s| s == "hinge") { Loss::Hinge } else { Loss::Softmax };
    let mom: f64 = args.get(5).map_or(0.0, |s| s.parse().unwrap());
    let pool = kernels::parallel::Threads::new(threads).unwrap();
    let level = kernels::dispatch::level().unwrap();
    let peak = pool.run(|| kernels::peak::multiply_add_peak::<f32>(level, Duration::from_millis(200)).unwrap());
    let opt = if mom > 0.0 { Optimizer::Momentum { rate: lr, momentum: mom } } else { Optimizer::Sgd { rate: lr } };
    let mut t = LinearTrainer::new(LinearClassifier::<f32>::new(10, &norm, Bias::Separate).unwrap(), loss, reg, opt);
    let mut s = Sampler::new(Sampling::Epoch, 50000, 256, 0).unwrap();
    let mut best = f64::MAX;
    for e in 0..10u64 {
        let st = Instant::now();
        let mut tl = 0.0;
        pool.run(|| steps(&mut t, &d.train, &mut s, e * 196..(e + 1) * 196, |_, l| tl += l.data / 196.0)).unwrap();
        let sec = st.elapsed().as_secs_f64();
        best = best.min(sec);
        let ev = pool.run(|| t.classifier.evaluate(&d.test, loss)).unwrap();
        println!(
            "{e} {:.1} ms {:.1} GF {:.1}% train {tl:.4} test {:.4} acc {:.4}",
            sec * 1e3,
            6.144 / sec,
            6.144 / sec / peak * 100.0,
            ev.loss,
            ev.accuracy
        );
    }
    let peak2 = pool.run(|| kernels::peak::multiply_add_peak::<f32>(level, Duration::from_millis(200)).unwrap());
    println!("peak {peak:.1} {peak2:.1} best {:.1}%", 6.144 / best / peak.max(peak2) * 100.0);
}
