//! A computational graph as an SVG: as on the slides, values in green above the edges, gradients in red below.

use super::layout::{Layout, layout};
use lanegrad::tape::{Graph, GraphNode};
use std::fmt::Write;

/// Bluish green and vermillion of Okabe and Ito, dark enough for text; position and legend tell the two apart too.
const GREEN: &str = "#00694b";
const RED: &str = "#b34700";
const INK: &str = "#222222";
const GREY: &str = "#5a5a5a";

const MARGIN: f64 = 24.0;
/// Above the graph: title and legend.
const HEAD: f64 = 96.0;
/// From the middle of a node to that of the next one in its layer.
const ROW: f64 = 78.0;
/// Between the labels of a layer and the boxes of the next.
const GAP: f64 = 34.0;
/// Around a label on its edge.
const PADDING: f64 = 8.0;

/// What is written about a node.
struct Texts {
    /// In the box: a leaf's name, or the operation.
    main: String,
    /// Below the box: an operation's name, the shape.
    below: String,
    value: String,
    gradient: String,
}

impl Texts {
    fn new(node: &GraphNode) -> Self {
        // What these do their names do not say.
        let shows_name = node.is_leaf() || (["affine", "pow"].contains(&node.op) && !node.name.is_empty());
        let main = match (shows_name, node.name.as_str()) {
            (true, "") => node.op.to_owned(),
            (true, name) => name.to_owned(),
            (false, _) => symbol(node.op).to_owned(),
        };
        let name = if shows_name { "" } else { &node.name };
        let shape = node.shape.extents().iter().map(usize::to_string).collect::<Vec<_>>().join(" x ");
        let below = [name, &shape].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(", ");
        let gradient = node.gradient.as_ref().map_or(String::new(), |g| numbers(node, g, node.gradient_norm));
        Self { main, below, value: numbers(node, &node.value, node.norm), gradient }
    }

    /// Width of the box.
    fn box_width(&self) -> f64 {
        (text_width(&self.main, 15.0) + 18.0).max(38.0)
    }

    /// Width of the box and what is below it.
    fn width(&self) -> f64 {
        self.box_width().max(text_width(&self.below, 11.0))
    }

    /// Width of the labels on the edge.
    fn label_width(&self) -> f64 {
        text_width(&self.value, 12.0).max(text_width(&self.gradient, 12.0)) + 2.0 * PADDING
    }
}

/// An operation as the slides write it.
fn symbol(op: &str) -> &str {
    match op {
        "add" => "+",
        "sub" => "\u{2212}",
        "mul" => "\u{00d7}",
        "div" => "\u{00f7}",
        "maximum" => "max",
        "minimum" => "min",
        "permute" => "transpose",
        op => op,
    }
}

/// All of a few numbers, or the norm of more.
fn numbers(node: &GraphNode, numbers: &[f64], norm: f64) -> String {
    let count = node.shape.elements().unwrap_or(usize::MAX);
    match numbers {
        &[one] if count == 1 => number(one),
        few if count == few.len() => few.iter().map(|&x| number(x)).collect::<Vec<_>>().join(", "),
        _ => format!("norm {}", number(norm)),
    }
}

