//! A PNG sheet of pictures with a model's guesses about them.

use super::{Face, LABEL, MARGIN, Sheet, TITLE, TITLE_GAP, png_rgb, shortened, wrapped};
use crate::predictions::{Example, Meaning, SIDE};
use anyhow::Result;
use noto_sans_mono_bitmap::{FontWeight, RasterHeight};

/// Between two pictures.
const GUTTER: usize = 20;

/// Between lines of text, and between a picture and what is written under it.
const GAP: usize = 4;

const HEADING: Face = Face(FontWeight::Bold, RasterHeight::Size16);

/// Bars behind the guesses: light enough for letters, and told apart by people who see few colours. The guess that is
/// right is blue, a first guess that is wrong is orange.
const RIGHT: [u8; 3] = [0x9C, 0xD0, 0xF0];
const WRONG: [u8; 3] = [0xF5, 0xC0, 0x9A];
const OTHER: [u8; 3] = [0xD8, 0xD8, 0xD8];

/// Pictures under a heading.
pub struct Group<'a> {
    /// Written above them; may be empty.
    pub heading: &'a str,
    /// What is shown.
    pub examples: Vec<&'a Example>,
}

/// How a sheet is laid out.
#[derive(Clone, Copy)]
pub struct Layout {
    /// Width and height of a picture, a multiple of 32.
    pub picture: usize,
    /// Pictures in a row.
    pub columns: usize,
}

/// Draws groups of pictures, under each what it is and the first guesses on bars, and returns the PNG.
pub fn sheet_of_guesses(groups: &[Group], layout: Layout, meaning: Meaning, title: &str) -> Result<Vec<u8>> {
    let width = 2 * MARGIN + layout.columns * (layout.picture + GUTTER) - GUTTER;
    let title = wrapped(title, (width - 2 * MARGIN) / TITLE.letter_width());
    let groups: Vec<&Group> = groups.iter().filter(|group| !group.examples.is_empty()).collect();
    let top = MARGIN + title.len() * TITLE.height() + TITLE_GAP;
    let height: usize = top + groups.iter().map(|group| group_height(group, layout)).sum::<usize>() + MARGIN - GUTTER;
    let mut sheet = Sheet::new(width, height);
    for (line, text) in title.iter().enumerate() {
        sheet.text(text, MARGIN, MARGIN + line * TITLE.height(), TITLE);
    }
    let mut top = top;
    for group in groups {
        let heading = heading_height(group);
        sheet.text(group.heading, MARGIN, top, HEADING);
        for (index, example) in group.examples.iter().enumerate() {
            let (row, column) = (index / layout.columns, index % layout.columns);
            let place = (MARGIN + column * (layout.picture + GUTTER), top + heading + row * cell_height(group, layout));
            draw(&mut sheet, example, place, layout.picture, meaning)?;
        }
        top += group_height(group, layout);
    }
    png_rgb(sheet.width, sheet.height, &sheet.pixels)
}

fn heading_height(group: &Group) -> usize {
    if group.heading.is_empty() { 0 } else { HEADING.height() + 2 * GAP }
}

fn line_height() -> usize {
    LABEL.height() + GAP
}

/// A picture, its lines and the room to the next row.
fn cell_height(group: &Group, layout: Layout) -> usize {
    let lines = group.examples.iter().map(|example| captions(example).len() + example.guesses.len()).max();
    layout.picture + GAP + lines.unwrap_or(0) * line_height() + GUTTER
}

fn group_height(group: &Group, layout: Layout) -> usize {
    heading_height(group) + group.examples.len().div_ceil(layout.columns) * cell_height(group, layout)
}

/// What is known about a picture.
fn captions(example: &Example) -> Vec<String> {
    let label = example.label.iter().map(|label| format!("true: {label}"));
    label.chain(example.row.map(|row| format!("row {row}"))).collect()
}

