//! What the tape promises, through the public API.

use lanegrad::Error;
use lanegrad::gradcheck::{GradientCheck, Verdict, gradcheck};
use lanegrad::kernels::isa::Scalar;
use lanegrad::tape::{Backward, Forward, Inputs, Op, Output, Tape, Var};
use lanegrad::tensor::Tensor;

fn item(v: Var<'_, f64>) -> f64 {
    v.gradient().unwrap().item().unwrap()
}

#[test]
fn forks_add() {
    let tape = Tape::<f64>::new();
    let x = tape.scalar(3.0);
    (x * x + x).backward().unwrap();
    assert_eq!(item(x), 7.0);
    let tape = Tape::<f64>::new();
    let x = tape.scalar(2.0);
    (x * x * x).backward().unwrap();
    assert_eq!(item(x), 12.0);
}

#[test]
fn a_second_backpropagation_is_an_error() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::scalar(2.0)).unwrap();
    let y = tape.param(w).square();
    y.backward().unwrap();
    assert!(matches!(y.backward(), Err(Error::Tape(_))));
    assert_eq!(tape.gradient(w).unwrap().item().unwrap(), 4.0);
    tape.reset();
    tape.param(w).square().backward().unwrap();
    assert_eq!(tape.gradient(w).unwrap().item().unwrap(), 4.0);
}

#[test]
fn values_of_old_parameters_cannot_be_differentiated() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::scalar(2.0)).unwrap();
    let _ = tape.param(w).square().named("loss");
    tape.parameters_mut()[0] = 3.0;
    let loss = tape.find("loss").unwrap();
    assert_eq!(loss.item().unwrap(), 4.0);
    assert!(matches!(loss.backward(), Err(Error::Tape(_))));
    tape.reset();
    tape.param(w).square().backward().unwrap();
    assert_eq!(tape.gradient(w).unwrap().item().unwrap(), 6.0);
    assert!(matches!(tape.find("loss"), Err(Error::Name(_))));
}

#[test]
fn a_failed_operation_poisons_what_depends_on_it_and_nothing_else() {
    let mut tape = Tape::<f64>::new();
    let a = tape.variable(&Tensor::ones([2, 3]).unwrap());
    let b = tape.variable(&Tensor::ones([4, 5]).unwrap());
    let bad = ((a.matmul(b) + a).exp() * b).sum_all().named("never");
    let good = a.sum_all();
    let message = "matmul: shapes [2, 3] and [4, 5] do not fit";
    assert_eq!(bad.item().unwrap_err().to_string(), message);
    assert_eq!(bad.backward().unwrap_err().to_string(), message);
    assert_eq!(bad.shape().unwrap_err().to_string(), message);
    assert_eq!(tape.finish().unwrap_err().to_string(), message);
    assert_eq!(good.item().unwrap(), 6.0);
    good.backward().unwrap();
    assert!(tape.find("never").is_err());
    tape.reset();
    tape.finish().unwrap();
}

#[test]
fn variables_of_another_tape_are_refused() {
    let (here, there) = (Tape::<f64>::new(), Tape::<f64>::new());
    let (x, y) = (here.scalar(1.0), there.scalar(2.0));
    assert!(matches!((x + y).check(), Err(Error::Failed(_))));
    let mut owner = Tape::<f64>::new();
    let w = owner.parameter("w", &Tensor::scalar(1.0)).unwrap();
    assert!(there.param(w).check().is_err());
    assert!(there.value(w).is_err());
}

#[test]
fn nothing_is_recorded_while_values_are_looked_at() {
    let tape = Tape::<f64>::new();
    let x = tape.scalar(1.0);
    let inner = x.look(|_| (x + x).check().is_err()).unwrap();
    assert!(inner);
    assert!(x.look(|_| x.backward().is_err()).unwrap());
}

#[test]
fn gradients_before_backpropagation_and_of_constants_are_errors() {
    let tape = Tape::<f64>::new();
    let (x, c) = (tape.scalar(1.0), tape.constant(&Tensor::scalar(2.0)));
    let unused = tape.scalar(5.0);
    assert!(x.gradient().is_err());
    assert!((c * c).backward().is_err());
    let y = x * c;
    y.backward().unwrap();
    assert!(c.gradient().is_err());
    assert_eq!(item(unused), 0.0);
    assert_eq!(item(y), 1.0);
    assert!(tape.variable(&Tensor::ones([2]).unwrap()).backward().is_err());
}