/// A number with four digits that tell something.
fn number(x: f64) -> String {
    let magnitude = x.abs();
    let text = match magnitude {
        0.0 => "0".into(),
        1e-3..1e5 => {
            let digits = (3.0 - magnitude.log10().floor()).clamp(0.0, 6.0) as usize;
            let text = format!("{x:.digits$}");
            if digits > 0 { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        _ => format!("{x:.1e}"),
    };
    text.replacen('-', "\u{2212}", 1)
}

/// About how wide a text is, generously.
fn text_width(text: &str, size: f64) -> f64 {
    0.58 * size * text.chars().count() as f64
}

/// Draws the graph under a title, and returns the SVG.
pub fn svg(graph: &Graph, title: &str) -> String {
    let inputs: Vec<Vec<usize>> = graph.nodes.iter().map(|node| node.inputs.clone()).collect();
    let texts: Vec<_> = graph.nodes.iter().map(Texts::new).collect();
    let has_norms = texts.iter().any(|texts| texts.value.starts_with("norm"));
    let norms = if has_norms { "; norm: the Euclidean norm of an array" } else { "" };
    let legend = [
        (format!("above an edge: the value{norms}"), GREEN),
        ("below an edge: the gradient, the derivative of the result by the value".into(), RED),
    ];
    let head = legend.iter().map(|(text, _)| text_width(text, 12.0)).fold(1.15 * text_width(title, 18.0), f64::max);
    let drawing = Drawing::new(layout(&inputs), texts, head);
    let mut svg = Svg::new(drawing.size);
    svg.text((MARGIN, 30.0), title, "font-size=\"18\" font-weight=\"bold\"", INK);
    for (line, (text, colour)) in legend.iter().enumerate() {
        svg.text((MARGIN, 52.0 + 17.0 * line as f64), text, "font-size=\"12\"", colour);
    }
    for paths in &drawing.layout.edges {
        // Edges arrive in the order in which they come, so that they do not cross at the last moment.
        let mut paths: Vec<_> = paths.iter().collect();
        paths.sort_by(|a, b| drawing.arrival(a).total_cmp(&drawing.arrival(b)));
        for (number, path) in paths.iter().enumerate() {
            svg.path(&drawing.curve(path, number, paths.len()), true);
        }
    }
    for (node, texts) in drawing.texts.iter().enumerate() {
        drawing.draw(&mut svg, node, texts, graph.nodes[node].is_leaf());
    }
    svg.finish()
}

/// A graph with everything in its place.
struct Drawing {
    layout: Layout,
    texts: Vec<Texts>,
    /// For each layer the middle of its boxes, and where the labels on their edges end.
    columns: Vec<(f64, f64)>,
    size: (f64, f64),
}

impl Drawing {
    /// `head` is the width of the title and the legend.
    fn new(layout: Layout, texts: Vec<Texts>, head: f64) -> Self {
        let count = layout.layers.iter().max().map_or(0, |last| last + 1);
        let mut columns = Vec::new();
        let mut left = MARGIN;
        for layer in 0..count {
            let of_layer = || (0..texts.len()).filter(|&node| layout.layers[node] == layer).map(|node| &texts[node]);
            let width = of_layer().map(Texts::width).fold(0.0, f64::max);
            let middle = left + width / 2.0;
            let right = of_layer()
                .map(|texts| middle + texts.box_width() / 2.0 + texts.label_width())
                .fold(left + width, f64::max);
            columns.push((middle, right));
            left = right + GAP;
        }
        let lowest = layout.heights.iter().copied().fold(0.0, f64::max);
        let width = (left - GAP).max(MARGIN + head) + MARGIN;
        let size = (width.ceil(), (HEAD + ROW * (lowest + 1.0)).ceil());
        Self { layout, texts, columns, size }
    }

    /// The middle of a place, and where its edges begin.
    fn middle(&self, place: usize) -> (f64, f64) {
        (self.columns[self.layout.layers[place]].0, HEAD + ROW * (self.layout.heights[place] + 0.4))
    }

    /// Where the labels of a place's edges end.
    fn right(&self, place: usize) -> f64 {
        self.columns[self.layout.layers[place]].1
    }

    /// How far down an edge is in the layer before its end.
    fn arrival(&self, path: &[usize]) -> f64 {
        self.layout.heights[path[path.len() - 2]]
    }

    /// The path of an edge that arrives as number `number` of `count`.
    fn curve(&self, path: &[usize], number: usize, count: usize) -> String {
        let (from, to) = (path[0], path[path.len() - 1]);
        let mut point = (self.right(from), self.middle(from).1);
        let mut curve = format!("M{:.1} {:.1}", point.0, point.1);
        let mut lead = |end: (f64, f64), straight: f64| {
            let bend = (end.0 - point.0) / 2.0;
            // Writing to a string cannot fail.
            let _ = write!(
                curve,
                " C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1} H{:.1}",
                point.0 + bend,
                point.1,
                end.0 - bend,
                end.1,
                end.0,
                end.1,
                straight
            );
            point = (straight, end.1);
        };
        for &bend in &path[1..path.len() - 1] {
            let (x, y) = self.middle(bend);
            lead((x - 10.0, y), self.right(bend));
        }
        // Several inputs arrive one below the other.
        let (x, y) = self.middle(to);
        let end = (x - self.texts[to].box_width() / 2.0, y + 9.0 * (number as f64 - (count as f64 - 1.0) / 2.0));
        lead((end.0 - 8.0, end.1), end.0 - 1.0);
        curve
    }

    /// The box of a node, the beginning of its edges, and its texts.
    fn draw(&self, svg: &mut Svg, node: usize, texts: &Texts, is_leaf: bool) {
        let (x, y) = self.middle(node);
        let half = texts.box_width() / 2.0;
        svg.rectangle((x - half, y - 17.0), (2.0 * half, 34.0), if is_leaf { 4.0 } else { 17.0 }, is_leaf);
        svg.text((x, y + 5.0), &texts.main, "font-size=\"15\" text-anchor=\"middle\"", INK);
        svg.text((x, y + 31.0), &texts.below, "font-size=\"11\" text-anchor=\"middle\"", GREY);
        svg.path(&format!("M{:.1} {y:.1} H{:.1}", x + half, self.right(node)), false);
        let left = x + half + PADDING;
        svg.text((left, y - 6.0), &texts.value, "font-size=\"12\" font-weight=\"bold\"", GREEN);
        svg.text((left, y + 16.0), &texts.gradient, "font-size=\"12\" font-weight=\"bold\"", RED);
    }
}

/// An SVG in the making.
struct Svg(String);

impl Svg {
    fn new((width, height): (f64, f64)) -> Self {
        Self(format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"sans-serif\">\n<defs><marker id=\"arrow\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" \
             markerHeight=\"7\" orient=\"auto\"><path d=\"M0 0 L8 4 L0 8 z\" fill=\"{GREY}\"/></marker></defs>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        ))
    }

    fn line(&mut self, text: &str) {
        self.0.push_str(text);
        self.0.push('\n');
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str, style: &str, colour: &str) {
        if !text.is_empty() {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            self.line(&format!("<text x=\"{x:.1}\" y=\"{y:.1}\" {style} fill=\"{colour}\">{text}</text>"));
        }
    }

    fn path(&mut self, path: &str, arrow: bool) {
        let marker = if arrow { " marker-end=\"url(#arrow)\"" } else { "" };
        self.line(&format!("<path d=\"{path}\" fill=\"none\" stroke=\"{GREY}\" stroke-width=\"1.2\"{marker}/>"));
    }

    fn rectangle(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), radius: f64, is_leaf: bool) {
        let fill = if is_leaf { "#eef5fa" } else { "#ffffff" };
        self.line(&format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"{radius}\" fill=\"{fill}\" \
             stroke=\"{INK}\" stroke-width=\"1.2\"/>"
        ));
    }

    fn finish(mut self) -> String {
        self.line("</svg>");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases = [
            (0.0, "0"),
            (-4.0, "\u{2212}4"),
            (0.731_058, "0.7311"),
            (-0.196_611, "\u{2212}0.1966"),
            (1.58, "1.58"),
            (2.396_6, "2.397"),
            (1234.5, "1234"),
            (100.0, "100"),
            (3.2e-5, "3.2e\u{2212}5"),
            (f64::NAN, "NaN"),
        ];
        for (x, text) in cases {
            assert_eq!(number(x), text);
        }
    }
}
