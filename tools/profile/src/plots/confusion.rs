//! The confusion matrix.

use anyhow::{Result, ensure};
use plotters::style::RGBColor;

use super::Format;
use super::axis::{Axis, grouped};

use super::chart::{
    self, Align, Area, BLUE, CAPTION, Chart, Font, LABEL, NARROW, Paper, SHEET, Texts, VERMILLION, text_width,
};

/// On cells, whatever a page does with its ink.
const CELL_INK: RGBColor = RGBColor(0x01, 0x01, 0x01);
const LIGHT_INK: RGBColor = RGBColor(0xFE, 0xFE, 0xFE);

/// What a confusion matrix shows.
#[derive(Clone, Copy, Debug)]
pub struct ConfusionMatrix<'a> {
    /// What was trained: `softmax classifier`.
    pub model: &'a str,
    /// What it was tested on: `CIFAR-10, 10,000 test images`.
    pub data: &'a str,
    /// One name a class.
    pub class_names: &'a [String],
    /// `counts[t][p]` images of class t were taken for class p.
    pub counts: &'a [Vec<u64>],
}

/// Draws, for each class, what its images were taken for, in numbers and in percent, and returns the SVG.
///
/// Cells of right guesses are blue, those of wrong ones orange, the darker the larger the part of their row.
pub fn confusion_matrix(matrix: &ConfusionMatrix, format: Format) -> Result<String> {
    let classes = matrix.class_names.len();
    let is_square = matrix.counts.len() == classes && matrix.counts.iter().all(|row| row.len() == classes);
    ensure!(classes > 0 && is_square, "a confusion matrix needs a row and a column for each of its {classes} classes");
    let (paper, area) = match format {
        Format::Sheet => (Paper { height: 780, ..SHEET }, Area { x: 136..776, y: 76..716 }),
        Format::Narrow => (Paper { height: 420, ..NARROW }, Area { x: 102..412, y: 4..314 }),
    };
    // Row 0 is at the top.
    let axis = |range| Axis { range, ticks: Vec::new() };
    let axes = (axis(0.0..classes as f64), axis(-(classes as f64)..0.0));
    let texts = Texts {
        title: format!("What the {} takes for what", matrix.model),
        subtitle: format!("{}  ·  a row: the images of a class, in numbers and percent", matrix.data),
        x_caption: String::new(),
        y_caption: String::new(),
    }
    .fit_for(format);
    chart::render(paper, &area, (&axes.0, &axes.1), &texts, |chart| {
        labels(chart, matrix, &area, format)?;
        for (truth, row) in matrix.counts.iter().enumerate() {
            for guess in 0..classes {
                cell(chart, row, (truth, guess), format)?;
            }
        }
        Ok(())
    })
}

/// The middle of a cell in pixels.
fn middle(chart: &Chart, truth: usize, guess: usize) -> (f64, f64) {
    chart.pixel(guess as f64 + 0.5, -(truth as f64) - 0.5)
}

/// The classes' names beside the rows and under the columns, and what they mean there.
fn labels(chart: &Chart, matrix: &ConfusionMatrix, area: &Area, format: Format) -> Result<()> {
    let (left, bottom) = (area.x.start as f64, area.y.end as f64);
    let font = Font { size: 11.0, ..LABEL };
    for (class, name) in matrix.class_names.iter().enumerate() {
        let (across, height) = middle(chart, class, class);
        chart.text(name, (left - 6.0, height), font, Align::Right)?;
        if format == Format::Narrow {
            chart.upright(name, (across, bottom + 6.0), font, Align::Right)?;
            continue;
        }
        for (line, word) in name.split(' ').enumerate() {
            chart.text(word, (across, bottom + 12.0 + 13.0 * line as f64), font, Align::Middle)?;
        }
    }
    let widest = matrix.class_names.iter().map(|name| text_width(name, font)).fold(0.0, f64::max);
    let beside = (left - widest - 18.0).max(9.0);
    let below = if format == Format::Narrow { bottom + widest + 20.0 } else { bottom + 46.0 };
    let centre = f64::midpoint(area.x.start as f64, area.x.end as f64);
    chart.upright("what it is", (beside, f64::midpoint(area.y.start as f64, bottom)), CAPTION, Align::Middle)?;
    chart.text("what the model takes it for", (centre, below.min(bottom + 92.0)), CAPTION, Align::Middle)
}