#[test]
fn parameters_come_before_everything_else() {
    let mut tape = Tape::<f64>::new();
    tape.parameter("w", &Tensor::scalar(1.0)).unwrap();
    assert!(tape.parameter("w", &Tensor::scalar(1.0)).is_err());
    let _ = tape.scalar(1.0);
    assert!(tape.parameter("v", &Tensor::scalar(1.0)).is_err());
    tape.reset();
    let v = tape.parameter("v", &Tensor::ones([3]).unwrap()).unwrap();
    assert!(tape.set_value(v, &Tensor::ones([2]).unwrap()).is_err());
    tape.set_value(v, &Tensor::full([3], 4.0).unwrap()).unwrap();
    assert_eq!(tape.value(v).unwrap().values(), [4.0; 3]);
    assert_eq!(tape.parameter_count(), 4);
}

#[test]
fn evaluation_records_no_gradients() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::scalar(2.0)).unwrap();
    tape.set_training(false);
    let y = tape.param(w).square();
    assert_eq!(y.item().unwrap(), 4.0);
    assert!(y.backward().is_err());
    tape.set_training(true);
    tape.reset();
    tape.param(w).square().backward().unwrap();
}

#[test]
fn a_hundred_thousand_operations_deep() {
    let tape = Tape::<f64>::new();
    let x = tape.scalar(0.5);
    let mut y = x;
    for _ in 0..100_000 {
        y = y + x * 1e-5;
    }
    y.backward().unwrap();
    assert!((item(x) - 2.0).abs() < 1e-9);
}

#[test]
fn memory_is_constant_over_ten_thousand_steps() {
    let mut tape = Tape::<f32>::new();
    let w = tape.parameter("w", &Tensor::full([10, 10], 0.1).unwrap()).unwrap();
    let x = Tensor::ones([4, 10]).unwrap();
    let step = |tape: &mut Tape<f32>| {
        tape.reset();
        let loss = tape.constant(&x).matmul(tape.param(w)).tanh().square().mean_all();
        loss.backward().unwrap();
        let (parameters, gradients) = tape.parameters_and_gradients();
        parameters.iter_mut().zip(gradients).for_each(|(w, dw)| *w -= 0.1 * *dw);
        tape.memory().unwrap()
    };
    let first = step(&mut tape);
    for _ in 0..10_000 {
        assert_eq!(step(&mut tape), first);
    }
}

#[test]
fn graphs_show_names_values_and_gradients() {
    let tape = Tape::<f64>::new();
    let (x, y, z) = (tape.scalar(-2.0).named("x"), tape.scalar(5.0).named("y"), tape.scalar(-4.0).named("z"));
    let q = (x + y).named("q");
    let f = (q * z).named("f");
    f.backward().unwrap();
    let graph = tape.graph();
    let (text, dot) = (graph.to_string(), graph.dot());
    for (name, value, gradient) in
        [("x", "-2", "-4"), ("y", "5", "-4"), ("z", "-4", "3"), ("q", "3", "-4"), ("f", "-12", "1")]
    {
        let line = text.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        assert!(line.contains(&format!("value {value} ")) && line.ends_with(&format!("gradient {gradient}")), "{line}");
        let node = dot.lines().find(|line| line.contains(&format!("<b>{name}</b>"))).unwrap();
        assert!(node.contains(&format!(">{value}<")) && node.contains(&format!(">{gradient}<")), "{node}");
    }
    assert_eq!(dot.matches("->").count(), 4);
}

/// y = x^3, with a derivative that forgets the 3 on one element.
#[derive(Debug)]
struct WrongCube;

impl<T: Scalar> Op<T> for WrongCube {
    fn name(&self) -> &'static str {
        "wrong cube"
    }
    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(Output::of(inputs.shape(0)))
    }
    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        pass.output.iter_mut().zip(pass.inputs.values(0)).for_each(|(y, &x)| *y = x * x * x);
        Ok(())
    }
    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let (x, dy) = (pass.inputs.values(0), pass.gradient);
        if let Some(dx) = pass.input_gradient(0) {
            for (i, dx) in dx.accumulator().iter_mut().enumerate() {
                let three = if i == 4 { T::ONE } else { T::from_f64(3.0) };
                *dx += three * x[i] * x[i] * dy[i];
            }
        }
        Ok(())
    }
}

