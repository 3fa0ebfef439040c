use roxmltree::Document;

use super::*;
use lanegrad::gradcheck::{Element, Verdict};

fn run(losses: &[f32]) -> LossCurve<'_> {
    LossCurve {
        model: "softmax <classifier>",
        loss: "cross-entropy",
        unit: "nats",
        data: "CIFAR-10, 50,000 images",
        batch_size: 256,
        steps_per_epoch: 196,
        losses,
    }
}

fn tested(accuracies: &[f64]) -> AccuracyCurve<'_> {
    AccuracyCurve { model: "softmax & co", data: "CIFAR-10", classes: 10, accuracies }
}

/// A loss that falls from 2.3 to 0.5, up and down by a tenth.
fn falling(steps: usize) -> Vec<f32> {
    let loss = |step: usize| {
        let progress = step as f32 / steps as f32;
        let wobble = if step.is_multiple_of(2) { 0.1 } else { -0.1 };
        0.5 + 1.8 * (-5.0 * progress).exp() + wobble
    };
    (0..steps).map(loss).collect()
}

/// The texts of a picture, after checking that it is well-formed and that nothing is left of,
/// above or outside the sheet.
fn texts(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("a well-formed picture");
    let root = document.root_element();
    assert_eq!(root.attribute("width"), Some("800"));
    assert_eq!(root.attribute("viewBox"), Some("0 0 8000 5000"));
    for node in root.descendants() {
        for (name, limit) in [("x", 8000.0), ("cx", 8000.0), ("y", 5000.0), ("cy", 5000.0)] {
            let place = node.attribute(name).map(|place| place.parse::<f64>().expect("a number"));
            assert!(place.is_none_or(|place| (0.0..=limit).contains(&place)), "{node:?}");
        }
    }
    assert!(!svg.contains("NaN") && !svg.contains("inf"));
    let texts = root.descendants().filter(|node| node.has_tag_name("text"));
    texts.map(|node| node.text().unwrap_or_default().trim().to_string()).collect()
}

fn shows(svg: &str, wanted: &str) {
    let texts = texts(svg);
    assert!(texts.iter().any(|text| text.contains(wanted)), "{wanted} is not in {texts:?}");
}

#[test]
fn loss_curve_says_what_it_shows() {
    let svg = loss_curve(&run(&falling(1000)), Format::Sheet).unwrap();
    shows(&svg, "Training loss (cross-entropy): softmax <classifier>");
    shows(&svg, "CIFAR-10, 50,000 images  ·  batch size 256  ·  196 steps = 1 epoch");
    shows(&svg, "step (number of the mini-batch)");
    shows(&svg, "loss (nats)");
    shows(&svg, "each mini-batch");
    shows(&svg, "moving average (20 steps)");
    for epoch in 1..=5 {
        shows(&svg, &format!("epoch {epoch}"));
    }
}

#[test]
fn loss_axis_turns_logarithmic() {
    let losses: Vec<f32> = (0..1500).map(|step| 5.0 + 780.0 * 0.99f32.powi(step)).collect();
    let svg = loss_curve(&LossCurve { unit: "", ..run(&losses) }, Format::Sheet).unwrap();
    shows(&svg, "loss (log scale)");
    shows(&svg, "1,000");
}

#[test]
fn long_runs_stay_small() {
    let mut losses = falling(100_000);
    assert!(loss_curve(&run(&losses), Format::Sheet).unwrap().len() < 100_000);
    for (step, loss) in losses.iter_mut().enumerate() {
        // Columns with and without finite losses take turns: the most pieces there can be.
        if step / 143 % 2 == 0 {
            *loss = f32::NAN;
        }
    }
    let svg = loss_curve(&run(&losses), Format::Sheet).unwrap();
    assert!(svg.len() < 300_000, "{} bytes", svg.len());
    texts(&svg);
}

#[test]
fn losses_that_are_not_finite_are_marked() {
    let mut losses = falling(900);
    losses[600..].fill(f32::NAN);
    shows(&loss_curve(&run(&losses), Format::Sheet).unwrap(), "not finite from step 601 on");
    let mut losses = falling(900);
    losses[100] = f32::INFINITY;
    losses[200] = f32::NEG_INFINITY;
    shows(&loss_curve(&run(&losses), Format::Sheet).unwrap(), "not finite at 2 steps (first: 101)");
    shows(&loss_curve(&run(&[f32::NAN; 3]), Format::Sheet).unwrap(), "not finite from step 1 on");
}

#[test]
fn few_or_equal_losses_are_drawn() {
    let single = loss_curve(&run(&[2.3]), Format::Sheet).unwrap();
    texts(&single);
    assert_eq!(single.matches("<circle").count(), 1);
    for losses in [vec![2.3, 2.1], vec![0.0; 300], vec![f32::MAX, f32::MIN], vec![1e-30; 5]] {
        texts(&loss_curve(&run(&losses), Format::Sheet).unwrap());
    }
}

#[test]
fn nothing_to_draw_is_refused() {
    assert!(loss_curve(&run(&[]), Format::Sheet).is_err());
    assert!(loss_curve(&LossCurve { steps_per_epoch: 0, ..run(&[1.0]) }, Format::Sheet).is_err());
    assert!(accuracy_curve(&tested(&[]), Format::Sheet).is_err());
    assert!(accuracy_curve(&AccuracyCurve { classes: 0, ..tested(&[0.5]) }, Format::Sheet).is_err());
}

