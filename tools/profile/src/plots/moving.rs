//! Pictures that grow step by step: the last one as an SVG, all of them as a GIF.

use std::ops::Range;

use anyhow::Result;
use plotters::style::{RGBColor, WHITE};

use super::animation::{Animation, Palette};
use super::axis::Axis;
use super::chart::{self, Area, Backend, Chart, GREY, INK, RULE, SERIES, SHEET, Texts};
use super::contour::ISOLINE;
use super::raster::Raster;

/// Most frames before the last.
const MOST_FRAMES: usize = 200;

/// How long a frame is seen, and the last, in hundredths of a second.
const FRAME: u16 = 4;
const LAST_FRAME: u16 = 250;

/// A picture that grows.
pub(super) trait Moving {
    /// Where the plot lies on the sheet.
    const AREA: Area;
    /// The axes, across and up.
    fn axes(&self) -> [Axis; 2];
    /// What the sheet says around the plot.
    fn texts(&self) -> Texts;
    /// The colours of areas besides white.
    fn grounds(&self) -> Vec<RGBColor>;
    /// The last step.
    fn steps(&self) -> usize;
    /// What is there from the start.
    fn ground<B: Backend>(&self, chart: &Chart<'_, B>) -> Result<()>;
    /// What the steps of a range add, from the first to the one it ends with.
    fn trails<B: Backend>(&self, chart: &Chart<'_, B>, steps: Range<usize>) -> Result<()>;
    /// What is seen after `step` alone.
    fn heads<B: Backend>(&self, chart: &Chart<'_, B>, step: usize) -> Result<()>;
}

/// The picture after the last step, as an SVG.
pub(super) fn still<M: Moving>(scene: &M) -> Result<String> {
    let axes = scene.axes();
    chart::render(SHEET, &M::AREA, (&axes[0], &axes[1]), &scene.texts(), |chart| {
        scene.ground(chart)?;
        scene.trails(chart, 0..scene.steps())?;
        scene.heads(chart, scene.steps())
    })
}

/// The picture as it grows, as a GIF.
pub(super) fn animated<M: Moving>(scene: &M) -> Result<Vec<u8>> {
    let axes = scene.axes();
    let axes = (&axes[0], &axes[1]);
    let mut sheet = Raster::new();
    let chart = Chart::new(&mut sheet, SHEET, &M::AREA, axes);
    chart.frame(axes, &scene.texts())?;
    scene.ground(&chart)?;
    drop(chart);
    let grounds = [&[WHITE][..], &scene.grounds()].concat();
    let colours = [&SERIES[..], &[INK, GREY, RULE, ISOLINE]].concat();
    let mut animation = Animation::new(Palette::new(&grounds, &colours))?;
    let (end, mut drawn) = (scene.steps(), 0);
    let frames = end.clamp(1, MOST_FRAMES);
    for frame in 0..=frames {
        let step = frame * end / frames;
        scene.trails(&Chart::new(&mut sheet, SHEET, &M::AREA, axes), drawn..step)?;
        drawn = step;
        let mut picture = sheet.clone();
        scene.heads(&Chart::new(&mut picture, SHEET, &M::AREA, axes), step)?;
        animation.frame(&picture.shown(), if frame == frames { LAST_FRAME } else { FRAME })?;
    }
    animation.finish()
}