#[test]
fn a_wrong_vjp_is_caught_and_named() {
    let x = Tensor::linspace(0.5, 2.0, 6).unwrap().reshape([2, 3]).unwrap();
    let report = gradcheck(|x| x[0].tape().apply(WrongCube, &[x[0]]), &[x]).unwrap();
    let worst = &report.elements[0];
    assert_eq!((worst.parameter.as_str(), worst.index.as_slice(), worst.verdict), ("x0", &[1, 1][..], Verdict::Wrong));
    assert!((worst.numerical / worst.analytic - 3.0).abs() < 1e-6);
    assert!(report.elements[1..].iter().all(|element| element.verdict == Verdict::Good));
    assert!(!report.passes());
    assert!(report.to_string().lines().nth(1).unwrap().contains("x0[1, 1]"));
}

/// A sign error, as the notes have it.
#[test]
fn a_planted_sign_error_is_caught() {
    #[derive(Debug)]
    struct Negated;
    impl<T: Scalar> Op<T> for Negated {
        fn name(&self) -> &'static str {
            "negated"
        }
        fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
            Ok(Output::of(inputs.shape(0)))
        }
        fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
            pass.output.copy_from_slice(pass.inputs.values(0));
            Ok(())
        }
        fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
            let dy = pass.gradient;
            if let Some(dx) = pass.input_gradient(0) {
                dx.accumulator().iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += -dy);
            }
            Ok(())
        }
    }
    let report = gradcheck(|x| x[0].tape().apply(Negated, &[x[0]]), &[Tensor::ones([2]).unwrap()]).unwrap();
    assert_eq!(report.verdict(), Verdict::Wrong);
}

#[test]
fn kinks_are_told_from_errors() {
    // 0 is a kink of the rectifier; 4e-6 has it within a step of 1e-5.
    let x = Tensor::from_slice([4], &[0.0, 4e-6, 1.0, -1.0]).unwrap();
    let report = gradcheck(|x| (x[0].relu() * 3.0 + x[0].square()).sum_all(), &[x]).unwrap();
    let verdict = |i: usize| report.elements.iter().find(|element| element.index == [i]).unwrap().verdict;
    assert_eq!([0, 1, 2, 3].map(verdict), [Verdict::Kink, Verdict::Kink, Verdict::Good, Verdict::Good]);
    assert!(report.passes());
    let sides = |i: usize| report.elements.iter().find(|element| element.index == [i]).unwrap().sides;
    let [behind, ahead] = sides(0).unwrap();
    assert!(behind.abs() < 1e-4 && (ahead - 3.0).abs() < 1e-4, "{behind} {ahead}");
    assert_eq!(sides(2), None);
    assert!(report.to_string().contains("kink, slopes "), "{report}");
}

/// A bias that moves thousands of rectified numbers at once crosses many of their kinks, some with a small step too.
#[test]
fn many_kinks_are_told_from_errors() {
    /// The sum of the maxima of 0 and each of many numbers plus x, with a gradient that is `factor` times the right one.
    #[derive(Debug)]
    struct Rectified {
        factor: f64,
    }
    const MANY: usize = 2000;
    impl Rectified {
        /// The numbers, scattered around 0.
        fn number(i: usize) -> f64 {
            4e-4 * ((i as f64 * 12.9898).sin() * 43_758.545_3).fract()
        }
    }
    impl Op<f64> for Rectified {
        fn name(&self) -> &'static str {
            "rectified"
        }
        fn output(&self, _: Inputs<'_, f64>) -> Result<Output, Error> {
            Ok(Output::of([]))
        }
        fn forward(&self, pass: Forward<'_, f64>) -> Result<(), Error> {
            let x = pass.inputs.values(0)[0];
            pass.output[0] = (0..MANY).map(|i| (Self::number(i) + x).max(0.0)).sum::<f64>() / MANY as f64;
            Ok(())
        }
        fn vjp(&self, mut pass: Backward<'_, f64>) -> Result<(), Error> {
            let (x, dy) = (pass.inputs.values(0)[0], pass.gradient[0]);
            let active = (0..MANY).filter(|&i| Self::number(i) + x > 0.0).count();
            if let Some(dx) = pass.input_gradient(0) {
                dx.accumulator()[0] += self.factor * dy * active as f64 / MANY as f64;
            }
            Ok(())
        }
    }
    for x in [1e-7, 3e-8, -1e-4, 1.7e-4, 3.9e-4] {
        for factor in [1.0, 1.1, 1.002, 1.000_01, 0.0, -1.0] {
            let mut tape = Tape::new();
            let parameter = tape.parameter("x", &Tensor::scalar(x)).unwrap();
            let check = GradientCheck { step: 1e-4, ..GradientCheck::default() };
            let report =
                check.run(&mut tape, |tape| tape.apply(Rectified { factor }, &[tape.param(parameter)])).unwrap();
            assert_eq!(report.passes(), factor == 1.0, "{x} {factor}: {report}");
        }
    }
}