#[test]
fn accuracy_curve_names_best_last_and_chance() {
    let svg = accuracy_curve(&tested(&[0.3788, 0.4125, 0.4098]), Format::Sheet).unwrap();
    for wanted in ["Test accuracy: softmax & co", "CIFAR-10", "test accuracy (%)", "epoch"] {
        shows(&svg, wanted);
    }
    for wanted in ["41.25 %", "best, epoch 2", "40.98 %", "last, epoch 3", "10 %", "chance"] {
        shows(&svg, wanted);
    }
}

#[test]
fn unusual_accuracies_are_drawn() {
    let svg = accuracy_curve(&tested(&[0.3788]), Format::Sheet).unwrap();
    shows(&svg, "37.88 %");
    shows(&svg, "epoch 1");
    shows(&accuracy_curve(&tested(&[0.2, 0.3]), Format::Sheet).unwrap(), "best and last");
    shows(&accuracy_curve(&tested(&[0.3, f64::NAN, 7.0]), Format::Sheet).unwrap(), "30.00 %");
    shows(&accuracy_curve(&tested(&[f64::NAN]), Format::Sheet).unwrap(), "chance");
    shows(&accuracy_curve(&tested(&[0.9; 500]), Format::Sheet).unwrap(), "best, epoch 1");
    shows(&accuracy_curve(&AccuracyCurve { classes: 3, ..tested(&[1.0]) }, Format::Sheet).unwrap(), "33.3 %");
}

#[test]
fn overlong_headings_are_cut() {
    let svg = loss_curve(&LossCurve { model: &"model ".repeat(40), ..run(&[1.0]) }, Format::Sheet).unwrap();
    assert!(texts(&svg).iter().any(|text| text.ends_with('…')));
}

#[test]
fn moving_average_follows_without_bias_or_delay() {
    assert!(moving_average(&[7.0; 100], 10).iter().all(|average| *average == 7.0));
    let ramp: Vec<f64> = (0..1000).map(f64::from).collect();
    let averages = moving_average(&ramp, 20);
    assert!((averages[500] - 500.0).abs() < 0.5, "{}", averages[500]);
    let holed = moving_average(&[1.0, f64::NAN, 1.0], 10);
    assert!(holed[1].is_nan() && holed[2] == 1.0);
}

#[test]
fn thinning_keeps_extremes_and_gaps() {
    let mut positions = vec![1.0; 70_000];
    positions[35_003] = 9.0;
    positions[35_007] = -9.0;
    let runs = thinned(&positions);
    assert_eq!(runs.len(), 1);
    assert!(runs[0].contains(&(35_004.0, 9.0)) && runs[0].contains(&(35_008.0, -9.0)));
    assert!(runs[0].is_sorted_by(|a, b| a.0 < b.0));
    let gap = [1.0, f64::NAN, 3.0];
    assert_eq!(thinned(&gap), [vec![(1.0, 1.0)], vec![(3.0, 3.0)]]);
    assert_eq!(gaps(&gap), [1.0..3.0]);
}

#[test]
fn marks_keep_their_distance() {
    assert_eq!(spread(&[100.0, 102.0], 38.0, 430.0), [100.0, 138.0]);
    assert_eq!(spread(&[429.0, 400.0, 428.0], 38.0, 430.0), [430.0, 354.0, 392.0]);
    assert_eq!(spread(&[50.0, 200.0], 38.0, 430.0), [50.0, 200.0]);
}

#[test]
fn a_search_is_drawn_with_its_best_beside_it() {
    let losses = [9.4, f32::NAN, 9.1, 8.9, f32::INFINITY, 9.0];
    let best = [9.4, 9.4, 9.1, 8.9, 8.9, 8.9];
    let curve = SearchCurve {
        is_local: false,
        data: "CIFAR-10 & co",
        loss: "hinge loss",
        losses: &losses,
        best: &best,
        zero_weights: 9.0,
    };
    let svg = search_curve(&curve).unwrap();
    shows(&svg, "the best of 6 matrices of weights");
    shows(&svg, "mean hinge loss");
    shows(&svg, "best, attempt 3");
    shows(&svg, "8.9000");
    shows(&search_curve(&SearchCurve { is_local: true, ..curve }).unwrap(), "6 steps, kept if better");
    texts(&search_curve(&SearchCurve { losses: &[f32::NAN], best: &[f32::INFINITY], ..curve }).unwrap());
    assert!(search_curve(&SearchCurve { losses: &[], best: &[], ..curve }).is_err());
}

#[test]
fn a_gradient_check_is_drawn_parameter_by_parameter() {
    let element = |error: f64, verdict, within_rounding| Element {
        parameter: "conv1.weight".into(),
        index: vec![0],
        analytic: 1.0,
        numerical: 1.0,
        error,
        within_rounding,
        verdict,
        sides: None,
    };
    let elements = [
        element(0.0, Verdict::Good, true),
        element(1e-9, Verdict::Good, false),
        element(0.5, Verdict::Kink, false),
        element(f64::NAN, Verdict::Wrong, false),
        element(f64::INFINITY, Verdict::Wrong, false),
    ];
    let parameters = [CheckedParameter { name: "conv1.weight", elements: elements.iter().collect() }];
    let svg = gradcheck_picture("mlp, hinge loss", 1e-5, &parameters).unwrap();
    for wanted in
        ["Gradient check: mlp, hinge loss", "conv1.weight", "within rounding", "kink", "not right", "doubtful"]
    {
        shows(&svg, wanted);
    }
    let good = [CheckedParameter { name: "a", elements: elements[1..2].iter().collect() }];
    let svg = gradcheck_picture("mlp", 1e-5, &good).unwrap();
    assert!(!texts(&svg).iter().any(|text| text == "kink" || text == "not right"));
    assert!(gradcheck_picture("mlp", 1e-5, &[]).is_err());
}