/// One cell with its numbers.
fn cell(chart: &Chart, row: &[u64], (truth, guess): (usize, usize), format: Format) -> Result<()> {
    let (count, all) = (row[guess], row.iter().sum::<u64>());
    let part = count as f64 / all.max(1) as f64;
    // The root shows that a twentieth is more than nothing.
    let strength = part.sqrt();
    let colour = if truth == guess { BLUE } else { VERMILLION };
    let (left, top) = (guess as f64, -(truth as f64));
    let paper = mixed(colour, strength);
    chart.rectangle([(left, top - 1.0), (left + 1.0, top)], &paper)?;
    let ink = if contrast(paper, LIGHT_INK) > contrast(paper, CELL_INK) { LIGHT_INK } else { CELL_INK };
    let (across, height) = middle(chart, truth, guess);
    let (width, _) = chart.pixel(1.0, 0.0);
    let room = width - chart.pixel(0.0, 0.0).0;
    let bold = truth == guess;
    if format == Format::Sheet && room >= 40.0 {
        chart.text(
            &grouped(count as usize),
            (across, height - 8.0),
            Font { size: 13.0, bold, colour: ink },
            Align::Middle,
        )?;
        let percent = format!("{:.1} %", 100.0 * part);
        return chart.text(
            &percent,
            (across, height + 9.0),
            Font { size: 11.0, bold: false, colour: ink },
            Align::Middle,
        );
    }
    if room < 18.0 {
        return Ok(());
    }
    let percent = if count == 0 {
        "0".into()
    } else if part < 0.005 {
        "<1".into()
    } else {
        format!("{:.0}", 100.0 * part)
    };
    chart.text(&percent, (across, height), Font { size: 11.0, bold, colour: ink }, Align::Middle)
}

/// How well letters of one colour can be read on another: 1 not at all, 21 the best. WCAG 2.2, "contrast ratio".
fn contrast(one: RGBColor, other: RGBColor) -> f64 {
    let linear = |value: u8| {
        let part = f64::from(value) / 255.0;
        if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
    };
    let luminance = |RGBColor(r, g, b)| 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// That part of a colour on white.
fn mixed(colour: RGBColor, part: f64) -> RGBColor {
    let channel = |value: u8| (255.0 - part.clamp(0.0, 1.0) * (255.0 - f64::from(value))).round() as u8;
    // A touch of grey keeps empty cells apart from the paper, whatever its colour.
    let RGBColor(red, green, blue) = colour;
    RGBColor(channel(red).min(0xF6), channel(green).min(0xF6), channel(blue).min(0xF6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("warm <{class}>")).collect()
    }

    fn texts(svg: &str) -> Vec<String> {
        let picture = roxmltree::Document::parse(svg).unwrap();
        picture.descendants().filter_map(|node| node.text()).map(|text| text.trim().to_owned()).collect()
    }

    #[test]
    fn cells_say_how_many_and_how_much() {
        let counts = vec![vec![3, 1, 0], vec![0, 0, 0], vec![1000, 0, 2000]];
        let class_names = names(3);
        let matrix = ConfusionMatrix { model: "SVM", data: "few images", class_names: &class_names, counts: &counts };
        let sheet = texts(&confusion_matrix(&matrix, Format::Sheet).unwrap());
        for text in ["3", "75.0 %", "1", "25.0 %", "1,000", "33.3 %", "2,000", "66.7 %", "what it is", "<2>"] {
            assert!(sheet.iter().any(|found| found == text), "{text} in {sheet:?}");
        }
        assert!(sheet.iter().any(|text| text == "What the SVM takes for what"));
        let narrow = texts(&confusion_matrix(&matrix, Format::Narrow).unwrap());
        for text in ["75", "25", "33", "67", "warm <1>"] {
            assert!(narrow.iter().any(|found| found == text), "{text} in {narrow:?}");
        }
    }

    #[test]
    fn numbers_can_be_read_on_every_cell() {
        assert!((contrast(RGBColor(0, 0, 0), RGBColor(255, 255, 255)) - 21.0).abs() < 1e-9);
        for colour in [BLUE, VERMILLION] {
            for part in 0..=20 {
                let paper = mixed(colour, f64::from(part) / 20.0);
                // The least that WCAG 2.2 asks for.
                assert!(contrast(paper, LIGHT_INK).max(contrast(paper, CELL_INK)) > 4.5, "{colour:?} {part}");
            }
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let class_names = names(2);
        for counts in [vec![], vec![vec![1, 2]], vec![vec![1, 2], vec![3]]] {
            let matrix = ConfusionMatrix { model: "", data: "", class_names: &class_names, counts: &counts };
            assert!(confusion_matrix(&matrix, Format::Sheet).is_err());
        }
    }

    #[test]
    fn many_classes_have_cells_without_letters() {
        let (class_names, counts) = (names(100), vec![vec![1; 100]; 100]);
        let matrix = ConfusionMatrix { model: "", data: "", class_names: &class_names, counts: &counts };
        assert!(!texts(&confusion_matrix(&matrix, Format::Narrow).unwrap()).iter().any(|text| text == "1"));
    }
}