/// Where a function is only curved, a step that is too large is not excused as a kink.
#[test]
fn curvature_is_no_kink() {
    let check = GradientCheck { step: 0.1, ..GradientCheck::default() };
    let mut tape = Tape::new();
    let x = tape.parameter("x", &Tensor::scalar(0.3)).unwrap();
    let report = check.run(&mut tape, |tape| (tape.param(x) * 3.0).exp().sum_all()).unwrap();
    assert_eq!(report.verdict(), Verdict::Wrong, "{report}");
}

#[test]
fn calls_are_counted_and_parameters_restored() {
    use lanegrad::gradcheck::{Differences, numerical_gradient, numerical_gradient_with};
    let mut x = Tensor::<f64>::from_fn([2, 3], |i| 0.1 + i as f64 / 3.0).unwrap();
    let before: Vec<u64> = x.values().iter().map(|x| x.to_bits()).collect();
    let mut calls = 0;
    numerical_gradient(
        |x| {
            calls += 1;
            x.values().iter().sum()
        },
        &mut x,
    );
    assert_eq!(calls, 7);
    calls = 0;
    numerical_gradient_with(
        |x| {
            calls += 1;
            x.values().iter().sum()
        },
        &mut x,
        Differences::Centred,
        1e-5,
    );
    assert_eq!(calls, 12);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut calls = 0;
        numerical_gradient(
            |_| {
                calls += 1;
                if calls == 4 { panic!("as a test does") } else { 0.0 }
            },
            &mut x,
        )
    }));
    assert!(panicked.is_err());
    assert_eq!(x.values().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), before);

    let mut tape = Tape::new();
    let w = tape.parameter("w", &x).unwrap();
    for (differences, calls) in [(Differences::Forward, 7), (Differences::Centred, 12)] {
        let check = GradientCheck { differences, ..GradientCheck::default() };
        let report = check.run(&mut tape, |tape| tape.param(w).sum_all()).unwrap();
        assert_eq!((report.calls, report.probes), (calls, 0));
    }
    let sampled = GradientCheck { samples: Some(2), ..GradientCheck::default() };
    let report = sampled.run(&mut tape, |tape| tape.param(w).square().sum_all()).unwrap();
    assert_eq!(report.coverage, [("w".to_string(), 2, 6)]);
    let mut calls = 0;
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        GradientCheck::default().run(&mut tape, |tape| {
            calls += 1;
            assert!(calls < 5, "as a test does");
            tape.param(w).square().sum_all()
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(tape.value(w).unwrap().values().iter().map(|x| x.to_bits()).collect::<Vec<_>>(), before);
}

#[test]
fn the_error_of_differences_falls_as_it_should() {
    use lanegrad::gradcheck::{Differences, numerical_gradient_with};
    let error = |differences, step| {
        let mut x = Tensor::scalar(0.7);
        let slope = numerical_gradient_with(|x| x.values()[0].exp(), &mut x, differences, step);
        (slope.values()[0] - 0.7_f64.exp()).abs()
    };
    for step in [1e-2, 1e-3] {
        let forward = error(Differences::Forward, step) / error(Differences::Forward, step / 2.0);
        let centred = error(Differences::Centred, step) / error(Differences::Centred, step / 2.0);
        assert!((forward - 2.0).abs() < 0.02 && (centred - 4.0).abs() < 0.02, "{forward} {centred}");
    }
}

#[test]
fn an_error_that_is_not_a_number_is_the_worst() {
    let x = Tensor::from_slice([2], &[-1.0, 1.0]).unwrap();
    let mut report = gradcheck(|x| x[0].relu().sum_all(), &[x]).unwrap();
    assert_eq!(report.worst_error(), 0.0);
    for (element, error) in report.elements.iter_mut().zip([f64::NAN, 1e-9]) {
        (element.error, element.within_rounding) = (error, false);
    }
    assert!(report.worst_error().is_nan());
    report.elements.reverse();
    assert!(report.worst_error().is_nan());
}

/// y = x, whose vjp asks for the cotangent of x twice before it adds to it.
#[derive(Debug)]
struct AsksTwice;

impl<T: Scalar> Op<T> for AsksTwice {
    fn name(&self) -> &'static str {
        "asks twice"
    }
    fn output(&self, inputs: Inputs<'_, T>) -> Result<Output, Error> {
        Ok(Output::of(inputs.shape(0)))
    }
    fn forward(&self, pass: Forward<'_, T>) -> Result<(), Error> {
        pass.output.copy_from_slice(pass.inputs.values(0));
        Ok(())
    }
    fn vjp(&self, mut pass: Backward<'_, T>) -> Result<(), Error> {
        let dy = pass.gradient;
        if pass.input_gradient(0).is_some() {
            let dx = pass.input_gradient(0).unwrap().accumulator();
            dx.iter_mut().zip(dy).for_each(|(dx, &dy)| *dx += dy);
        }
        Ok(())
    }
}

