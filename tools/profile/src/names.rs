//! What models are called, for people.

use crate::args::{BiasName, LossName, ModelName, ModelOptions, Preprocess};

/// What was trained, in a picture's title: `softmax classifier`.
pub fn title(options: &ModelOptions) -> &'static str {
    match (options.model, options.loss) {
        (ModelName::Linear, LossName::Softmax) => "softmax classifier",
        (ModelName::Linear, LossName::Hinge) => "multiclass SVM",
        (ModelName::Mlp, _) => "multi-layer perceptron",
        (ModelName::Convnet, _) => "convolutional network",
        (ModelName::Quick, _) => "cifar10_quick",
    }
}

/// Model, loss and preprocessing in a line: `linear, separate bias, softmax cross-entropy, standardised pixels`.
pub fn described(options: &ModelOptions) -> String {
    let loss = match options.loss {
        LossName::Softmax => "softmax cross-entropy",
        LossName::Hinge => "hinge loss (multiclass SVM, margin 1)",
    };
    let pixels = match options.preprocess {
        Preprocess::Raw => "raw pixels",
        Preprocess::Mean => "pixels minus the mean image",
        Preprocess::Standardize => "standardised pixels",
    };
    let name = match (options.model, options.bias) {
        (ModelName::Linear, Some(BiasName::Trick)) => "linear, bias trick".into(),
        (ModelName::Linear, _) => "linear, separate bias".into(),
        (ModelName::Mlp, _) => format!("mlp, hidden layers of {:?}", options.hidden()),
        (model, _) => model.name().to_owned(),
    };
    format!("{name}, {loss}, {pixels}")
}