fn draw(
    sheet: &mut Sheet,
    example: &Example,
    (left, top): (usize, usize),
    side: usize,
    meaning: Meaning,
) -> Result<()> {
    let (pixels, zoom) = (example.rgb()?, side / SIDE);
    for y in 0..SIDE * zoom {
        for x in 0..SIDE * zoom {
            let at = 3 * (y / zoom * SIDE + x / zoom);
            sheet.set(left + x, top + y, [pixels[at], pixels[at + 1], pixels[at + 2]]);
        }
    }
    let letters = side / LABEL.letter_width();
    let mut top = top + side + GAP;
    for caption in captions(example) {
        sheet.text(&shortened(&caption, letters), left, top, LABEL);
        top += line_height();
    }
    for (place, guess) in example.guesses.iter().enumerate() {
        let colour = match &example.label {
            Some(label) if *label != guess.class => {
                if place == 0 {
                    WRONG
                } else {
                    OTHER
                }
            }
            _ => RIGHT,
        };
        sheet.bar((left, top), (guess.bar * side as f64).round() as usize, LABEL.height() + 2, colour);
        let value = meaning.text(guess.value);
        let name = shortened(&guess.class, letters.saturating_sub(value.len() + 1));
        sheet.text(&name, left + 2, top + 1, LABEL);
        sheet.text(&value, left + side.saturating_sub(value.len() * LABEL.letter_width()), top + 1, LABEL);
        top += line_height();
    }
    Ok(())
}

impl Sheet {
    /// A filled rectangle.
    fn bar(&mut self, (left, top): (usize, usize), width: usize, height: usize, colour: [u8; 3]) {
        for y in top..top + height {
            (left..left + width).for_each(|x| self.set(x, y, colour));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{decoded, pixel};
    use super::*;
    use crate::predictions::{Guess, data_address};

    fn example(label: Option<&str>) -> Example {
        let guess = |class: &str, value: f64| Guess { class: class.into(), value, bar: value };
        let mut rgb = vec![10; 3 * SIDE * SIDE];
        rgb[..3].copy_from_slice(&[255, 0, 200]);
        Example {
            row: label.map(|_| 7),
            label: label.map(Into::into),
            guesses: vec![guess("cat", 0.75), guess("dog", 0.25), guess("frog", 0.0)],
            image: data_address(&rgb).unwrap(),
        }
    }

    const LAYOUT: Layout = Layout { picture: 160, columns: 2 };

    fn drawn(examples: Vec<&Example>) -> (usize, usize, Vec<u8>) {
        let groups = [Group { heading: "", examples }, Group { heading: "none", examples: Vec::new() }];
        decoded(&sheet_of_guesses(&groups, LAYOUT, Meaning::Probability, "T").unwrap())
    }

    #[test]
    fn pictures_are_shown_as_they_are_with_bars_below() {
        let top = MARGIN + TITLE.height() + TITLE_GAP;
        let bars = top + 160 + GAP;
        for (label, colours) in [(None, [RIGHT, RIGHT]), (Some("cat"), [RIGHT, OTHER]), (Some("dog"), [WRONG, RIGHT])] {
            let sheet = drawn(vec![&example(label)]);
            assert_eq!(sheet.0, 2 * MARGIN + 340);
            assert_eq!(pixel(&sheet, MARGIN + 4, top + 4), [255, 0, 200]);
            assert_eq!(pixel(&sheet, MARGIN + 5, top + 4), [10; 3]);
            let captions = if label.is_some() { 2 } else { 0 };
            for (place, (colour, length)) in colours.into_iter().zip([120, 40]).enumerate() {
                let top = bars + (captions + place) * line_height();
                assert_eq!(pixel(&sheet, MARGIN + length - 1, top), colour, "{label:?}");
                assert_eq!(pixel(&sheet, MARGIN + length, top), [255; 3], "{label:?}");
            }
        }
    }

    #[test]
    fn a_number_of_any_length_fits() {
        let mut one = example(None);
        one.guesses[0].value = -f64::from(f32::MAX);
        let groups = [Group { heading: "", examples: vec![&one] }];
        for meaning in [Meaning::Score, Meaning::Probability] {
            sheet_of_guesses(&groups, Layout { picture: 32, columns: 1 }, meaning, "T").unwrap();
        }
    }

    #[test]
    fn rows_follow_each_other() {
        let one = example(Some("cat"));
        let [single, full, more] = [1, 2, 3].map(|count| drawn(vec![&one; count]));
        assert_eq!(single.1, full.1);
        assert_eq!(more.1 - full.1, 160 + GAP + 5 * line_height() + GUTTER);
    }
}