#[test]
fn a_cotangent_that_was_only_asked_for_is_not_there_yet() {
    let mut tape = Tape::<f64>::new();
    for _ in 0..3 {
        tape.reset();
        let x = tape.scalar(2.0);
        tape.apply(AsksTwice, &[x]).square().backward().unwrap();
        assert_eq!(item(x), 4.0);
    }
}

#[test]
fn a_leaf_being_filled_cannot_look_at_others() {
    let tape = Tape::<f64>::new();
    let x = tape.scalar(1.0);
    let y = x + 1.0;
    y.backward().unwrap();
    let copy = tape.constant_with([1], |values| x.look(|x| values.copy_from_slice(x)));
    assert!(matches!(copy.check(), Err(Error::Failed(_))));
    let filled = tape.constant_with([4], |values| {
        let refused = [x.shape().is_err(), x.gradient().is_err(), y.value().is_err(), tape.find("x").is_err()];
        values.iter_mut().zip(refused).for_each(|(value, refused)| *value = f64::from(u8::from(refused)));
        Ok(())
    });
    assert_eq!(filled.value().unwrap().values(), [1.0; 4]);
}

#[test]
fn what_was_recorded_in_another_mode_or_step_cannot_be_differentiated() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::scalar(3.0)).unwrap();
    let record = |tape: &Tape<f64>| {
        let _ = tape.param(w).square().named("square");
    };
    for change in [|tape: &mut Tape<f64>| tape.set_training(true), |tape: &mut Tape<f64>| tape.set_step(9)] {
        tape.reset();
        tape.set_training(false);
        record(&tape);
        change(&mut tape);
        // Half of this was recorded without a gradient.
        let loss = tape.find("square").unwrap() * tape.param(w);
        assert_eq!(loss.item().unwrap(), 27.0);
        assert!(matches!(loss.backward(), Err(Error::Tape(_))));
        tape.reset();
        tape.set_training(true);
        record(&tape);
        tape.find("square").unwrap().backward().unwrap();
        assert_eq!(tape.gradient(w).unwrap().item().unwrap(), 6.0);
    }
}

#[test]
fn nothing_is_found_by_no_name() {
    let tape = Tape::<f64>::new();
    let _ = tape.scalar(1.0);
    assert!(matches!(tape.find(""), Err(Error::Name(_))));
}

#[test]
fn a_power_of_zero_is_constant() {
    let tape = Tape::<f64>::new();
    let x = tape.variable(&Tensor::from_slice([3], &[0.0, -2.0, f64::INFINITY]).unwrap());
    let zero = tape.constant(&Tensor::scalar(0.0));
    let y = x.pow(zero) + x.powf(0.0);
    assert_eq!(y.value().unwrap().values(), [2.0; 3]);
    y.sum_all().backward().unwrap();
    assert_eq!(x.gradient().unwrap().values(), [0.0; 3]);
}

#[test]
fn what_can_be_refused_can_be_asked_at_once() {
    let tape = Tape::<f64>::new();
    let [a, b] = [&[2, 3][..], &[4]].map(|shape| tape.variable(&Tensor::ones(shape).unwrap()));
    let refused = [
        a.try_pow(b),
        a.try_maximum(b),
        a.try_minimum(b),
        a.try_squared_difference(b),
        a.try_mean_squared_error(b),
        a.try_binary_cross_entropy_each(b),
        a.try_binary_cross_entropy(b),
        a.try_gather(tape.indices(&[2])),
        a.try_roll(2, 1),
        a.try_circular_convolution(b),
        a.try_dropout(1.0, 0),
        b.try_transpose(),
        b.try_at(0, 4),
        b.try_at(1, 0),
        a.try_sum([2]),
        a.try_sum_keep([-3]),
        a.try_mean([2]),
        a.try_mean_keep([2]),
        a.try_max([2]),
        a.try_max_keep([2]),
        a.try_min([2]),
        a.try_min_keep([2]),
        a.try_norm_keep([2], 0.0),
        a.slice(0, 0..0).try_max([0]),
    ];
    assert!(refused.iter().all(Result::is_err));
    tape.finish().unwrap();
    assert_eq!(a.try_norm_keep([1], 1.0).unwrap().value().unwrap().values(), [2.0; 2]);
    assert_eq!(a.try_sum([1]).unwrap().value().unwrap().values(), [3.0; 2]);
    assert_eq!(a.try_max_keep([1]).unwrap().shape().unwrap().extents(), [2, 1]);
    assert_eq!(a.try_transpose().unwrap().shape().unwrap().extents(), [3, 2]);
    assert_eq!(a.try_at(-1, 2).unwrap().shape().unwrap().extents(), [2]);
}

#[test]
fn a_batch_of_nothing_has_a_gradient_of_zero() {
    let mut tape = Tape::<f64>::new();
    // Steps with numbers in between leave something in the arenas that must not be seen.
    for rows in [0, 3, 0, 3] {
        tape.reset();
        let x = tape.variable(&Tensor::full([rows, 4], 0.5).unwrap());
        let w = tape.variable(&Tensor::full([4, 5], 2.0).unwrap());
        let b = tape.variable(&Tensor::ones([5]).unwrap());
        let y = (x.linear(w, b).relu() * b).tanh() + x.matmul(w).exp() + b.sigmoid();
        let z = tape.concat(&[y, y.slice(0, 0..rows)], 0).permute(&[1, 0]).reshape([2 * rows, 5]);
        let loss = z.sum([0]).sum_all() + z.roll(1, 2).square().sum_all();
        loss.backward().unwrap();
        if rows == 0 {
            assert_eq!(loss.item().unwrap(), 0.0);
            assert_eq!(w.gradient().unwrap(), Tensor::zeros([4, 5]).unwrap());
            assert_eq!(b.gradient().unwrap(), Tensor::zeros([5]).unwrap());
            assert!(x.gradient().unwrap().values().is_empty());
        } else {
            assert!(w.gradient().unwrap().values().iter().all(|&dw| dw > 0.0));
        }
    }
    tape.reset();
    let x = tape.variable(&Tensor::ones([3, 4]).unwrap());
    let w = tape.variable(&Tensor::zeros([4, 0]).unwrap());
    let y = x.linear(w, tape.variable(&Tensor::zeros([0]).unwrap()));
    y.sum_all().backward().unwrap();
    assert_eq!(x.gradient().unwrap(), Tensor::zeros([3, 4]).unwrap());
}

#[test]
fn arrays_of_seven_dimensions() {
    let a = Tensor::<f64>::from_fn([2, 1, 2, 1, 3, 1, 2], |i| 0.5 + i as f64 / 10.0).unwrap();
    let b = Tensor::<f64>::from_fn([3, 1, 2, 1, 2, 1], |i| 1.5 - i as f64 / 10.0).unwrap();
    let report = gradcheck(
        |x| {
            let y = (x[0] * x[1] + x[1]).permute(&[6, 0, 5, 1, 4, 2, 3]).sum([1, -1]);
            y.slice(2, 1..3).mean([0]).square()
        },
        &[a, b],
    )
    .unwrap();
    assert!(report.passes() && report.elements.iter().any(|element| element.analytic != 0.0), "{report}");
}

/// Each operation that others can make, applied to too few and too many inputs.
#[test]
fn a_wrong_number_of_inputs_is_refused() {
    use lanegrad::ops::binary::Binary;
    use lanegrad::ops::conv2d::Conv2d;
    use lanegrad::ops::unary::Unary;
    use lanegrad::ops::{add::Add, cross_entropy::SoftmaxCrossEntropy, gather::Gather, hinge::Hinge, linear::Linear};
    use lanegrad::ops::{matmul::Matmul, relu::Relu, roll::CircularConvolution};
    fn refused(tape: &Tape<f64>, op: impl Op<f64> + Clone, counts: &[usize]) {
        let x = tape.variable(&Tensor::ones([2, 2]).unwrap());
        for &count in counts {
            let error = tape.try_apply(op.clone(), &vec![x; count]).unwrap_err();
            assert!(matches!(error, Error::Inputs { found, .. } if found == count), "{op:?} {count}: {error}");
        }
    }
    let tape = &Tape::<f64>::new();
    refused(tape, Unary(Relu), &[0, 2]);
    refused(tape, Binary(Add), &[0, 1, 3]);
    refused(tape, Linear, &[0, 1, 2, 4]);
    refused(tape, Matmul, &[0, 1, 3]);
    refused(tape, Gather, &[0, 1, 3]);
    refused(tape, Hinge, &[0, 1, 3]);
    refused(tape, SoftmaxCrossEntropy, &[0, 1, 3]);
    refused(tape, CircularConvolution, &[0, 1, 3]);
    refused(tape, Conv2d::default(), &[0, 1, 4]);
    assert_eq!(tape.apply(Linear, &[]).check().unwrap_err().to_string(), "linear cannot be applied to 0 inputs");
    assert!(matches!(tape.try_concat(&[], 0), Err(Error::Inputs { op: "concat", found: 0 })));
}

#[test]
fn nothing_panics_while_a_leaf_is_filled() {
    let mut tape = Tape::<f64>::new();
    tape.parameter("w", &Tensor::ones([3]).unwrap()).unwrap();
    tape.buffer("b", &Tensor::ones([2]).unwrap()).unwrap();
    tape.set_step(7);
    let tape = &tape;
    let filled = tape.constant_with([1], |values| {
        assert_eq!((tape.step(), tape.is_training(), tape.parameter_count()), (7, true, 3));
        let mut seen = Vec::new();
        tape.for_each_parameter(|info| seen.push((info.name.to_owned(), info.range.len(), info.trained)));
        assert_eq!(seen, [("w".to_owned(), 3, true), ("b".to_owned(), 2, false)]);
        assert!(tape.graph().nodes.is_empty() && tape.memory().is_err() && tape.look_at_parameters(|_| ()).is_err());
        values.fill(5.0);
        Ok(())
    });
    assert_eq!(filled.item().unwrap(), 5.0);
    assert_eq!(tape.graph().nodes.len(), 3);
    tape.look_at_parameters(|flat| assert_eq!(flat[..3], [1.0; 3])).unwrap();
}

#[test]
fn a_parameter_keeps_its_name() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::scalar(2.0)).unwrap();
    let error = tape.param(w).named("x").check().unwrap_err();
    assert_eq!(error.to_string(), "a parameter keeps the name that it was added with");
    tape.reset();
    assert_eq!(tape.find("w").unwrap().item().unwrap(), 2.0);
    assert!(tape.find("x").is_err());
    let y = (tape.param(w) * 3.0).named("x");
    assert_eq!(tape.find("x").unwrap().item().unwrap(), y.item().unwrap());
}

#[test]
fn a_gradient_check_leaves_the_tape_as_it_found_it() {
    use lanegrad::nn::{BatchNorm, Layer};
    let mut tape = Tape::<f64>::new();
    let layer = BatchNorm::new(&mut tape, "bn", 2).unwrap();
    tape.set_value(layer.running_mean, &Tensor::from_slice([2], &[0.1, -0.0]).unwrap()).unwrap();
    tape.set_step(5);
    let x = Tensor::from_fn([3, 2], |i| (i * i) as f64 / 7.0).unwrap();
    let _ = tape.scalar(1.0);
    let bits = |tape: &Tape<f64>| {
        let params = [layer.weight, layer.bias, layer.running_mean, layer.running_variance];
        params.map(|param| tape.value(param).unwrap().values().iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    let before = bits(&tape);
    let record = |tape: &Tape<f64>| layer.forward(tape.constant(&x)).value().unwrap();
    let report = GradientCheck::default().run(&mut tape, |tape| layer.forward(tape.constant(&x)).tanh()).unwrap();
    assert!(report.passes() && report.elements.len() == 4, "{report}");
    assert_eq!((bits(&tape), tape.step(), tape.graph().nodes.len()), (before.clone(), 5, 4));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut calls = 0;
        GradientCheck::default().run(&mut tape, |tape| {
            record(tape);
            calls += 1;
            assert!(calls < 3, "as a test does");
            layer.forward(tape.constant(&x)).tanh()
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((bits(&tape), tape.step()), (before.clone(), 5));
    assert!(GradientCheck::default().run(&mut tape, |tape| layer.forward(tape.scalar(1.0))).is_err());
    assert_eq!(bits(&tape), before);
    tape.parameter("another", &x).unwrap();
}

#[test]
fn a_difference_that_rounding_explains_is_shown_as_it_is() {
    let x = Tensor::from_slice([1], &[0.5]).unwrap();
    // The values lie 1e-4 apart, so that a difference of two has no digit that counts.
    let report = gradcheck(|x| (x[0].square() + 1e12).sum_all(), &[x]).unwrap();
    let element = &report.elements[0];
    assert_eq!((element.analytic, element.verdict, element.within_rounding), (1.0, Verdict::Good, true));
    assert_eq!(element.error, lanegrad::gradcheck::relative_error(element.analytic, element.numerical));
    assert!(element.error > 0.5, "{report}");
    let text = report.to_string();
    assert!(text.contains("good, within rounding") && text.contains("1 of 1 within rounding"), "{text}");
    assert!(!text.lines().nth(1).unwrap().contains("0.00e0"), "{text}");
}

#[test]
fn a_gradient_check_of_nothing_is_refused() {
    let mut tape = Tape::<f64>::new();
    let b = tape.buffer("b", &Tensor::scalar(1.0)).unwrap();
    let run = |samples, tape: &mut Tape<f64>| {
        GradientCheck { samples, ..GradientCheck::default() }
            .run(tape, |tape| tape.param(b).square() + tape.scalar(1.0))
    };
    assert!(matches!(run(None, &mut tape), Err(Error::Setting(_))));
    tape.parameter("empty", &Tensor::zeros([0]).unwrap()).unwrap();
    assert!(matches!(run(None, &mut tape), Err(Error::Setting(_))));
    tape.parameter("w", &Tensor::scalar(1.0)).unwrap();
    assert!(matches!(run(Some(0), &mut tape), Err(Error::Setting(_))));
    let mut report = run(Some(1), &mut tape).unwrap();
    assert!(report.passes());
    report.elements.clear();
    assert!(!report.passes());
}

#[test]
fn between_parameters_are_zeros() {
    let mut tape = Tape::<f64>::new();
    let w = tape.parameter("w", &Tensor::ones([3]).unwrap()).unwrap();
    // Numbers where the next parameters will lie, in all arenas.
    let x = tape.variable(&Tensor::full([100], 7.0).unwrap());
    (x * x + tape.param(w).sum_all()).sum_all().backward().unwrap();
    tape.reset();
    tape.buffer("b", &Tensor::ones([2]).unwrap()).unwrap();
    tape.parameter("v", &Tensor::ones([5]).unwrap()).unwrap();
    let (parameters, gradients) = tape.parameters_and_gradients();
    assert!(parameters.len() > 10);
    assert_eq!(parameters.iter().sum::<f64>(), 10.0);
    // That of w alone.
    assert_eq!(gradients.iter().sum::<f64>(), 300.0);
}
